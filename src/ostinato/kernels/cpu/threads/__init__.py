"""How work is divided among threads, how they wait for each other, and how they notice a busy machine."""
