"""Labels for every character of a text, found by rules: inside quotes, depth of brackets, position in the line, ...

A label describes the moment after its character has been read: an opening quote is inside quotes, the closing one no longer is. At
that moment a recurrent network has the state that follows the character.

Text that looks like Python gets Python's rules for strings and comments, other text those of prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_PYTHON_LINE = re.compile(
    r"^\s*(?:def |class |import |from \w|return\b|if .*:|for .* in |@\w|self\.|elif |else:|try:)", re.M
)
_PYTHON_SHARE = 0.05  # share of the lines that are not empty; prose has well below 1 %, Python's own library a third
_VOWELS = frozenset("aeiouAEIOU")
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, eq=False)
class Label:
    """A property that every character has a value for.

    Attributes:
        name: the name, such as "inside quotes".
        phrase: the end of a sentence after "is on", such as "inside quotation marks"; of a quantity, after "rises with".
        values: (N,) float32; 0 and 1 if the label is binary.
        is_binary: whether it is true or false; else it is a quantity.
        unit: the unit of the values; "" for a binary label.
    """

    name: str
    phrase: str
    values: np.ndarray
    is_binary: bool = True
    unit: str = ""


def looks_like_python(text: str) -> bool:
    """Whether more than a twentieth of the lines that are not empty begin as Python's statements do."""
    lines = sum(1 for line in text.splitlines() if line.strip())
    return len(_PYTHON_LINE.findall(text)) > _PYTHON_SHARE * max(lines, 1)


def labels(text: str) -> list[Label]:
    """All labels of a text.

    Args:
        text: N characters; it may begin anywhere, but quotes and brackets that were opened before it are not known.

    Returns:
        Labels of N values each, the more meaningful ones first.
    """
    found = _of_python(text) if looks_like_python(text) else _of_prose(text)
    return [*found, *_of_any_text(text)]


# --- rules of Python ---


def _of_python(text: str) -> list[Label]:
    quoted, docstring, comment, depth = _scan_python(text)
    words = re.compile(
        r"\b(?:False|None|True|and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|"
        r"global|if|import|in|is|lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b"
    )
    keyword = np.zeros(len(text), dtype=bool)
    for match in words.finditer(text):
        keyword[match.start() : match.end()] = True
    keyword &= ~(quoted | docstring | comment)
    return [
        _truth("inside quotes", "inside strings between single quotation marks", quoted),
        _truth("inside a docstring", "inside strings between triple quotation marks", docstring),
        _truth("inside a comment", "inside comments", comment),
        _truth("inside any string or comment", "inside strings and comments", quoted | docstring | comment),
        _truth("inside brackets", "inside brackets", depth > 0),
        _quantity("depth of brackets", "the depth of brackets", depth, "brackets"),
        _truth("keyword", "in Python's keywords", keyword),
        _truth("in an import", "in lines that import", _in_lines(text, r"[ \t]*(?:import|from)\b[^\n]*\n?")),
        _truth(
            "in the line of a definition",
            "in lines that begin with def or class",
            _in_lines(text, r"[ \t]*(?:async )?(?:def|class)\b[^\n]*\n?"),
        ),
    ]


def _in_lines(text: str, pattern: str) -> np.ndarray:
    """True in the matches of a pattern that begins at the beginning of a line."""
    marked = np.zeros(len(text), dtype=bool)
    for match in re.finditer(f"^{pattern}", text, re.M):
        # Without the line end: after it the line is over.
        marked[match.start() : match.end() - match[0].endswith("\n")] = True
    return marked


