"""What ``lr_sweep`` and ``sgd_sweep`` share."""
