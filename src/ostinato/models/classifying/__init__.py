"""Networks with one answer for a sequence."""
