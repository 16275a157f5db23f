"""Evaluation of trained networks: predictions, scores, analyses and image grids."""
