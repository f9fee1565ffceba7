"""`python -m fxlive.simulator simulate` and `python -m fxlive.simulator token`."""

from __future__ import annotations

import argparse
import sys

from .command import add_simulate_parser, add_token_parser, joined


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two commands; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fxlive")
    subparsers = parser.add_subparsers(required=True, metavar="command")
    add_simulate_parser(subparsers)
    add_token_parser(subparsers)
    parsed = parser.parse_args(joined(arguments))
    status: int = parsed.func(parsed)
    return status


if __name__ == "__main__":
    sys.exit(main())