def _scan_python(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Strings of one and of three quotation marks, comments, and the depth of brackets outside of them, after each character."""
    quoted, docstring, comment = (np.zeros(len(text), dtype=bool) for _ in range(3))
    depth = np.zeros(len(text), dtype=np.int64)
    delimiter, level, at = "", 0, 0
    while at < len(text):
        char, width = text[at], 1
        if delimiter == "#":
            delimiter = "" if char == "\n" else "#"
        elif delimiter:
            if char == "\\":
                width = 2
            elif text.startswith(delimiter, at):
                width, delimiter = len(delimiter), ""
            elif char == "\n" and len(delimiter) == 1:
                delimiter = ""  # not valid Python; better than treating everything after it as a string
        elif char == "#":
            delimiter = "#"
        elif char in "\"'":
            delimiter = char * 3 if text.startswith(char * 3, at) else char
            width = len(delimiter)
        elif char in _OPENING:
            level += 1
        elif char in _CLOSING:
            level = max(level - 1, 0)
        span = slice(at, at + width)
        comment[span] = delimiter == "#"
        docstring[span] = len(delimiter) == 3
        quoted[span] = delimiter in ("'", '"')
        depth[span] = level
        at += width
    return quoted, docstring, comment, depth


# --- rules of prose ---


def _of_prose(text: str) -> list[Label]:
    inside = np.zeros(len(text), dtype=bool)
    depth = np.zeros(len(text), dtype=np.int64)
    open_, level, before = False, 0, ""
    for at, char in enumerate(text):
        if char == '"':
            open_ = not open_
        elif char in "“«„":
            open_ = True
        elif char in "”»":
            open_ = False
        elif char in _OPENING:
            level += 1
        elif char in _CLOSING:
            level = max(level - 1, 0)
        elif char == "\n" and before == "\n":
            open_, level = False, 0  # the end of a paragraph closes whatever is still open
        inside[at], depth[at], before = open_, level, char
    return [
        _truth("inside quotes", "inside quotation marks", inside),
        _truth("inside brackets", "inside brackets", depth > 0),
        _quantity("depth of brackets", "the depth of brackets", depth, "brackets"),
    ]


# --- rules of any text ---


def _of_any_text(text: str) -> list[Label]:
    chars = np.array(list(text), dtype="<U1")
    newline = chars == "\n"
    blank = newline | (chars == " ") | (chars == "\t")
    column = _since(newline)
    indentation, leading = _indentation(text)
    after_newline = np.concatenate([[True], newline[:-1]]) if len(text) else newline
    return [
        _quantity("indentation", "the indentation of the line", indentation, "characters"),
        _truth("in the indentation", "in the blanks before a line's first word", leading),
        _quantity("position in the line", "the position in the line", column, "characters"),
        _truth("line end", "just after a line has ended", newline),
        _truth("after a newline", "at the first character of a line", after_newline & ~newline),
        _truth("empty line", "at lines with nothing in them", newline & after_newline),
        _quantity("position in the word", "the number of characters since the last blank", _since(blank), "characters"),
        _truth("blank", "at blanks and line ends", blank),
        _truth("capital letter", "at capital letters", _each(text, str.isupper)),
        _truth("digit", "at digits", _each(text, str.isdigit)),
        _truth("vowel", "at vowels", _each(text, _VOWELS.__contains__)),
        _truth("letter", "at letters", _each(text, str.isalpha)),
        _truth(
            "punctuation", "at punctuation marks", _each(text, lambda c: not (c.isalnum() or c.isspace() or c == "_"))
        ),
    ]


def _each(text: str, holds: Callable[[str], bool]) -> np.ndarray:
    return np.fromiter((holds(char) for char in text), dtype=bool, count=len(text))


def _since(marked: np.ndarray) -> np.ndarray:
    """The number of characters since the last marked one, which counts 0; before the first one, since the beginning of the text."""
    places = np.arange(len(marked))
    return places - np.maximum.accumulate(np.where(marked, places, -1)) if len(marked) else places


def _indentation(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The number of blanks at the beginning of the line so far, and whether the line has only blanks so far."""
    width, leading = np.zeros(len(text), dtype=np.int64), np.zeros(len(text), dtype=bool)
    count, at_head = 0, True
    for at, char in enumerate(text):
        if char == "\n":
            count, at_head = 0, True
        elif at_head and char in " \t":
            count += 1
        else:
            at_head = False
        width[at], leading[at] = count, at_head and char != "\n"
    return width, leading


def _truth(name: str, phrase: str, values: np.ndarray) -> Label:
    return Label(name, phrase, values.astype(np.float32))


def _quantity(name: str, phrase: str, values: np.ndarray, unit: str) -> Label:
    return Label(name, phrase, values.astype(np.float32), is_binary=False, unit=unit)
