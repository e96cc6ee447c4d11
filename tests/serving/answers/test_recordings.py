"""Recordings in requests, against the same in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ostinato.recipes import load
from ostinato.serving.answers.about import about
from ostinato.serving.answers.predicting import answers
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.served import Served
from tests.serving.untrained import untrained


@pytest.fixture(scope="module", params=["classify", "tag"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    return untrained(folder, request.param, data="gestures", model={"hidden_size": 8})


def test_answers_are_those_to_a_file(run: Path, tmp_path: Path) -> None:
    trained, rng = load(run), np.random.default_rng(0)
    channels = trained.known.scaling.channels
    values = rng.normal(size=(12, len(channels))) * 10
    rows = [{"id": "a", **dict(zip(channels, step, strict=True))} for step in values.tolist()]
    rows[3][channels[1]] = None
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [[row[name] for name in channels] for row in rows]
    (wanted,) = trained.predict(tmp_path / "a.jsonl")
    assert answers(trained, [{"values": given, "id": "a"}], {}, 1000) == [wanted]
    assert answers(trained, [given], {}, 1000) == [{**wanted, "id": ""}]


def test_what_a_client_is_told(run: Path) -> None:
    served = Served("hands", run)
    assert not served.sessions
    assert "reads in both directions" in str(served.why_no_sessions)
    told = about(served.trained)
    assert told["input"] == "recording"
    assert told["channels"] == list(served.trained.known.scaling.channels)


STEP = [0.0, 1.0, 2.0, 3.0]
WRONG: dict[str, tuple[Any, str]] = {
    "no list": ({"values": 3}, "a list of steps with 4 numbers each"),
    "a text": ("abc", "a list of steps with 4 numbers each"),
    "nothing": ({"values": []}, "a list of steps with 4 numbers each"),
    "other channels": ({"values": [STEP, STEP[:2]]}, "a list of steps with 4 numbers each"),
    "infinite": ({"values": [[*STEP[:3], float("inf")]]}, "a list of steps with 4 numbers each"),
    "words": ({"values": [[*STEP[:3], "x"]]}, "a list of steps with 4 numbers each"),
    "times of others": ({"values": [STEP, STEP], "times": [0]}, "2 increasing numbers"),
    "times backwards": ({"values": [STEP, STEP], "times": [1, 0]}, "2 increasing numbers"),
    "more": ({"values": [STEP], "speed": 3}, "got 'speed' too"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_recording_is_refused(name: str, run: Path) -> None:
    given, message = WRONG[name]
    with pytest.raises(BadRequestError, match=message):
        answers(load(run), [given], {}, 1000)


def test_a_recording_may_have_so_many_numbers(run: Path) -> None:
    with pytest.raises(TooLargeError, match="expected at most 100 numbers, got 4 times 26"):
        answers(load(run), [{"values": [STEP] * 26}], {}, 100)
