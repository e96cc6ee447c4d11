"""Networks with an answer for every step."""
