"""The recipe `classify`: a sequence in, a class out."""
