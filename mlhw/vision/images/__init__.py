"""Image sets: found, read, split, changed at random."""
