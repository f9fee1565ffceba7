"""Benchmarks: what fxlive costs, beside what one would write instead. `python -m benchmarks` runs them all."""
