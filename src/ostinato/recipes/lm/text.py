"""The parts of a language model's text as tokens: those of a run, and texts to score."""

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

_COUNTED = 2**24  # ids that are compared at once


@dataclass(frozen=True, eq=False)
class TextPart:
    """A part of a text.

    Attributes:
        tokens: the tokens of the part.
        vocabulary: what the tokens stand for.
        name: the name of the text, for people.
        remark: a line that says which files are in which part; None if neither names nor arguments decide that.
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
        settings: the settings of the run.
        opening: what else is known; its vocabulary is kept even if the text has changed.
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
    """Reads a text to score: its test part if it has parts, else its validation part; all of it if it has no parts."""
    folder = tempfile.TemporaryDirectory()  # for the tokens of a large text
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
    """A line with how many tokens of validation and test are not in the vocabulary; none if all are."""
    shares = [
        f"{count:,} ({count / len(part):.2%}) of {name}"
        for name, part in (("validation", splits.validation), ("test", splits.test))
        if (count := count_of(part.vocabulary.unknown_id, part.tokens.ids))
    ]
    if shares:
        yield f"not in the vocabulary, and so <unk>: {' and '.join(shares)} tokens"


def count_of(id: int | None, ids: np.ndarray[Any, Any]) -> int:
    """How often an id occurs, counted block by block, as the ids may be mapped from a file."""
    if id is None:
        return 0
    return sum(int(np.count_nonzero(ids[at : at + _COUNTED] == id)) for at in range(0, len(ids), _COUNTED))
