"""Logistic regression on rows that are held in parts: on disk, and by several processes."""
