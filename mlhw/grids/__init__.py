"""Many runs of one experiment: the points of a grid, worked on by an engine, in one table."""
