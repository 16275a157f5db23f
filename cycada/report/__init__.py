"""Reports made from run folders alone: tables, tests, published numbers next to ours, and one HTML page."""
