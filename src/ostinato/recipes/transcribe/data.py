"""What a transcriber reads: frames of recordings, and texts as units; and what it knows about its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import regex
import torch

from ostinato.data.batches.batches import TargetBatch, pad
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.tokens.vocabulary import Vocabulary, build_vocabulary, vocabulary_from_dict
from ostinato.data.tokens.words import Normalisation, normalised
from ostinato.errors import DataError
from ostinato.models.transcribing.alignment import BLANK, frames_needed
from ostinato.models.transcribing.transcriber import UNKNOWN
from ostinato.recipes.transcribe.settings import TranscribeReadingSettings

_CLUSTER = regex.compile(r"\X")
_SPACE = "\ue000"  # stands for a blank among clusters, as the vocabulary separates these by blanks like words
_FRAMES_A_UNIT, _LEAST_A_UNIT, _LONGEST_STRIDE = 3.5, 1.3, 8
_AHEAD = 6  # strides of a frame for a network that looks ahead by it: more than a character
_MOST_NUMBERS = 2**25  # numbers that the scale is learnt from; more take memory and do not improve it


@dataclass(frozen=True)
class TranscribeKnown:
    """What a transcriber knows beside its weights.

    Attributes:
        vocabulary: the vocabulary of units; unit 0, which no text has, is the blank of CTC.
        tokens: what a unit is: char, cluster or word.
        scaling: the scale of recordings, one step at a time.
        stack: the steps of a frame.
        stride: steps from the beginning of one frame to the next.
        height: for pictures, their height in pixels; None for recordings.
        lower_case: whether texts have no capitals.
        normalisation: the normal form of Unicode of texts.
        too_long: how many training texts have more units than frames, and the first of them; not saved.
    """

    vocabulary: Vocabulary
    tokens: str
    scaling: Scaling
    stack: int
    stride: int
    height: int | None = None
    lower_case: bool = False
    normalisation: Normalisation = "none"
    too_long: tuple[int, str] = field(default=(0, ""), compare=False)

    @classmethod
    def of(
        cls,
        train: Recordings,
        reading: TranscribeReadingSettings,
        stack: int | None,
        height: int | None,
        *,
        looks_ahead: bool = False,
    ) -> TranscribeKnown:
        """Learns from the training data.

        Args:
            train: recordings with texts.
            reading: how they are read.
            stack: the steps of a frame; None for two strides (one step with a stride of 1), or for more with
                `looks_ahead`.
            height: for pictures, their height.
            looks_ahead: whether the network knows what comes next from the frame only, as it has one direction.

        Raises:
            DataError: no text can be learnt.
        """
        texts = [
            _prepared(each.label or "", reading.lower_case, reading.normalisation, reading.tokens)
            for each in train.items
        ]
        kind = "char" if reading.tokens == "char" else "word"
        vocabulary = build_vocabulary(texts, kind, reading.vocabulary_size, reading.min_count)
        encoded = [vocabulary.encode(text) for text in texts]
        if not any(len(ids) for ids in encoded):
            raise DataError(
                "expected texts to learn to write, got empty ones only; is the column of texts the right one?"
            )
        needed = np.array([max(1, frames_needed(ids)) for ids in encoded])
        lengths = np.array([len(each) for each in train.items])
        stride = reading.stride or _stride(lengths / needed)
        numbers = sum(each.values.size for each in train.items)
        every = max(1, -(-numbers // _MOST_NUMBERS))
        scaling = Scaling.of(train.take(np.arange(0, len(train), every)))
        stack = stack or (_AHEAD * stride if looks_ahead else 2 * stride if stride > 1 else 1)
        over = np.flatnonzero(needed > -(-lengths // stride))
        if len(over) == len(lengths):
            raise DataError(
                f"every text has more {'words' if reading.tokens == 'word' else 'characters'} than its recording has frames; "
                f"read fewer steps at once (--reading.stride, now {stride}), or check that texts and recordings belong together"
            )
        first = "" if not len(over) else f"{train[int(over[0])].id}: {texts[int(over[0])][:40]!r}"
        return cls(
            vocabulary,
            reading.tokens,
            scaling,
            stack,
            stride,
            height,
            reading.lower_case,
            reading.normalisation,
            (len(over), first),
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields but `too_long` as plain values."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "too_long"}
        return {**values, "vocabulary": self.vocabulary.to_dict(), "scaling": self.scaling.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TranscribeKnown:
        """The inverse of `to_dict`."""
        made = {
            "vocabulary": vocabulary_from_dict(content["vocabulary"]),
            "scaling": Scaling.from_dict(content["scaling"]),
        }
        return cls(**{**content, **made})

    # --- frames ---

    @property
    def width(self) -> int:
        """How many numbers a frame has."""
        return self.stack * self.scaling.width

    def frames(self, recording: Recording) -> np.ndarray:
        """The frames, (F, width) float32: frame f has `stack` steps from step f stride on; zeros after the last."""
        return framed(self.scaling.apply(recording), self.stack, self.stride)

    def steps_of(self, first: int, end: int, steps: int) -> tuple[int, int]:
        """The steps of the frames from `first` to before `end`, of `steps`: the first, and the one after the last."""
        return min(first * self.stride, steps - 1), min(end * self.stride, steps)

    # --- texts ---

    def normal(self, text: str) -> str:
        """A text in the form in which answers are compared: single blanks, and normalised as in training."""
        prepared = _prepared(text, self.lower_case, self.normalisation, self.tokens)
        return _written(prepared) if self.tokens == "cluster" else prepared

    def encode(self, text: str) -> np.ndarray:
        """The units of a text, (S,) int64; 0 for an unknown one."""
        prepared = _prepared(text, self.lower_case, self.normalisation, self.tokens)
        return self.vocabulary.encode(prepared).astype(np.int64)

    def said(self, units: Iterable[int]) -> str:
        """The text of units, as people write it."""
        text = self.vocabulary.decode(units)
        return _written(text) if self.tokens == "cluster" else text

    def unit_name(self, unit: int) -> str:
        """The text of a single unit."""
        return self.said([unit])

    @property
    def separator(self) -> int | None:
        """The unit between words; None if units are words, or if no training text has a blank."""
        if self.tokens == "word":
            return None
        found = int(self.encode("a b")[1])
        return None if found == BLANK else found


def framed(values: np.ndarray, stack: int, stride: int) -> np.ndarray:
    """Turns (T, I) into frames (ceil(T / stride), stack I): see `TranscribeKnown.frames`."""
    if stack == stride == 1:
        return values
    count = -(-len(values) // stride)
    padded = (
        np.pad(values, ((0, (count - 1) * stride + stack - len(values)), (0, 0)))
        if ((count - 1) * stride + stack > len(values))
        else values
    )
    places = np.arange(count)[:, None] * stride + np.arange(stack)
    return padded[places].reshape(count, -1)


def _stride(steps_a_unit: np.ndarray) -> int:
    """A stride with some frames for each unit of a text, and hardly a text with too few."""
    usual, least = float(np.median(steps_a_unit)), float(np.quantile(steps_a_unit, 0.01))
    return int(min(max(1.0, min(usual / _FRAMES_A_UNIT, least / _LEAST_A_UNIT)), _LONGEST_STRIDE))


def _prepared(text: str, lower_case: bool, form: Normalisation, tokens: str) -> str:
    """Prepares a text for the vocabulary: with single blanks, or with a blank between clusters."""
    text = " ".join(normalised(text, form, lower_case=lower_case).split())
    return " ".join(_SPACE if each == " " else each for each in _CLUSTER.findall(text)) if tokens == "cluster" else text


def _written(clusters: str) -> str:
    return "".join(" " if each == _SPACE else each for each in clusters.split(" "))


class TranscriptExamples:
    """Recordings as examples: frames, and the units of their texts. Frames are computed when they are asked for.

    Args:
        part: N recordings.
        known: how they are read.
    """

    def __init__(self, part: Recordings, known: TranscribeKnown):
        self.part, self.known = part, known
        self.lengths = np.array([-(-len(each) // known.stride) for each in part.items], dtype=np.int64)
        self.ids = [None if each.label is None else known.encode(each.label) for each in part.items]
        # Terms of the loss: each unit, and the end. A text with an unknown unit, or with too few frames, has no loss.
        self.counts = np.array(
            [
                0 if ids is None or (ids == BLANK).any() or frames_needed(ids) > frames else len(ids) + 1
                for ids, frames in zip(self.ids, self.lengths.tolist(), strict=True)
            ],
            dtype=np.int64,
        )

    def batch(self, rows: np.ndarray) -> TargetBatch:
        """A batch with frames (F, B, I) float32 and units (S, B) int64; texts without loss have length `UNKNOWN`."""
        input, lengths = pad([self.known.frames(self.part[int(row)]) for row in rows])
        nothing = np.zeros(0, dtype=np.int64)
        given = [(self.ids[row], int(self.counts[row])) for row in rows]
        target, _ = pad([nothing if ids is None or not count else ids for ids, count in given])
        ends = torch.tensor([count - 1 if count else UNKNOWN for _, count in given])
        return TargetBatch(input, target, lengths, torch.from_numpy(rows), target_lengths=ends)

    def too_long(self) -> int:
        """How many texts with known units only have more units than frames."""
        return sum(
            ids is not None and not count and not bool((ids == BLANK).any())
            for ids, count in zip(self.ids, self.counts.tolist(), strict=True)
        )

    def arrays(self) -> Iterator[np.ndarray]:
        """All arrays that the network learns from, for a checksum."""
        yield from (each.values for each in self.part.items)
        yield from (np.full(1, -1) if ids is None else ids for ids in self.ids)


def unknown_units(part: Recordings, known: TranscribeKnown) -> Sequence[str]:
    """The characters or words of a part's texts that the model never writes, the most frequent first."""
    found: dict[str, int] = {}
    for each in part.items:
        text = _prepared(each.label or "", known.lower_case, known.normalisation, known.tokens)
        units = list(text) if known.tokens == "char" else text.split()
        for unit, id in zip(units, known.vocabulary.encode(text).tolist(), strict=True):
            if id == BLANK:
                found[unit] = found.get(unit, 0) + 1
    return sorted(found, key=lambda unit: -found[unit])
