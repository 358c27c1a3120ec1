"""Labelled points: built in, or read from files."""
