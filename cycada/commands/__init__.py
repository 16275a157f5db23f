"""Commands of the command line, one file a subject; `cycada/cli.py` enters them."""
