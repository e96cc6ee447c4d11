"""`python -m benchmarks.scaling`: what training in several processes takes, predicted of measured constants, and measured."""
