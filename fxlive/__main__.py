"""`python -m fxlive` is the `fxlive` command."""

import sys

from fxlive.cli import main

sys.exit(main())
