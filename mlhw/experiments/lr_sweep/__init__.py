"""The experiment ``mlhw lr-sweep``: see ``experiment.py``."""
