"""Configuration: models, layers of values, one validation, errors with their places."""
