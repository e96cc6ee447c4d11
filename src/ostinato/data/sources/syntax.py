"""The source code of Python's standard library, with a label for each character from Python's own `tokenize`."""

from __future__ import annotations

import io
import keyword
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from token import EXACT_TOKEN_TYPES

import numpy as np

from ostinato.data.records.splits import Splits
from ostinato.data.sources.text import Document, standard_library
from ostinato.errors import DataError

SYNTAX_CLASSES = ("space", "keyword", "name", "number", "string", "comment", "operator")
_SPACE, _KEYWORD, _NAME, _NUMBER, _STRING, _COMMENT, _OPERATOR = range(len(SYNTAX_CLASSES))
_LONGEST_FILE = 100_000


@dataclass(frozen=True)
class Highlighted:
    """A file of source code with a label for each character.

    Attributes:
        name: The name of the file, within the library.
        text: N characters.
        labels: (N,) uint8, indices into `SYNTAX_CLASSES`; None if not known.
    """

    name: str
    text: str
    labels: np.ndarray | None


def highlight(source: str) -> np.ndarray:
    """Label each character of Python source: (N,) uint8, indices into `SYNTAX_CLASSES`.

    Keywords are only the words that are reserved everywhere: `match`, `case`, `type` and `_` are names. Everything
    between tokens, also a line end and a backslash before it, is space. From Python 3.12 on, `tokenize` splits
    f-strings, so the content of their braces is code; before, a whole f-string is a string.

    Raises:
        DataError: The text is not Python.
    """
    starts = np.cumsum([0, *(len(line) + 1 for line in source.split("\n"))])
    labels = np.full(len(source), _SPACE, dtype=np.uint8)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            label = _label(token)
            if label is not None:
                (first_line, first), (last_line, last) = token.start, token.end
                labels[starts[first_line - 1] + first : starts[last_line - 1] + last] = label
    except (tokenize.TokenError, SyntaxError) as error:
        reason = " ".join(str(error.args[0]).split())
        raise DataError(f"the text is not Python that can be read ({reason}); give a whole file") from error
    return labels


def python_source(
    train_characters: int = 2_000_000, validation_characters: int = 200_000, test_characters: int = 200_000
) -> Splits[tuple[Highlighted, ...]]:
    """Return highlighted files of the standard library in three parts; a file belongs to one part only.

    The files are in the order of the built-in text, that of a hash of their names, so a part has files of all kinds.
    Tables in the form of code are left out: the folder `encodings`, whose files are nearly equal, and files of more
    than 100,000 characters.

    Args:
        train_characters: Files are taken for training until they have so many characters; all have about 8 million.
        validation_characters: The number of characters for validation.
        test_characters: The number of characters for the test, whose files are chosen first, so they do not depend on
            the others.
    """
    library = standard_library()
    files = _highlighted(library.documents)
    test = _take(files, test_characters)
    validation = _take(files, validation_characters)
    return Splits(f"{library.name}, highlighted", _take(files, train_characters), validation, test)


def _label(token: tokenize.TokenInfo) -> int | None:
    if token.type == tokenize.NAME:
        return _KEYWORD if keyword.iskeyword(token.string) else _NAME
    if token.type == tokenize.OP and token.string in EXACT_TOKEN_TYPES:
        return _OPERATOR
    if token.type == tokenize.NUMBER:
        return _NUMBER
    if token.type == tokenize.COMMENT:
        return _COMMENT
    # Parts of f-strings and t-strings have types of their own: FSTRING_START, FSTRING_MIDDLE, ...
    if "STRING" in tokenize.tok_name[token.type]:
        return _STRING
    # Characters that are no token are an operator for Python 3.12 and later, and an error token for 3.11.
    if token.type in (tokenize.OP, tokenize.ERRORTOKEN) and not token.string.isspace():
        raise SyntaxError(f"unexpected {token.string!r} in line {token.start[0]}")
    return None


def _highlighted(documents: tuple[Document, ...]) -> Iterator[Highlighted]:
    for document in documents:
        name = Path(document.name).relative_to(sysconfig.get_path("stdlib")).as_posix()
        if name.startswith("encodings/"):
            continue
        with document.open() as file:
            text = file.read().decode().removeprefix("\ufeff").replace("\r\n", "\n")
        if not 0 < len(text) <= _LONGEST_FILE:
            continue
        try:
            yield Highlighted(name, text, highlight(text))
        except DataError:  # a few files of the library are wrong on purpose
            continue


def _take(files: Iterator[Highlighted], characters: int) -> tuple[Highlighted, ...]:
    taken: list[Highlighted] = []
    while characters > 0 and (file := next(files, None)) is not None:
        taken.append(file)
        characters -= len(file.text)
    return tuple(taken)
