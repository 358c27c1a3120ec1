"""A run's life: executed, written into its folder, found again, compared, reported."""
