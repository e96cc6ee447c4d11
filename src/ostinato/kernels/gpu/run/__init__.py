"""Calls of the kernels: their memory, their launches, what torch does around them, and whether they are trusted."""
