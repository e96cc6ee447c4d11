"""Networks that give an answer for every step."""
