"""Prefix beam search: the likeliest texts of a transcriber's output, each over all of its paths.

Sources: Graves 2012, Supervised sequence labelling with recurrent neural networks, section 7.5; with a language model Hannun, Maas,
Jurafsky & Ng 2014 (arXiv 1408.2873), algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ostinato.errors import ConfigError
from ostinato.models.transcribing.alignment import BLANK
from ostinato.models.transcribing.lexicon import Lexicon

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that a product with it loses no bit of a prefix's number
_ROOT, _NOBODY = np.uint64(1), np.uint64(0)
_NEVER = -np.inf


class PrefixScorer(Protocol):
    """Scores each unit after each prefix, for example with a language model; B K prefixes side by side."""

    def begin(self, count: int) -> np.ndarray:
        """Before the first unit of `count` empty prefixes: log p of each unit, (count, V); at unit 0 of the end."""
        ...

    def go_on(self, origins: np.ndarray, units: np.ndarray) -> np.ndarray:
        """After a frame: prefix n is the old prefix `origins[n]`, plus the unit `units[n]` if that is not 0.

        Returns:
            log p as from `begin`.
        """
        ...


@dataclass(frozen=True)
class PrefixBeam:
    """How texts are searched.

    Attributes:
        width: K, how many prefixes are followed, at least 1.
        n_best: how many texts are returned, from 1 to K.
        margin: prefixes that are so many nats less likely than the best are dropped, above 0.
        candidates: how many of the likeliest units at each frame may be written there; None for all.
        weight: the weight of the scorer, at least 0.
        bonus: nats added for each unit that is written, so that a scorer does not make texts short.

    Raises:
        ConfigError: a number is out of its range.
    """

    width: int = 16
    n_best: int = 1
    margin: float = math.inf
    candidates: int | None = None
    weight: float = 1.0
    bonus: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"beam: expected at least 1, got {self.width}")
        if not 1 <= self.n_best <= self.width:
            raise ConfigError(f"n_best: expected a number from 1 to beam = {self.width}, got {self.n_best}")
        if not self.margin > 0:
            raise ConfigError(f"margin: expected above 0, got {self.margin}")
        if self.candidates is not None and self.candidates < 1:
            raise ConfigError(f"candidates: expected at least 1, got {self.candidates}")
        if not 0 <= self.weight < math.inf or not math.isfinite(self.bonus):
            raise ConfigError(
                f"weight and bonus: expected a number of at least 0 and a number, got {self.weight} and {self.bonus}"
            )


@dataclass(frozen=True)
class FoundText:
    """A text that was found.

    Attributes:
        units: its units.
        log_probability: log p(text | frames) over the paths that were followed; over all paths if none was dropped.
        score: the log-probability with scorer and bonus added; texts are sorted by it.
    """

    units: tuple[int, ...]
    log_probability: float
    score: float


def prefix_beam_search(
    log_probs: np.ndarray,
    lengths: Sequence[int] | None = None,
    how: PrefixBeam = PrefixBeam(),
    *,
    scorer: PrefixScorer | None = None,
    lexicon: Lexicon | None = None,
) -> list[list[FoundText]]:
    """The likeliest texts of each row, best first; at least one.

    All rows and prefixes are processed together, a frame at a time. For each prefix, the paths that end in a blank and
    those that end in its last unit are summed separately (Graves 2012, algorithm 7.2). Equal prefixes are found by a
    number of 64 bits made of their units.

    Args:
        log_probs: (T, B, V), unit 0 is the blank.
        lengths: B numbers from 1 to T; None for T.
        how: see `PrefixBeam`.
        scorer: a further score of units; None for none.
        lexicon: the only words that may be written; None for any.
    """
    T, B, V = log_probs.shape
    frames = log_probs.astype(np.float64)
    if lengths is not None:  # past its end a row has only blanks
        over = np.arange(T)[:, None] >= np.asarray(lengths)
        frames[over] = _NEVER
        frames[over, BLANK] = 0.0
    beams = _Beams(B, how.width, V, how, scorer, lexicon)
    for frame in frames:
        beams.step(frame)
    return beams.finish()


class _Beams:
    """The search over K prefixes of B rows."""

    def __init__(
        self, B: int, K: int, V: int, how: PrefixBeam, scorer: PrefixScorer | None, lexicon: Lexicon | None
    ) -> None:
        self._B, self._K, self._V = B, K, V
        self._how, self._scorer, self._lexicon = how, scorer, lexicon
        self._blank = np.full((B, K), _NEVER)  # log p of the paths that end in a blank ...
        self._unit = np.full((B, K), _NEVER)  # ... and in the last unit
        self._blank[:, 0] = 0.0
        self._extra = np.zeros((B, K))  # what scorer and bonus have added
        self._last = np.zeros((B, K), dtype=np.int64)
        self._number = np.full((B, K), _NOBODY)
        self._parent = np.full((B, K), _NOBODY)
        self._number[:, 0] = _ROOT
        self._node = np.zeros((B, K), dtype=np.int64)
        self._said = None if scorer is None else scorer.begin(B * K).reshape(B, K, V)
        self._steps: list[tuple[np.ndarray, np.ndarray]] = []

    def step(self, frame: np.ndarray) -> None:
        """Takes in one frame, (B, V)."""
        B, K, how = self._B, self._K, self._how
        total = np.logaddexp(self._blank, self._unit)
        stay_blank = total + frame[:, :1]
        stay_unit = self._unit + np.take_along_axis(frame, self._last, 1)
        units = self._candidates(frame)  # (B, C)
        # A unit equal to the last one begins anew only after a blank.
        new = np.where(units[:, None] == self._last[:, :, None], self._blank[:, :, None], total[:, :, None])
        new = new + np.take_along_axis(frame, units, 1)[:, None]
        # If a prefix plus a unit equals another followed prefix, its paths are added there.
        rows, origins, targets = np.nonzero(
            (self._number[:, :, None] == self._parent[:, None, :]) & (self._parent[:, None, :] != _NOBODY)
        )
        if len(rows):
            last = self._last[rows, targets]
            before = np.where(last == self._last[rows, origins], self._blank[rows, origins], total[rows, origins])
            joined = np.logaddexp(stay_unit[rows, targets], before + frame[rows, last])
            stay_unit[rows, targets] = joined
            taken = np.zeros((B, K, self._V), dtype=bool)
            taken[rows, origins, last] = True
            new[np.take_along_axis(taken, np.broadcast_to(units[:, None], new.shape), 2)] = _NEVER
        added = self._added(units)
        if self._lexicon is not None:
            nodes = self._lexicon.after(self._node[:, :, None], units[:, None])
            new[nodes < 0] = _NEVER
        scores = np.concatenate(
            [np.logaddexp(stay_blank, stay_unit) + self._extra, (new + added).reshape(B, -1)], axis=1
        )
        scores[scores < scores.max(1, keepdims=True) - how.margin] = _NEVER
        self._choose(scores, stay_blank, stay_unit, new, added, units)

    def _candidates(self, frame: np.ndarray) -> np.ndarray:
        most = self._how.candidates
        if most is None or most >= self._V - 1:
            return np.broadcast_to(np.arange(1, self._V), (self._B, self._V - 1))
        return np.argpartition(-frame[:, 1:], most - 1, axis=1)[:, :most] + 1

    def _added(self, units: np.ndarray) -> np.ndarray:
        """What scorer and bonus have added to each prefix followed by each of the units, (B, K, C)."""
        added = self._extra[:, :, None] + self._how.bonus
        if self._said is None:
            return np.broadcast_to(added, (self._B, self._K, units.shape[1]))
        said = np.take_along_axis(self._said, np.broadcast_to(units[:, None], (self._B, self._K, units.shape[1])), 2)
        return added + self._how.weight * said

    def _choose(
        self,
        scores: np.ndarray,
        stay_blank: np.ndarray,
        stay_unit: np.ndarray,
        new: np.ndarray,
        added: np.ndarray,
        units: np.ndarray,
    ) -> None:
        """Keeps the K best of the old prefixes, which come first, and of the extended ones."""
        B, K = self._B, self._K
        best = np.argpartition(-scores, K - 1, axis=1)[:, :K] if scores.shape[1] > K else np.argsort(-scores, axis=1)
        at = np.take_along_axis(scores, best, 1)
        dead = at == _NEVER
        stays = best < K
        place = np.where(stays, 0, best - K)
        origin, which = np.where(stays, best, place // units.shape[1]), place % units.shape[1]
        unit = np.where(stays, 0, np.take_along_axis(units, which, 1))

        def of(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(values, origin, 1)

        fresh = np.take_along_axis(new.reshape(B, -1), place, 1)
        number, parent = of(self._number), of(self._parent)
        grown = (number + unit.astype(np.uint64)) * _MIX
        grown ^= grown >> np.uint64(29)
        self._blank = np.where(stays & ~dead, of(stay_blank), _NEVER)
        self._unit = np.where(dead, _NEVER, np.where(stays, of(stay_unit), fresh))
        self._extra = np.where(stays, of(self._extra), np.take_along_axis(added.reshape(B, -1), place, 1))
        if self._lexicon is not None:
            self._node = np.where(stays, of(self._node), self._lexicon.after(of(self._node), np.maximum(unit, 1)))
            self._node[dead] = 0
        # A dropped prefix is parent or child of none.
        self._parent = np.where(dead, _NOBODY, np.where(stays, parent, number))
        self._number = np.where(dead, _NOBODY, np.where(stays, number, grown))
        self._last = np.where(stays, of(self._last), unit)
        self._steps.append((origin, unit))
        if self._scorer is not None:
            origins = (origin + K * np.arange(B)[:, None]).ravel()
            said = self._scorer.go_on(origins, np.where(dead, 0, unit).ravel())
            self._said = said.reshape(B, K, self._V)

    def finish(self) -> list[list[FoundText]]:
        """The best texts of each row."""
        total = np.logaddexp(self._blank, self._unit)
        score = total + self._extra
        if self._said is not None:
            score = score + self._how.weight * self._said[:, :, BLANK]
        if self._lexicon is not None:
            may_end = self._lexicon.may_end(self._node) | (self._number == _ROOT)
            score = np.where(may_end, score, _NEVER)
        found: list[list[FoundText]] = []
        for row in range(self._B):
            order = [int(at) for at in np.argsort(-score[row], kind="stable") if score[row, at] > _NEVER]
            if not order:  # all are in the middle of a word
                order = [int(total[row].argmax())]
            texts = [self._text(row, at) for at in order[: self._how.n_best]]
            if self._lexicon is not None:
                texts = [self._lexicon.whole_words(text) for text in texts]
            found.append(
                [
                    FoundText(tuple(text), float(total[row, at]), float(max(score[row, at], -1e300)))
                    for text, at in zip(texts, order, strict=False)
                ]
            )
        return found

    def _text(self, row: int, at: int) -> list[int]:
        units: list[int] = []
        for origin, unit in reversed(self._steps):
            if unit[row, at]:
                units.append(int(unit[row, at]))
            at = int(origin[row, at])
        return units[::-1]
