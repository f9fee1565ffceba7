"""`python -m fxlive.simulator simulate` and `python -m fxlive.simulator token`."""

from __future__ import annotations

import argparse
import sys

from .command import add_simulate_parser, add_token_parser, join_negative_values


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two commands and return the exit status."""
    parser = argparse.ArgumentParser(prog="fxlive")
    subparsers = parser.add_subparsers(required=True, metavar="command")
    add_simulate_parser(subparsers)
    add_token_parser(subparsers)
    options = parser.parse_args(join_negative_values(arguments))
    status: int = options.func(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
