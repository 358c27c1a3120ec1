"""The experiment ``mlhw softmax-regions``: see ``experiment.py``."""
