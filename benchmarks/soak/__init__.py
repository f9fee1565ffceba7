"""Long runs that look for leaks, lost messages and damaged captures. `python -m benchmarks.soak` runs them."""
