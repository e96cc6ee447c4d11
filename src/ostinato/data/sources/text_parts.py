"""The parts of a text: files for training, for choosing the model, and for the test at the end.

Parts often have names such as `ptb.train.txt`, `wiki.valid.tokens`, `test.txt.gz`, or a folder `dev/`. If files with
such names are side by side, one of them for training, they are the parts; a file with another name, such as a README,
is in no part.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ostinato.data.sources.lines import COMPRESSIONS, PART_NAMES
from ostinato.data.sources.text import Document, Text, find_text
from ostinato.errors import DataError

# Programs and their settings may be called train or test without being parts of a text.
_PROGRAM = re.compile(
    r"bat|c|cc|cfg|cpp|cs|go|h|hpp|hs|ini|ipynb|java|jl|js|kt|lua|m|php|pl|ps1|pyi?|pyx|r|rb|rs|scala|sh|sql|swift|toml|ts|ya?ml"
)
_NAMED = 3  # files that a line names; of the others it gives the number


@dataclass(frozen=True)
class TextParts:
    """A text in up to three parts.

    Attributes:
        name: The name of the text, for users.
        train: The documents to learn from.
        validation: The documents that choose the model; empty if a share of `train` is to be cut off for it.
        test: The documents for the test at the end; may be empty.
        remark: One line that says which files are in which part; None if neither names nor arguments say.
    """

    name: str
    train: tuple[Document, ...]
    validation: tuple[Document, ...] = ()
    test: tuple[Document, ...] = ()
    remark: str | None = None

    @property
    def text(self) -> Text:
        """All parts, one after the other."""
        return Text(self.name, (*self.train, *self.validation, *self.test))

    @property
    def sizes(self) -> list[int]:
        """How many documents each part has."""
        return [len(self.train), len(self.validation), len(self.test)]


def find_text_parts(
    data: str | None = None, validation: str | None = None, test: str | None = None, *, by_name: bool = True
) -> TextParts:
    """Find the parts of a text: those that were given, else those in the names of its files.

    Args:
        data: As for `find_text`.
        validation: As `data`, for validation; if it is a folder with parts, only the part for validation is used.
        test: As `data`, for the test; likewise.
        by_name: Whether names of files decide; if not, everything that was not given for another part is trained on.

    Raises:
        DataError: Something does not exist, a file is in two parts, or it is not clear which files make a part.
    """
    text = find_text(data)
    named = _named(text) if by_name and data is not None else {}
    parts = dict(named)
    for part, place in (("validation", validation), ("test", test)):
        if place is not None:
            found = find_text(place)
            parts[part] = _named(found).get(part, found.documents) if by_name else found.documents
    held = {_identity(document): part for part in ("validation", "test") for document in parts.get(part, ())}
    if validation is not None and test is not None:
        _refuse_overlap(parts["validation"], parts["test"])
    train = tuple(document for document in named.get("train", text.documents) if _identity(document) not in held)
    if not train:
        raise DataError(
            f"{text.name}: nothing is left to train on, as all of it is named for validation or test; give more text"
        )
    remark = _unclear(text) if by_name and data is not None and not named and not held else None
    if named or len(train) < len(text.documents) or validation is not None or test is not None:
        used = {_identity(document) for document in train} | held.keys()
        left = [document for document in text.documents if _identity(document) not in used]
        remark = _remark(text.name, {**parts, "train": train}, left)
    return TextParts(text.name, train, parts.get("validation", ()), parts.get("test", ()), remark)


def find_text_to_score(data: str | None = None, *, by_name: bool = True) -> TextParts:
    """Find a text to evaluate a model on: of a text in parts the test part, else the validation part.

    The result has it as its training part.

    Raises:
        DataError: As for `find_text_parts`.
    """
    text = find_text(data)
    named = _named(text) if by_name and data is not None else {}
    for part in ("test", "validation"):
        if part in named:
            return TextParts(f"{text.name}, {part}", named[part])
    return TextParts(text.name, text.documents)


def _named(text: Text) -> dict[str, tuple[Document, ...]]:
    """Find the parts by the names of the files; empty if the names do not say."""
    folder = _folder(text)
    groups: dict[str, dict[str, dict[str, list[Document]]]] = {}  # by folder, part, and name without numbers
    for document in text.documents:
        found = _place(_below(folder, document))
        if found is not None:
            base, part, called = found
            groups.setdefault(base, {}).setdefault(part, {}).setdefault(called, []).append(document)
    whole = {base: parts for base, parts in groups.items() if "train" in parts and len(parts) > 1}
    in_parts = (d for parts in whole.values() for called in parts.values() for some in called.values() for d in some)
    are_most = 2 * _bytes(in_parts) >= _bytes(text.documents)
    if not whole or (not are_most and "" not in whole):  # deep in a folder of other files, they are no parts
        return {}
    if len(whole) > 1:
        first, second = (_shown(base) for base in list(whole)[:2])
        raise DataError(f"{text.name}: {first} and {second} both have parts called train; name one of them with --data")
    (chosen,) = whole.values()
    parts = {part: _one(text.name, part, chosen[part]) for part in PART_NAMES if part in chosen}
    if not are_most:
        names = ", ".join(os.path.basename(documents[0].name) for documents in parts.values())
        raise DataError(
            f"{text.name}: {names} are called parts, but most of the text there is in none of them; name the parts with --data, "
            "--reading.validation and --reading.test, or take all as one text with --reading.parts_by_name false"
        )
    return parts


def _unclear(text: Text) -> str | None:
    """Return a note about files called validation or test although none is called train; None if there are none."""
    folder = _folder(text)
    places = [_place(_below(folder, document)) for document in text.documents] if len(text.documents) > 1 else []
    called = dict.fromkeys(name for base, part, name in filter(None, places) if base == "" and part != "train")
    if not called or any(part == "train" for _, part, _ in filter(None, places)):
        return None
    return (
        f"{text.name}: {', '.join(list(called)[:_NAMED])} is trained on like the rest, as nothing is called train; "
        "to keep it apart, name it with --reading.validation or --reading.test"
    )


def _folder(text: Text) -> str:
    """Return the folder that contains all documents."""
    return os.path.commonpath([os.path.dirname(each.name) or os.curdir for each in text.documents])


def _below(folder: str, document: Document) -> str:
    return os.path.relpath(document.name, folder) if folder else document.name


def _place(path: str) -> tuple[str, str, str] | None:
    """Find the folder of a file's part, the part, and the name with # for numbers; None if the path names no part."""
    *folders, file = path.split(os.sep)
    for depth, name in enumerate(folders):
        if part := _part({name.lower()}):
            return os.sep.join(folders[:depth]), part, f"{name}{os.sep}"
    name = _uncompressed(file.lower())
    pieces = name.split(".")
    if len(pieces) > 1 and _PROGRAM.fullmatch(pieces[-1]):
        return None
    for piece in reversed(pieces):  # in wiki.train.tokens the part is the last word before the ending
        words = re.sub(r"([-_](\d+|of))+$", "", piece).replace("_", "-").split("-")
        if part := _part({words[-1]}) or _part({words[0]}):
            return os.sep.join(folders), part, re.sub(r"\d+", "#", name)
    return None


