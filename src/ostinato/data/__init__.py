"""Text to batches: sources of text, vocabularies, tokenised corpora, parallel streams, and the records that tasks read.

Names are loaded when they are first used: the processes that tokenise need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.data.batches.batches import Batch, Batches, InOrder, TargetBatch, pad
    from ostinato.data.batches.datasets import DatasetExamples
    from ostinato.data.batches.documents import Documents
    from ostinato.data.batches.prefetch import Prefetch
    from ostinato.data.batches.streams import Chunk, Streams
    from ostinato.data.mapped.table import map_series
    from ostinato.data.recordings.digit_rows import digit_rows
    from ostinato.data.recordings.drawn import drawn_lines
    from ostinato.data.recordings.line_pictures import read_line_pictures
    from ostinato.data.recordings.reading import read_recordings
    from ostinato.data.recordings.recording import Recording, Recordings
    from ostinato.data.recordings.scaling import Scaling
    from ostinato.data.recordings.simulated import gestures, gestures_in_a_row
    from ostinato.data.records.captions import Captioned, read_caption_splits, read_captions, read_pictures
    from ostinato.data.records.conll import Sentence, read_sentence_splits, read_sentences
    from ostinato.data.records.dates import dates_to_iso
    from ostinato.data.records.images import Images, read_image_splits, read_images
    from ostinato.data.records.marked import MarkedVocabulary
    from ostinato.data.records.pairs import Pair, Pairs, draw_pair_splits, read_pair_splits, read_pairs
    from ostinato.data.records.splits import Splits, stratified_split
    from ostinato.data.series.series import Series, SeriesTable, read_series
    from ostinato.data.series.windows import Window, Windows
    from ostinato.data.sources.builtin import carbon_dioxide, digits, digits_in_words, number_words
    from ostinato.data.sources.decoding import Decoder
    from ostinato.data.sources.dialect import Dialect
    from ostinato.data.sources.syntax import SYNTAX_CLASSES, Highlighted, highlight, python_source
    from ostinato.data.sources.tables import Example, read_examples, read_labelled
    from ostinato.data.sources.text import Document, Piece, Text, find_text, standard_library
    from ostinato.data.tokens.corpus import Corpus, open_corpus
    from ostinato.data.tokens.tokens import Tokens
    from ostinato.data.tokens.vectors import Coverage, load_vectors, read_vectors
    from ostinato.data.tokens.vocabulary import (
        BPEVocabulary,
        ByteVocabulary,
        CharVocabulary,
        Vocabulary,
        WordVocabulary,
        load_vocabulary,
        vocabulary_class,
    )

_HOMES = {
    "BPEVocabulary": "tokens.vocabulary",
    "Batch": "batches.batches",
    "Batches": "batches.batches",
    "ByteVocabulary": "tokens.vocabulary",
    "Captioned": "records.captions",
    "CharVocabulary": "tokens.vocabulary",
    "Chunk": "batches.streams",
    "Corpus": "tokens.corpus",
    "Coverage": "tokens.vectors",
    "DatasetExamples": "batches.datasets",
    "Decoder": "sources.decoding",
    "Dialect": "sources.dialect",
    "Document": "sources.text",
    "Documents": "batches.documents",
    "Example": "sources.tables",
    "Highlighted": "sources.syntax",
    "Images": "records.images",
    "InOrder": "batches.batches",
    "MarkedVocabulary": "records.marked",
    "Pair": "records.pairs",
    "Pairs": "records.pairs",
    "Piece": "sources.text",
    "Prefetch": "batches.prefetch",
    "Recording": "recordings.recording",
    "Recordings": "recordings.recording",
    "SYNTAX_CLASSES": "sources.syntax",
    "Scaling": "recordings.scaling",
    "Sentence": "records.conll",
    "Series": "series.series",
    "SeriesTable": "series.series",
    "Splits": "records.splits",
    "Streams": "batches.streams",
    "TargetBatch": "batches.batches",
    "Text": "sources.text",
    "Tokens": "tokens.tokens",
    "Vocabulary": "tokens.vocabulary",
    "Window": "series.windows",
    "Windows": "series.windows",
    "WordVocabulary": "tokens.vocabulary",
    "carbon_dioxide": "sources.builtin",
    "dates_to_iso": "records.dates",
    "digit_rows": "recordings.digit_rows",
    "digits": "sources.builtin",
    "digits_in_words": "sources.builtin",
    "draw_pair_splits": "records.pairs",
    "drawn_lines": "recordings.drawn",
    "find_text": "sources.text",
    "gestures": "recordings.simulated",
    "gestures_in_a_row": "recordings.simulated",
    "highlight": "sources.syntax",
    "load_vectors": "tokens.vectors",
    "load_vocabulary": "tokens.vocabulary",
    "map_series": "mapped.table",
    "number_words": "sources.builtin",
    "open_corpus": "tokens.corpus",
    "pad": "batches.batches",
    "python_source": "sources.syntax",
    "read_caption_splits": "records.captions",
    "read_captions": "records.captions",
    "read_examples": "sources.tables",
    "read_image_splits": "records.images",
    "read_images": "records.images",
    "read_labelled": "sources.tables",
    "read_line_pictures": "recordings.line_pictures",
    "read_pair_splits": "records.pairs",
    "read_pairs": "records.pairs",
    "read_pictures": "records.captions",
    "read_recordings": "recordings.reading",
    "read_sentence_splits": "records.conll",
    "read_sentences": "records.conll",
    "read_series": "series.series",
    "read_vectors": "tokens.vectors",
    "standard_library": "sources.text",
    "stratified_split": "records.splits",
    "vocabulary_class": "tokens.vocabulary",
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
    "DatasetExamples",
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
    "Recording",
    "Recordings",
    "Scaling",
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
    "digit_rows",
    "digits",
    "digits_in_words",
    "draw_pair_splits",
    "drawn_lines",
    "find_text",
    "gestures",
    "gestures_in_a_row",
    "highlight",
    "load_vectors",
    "load_vocabulary",
    "map_series",
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
    "read_line_pictures",
    "read_pair_splits",
    "read_pairs",
    "read_pictures",
    "read_recordings",
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
