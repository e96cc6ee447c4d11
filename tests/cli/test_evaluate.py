import math

import pytest

from ostinato.recipes import load


def test_it_prints_every_unit(ostinato, run, tmp_path):
    text = "the lazy fox jumps over the quick dog\n" * 9
    path = tmp_path / "new.txt"
    path.write_text(text)
    status, out, error = ostinato("evaluate", run, "--data", str(path))
    assert (status, error) == (0, "")
    first, *lines = out.splitlines()
    assert run in first
    assert "new.txt" in first
    values = {unit: float(value.replace(",", "")) for value, unit in (line.split(" ", 1) for line in lines)}
    nats = load(run).score(text).nats_per_token
    assert values["tokens"] == len(text) - 1
    assert values["nats/char"] == pytest.approx(nats, abs=1e-4)
    assert values["bits/char"] == pytest.approx(nats / math.log(2), abs=1e-4)
    assert values["perplexity/word"] == pytest.approx(math.exp(nats * len(text) / len(text.split())), rel=1e-2)


def test_a_text_that_is_missing_is_answered_in_one_line(ostinato, run):
    status, out, error = ostinato("evaluate", run, "--data", "missing.txt")
    assert (status, out) == (2, "")
    assert error.startswith("ostinato: missing.txt: no such file or folder")
    assert error.count("\n") == 1
