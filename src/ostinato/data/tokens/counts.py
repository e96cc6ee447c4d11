"""Counts of the words in a text of any size: counts that do not fit into memory are merged on disk."""

from __future__ import annotations

import heapq
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ostinato.errors import DataError

_MOST_WORDS = 1_000_000  # different words in memory, some 150 MB
_LINES = 10_000  # lines of a file that are written at once


@contextmanager
def counting_on_disk() -> Generator[None]:
    """Raise a DataError if the system's temporary folder is full or missing within the `with` block."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"counts that do not fit into memory cannot be kept in the system's temporary folder ({error.strerror or error}); make "
            "room there, or name another folder in TMPDIR"
        ) from error


class WordCounts:
    """Counts of words, which contain no white space.

    Iterating gives each word once with its count, in no order.

    Args:
        most: The most different words that are held in memory.

    Attributes:
        total: Words that were counted, each as often as it occurs.
    """

    def __init__(self, most: int = _MOST_WORDS):
        self._most, self._counts = most, Counter[str]()
        self._folder: Path | None = None
        self._files: list[Path] = []
        self.total = 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> WordCounts:
        """Count the words of texts; white space separates words."""
        found = cls()
        for text in texts:
            found.add(text.split())
        return found

    def add(self, words: Sequence[str]) -> None:
        """Count more words."""
        self._counts.update(words)
        self.total += len(words)
        if len(self._counts) > self._most:
            self._to_disk()

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Add the counts of words that were counted elsewhere."""
        self._counts.update(counts)
        self.total += sum(counts.values())
        if len(self._counts) > self._most:
            self._to_disk()

    @counting_on_disk()
    def _to_disk(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ostinato-words-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / str(len(self._files))
        words = sorted(self._counts.items())
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            for at in range(0, len(words), _LINES):
                file.write("".join(f"{word} {count}\n" for word, count in words[at : at + _LINES]))
        self._files.append(path)
        self._counts = Counter[str]()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        if not self._files:
            yield from self._counts.items()
            return
        if self._counts:
            self._to_disk()
        merged = heapq.merge(*map(_read, self._files), key=itemgetter(0))
        for word, found in groupby(merged, key=itemgetter(0)):
            yield word, sum(count for _, count in found)

    def once(self) -> int:
        """Return how many words occur exactly once."""
        return sum(count == 1 for _, count in self)

    def most_common(self, size: int, is_wanted: Callable[[str, int], bool]) -> list[tuple[str, int]]:
        """Return the `size` most frequent of the wanted words with their counts, ties in the order of code points."""
        return heapq.nsmallest(size, (item for item in self if is_wanted(*item)), key=lambda item: (-item[1], item[0]))


def _read(path: Path) -> Iterator[tuple[str, int]]:
    with path.open(encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        for line in file:
            word, _, count = line.rpartition(" ")
            yield word, int(count)
