"""Networks that give one answer for a sequence."""
