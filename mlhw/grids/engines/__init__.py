"""Where the points of a grid are worked on: each module adapts one engine to ``tasks.Engine``."""
