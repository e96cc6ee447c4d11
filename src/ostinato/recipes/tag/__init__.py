"""The recipe `tag`: a sequence in, a tag for each of its steps out."""
