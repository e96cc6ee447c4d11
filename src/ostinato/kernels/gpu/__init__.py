"""Recurrences on a GPU: Triton kernels made from a step's plan. No other package here imports triton."""
