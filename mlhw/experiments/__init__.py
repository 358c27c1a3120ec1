"""The experiments, a folder each, and what finds them."""
