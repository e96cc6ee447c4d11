"""Recurrences on a GPU: Triton kernels made of a step's plan. The only place that imports triton."""
