"""Text as tokens: vocabularies, vectors, and corpora that were tokenised once."""
