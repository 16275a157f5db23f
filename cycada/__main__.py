"""Entry point of `python -m cycada`, for torchrun, which starts modules."""

from cycada.cli.main import main

main()
