"""Text to batches: sources of text, vocabularies, tokenised corpora and the parallel streams that training reads.

Names are loaded when they are first used: the processes that tokenise need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.data.corpus import Corpus, open_corpus
    from ostinato.data.decoding import Decoder
    from ostinato.data.documents import Documents
    from ostinato.data.prefetch import Prefetch
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

_HOMES = {
    "BPEVocabulary": "vocabulary",
    "ByteVocabulary": "vocabulary",
    "CharVocabulary": "vocabulary",
    "Chunk": "streams",
    "Corpus": "corpus",
    "Decoder": "decoding",
    "Document": "text",
    "Documents": "documents",
    "Piece": "text",
    "Prefetch": "prefetch",
    "Streams": "streams",
    "Text": "text",
    "Tokens": "tokens",
    "Vocabulary": "vocabulary",
    "WordVocabulary": "vocabulary",
    "find_text": "text",
    "load_vocabulary": "vocabulary",
    "open_corpus": "corpus",
    "standard_library": "text",
    "vocabulary_class": "vocabulary",
}

__all__ = [
    "BPEVocabulary",
    "ByteVocabulary",
    "CharVocabulary",
    "Chunk",
    "Corpus",
    "Decoder",
    "Document",
    "Documents",
    "Piece",
    "Prefetch",
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
