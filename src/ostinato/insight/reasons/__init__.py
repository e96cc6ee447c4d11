"""Why a network gave an answer: what each step, channel and word of what it read has to do with it."""
