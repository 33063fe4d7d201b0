"""`python -m minicnn.cli`: the command, where it is not on the PATH."""
from minicnn.cli import main

main()
