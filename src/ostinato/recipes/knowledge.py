"""Reading what a run knows about its data beside the weights, from its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import OstinatoError, RunError

KNOWLEDGE = "knowledge.json"
Known = TypeVar("Known")


def read_json(path: Path, from_dict: Callable[[dict[str, Any]], Known]) -> Known:
    """Reads a JSON file of a run and builds what it describes with `from_dict`.

    Raises:
        RunError: the file is missing, or `from_dict` cannot read it.
    """
    try:
        return from_dict(json.loads(read_plain(path)))
    except FileNotFoundError:
        raise RunError(f"{path} is missing; begin the run anew with another --run") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError, OstinatoError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} is damaged, or of another version of ostinato: {reason}") from error
