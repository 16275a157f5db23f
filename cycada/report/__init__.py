"""Reports from run folders, offline: tables, tests, published numbers beside ours, and one HTML page."""
