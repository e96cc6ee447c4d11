"""Language models, and what they are compared with."""
