"""The recipe `translate`: a text in, another out."""
