"""The experiment ``mlhw vanishing``: see ``experiment.py``."""
