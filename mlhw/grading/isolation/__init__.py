"""Running somebody's file where it can reach nothing: the strongest rung that this machine offers."""
