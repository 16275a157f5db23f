"""`python -m cycada`, as torchrun calls it."""

from cycada.cli import main

main()
