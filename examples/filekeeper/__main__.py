"""`python -m filekeeper`."""

from .cli import main

main(prog_name="python -m filekeeper")
