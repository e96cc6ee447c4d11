"""A folder of partitions that many workers write: each file is complete or absent, and a later call adds missing ones.

| file | what it holds |
| --- | --- |
| `part-00000.jsonl` or `.parquet` | the answers to a piece; numbers in the names follow the order of the data |
| `.parts.json` | which run, data, options and pieces the answers are of; and whether none is missing |
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ostinato.data.sources.plain_file import read_plain
from ostinato.data.sources.text import find_text
from ostinato.errors import ConfigError, OstinatoError, RunError
from ostinato.extras import needed
from ostinato.recipes.engines.answer_files import JSON_LINES
from ostinato.recipes.knowledge import KNOWLEDGE
from ostinato.training.run.files import write_json
from ostinato.training.run.lock import Lock

PARQUET = ".parquet"
_ABOUT = ".parts.json"
_PART = re.compile(r"part-(\d{5,})\.(?:jsonl|parquet)")
_BLOCK = 2**20
_OF_A_RUN = ("config.yaml", "model.safetensors", KNOWLEDGE, "vocabulary.json")


class PartFolder:
    """The folder of the partitions of one work.

    Args:
        path: the folder.
        suffix: the suffix of its files, ".jsonl" or ".parquet".
    """

    def __init__(self, path: str | os.PathLike[str], suffix: str):
        self.path, self.suffix = Path(path), suffix

    def part(self, number: int) -> Path:
        """The file for a piece."""
        return self.path / f"part-{number:05d}{self.suffix}"

    def parts(self) -> list[Path]:
        """The partitions that exist, in the order of the data."""
        found = [(int(match[1]), file) for file in self.path.iterdir() if (match := _PART.fullmatch(file.name))]
        return [file for _, file in sorted(found)]

    @contextmanager
    def new_part(self, number: int) -> Generator[Path]:
        """A temporary name for a partition, which is renamed at the end of the block, or deleted after an error."""
        beside = self.path / f".{socket.gethostname()}-{os.getpid()}-{self.part(number).name}"
        try:
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(beside, self.part(number))
        finally:
            beside.unlink(missing_ok=True)

    @contextmanager
    def begun(self, about: Mapping[str, Any]) -> Generator[None]:
        """Within this context, this process alone gives out the work of the folder, which is made if it does not exist.

        Args:
            about: everything that the contents of the partitions depend on.

        Raises:
            RunError: another process gives out its work, or the folder holds something else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path}: expected a folder for partitions ({error.strerror})") from error
        with _FolderLock(self.path / ".lock"):
            self._check(about)
            for left in self.path.glob(".*-part-*"):  # left by workers that were killed
                left.unlink(missing_ok=True)
            if not (self.path / _ABOUT).exists():
                write_json(self.path / _ABOUT, {**about, "parts": None})
            yield

    def _check(self, about: Mapping[str, Any]) -> None:
        try:
            before = json.loads(read_plain(self.path / _ABOUT))
        except FileNotFoundError:
            if any(not file.name.startswith(".") for file in self.path.iterdir()):
                raise RunError(
                    f"{self.path}: holds files that are no partitions of `--engine`; choose another --output"
                ) from None
            return
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / _ABOUT} is damaged ({error}); choose another --output") from error
        for name, value in about.items():
            if before.get(name) != value:
                words = _WORDS.get(name, f"with another {name} than this")
                raise RunError(f"{self.path}: holds partitions {words}; choose another --output, or remove the folder")

    def end(self, about: Mapping[str, Any], parts: int) -> None:
        """Records that none of so many partitions is missing."""
        write_json(self.path / _ABOUT, {**about, "parts": parts})

    def agree(self) -> None:
        """Gives columns of Parquet the same types in all partitions.

        A column may be empty or of whole numbers in one partition, and of other numbers in the next.
        """
        if self.suffix != PARQUET or not (files := self.parts()):
            return
        with needed():
            import polars

        schemas = [polars.read_parquet_schema(file) for file in files]
        if all(schema == schemas[0] for schema in schemas):
            return
        empty = [polars.DataFrame(schema=schema) for schema in schemas]
        wanted: Any = polars.concat(empty, how="diagonal_relaxed").schema
        for file, schema in zip(files, schemas, strict=True):
            if schema == wanted:
                continue
            missing = [polars.lit(None, kind).alias(name) for name, kind in wanted.items() if name not in schema]
            table = polars.read_parquet(file, glob=False).with_columns(missing).select(wanted.names())
            with self.new_part(int(file.stem.partition("-")[2])) as beside:
                table.cast(wanted).write_parquet(beside)

    def join(self, target: Path) -> None:
        """Joins all partitions into one file, in the order of the data, and removes the folder."""
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            if self.suffix == PARQUET:
                with needed():
                    import polars

                tables = [polars.scan_parquet(file, glob=False) for file in self.parts()] or [polars.LazyFrame()]
                polars.concat(tables, how="vertical_relaxed").sink_parquet(beside)
            else:
                with beside.open("wb") as whole:
                    for file in self.parts():
                        with file.open("rb") as part:
                            shutil.copyfileobj(part, whole, _BLOCK)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
        shutil.rmtree(self.path)


_WORDS = {
    "version": "by another version of Ostinato than this",
    "run": "of another run than this",
    "data": "of other data than this, or of the same before a file was changed",
    "options": "with other --options than this",
    "form": "in another form than this",
    "rows": "of another number of rows than this",
}


class _FolderLock(Lock):
    def refused(self, who: str) -> OstinatoError:
        """The error if another process holds the lock."""
        return RunError(f"another process{who} is at work in {self.path.parent}; wait for its end")


def suffix_for(output: str) -> str:
    """The suffix of the partitions for an output.

    Raises:
        ConfigError: the output's suffix is of a form that is not written in partitions.
    """
    suffix = Path(output).suffix.lower()
    if suffix not in (*JSON_LINES, PARQUET):
        known = ", ".join(each for each in (*JSON_LINES, PARQUET) if each)
        raise ConfigError(f"--output {output}: with --engine, expected a name that ends in {known}, got {suffix}")
    return PARQUET if suffix == PARQUET else ".jsonl"


def identity_of_run(run: str | os.PathLike[str]) -> str:
    """A checksum of the settings, the knowledge and the weights of a run."""
    digest = hashlib.sha256()
    for name in _OF_A_RUN:
        if (file := Path(run) / name).exists():
            digest.update(name.encode())
            _add(digest, file)
    return digest.hexdigest()


def identity_of_data(data: str) -> str:
    """A checksum of the names, sizes and modification times of all files of some data.

    Raises:
        DataError: there are no such files.
    """
    told: Iterable[Any] = ([each.name, each.stored, each.modified] for each in find_text(data, binary=True).documents)
    return hashlib.sha256(json.dumps(list(told)).encode()).hexdigest()


def _add(digest: Any, file: Path) -> None:
    with file.open("rb") as content:
        for block in iter(lambda: content.read(_BLOCK), b""):
            digest.update(block)
