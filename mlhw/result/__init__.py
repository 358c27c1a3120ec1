"""What an experiment is given and what it returns."""
