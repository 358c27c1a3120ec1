"""What runs on a Ray cluster, or is connected to one, for ``--engine ray``."""
