"""What a captioner reads: images, and captions as tokens; and what it knows about its data."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import pad
from ostinato.data.records.captions import Captioned, read_captions, read_without_captions
from ostinato.data.records.marked import MarkedVocabulary
from ostinato.data.sources.lines import lines_of_stdin, suffix_of
from ostinato.data.tokens.vocabulary import Vocabulary, build_vocabulary, vocabulary_from_dict
from ostinato.data.tokens.words import Breaks, Normalisation, normalised, spaced
from ostinato.errors import DataError
from ostinato.models.writing.captioner import CaptionBatch
from ostinato.models.writing.image_encoder import ImageShape
from ostinato.recipes.caption.settings import CaptionReadingSettings

_WITHIN = "'\u2019-"
"""Marks that a word may have within: no blank is put around them when a caption is written."""


@dataclass(frozen=True)
class CaptionKnown:
    """What a captioner knows beside its weights.

    Attributes:
        vocabulary: the vocabulary of the captions.
        lower_case: whether captions have no capitals.
        shape: the shape of the images.
        mean: the mean of all values of the training images (black 0, white 1), which are scaled to a mean of 0.
        deviation: their standard deviation, which is scaled to 1.
        longest: the number of tokens of the longest training caption.
        normalisation: the normal form of Unicode of captions.
        breaks: how words are found in captions.
        deep_white: see `Images.deep_white`.
    """

    vocabulary: Vocabulary
    lower_case: bool
    shape: ImageShape
    mean: float
    deviation: float
    longest: int
    normalisation: Normalisation = "none"
    breaks: Breaks = "clusters"
    deep_white: float | None = None

    @classmethod
    def of(cls, train: Captioned, reading: CaptionReadingSettings) -> CaptionKnown:
        """Learns from the training data."""
        texts = [text for of_image in train.captions for text in of_image]
        kind, form = kind_of(texts, reading), reading.normalisation
        texts = [prepared(text, kind, lower_case=reading.lower_case, normalisation=form) for text in texts]
        vocabulary = build_vocabulary(texts, kind, reading.vocabulary_size, reading.min_count)
        # In blocks: all training images in floating point at once would take four times their memory.
        blocks = np.array_split(np.arange(len(train)), max(1, len(train) // 1024))
        sums = np.sum([[v.sum(), (v * v).sum(), v.size] for v in _values(train, blocks)], axis=0)
        mean = float(sums[0] / sums[2])
        deviation = float(np.sqrt(max(sums[1] / sums[2] - mean * mean, 0.0))) or 1.0
        longest = max((len(vocabulary.encode(text)) for text in texts), default=0)
        shape, white = shape_of(train), train.images.deep_white
        return cls(vocabulary, reading.lower_case, shape, mean, deviation, longest, form, deep_white=white)

    @property
    def marked(self) -> MarkedVocabulary:
        """The vocabulary with tokens for the begin and the end."""
        return MarkedVocabulary(self.vocabulary)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {**values, "vocabulary": self.vocabulary.to_dict(), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> CaptionKnown:
        """The inverse of `to_dict`."""
        made = {"vocabulary": vocabulary_from_dict(content["vocabulary"]), "shape": ImageShape(*content["shape"])}
        return cls(**{"breaks": "code points", **content, **made})

    def prepared(self, text: str) -> str:
        """A caption in the form that the vocabulary encodes."""
        kind, form, breaks = self.vocabulary.kind, self.normalisation, self.breaks
        return prepared(text, kind, lower_case=self.lower_case, normalisation=form, breaks=breaks)

    def said(self, tokens: Iterable[int]) -> str:
        """The text of tokens, as people write it."""
        return self._joined(self.marked.decode(tokens))

    def normal(self, text: str) -> str:
        """A caption as `said` would write it if all of its tokens were known: answers are compared with this form."""
        return self._joined(self.prepared(text))

    def _joined(self, text: str) -> str:
        return joined(text, self.vocabulary.kind)


class CaptionedImages:
    """Images and captions as examples; an example is an image with all of its captions.

    Args:
        part: N images with captions.
        known: the vocabulary, and the scale of the images.
        max_length: how many tokens of a caption are read; None for all.

    Raises:
        DataError: the images are not like those of training.
    """

    def __init__(self, part: Captioned, known: CaptionKnown, max_length: int | None = None):
        if (shape := shape_of(part)) != known.shape:
            raise DataError(
                f"expected images of {known.shape.height} x {known.shape.width} with {known.shape.channels} channels, like those "
                f"of training, got {shape.height} x {shape.width} with {shape.channels}; scale them"
            )
        self.images, self._known = part.images, known
        encode = known.marked.encode
        self.ids = [[encode(known.prepared(text))[:max_length] for text in of_image] for of_image in part.captions]
        self.lengths = np.array([max(map(len, of_image), default=0) for of_image in self.ids], dtype=np.int64)
        # Terms of the loss: each token, and the end of each caption.
        self.counts = np.array([sum(len(ids) + 1 for ids in of_image) for of_image in self.ids], dtype=np.int64)

    def batch(self, rows: np.ndarray) -> CaptionBatch:
        """The images `rows`, with all of their captions."""
        values = self.images.rows(rows).reshape(len(rows), *self.images.pixels.shape[1:])
        values = values[:, None] if values.ndim == 3 else values.transpose(0, 3, 1, 2)
        scaled = (values - np.float32(self._known.mean)) / np.float32(self._known.deviation)
        captions = [ids for row in rows for ids in self.ids[row]]
        owners = np.repeat(np.arange(len(rows)), [len(self.ids[row]) for row in rows])
        target, lengths = pad(captions) if captions else (torch.zeros(1, 0, dtype=torch.int64), None)
        return CaptionBatch(
            torch.from_numpy(np.ascontiguousarray(scaled)),
            target,
            None,
            torch.as_tensor(rows),
            target_lengths=lengths,
            owners=torch.from_numpy(owners),
        )


def shape_of(part: Captioned) -> ImageShape:
    """The shape of all images of a part."""
    _, height, width, *channels = part.images.pixels.shape
    return ImageShape(channels[0] if channels else 1, height, width)


def kind_of(texts: Sequence[str], reading: CaptionReadingSettings) -> str:
    """The kind of tokens: as set, or by default words; characters if captions hardly have more than one word."""
    if reading.tokens != "auto":
        return reading.tokens
    return "word" if sum(len(text.split()) for text in texts) >= 2 * len(texts) else "char"


def joined(text: str, kind: str) -> str:
    """The inverse of `prepared`, without the blanks that people do not write."""
    if kind != "word":
        return text
    return re.sub(r"([(\[{]) ", r"\1", re.sub(r" (?=[.,!?;:%)\]}])", "", text))


def prepared(
    text: str, kind: str, *, lower_case: bool, normalisation: Normalisation = "none", breaks: Breaks = "clusters"
) -> str:
    """Prepares a text for a vocabulary: normalised, single spaces, lower case if so set, words apart from marks."""
    text = normalised(text, normalisation, lower_case=lower_case)
    return spaced(text, within=_WITHIN, breaks=breaks) if kind == "word" else " ".join(text.split())


def read_part(data: str, known: CaptionKnown, *, labelled: bool, skip_broken: bool = False) -> Captioned:
    """Captions to evaluate on; or pictures to caption, also named in JSON lines, or on standard input if `data` is "-".

    Of many pictures to caption, unreadable ones are always left out.

    Raises:
        DataError: the data cannot be read.
    """
    size, grey = (known.shape.height, known.shape.width), known.shape.channels == 1
    how: dict[str, Any] = {
        "size": size,
        "grey": grey,
        "white": known.deep_white,
        "skip_broken": skip_broken or not labelled,
    }
    if labelled or suffix_of(data) in (".jsonl", ".ndjson"):
        return read_captions(data, **how)
    if data != "-":
        return read_without_captions(data, **how)
    if given := [name for _, name in lines_of_stdin() if name]:
        return read_without_captions(given, **how)
    raise DataError("expected names of pictures on standard input, one a line, got none")


def _values(part: Captioned, blocks: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    return (part.images.rows(block).astype(np.float64) for block in blocks)
