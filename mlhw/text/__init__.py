"""What touches text: YAML, words, numbers."""
