"""Benchmarks of fxlive, with the alternatives beside it. `python -m benchmarks` runs them all."""
