"""What a step reads besides its arguments, and whether it has changed."""
