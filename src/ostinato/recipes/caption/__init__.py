"""The recipe `caption`: an image in, a sentence out."""
