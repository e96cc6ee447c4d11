"""Simple translators to compare with: the source unchanged, and each word translated by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.data.tokens.words import pieces
from ostinato.recipes.translate.data import normalised_pairs
from ostinato.recipes.translate.judge import figures_of_texts
from ostinato.recipes.translate.settings import ScoringSettings, TranslateReadingSettings

_ROUNDS = 5
_LINKS = 4_000_000  # pairs of words in the same pair of texts: some 100 MB, and seconds
_LONGEST = 100  # words of a text that are read


def baselines(
    train: Pairs, parts: Mapping[str, Pairs], reading: TranslateReadingSettings, scoring: ScoringSettings
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of copied sources, and of texts translated word by word with a table, in the order of the source.

    Args:
        train: pairs to learn the table from.
        parts: the parts to judge on, by name.
        reading: how texts are read.
        scoring: how translations are scored.

    Returns:
        By part, then by model: BLEU, chrF, and the share of exact matches.
    """
    table = word_table(normalised_pairs(train, reading).pairs, lower_case=reading.lower_case)
    models: dict[str, Callable[[str], str]] = {
        "copy of the source": str,
        "word by word": lambda text: word_by_word(text.lower() if reading.lower_case else text, table),
    }
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, part in parts.items():
        pairs = normalised_pairs(part, reading).pairs
        known = [pair.target for pair in pairs]
        found[name] = {
            model: figures_of_texts(
                [write(pair.source) for pair in pairs],
                known,
                scoring,
                lower_case=scoring.lower_case or reading.lower_case,
            )
            for model, write in models.items()
        }
    return found


def word_table(pairs: Sequence[Pair], *, lower_case: bool = False) -> dict[str, str]:
    """The most likely target word for each source word.

    IBM model 1: five rounds of EM from equal probabilities t(f | e), with an empty word in each source. Source: Brown
    et al. 1993 (Computational Linguistics 19), section 4.1. Of very many pairs an evenly spread share is read, of long
    texts the first 100 words.

    Args:
        pairs: sources and targets.
        lower_case: read texts in lower case.
    """
    sources, targets = _SourceNumbers(), _SourceNumbers()
    sides: list[tuple[np.ndarray, np.ndarray]] = []
    links = 0
    for pair in _spread(pairs):
        texts = [text.lower() if lower_case else text for text in (pair.source, pair.target)]
        e = np.unique(sources.of(["", *_words(texts[0])]))
        f = np.unique(targets.of(_words(texts[1])))
        links += len(e) * len(f)
        if links > _LINKS and sides:
            break
        sides.append((e, f))
    if not links:
        return {}
    e = np.concatenate([np.repeat(a, len(b)) for a, b in sides])
    f = np.concatenate([np.tile(b, len(a)) for a, b in sides])
    # The target word that a link belongs to: its probabilities over the words of the source sum to 1.
    starts = np.cumsum([0, *(len(b) for _, b in sides)])
    owner = np.concatenate([np.tile(np.arange(len(b)), len(a)) + at for (a, b), at in zip(sides, starts, strict=False)])
    links_of, which = np.unique(e * len(targets) + f, return_inverse=True)
    t = np.ones(len(links_of))
    for _ in range(_ROUNDS):
        share = t[which] / np.bincount(owner, t[which])[owner]
        counts = np.bincount(which, share)
        t = counts / np.bincount(links_of // len(targets), counts)[links_of // len(targets)]
    best = np.lexsort((links_of % len(targets), -t, links_of // len(targets)))
    rows = links_of[best]
    first = np.unique(rows // len(targets), return_index=True)[1]
    names, others = list(sources), list(targets)
    return {
        names[row // len(targets)]: others[row % len(targets)]
        for row in rows[first].tolist()
        if names[row // len(targets)]
    }


def word_by_word(text: str, table: Mapping[str, str]) -> str:
    """Translates a text with a table of words; words that the table lacks stay."""
    return " ".join("".join(table.get(word, word) for word in part) for part in pieces(text))


def _words(text: str) -> list[str]:
    return list(chain.from_iterable(pieces(text)))[:_LONGEST]


def _spread(pairs: Sequence[Pair]) -> Iterable[Pair]:
    """All pairs in a random order, so that the first n are spread over the whole, for any n."""
    order = np.random.default_rng(0).permutation(len(pairs))
    return (pairs[int(at)] for at in order)


class _SourceNumbers(dict[str, int]):
    """Numbers of words, given in the order in which the words came."""

    def of(self, words: Iterable[str]) -> np.ndarray:
        return np.array([self.setdefault(word, len(self)) for word in words], dtype=np.int64)
