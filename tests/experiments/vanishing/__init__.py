"""Tests of vanishing by itself."""
