"""The domains whose images are read from files or rendered, one module for each data set or kind of files."""
