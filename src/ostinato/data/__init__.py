"""Text to batches: sources of text, vocabularies, tokenised corpora, parallel streams, and the records that tasks read.

Names are loaded when they are first used: the processes that tokenise need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.data.builtin import digits, digits_in_words, number_words
    from ostinato.data.corpus import Corpus, open_corpus
    from ostinato.data.decoding import Decoder
    from ostinato.data.documents import Documents
    from ostinato.data.images import Captioned, Images, read_captions, read_image_splits, read_images
    from ostinato.data.prefetch import Prefetch
    from ostinato.data.splits import Splits, stratified_split
    from ostinato.data.streams import Chunk, Streams
    from ostinato.data.tables import Example, read_examples, read_labelled
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

_HOMES = {
    "BPEVocabulary": "vocabulary",
    "ByteVocabulary": "vocabulary",
    "Captioned": "images",
    "CharVocabulary": "vocabulary",
    "Chunk": "streams",
    "Corpus": "corpus",
    "Decoder": "decoding",
    "Document": "text",
    "Documents": "documents",
    "Example": "tables",
    "Images": "images",
    "Piece": "text",
    "Prefetch": "prefetch",
    "Splits": "splits",
    "Streams": "streams",
    "Text": "text",
    "Tokens": "tokens",
    "Vocabulary": "vocabulary",
    "WordVocabulary": "vocabulary",
    "digits": "builtin",
    "digits_in_words": "builtin",
    "find_text": "text",
    "load_vocabulary": "vocabulary",
    "number_words": "builtin",
    "open_corpus": "corpus",
    "read_captions": "images",
    "read_examples": "tables",
    "read_image_splits": "images",
    "read_images": "images",
    "read_labelled": "tables",
    "standard_library": "text",
    "stratified_split": "splits",
    "vocabulary_class": "vocabulary",
}

__all__ = [
    "BPEVocabulary",
    "ByteVocabulary",
    "Captioned",
    "CharVocabulary",
    "Chunk",
    "Corpus",
    "Decoder",
    "Document",
    "Documents",
    "Example",
    "Images",
    "Piece",
    "Prefetch",
    "Splits",
    "Streams",
    "Text",
    "Tokens",
    "Vocabulary",
    "WordVocabulary",
    "digits",
    "digits_in_words",
    "find_text",
    "load_vocabulary",
    "number_words",
    "open_corpus",
    "read_captions",
    "read_examples",
    "read_image_splits",
    "read_images",
    "read_labelled",
    "standard_library",
    "stratified_split",
    "vocabulary_class",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
