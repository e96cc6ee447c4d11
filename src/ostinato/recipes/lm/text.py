"""The text of a language model: its parts as tokens, of a run and of data to score."""

from __future__ import annotations

import dataclasses
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.records.splits import Splits
from ostinato.data.tokens.corpus import open_corpus, open_to_score
from ostinato.data.tokens.tokens import Tokens
from ostinato.data.tokens.vocabulary import Vocabulary
from ostinato.recipes.lm.settings import LanguageModelSettings
from ostinato.recipes.task import Opening

_COUNTED = 2**24  # ids at once


@dataclass(frozen=True, eq=False)
class TextPart:
    """A part of a text.

    Attributes:
        tokens: of it.
        vocabulary: what they stand for.
        name: of the text, for people.
        remark: which files are in which part, in a line; None where neither names nor arguments say.
    """

    tokens: Tokens
    vocabulary: Vocabulary
    name: str
    remark: str | None = None

    def __len__(self) -> int:
        return len(self.tokens)


def open_text(settings: LanguageModelSettings, opening: Opening) -> Splits[TextPart]:
    """The text that a run learns from, in its parts.

    Args:
        settings: of the run.
        opening: a vocabulary that is known is kept, even if the text has changed.
    """
    tokens = settings.tokens
    corpus = open_corpus(
        settings.data,
        **dataclasses.asdict(settings.reading),
        validation_share=tokens.validation_share,
        kind=tokens.kind,
        vocabulary_size=tokens.vocabulary_size,
        folder=opening.folder,
        vocabulary=opening.known,
        on_progress=opening.on_progress,
    )
    train, validation, test = (
        TextPart(part, corpus.vocabulary, corpus.name, corpus.remark)
        for part in (corpus.train, corpus.validation, corpus.test)
    )
    return Splits(corpus.name, train, validation, test)


def open_part(settings: LanguageModelSettings, vocabulary: Vocabulary, data: str) -> TextPart:
    """A text to score, all of it; of one with parts the test part, else that of validation."""
    folder = tempfile.TemporaryDirectory()  # for the tokens of a large one
    try:
        by_name = settings.reading.parts_by_name
        name, tokens = open_to_score(data, vocabulary, Path(folder.name), parts_by_name=by_name)
        text = TextPart(tokens, vocabulary, name)
    except BaseException:
        folder.cleanup()
        raise
    weakref.finalize(text, folder.cleanup)
    return text


def unknown_tokens(splits: Splits[TextPart]) -> Iterator[str]:
    """How many tokens of what the network is judged on it does not know, in a line, where there are any."""
    shares = [
        f"{count:,} ({count / len(part):.2%}) of {name}"
        for name, part in (("validation", splits.validation), ("test", splits.test))
        if (count := count_of(part.vocabulary.unknown_id, part.tokens.ids))
    ]
    if shares:
        yield f"not in the vocabulary, and so <unk>: {' and '.join(shares)} tokens"


def count_of(id: int | None, ids: np.ndarray[Any, Any]) -> int:
    """How often an id is among others, block by block: they may be mapped from a file."""
    if id is None:
        return 0
    return sum(int(np.count_nonzero(ids[at : at + _COUNTED] == id)) for at in range(0, len(ids), _COUNTED))
