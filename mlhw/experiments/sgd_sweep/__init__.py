"""The experiment ``mlhw sgd-sweep``: see ``experiment.py``."""
