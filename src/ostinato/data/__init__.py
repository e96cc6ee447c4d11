"""Text to batches: sources of text, vocabularies, tokenised corpora, parallel streams, and the records that tasks read.

Names are loaded when they are first used: the processes that tokenise need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.data.batches import Batch, Batches, InOrder, TargetBatch, pad
    from ostinato.data.builtin import carbon_dioxide, digits, digits_in_words, number_words
    from ostinato.data.captions import Captioned, read_caption_splits, read_captions, read_pictures
    from ostinato.data.conll import Sentence, read_sentence_splits, read_sentences
    from ostinato.data.corpus import Corpus, open_corpus
    from ostinato.data.dates import dates_to_iso
    from ostinato.data.decoding import Decoder
    from ostinato.data.dialect import Dialect
    from ostinato.data.documents import Documents
    from ostinato.data.images import Images, read_image_splits, read_images
    from ostinato.data.marked import MarkedVocabulary
    from ostinato.data.pairs import Pair, Pairs, draw_pair_splits, read_pair_splits, read_pairs
    from ostinato.data.prefetch import Prefetch
    from ostinato.data.series import Series, SeriesTable, read_series
    from ostinato.data.splits import Splits, stratified_split
    from ostinato.data.streams import Chunk, Streams
    from ostinato.data.syntax import SYNTAX_CLASSES, Highlighted, highlight, python_source
    from ostinato.data.tables import Example, read_examples, read_labelled
    from ostinato.data.text import Document, Piece, Text, find_text, standard_library
    from ostinato.data.tokens import Tokens
    from ostinato.data.vectors import Coverage, load_vectors, read_vectors
    from ostinato.data.vocabulary import (
        BPEVocabulary,
        ByteVocabulary,
        CharVocabulary,
        Vocabulary,
        WordVocabulary,
        load_vocabulary,
        vocabulary_class,
    )
    from ostinato.data.windows import Window, Windows

_HOMES = {
    "BPEVocabulary": "vocabulary",
    "Batch": "batches",
    "Batches": "batches",
    "ByteVocabulary": "vocabulary",
    "Captioned": "captions",
    "CharVocabulary": "vocabulary",
    "Chunk": "streams",
    "Corpus": "corpus",
    "Coverage": "vectors",
    "Decoder": "decoding",
    "Dialect": "dialect",
    "Document": "text",
    "Documents": "documents",
    "Example": "tables",
    "Highlighted": "syntax",
    "Images": "images",
    "InOrder": "batches",
    "MarkedVocabulary": "marked",
    "Pair": "pairs",
    "Pairs": "pairs",
    "Piece": "text",
    "Prefetch": "prefetch",
    "SYNTAX_CLASSES": "syntax",
    "Sentence": "conll",
    "Series": "series",
    "SeriesTable": "series",
    "Splits": "splits",
    "Streams": "streams",
    "TargetBatch": "batches",
    "Text": "text",
    "Tokens": "tokens",
    "Vocabulary": "vocabulary",
    "Window": "windows",
    "Windows": "windows",
    "WordVocabulary": "vocabulary",
    "carbon_dioxide": "builtin",
    "dates_to_iso": "dates",
    "digits": "builtin",
    "digits_in_words": "builtin",
    "draw_pair_splits": "pairs",
    "find_text": "text",
    "highlight": "syntax",
    "load_vectors": "vectors",
    "load_vocabulary": "vocabulary",
    "number_words": "builtin",
    "open_corpus": "corpus",
    "pad": "batches",
    "python_source": "syntax",
    "read_caption_splits": "captions",
    "read_captions": "captions",
    "read_examples": "tables",
    "read_image_splits": "images",
    "read_images": "images",
    "read_labelled": "tables",
    "read_pair_splits": "pairs",
    "read_pairs": "pairs",
    "read_pictures": "captions",
    "read_sentence_splits": "conll",
    "read_sentences": "conll",
    "read_series": "series",
    "read_vectors": "vectors",
    "standard_library": "text",
    "stratified_split": "splits",
    "vocabulary_class": "vocabulary",
}

__all__ = [
    "SYNTAX_CLASSES",
    "BPEVocabulary",
    "Batch",
    "Batches",
    "ByteVocabulary",
    "Captioned",
    "CharVocabulary",
    "Chunk",
    "Corpus",
    "Coverage",
    "Decoder",
    "Dialect",
    "Document",
    "Documents",
    "Example",
    "Highlighted",
    "Images",
    "InOrder",
    "MarkedVocabulary",
    "Pair",
    "Pairs",
    "Piece",
    "Prefetch",
    "Sentence",
    "Series",
    "SeriesTable",
    "Splits",
    "Streams",
    "TargetBatch",
    "Text",
    "Tokens",
    "Vocabulary",
    "Window",
    "Windows",
    "WordVocabulary",
    "carbon_dioxide",
    "dates_to_iso",
    "digits",
    "digits_in_words",
    "draw_pair_splits",
    "find_text",
    "highlight",
    "load_vectors",
    "load_vocabulary",
    "number_words",
    "open_corpus",
    "pad",
    "python_source",
    "read_caption_splits",
    "read_captions",
    "read_examples",
    "read_image_splits",
    "read_images",
    "read_labelled",
    "read_pair_splits",
    "read_pairs",
    "read_pictures",
    "read_sentence_splits",
    "read_sentences",
    "read_series",
    "read_vectors",
    "standard_library",
    "stratified_split",
    "vocabulary_class",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