def _part(words: set[str]) -> str | None:
    return next((part for part, stems in PART_NAMES.items() if not words.isdisjoint(stems)), None)


def _one(name: str, part: str, called: dict[str, list[Document]]) -> tuple[Document, ...]:
    """Return the documents of a part, which must be one file, one folder, or numbered files."""
    names = [documents[0].name for documents in called.values()]
    for documents in called.values():
        plain = [_uncompressed(document.name) for document in documents]
        names += [document.name for i, document in enumerate(documents) if plain[i] in plain[:i]]
    if len(names) > 1:
        raise DataError(
            f"{name}: {os.path.basename(names[0])} and {os.path.basename(names[1])} could both be the {part} part; name the files: "
            "--data TRAIN --reading.validation VALIDATION --reading.test TEST"
        )
    return tuple(next(iter(called.values())))


def _uncompressed(name: str) -> str:
    return next((name[: -len(end)] for end in COMPRESSIONS if name.lower().endswith(end)), name)


def _refuse_overlap(validation: Iterable[Document], test: Iterable[Document]) -> None:
    both = {_identity(document) for document in validation} & {_identity(document) for document in test}
    if both:
        raise DataError(
            f"{min(both)}: is in the validation and in the test part; what chooses the model cannot judge it, so name another file"
        )


def _identity(document: Document) -> str:
    return os.path.realpath(document.name) if os.path.exists(document.name) else document.name


def _bytes(documents: Iterable[Document]) -> int:
    return sum(document.stored or 0 for document in documents)


def _shown(folder: str) -> str:
    return f"{folder}{os.sep}" if folder else "the folder itself"


def _remark(name: str, parts: dict[str, Sequence[Document]], left: Sequence[Document]) -> str:
    verbs = {"train": "trains on", "validation": "validates with", "test": "tests with"}
    folders = [document.name.split("/")[:-1] for part in (*parts.values(), left) for document in part]
    levels = zip(*folders, strict=False)  # "train/a.txt" and "test/a.txt" are not both "a.txt"
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    said = [f"{verb} {_files(parts[part], shared)}" for part, verb in verbs.items() if parts.get(part)]
    if not parts.get("validation"):
        said.insert(1, "validates with a share of it")
    if left:
        said.append(f"leaves out {_files(left, shared)}")
    return f"{name}: {', '.join(said)}"


def _files(documents: Sequence[Document], shared: int) -> str:
    names = ["/".join(document.name.split("/")[shared:]) for document in documents[:_NAMED]]
    more = len(documents) - len(names)
    return " and ".join([", ".join(names), *([f"{more} more"] if more else [])])
