"""Pairs of texts: two files whose lines belong together, or one file with both sides in a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from ostinato.data.lines import PART_NAMES, find_parts, numbered_lines, suffix_of
from ostinato.data.splits import Splits, stratified_split
from ostinato.errors import DataError


@dataclass(frozen=True)
class Pair:
    """A text and what it becomes."""

    source: str
    target: str


@dataclass(frozen=True)
class Pairs:
    """Pairs in order, and what was left out.

    Attributes:
        name: Of the files.
        pairs: Those that are used.
        empty: Numbers of the lines that are left out because a side of them is empty.
        equal: How many pairs have the same text on both sides: copied, not translated.
    """

    name: str
    pairs: tuple[Pair, ...]
    empty: tuple[int, ...]
    equal: int

    def __len__(self) -> int:
        return len(self.pairs)

    def report(self) -> str:
        """One line for people: how many pairs there are, how many differ, and which were left out."""
        left_out = (
            f"; left out {len(self.empty):,} with an empty side (line {self.empty[0]} first)" if self.empty else ""
        )
        differ = len(self.pairs) - self.equal
        return f"{self.name}: {len(self.pairs):,} pairs, {differ:,} of them with two different sides{left_out}"


def read_pairs(source: str | Path, target: str | Path | None = None, *, keep_empty: bool = False) -> Pairs:
    """The pairs of two files, line by line, or of one .tsv file; compressed or not.

    Blanks around a text are left out.

    Args:
        source: A text a line; without `target` a .tsv file with source, tab and target a line. More columns are passed over.
        target: What each line of `source` becomes.
        keep_empty: Keep pairs with an empty side, so that line n is pair n: for what is evaluated or predicted.

    Raises:
        DataError: A file cannot be read, the files differ in length, a line of a .tsv file has no tab, or no pair is left.
    """
    lines = _both_files(source, target) if target is not None else _two_columns(source)
    pairs: list[Pair] = []
    empty: list[int] = []
    equal = 0
    for number, left, right in lines:
        pair = Pair(left.strip(), right.strip())
        if not (pair.source and pair.target) and not keep_empty:
            empty.append(number)
            continue
        equal += pair.source == pair.target
        pairs.append(pair)
    name = Path(str(source)).name + (f" and {Path(str(target)).name}" if target is not None else "")
    if not pairs:
        raise DataError(f"{name}: there is no pair in which both sides have text; expected at least one")
    return Pairs(name, tuple(pairs), tuple(empty), equal)


def read_pair_splits(folder: str | Path, source: str | None = None, target: str | None = None) -> Splits[Pairs]:
    """The parts of a folder with files like train.de, train.en, val.de, test_2016_flickr.de, or train.tsv; compressed or not.

    Args:
        folder: Where they lie.
        source: What the names of the source files end in: "de"; None for .tsv files, which hold both sides.
        target: The same for the target.

    Raises:
        DataError: A part for training or validation is missing, or a file has no counterpart.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise DataError(
            f"{folder}: expected a folder with files like train.{source or 'de'} and train.{target or 'en'}"
        )
    two_files = source is not None and target is not None
    endings = [f".{language}" for language in (source, target)] if two_files else [".tsv"]
    sides = [find_parts(place, PART_NAMES, (ending,)) for ending in endings]
    parts: dict[str, Pairs] = {}
    for part in PART_NAMES:
        there = [side[part] for side in sides if part in side]
        if len(there) == 1 and two_files:
            other = target if part in sides[0] else source
            raise DataError(f"{there[0]}: has no counterpart that ends in .{other} in its folder; put both sides there")
        if there:
            parts[part] = read_pairs(*there, keep_empty=part == "test")
    for part in ("train", "validation"):
        if part not in parts:
            stem = PART_NAMES[part][0]
            expected = " and ".join(f"{stem}{ending}" for ending in endings)
            hint = (
                ""
                if two_files
                else "; of two files a part, say what they end in: --reading.source de --reading.target en"
            )
            raise DataError(f"{folder}: expected {expected} there{hint}")
    none = Pairs("no test part", (), (), 0)
    return Splits(place.name, parts["train"], parts["validation"], parts.get("test", none))


def draw_pair_splits(
    pairs: Pairs, validation_share: float = 0.1, test_share: float = 0.1, *, seed: int = 0
) -> Splits[Pairs]:
    """Draw three parts of one file of pairs.

    All pairs with the same source go to one part, so that no source of a test was trained on.

    Args:
        pairs: Of the file.
        validation_share: Of the different sources, 0 <= share < 1.
        test_share: The same for test.
        seed: Of the draw.

    Raises:
        DataError: There are too few sources for a share that is more than 0.
        ConfigError: A share is out of range.
    """
    sources = [*dict.fromkeys(pair.source for pair in pairs.pairs)]
    rows = stratified_split([0] * len(sources), validation_share, test_share, seed=seed, what="different sources")
    part_of = {sources[row]: part for part, indices in enumerate(rows) for row in indices}

    def drawn(part: int, name: str) -> Pairs:
        chosen = tuple(pair for pair in pairs.pairs if part_of[pair.source] == part)
        return Pairs(f"{pairs.name}, {name}", chosen, (), sum(pair.source == pair.target for pair in chosen))

    return Splits(pairs.name, drawn(0, "train"), drawn(1, "validation"), drawn(2, "test"))


def _both_files(source: str | Path, target: str | Path) -> Iterator[tuple[int, str, str]]:
    lengths = [0, 0]
    for left, right in zip_longest(numbered_lines(source), numbered_lines(target)):
        for side, line in enumerate((left, right)):
            lengths[side] += line is not None
        if left is not None and right is not None:
            yield left[0], left[1], right[1]
    if lengths[0] != lengths[1]:
        raise DataError(
            f"{source} has {lengths[0]:,} lines, {target} {lengths[1]:,}: they differ by {abs(lengths[0] - lengths[1]):,}; "
            "expected line n of one to belong to line n of the other"
        )


def _two_columns(path: str | Path) -> Iterator[tuple[int, str, str]]:
    if suffix_of(path) not in (".tsv", ".tab", ".txt"):
        next(numbered_lines(path), None)  # a name that is wrong is told as that
        raise DataError(f"{path}: expected a second file with the targets, or a .tsv file with both sides a line")
    for number, line in numbered_lines(path):
        if not line.strip():
            yield number, "", ""
            continue
        cells = line.split("\t")
        if len(cells) < 2:
            raise DataError(f"{path}, line {number}: expected source, tab and target; there is no tab in {line[:40]!r}")
        yield number, cells[0], cells[1]
