"""What works on the nodes of a cluster: for Ray a desk, its liaison and attempts, for SLURM a spool."""
