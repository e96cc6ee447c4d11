"""Why a network gave an answer: how much each step, channel and word of its input contributed to it."""
