"""Calls of the kernels: their memory, their launches, what torch computes around them, and whether they can be trusted."""
