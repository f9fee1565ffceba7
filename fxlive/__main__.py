"""`python -m fxlive` is the `fxlive` command."""

import sys

from fxlive.entrypoints.cli import main

sys.exit(main())
