"""What is computed from a trained network: predictions, scores, analyses and image grids."""
