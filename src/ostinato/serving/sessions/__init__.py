"""Sessions: where they are, whose turn it is, and how they come back."""
