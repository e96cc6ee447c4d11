"""The recipe `translate`: a text in, another text out."""
