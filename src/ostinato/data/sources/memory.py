"""Errors for data that do not fit into memory, raised before the system kills the process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

# The bytes of a Python string in addition to its characters.
_TEXT_BYTES = 56


@contextmanager
def holding(name: str) -> Generator[None]:
    """Turn the errors of Python, torch and polars about too little memory in the `with` block into a DataError.

    Args:
        name: the name of the data that the block reads.

    Raises:
        DataError: there is not enough memory for the data.
    """
    try:
        yield
    except BaseException as error:
        # Conversions of polars, which is written in Rust, report it by a panic, and a panic is no Exception.
        panic = type(error).__name__ == "PanicException"
        if not (panic or isinstance(error, MemoryError) or "can't allocate memory" in str(error)):
            raise
        raise _too_large(name) from error


def check_texts(name: str, table: polars.DataFrame) -> None:
    """Check that the texts of a table fit into memory as Python strings; a column may store equal texts only once.

    Raises:
        DataError: they need more memory than there is.
    """
    with needed():
        import polars

    texts = table.select(polars.col(polars.String, polars.Categorical).cast(polars.String).str.len_bytes().sum())
    wanted = sum(each or 0 for each in texts.row(0)) + _TEXT_BYTES * table.height * texts.width if texts.width else 0
    free = _free_bytes()
    if free is not None and wanted > free:
        raise _too_large(name, wanted)


def _too_large(name: str, wanted: int | None = None) -> DataError:
    size = "" if wanted is None else f" ({wanted / 1e9:,.1f} GB)"
    return DataError(
        f"{name}: there is not enough memory to hold it as a whole{size}; give a part of it, or files in parts, "
        "and look whether a cell is far longer than it should be"
    )


def _free_bytes() -> int | None:
    """Return the bytes that this process may still allocate; None if the system does not say."""
    found: list[int] = []
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm", encoding="ascii") as file:
                found.append(limit - int(file.read().split()[0]) * resource.getpagesize())
    except (OSError, ImportError, ValueError):
        pass
    return min(found, default=None)
