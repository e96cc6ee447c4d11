"""The comparison of all cells, at sizes that take no time; and the page that is committed, which its results must give again."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.catalogue import __main__ as command
from benchmarks.catalogue import training
from benchmarks.catalogue.cost import SIZE
from benchmarks.catalogue.described import described
from benchmarks.catalogue.page import SEEDS, page
from benchmarks.catalogue.results import Results, read, read_or_new, settings
from benchmarks.catalogue.tasks import TASKS, task
from benchmarks.catalogue.training import count, equal_hidden, extras, train

import ostinato
from ostinato import State, catalogue, cell
from ostinato.errors import ConfigError

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "benchmarks/results/catalogue.json"
PAGE = ROOT / "docs/catalogue_compared.md"


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_command_measures_two_cells_goes_on_and_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, written = tmp_path / "results.json", tmp_path / "page.md"
    words = [
        "--quick",
        "--cells",
        "rnn",
        "gru",
        "--seeds",
        "1",
        "--processes",
        "1",
        "--output",
        str(output),
        "--page",
        str(written),
    ]
    command.run([*words, "--budget_s", "0"])  # costs alone: no time is left to train
    assert not json.loads(output.read_text())["scores"]
    command.run(words)
    assert capsys.readouterr().out.count("seed 0: ") == 2 * len(TASKS)

    text, found = written.read_text(), read(output)
    measured = rows(text, "Scores and costs")
    assert {row[0] for row in measured} == {"`rnn`", "`gru`", "*guessing*"}
    assert all(len(row) == len(TASKS) + 5 and all(row) for row in measured[:-1])
    skills = [float(row[1]) for row in measured]
    assert skills == sorted(skills, reverse=True)
    assert [row[0] for row in rows(text, "The tasks")] == list(TASKS)
    assert [row[0] for row in rows(text, "The cells")] == [f"`{name}`" for name in catalogue.names()]
    assert all(all(row) for row in rows(text, "The cells"))
    picture = (tmp_path / "page.svg").read_text()
    assert all(name in picture for name in ("rnn", "gru", *TASKS))
    assert (tmp_path / "page.svg").name in text
    assert found.costs.keys() == found.scores.keys() == {"rnn", "gru"}

    before = output.read_bytes()
    command.run(words)  # all is there: nothing is trained, and nothing is written anew
    assert "seed" not in capsys.readouterr().out
    assert (output.read_bytes(), written.read_text()) == (before, text)
    command.forget(found, ["rnn"], ["copy", "cost"])
    done = [found.is_done(name, of, 0) for name, of in (("rnn", "copy"), ("rnn", "digits"), ("gru", "copy"))]
    assert (done, found.has_cost("rnn"), found.has_cost("gru")) == ([False, True, True], False, True)
    assert found.machines
    assert found.days
    command.forget(found, ["rnn", "gru"], command.PARTS)
    assert not found.machines
    assert not found.days, "nothing is left that was measured there and then"
    with pytest.raises(ConfigError, match=r"other settings \(quick, tasks\).*choose another --output"):
        read_or_new(output, quick=False)


def test_the_committed_page_is_made_of_the_committed_results() -> None:
    results = read(COMMITTED)
    assert page(results, "catalogue_compared.svg") == PAGE.read_text(encoding="utf-8")
    picture = PAGE.with_suffix(".svg").read_text(encoding="utf-8")
    assert all(f">{name}</text>" in picture for name in results.scores)
    assert not results.settings["quick"]


def test_results_of_another_number_of_threads_are_gone_on_with(tmp_path: Path) -> None:
    told = settings(quick=True)
    told["tasks"]["text"]["guessing"] *= 1 + 2e-7  # a sum in another order
    output = tmp_path / "found.json"
    output.write_text(json.dumps({**json.loads(COMMITTED.read_text()), "settings": told}))
    assert read_or_new(output, quick=True).settings == settings(quick=True)


@pytest.mark.parametrize("name", ["rnn", "gru", "mingru", "rhn"])
def test_a_cell_has_as_many_parameters_as_the_lstm(name: str) -> None:
    assert equal_hidden("lstm", 10) == 64
    hidden, wanted = equal_hidden(name, 10), count("lstm", 64, 10)
    layer, head = catalogue.make(name, 64, hidden), torch.nn.Linear(hidden, 10)
    parameters = [*layer.parameters(), *head.parameters()]
    assert sum(p.numel() for p in parameters) == count(name, hidden, 10)
    for other in (hidden - 1, hidden + 1):
        assert abs(count(name, hidden, 10) - wanted) <= abs(count(name, other, 10) - wanted)


def test_what_a_cell_takes_besides_is_one_and_the_number_of_the_step() -> None:
    @cell(gates="f", states="h", extras="dt t mask:I")
    def timed(x: Any, s: Any, U: Any, dt: Any, t: Any, mask: Any) -> State:
        return State(h=dt * torch.tanh(x.f + U(s.h).f) + t + mask.sum(-1, keepdim=True))

    layer = ostinato.Recurrent(timed, 3, 4)
    found = extras(layer, 5, 2)
    assert {name: tuple(v.shape) for name, v in found.items()} == {"dt": (5, 2, 1), "t": (5, 2, 1), "mask": (5, 2, 3)}
    assert torch.equal(found["t"][:, 1, 0], torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (found["dt"] == 1).all()
    assert (found["mask"] == 1).all()
    assert layer(torch.randn(5, 2, 3), **found)[0].shape == (5, 2, 4)
    assert extras(ostinato.GRU(3, 4), 5, 2) == {}


def test_the_tasks_ask_what_they_say() -> None:
    torch.manual_seed(0)
    bits = task("parity")
    batch = bits.lab.make(7, 3)
    for row in range(3):
        odd = False
        for step in range(7):
            odd ^= bool(batch.input[step, row, 1])
            assert int(batch.target[step, row]) == odd
    judged = bits.judged()
    right = torch.nn.functional.one_hot(judged.target, 2).float()
    assert bits.lab.error(right, judged.target) == 0
    right[: bits.length] = 1 - right[: bits.length]  # the steps of training are not judged
    assert bits.lab.error(right, judged.target) == 0
    assert bits.lab.error(1 - right, judged.target) == 1

    text = task("text")
    batch = text.lab.make(50, 4)
    assert torch.equal(batch.input[1:].argmax(-1), batch.target[:-1])
    uniform = torch.zeros(*batch.target.shape, text.lab.outputs)
    assert text.lab.error(uniform, batch.target) == pytest.approx(math.log2(96))
    assert 4 < text.lab.guessing < 5.5

    pixels = task("digits")
    assert pixels.judged().input.shape == (64, 357, 1)
    for each in map(task, TASKS):
        assert torch.equal(each.judged().input, each.judged().input)
        output = torch.zeros(*each.judged().input.shape[:2], each.lab.outputs)
        assert each.lab.error(output, each.judged().target) > 0.5 * each.lab.guessing


def test_a_training_is_the_same_again_and_what_fails_or_takes_too_long_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, other = (train("gru", "digits", seed, quick=True) for seed in (3, 3, 4))
    assert first["error"] == second["error"]
    assert first["hidden"] == other["hidden"]
    monkeypatch.setattr(training, "LIMIT_S", -1.0)
    stopped = train("gru", "digits", 3, quick=True)
    assert stopped["stopped"] == 0
    assert stopped["error"] != first["error"]
    assert train("no cell", "digits", 0, quick=True)["failed"].startswith("ConfigError: cell: expected one of lstm")


def test_a_page_tells_what_fails_diverges_and_is_still_to_come() -> None:
    results = Results(settings(quick=False))
    results.cells = {name: described(name) for name in ("lstm", "rnn", "gru")}
    seeds = {str(seed): {"error": 0.1 * seed, "hidden": 64} for seed in range(SEEDS)}
    results.scores = {
        "rnn": {name: {"0": {"failed": "ValueError: a | b"}} for name in TASKS},
        "lstm": dict.fromkeys(TASKS, seeds)
        | {"copy": {"0": {"diverged": 5, "hidden": 64}}, "text": {"0": {"error": 2.0, "stopped": 7}}},
    }
    results.costs["rnn"] = {"training": {"relative": 0.5}, "streaming": {"failed": "ConfigError: no stream"}}
    text = page(results, "picture.svg")
    assert "**Measured in part** (of some tasks 1 of 3 seeds): `lstm`, `rnn`.\n" in text
    assert "**Still to come**: `gru`.\n" in text
    lstm, rnn, _ = rows(text, "Scores and costs")
    assert lstm[2:5] == ["**0.1000 (0.0000 to 0.2000)**", "diverged, 1 of 1", "**10.0 (0.0 to 20.0)**"]
    assert lstm[6] == "**2.00, 7 updates**"
    assert rnn[1:3] == ["0.00", "cannot run"]
    assert rnn[-2:] == ["0.50", "cannot run"]
    assert "- **cannot run**, adding, copy, parity, digits, text: `rnn`: ValueError: a \\| b\n" in text
    assert "- **cannot run**, streaming step: `rnn`: ConfigError: no stream\n" in text


def test_a_cell_is_described_by_its_docstring_and_its_formula() -> None:
    lstm = described("lstm")
    assert lstm["equations"] == "Long short-term memory: c' = f c + i g; h' = o tanh(c')."
    assert (lstm["states"], lstm["formula"]) == ("h c", "4 (I + H + 2) H")
    assert lstm["parameters"] == 4 * (SIZE.I + SIZE.H + 2) * SIZE.H
    assert "h' = (1 - z) n + z h" in described("gru")["equations"]  # its layer's first paragraph has no equation
