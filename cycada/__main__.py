"""`python -m cycada`, as torchrun calls it."""

from cycada.cli.main import main

main()
