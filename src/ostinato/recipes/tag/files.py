"""Writing a tagger's answers as files that taggers are trained on: CoNLL-U, and columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ostinato.data.records.conll import CONLLU_COLUMNS
from ostinato.data.records.retagging import new_columns, new_conllu, retagged_columns, retagged_conllu
from ostinato.data.sources.lines import suffix_of
from ostinato.data.sources.tables import is_folder
from ostinato.errors import ConfigError

CONLLU, COLUMNS = ".conllu", (".conll", ".bio")


def lines_of(learnt: Any, data: str, path: str, answers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a file of answers.

    If the data to predict for have the same form, the file is a copy with another column of tags. Otherwise it is a new
    file.

    Args:
        learnt: the model of the run.
        data: what was predicted for.
        path: the file to write; its suffix decides the form.
        answers: the answers in the order of the data.

    Raises:
        ConfigError: the run does not tag words, or its tags have no column in CoNLL-U.
    """
    if learnt.known.words is None:
        raise ConfigError(
            f"--output {path}: is for words and their tags, which this run has not learnt; write .jsonl or .csv"
        )
    form, came = Path(path).suffix.lower(), "" if data == "-" else suffix_of(data)
    reading = learnt.settings.reading
    if form == CONLLU:
        column = conllu_column(learnt.settings, path)
        if came == CONLLU:
            return retagged_conllu(data, column, _tags(answers))
        return new_conllu(column, _sentences(answers))
    if came in (*COLUMNS, ".tsv"):
        tags = {*learnt.known.tags, "_", "O"}
        column = -1 if reading.column is None or reading.column in CONLLU_COLUMNS else int(reading.column)
        return retagged_columns(data, column, reading.word_column, _tags(answers), tags.__contains__)
    return new_columns(_sentences(answers))


def conllu_column(settings: Any, path: str) -> str:
    """The column of CoNLL-U that a run's tags came from.

    Raises:
        ConfigError: the run was trained on columns without names.
    """
    column, data = settings.reading.column, settings.data
    if column in CONLLU_COLUMNS:
        return column
    if column is None and data is not None:
        folder = is_folder(data)
        if (folder and any(CONLLU in file.suffixes for file in Path(data).expanduser().iterdir())) or (
            not folder and suffix_of(data) == CONLLU
        ):
            return "upos"
    raise ConfigError(
        f"--output {path}: the run was trained on columns without names, so its tags have no place in CoNLL-U; write .conll"
    )


def _tags(answers: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    return (answer["tags"] for answer in answers)


def _sentences(answers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[list[str], list[str]]]:
    return ((answer["words"], answer["tags"]) for answer in answers if answer["words"])
