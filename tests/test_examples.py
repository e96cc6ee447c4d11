"""The examples run, and do what they say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_the_notes_encoder_and_decoder_write_numbers_that_they_never_read(capsys):
    right = example("numbers_in_words")["main"](100)
    assert right["seen"] > 0.9
    assert right["never seen"] > 0.7
    assert "neunundvierzig -> " in capsys.readouterr().out
