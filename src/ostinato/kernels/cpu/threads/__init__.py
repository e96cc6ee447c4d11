"""How work is divided among threads, how they wait for each other, and what they see of a busy machine."""
