"""The experiment ``mlhw finetune``: see ``experiment.py``."""
