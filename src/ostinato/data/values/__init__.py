"""Data that are in memory already: what people have in Python, as the files that the readers read."""
