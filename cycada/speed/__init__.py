"""Measurements of how fast steps, stages and matrix products are on this machine."""
