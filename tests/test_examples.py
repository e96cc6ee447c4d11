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


def test_the_notes_four_letters_learn_a_word(capsys):
    assert example("hello")["main"]() == "hello"
    printed = capsys.readouterr().out
    after = [line for line in printed.partition("after")[2].splitlines() if line[5:6] in ("0", "1")]
    assert [line[0] for line in after] == list("hell")
    assert [line[-1] for line in after] == list("ello")


def test_the_notes_class_prints_its_parameters_and_learns(capsys):
    found = example("rows_of_images")["main"](steps=12, batch_size=16)
    # 4 (I + H + 2) H for each layer, and the linear layer.
    assert found["parameters"] == 4 * (28 + 256 + 2) * 256 + 2 * 4 * (256 + 256 + 2) * 256 + 257 * 10
    printed = capsys.readouterr().out
    assert "[0] name:[rnn.weight_ih_l0] shape:[(1024, 28)]." in printed
    assert "Total number of parameters:[1,348,106]." in printed
    assert found["last"] < found["first"]
