"""`python -m benchmarks.catalogue`: every named cell on the same small tasks, and what it costs, on one page of the docs."""
