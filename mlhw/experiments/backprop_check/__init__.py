"""The experiment ``mlhw backprop-check``: see ``experiment.py``."""
