"""The recipe `forecast`: a series in, its continuation out."""
