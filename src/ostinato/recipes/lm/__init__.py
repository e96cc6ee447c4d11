"""The recipe `lm`: a recurrent language model, of characters, bytes, words or byte pairs."""
