"""Text to batches: sources of text, vocabularies, tokenised corpora and the parallel streams that training reads."""

from ostinato.data.corpus import Corpus, open_corpus
from ostinato.data.decoding import Decoder
from ostinato.data.streams import Chunk, Streams
from ostinato.data.text import Document, Piece, Text, find_text, standard_library
from ostinato.data.tokens import Tokens
from ostinato.data.vocabulary import (
    BPEVocabulary,
    ByteVocabulary,
    CharVocabulary,
    Vocabulary,
    WordVocabulary,
    load_vocabulary,
    vocabulary_class,
)

__all__ = [
    "BPEVocabulary",
    "ByteVocabulary",
    "CharVocabulary",
    "Chunk",
    "Corpus",
    "Decoder",
    "Document",
    "Piece",
    "Streams",
    "Text",
    "Tokens",
    "Vocabulary",
    "WordVocabulary",
    "find_text",
    "load_vocabulary",
    "open_corpus",
    "standard_library",
    "vocabulary_class",
]
