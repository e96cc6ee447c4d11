"""Language models, and models to compare them with."""
