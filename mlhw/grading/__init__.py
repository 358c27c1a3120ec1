"""Checking somebody's own back-propagation: their file runs in a process of its own, we judge."""
