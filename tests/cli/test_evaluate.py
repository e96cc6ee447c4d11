import math

import pytest

from ostinato.recipes import load
from ostinato.recipes.lm.report import USEFUL


@pytest.mark.parametrize("line", ["the lazy fox jumps over the quick dog", "t h e l a z y"])
def test_it_prints_every_unit_that_says_something(ostinato, run, tmp_path, line):
    text = f"{line}\n" * 9
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
    assert values["perplexity/token"] == pytest.approx(math.exp(nats), rel=1e-3)
    # A model of characters that has learnt little finds long words so unlikely that the figure tells nobody anything.
    of_words = math.exp(nats * len(text) / len(text.split()))
    assert (of_words < USEFUL) == (line == "t h e l a z y")
    assert values.get("perplexity/word", of_words) == pytest.approx(of_words, rel=1e-2)
    assert ("perplexity/word" in values) == (of_words < USEFUL)


def test_a_text_that_is_missing_is_answered_in_one_line(ostinato, run):
    status, out, error = ostinato("evaluate", run, "--data", "missing.txt")
    assert (status, out) == (2, "")
    assert error.startswith("ostinato: missing.txt: no such file or folder")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--cache", "100", "--theta", "0.5", "--share", "0.3"],
        ["--dynamic", "sgd", "--learning_rate", "0.5", "--decay", "0.01", "--segment", "7"],
        ["--dynamic", "rms", "--learning_rate", "1e-3"],
    ],
)
def test_a_model_that_adapts_scores_a_repetitive_text_better(ostinato, run, tmp_path, flags):
    path = tmp_path / "new.txt"
    path.write_text("quartz glyph vex\n" * 30)
    nats = []
    for given in ([], flags):
        status, out, error = ostinato("evaluate", run, "--data", str(path), *given)
        assert (status, error) == (0, "")
        nats.append(float(out.splitlines()[2].split()[0]))
    assert nats[1] < nats[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--theta", "1"], "--theta belongs to --cache; give both, or leave it out"),
        (["--dynamic", "sgd", "--share", "0.1"], "--share belongs to --cache; give both, or leave it out"),
        (["--cache", "9", "--decay", "0.1"], "--decay belongs to --dynamic; give both, or leave it out"),
        (
            ["--cache", "9", "--dynamic", "rms"],
            "--cache and --dynamic: expected one of them; evaluate twice to compare",
        ),
        (["--cache", "0"], "window: expected at least 1 step, got 0"),
        (["--dynamic", "sgd", "--segment", "0"], "segment: expected at least 1, got 0"),
        (["--dynamic", "adam"], "dynamic: expected one of sgd, rms, or null, got adam"),
    ],
)
def test_flags_that_do_not_fit_are_answered_in_one_line(ostinato, run, flags, message):
    assert ostinato("evaluate", run, *flags) == (2, "", f"ostinato: {message}\n")


def test_no_tokens_are_too_few_to_evaluate_on(ostinato, run):
    status, out, error = ostinato("evaluate", run, "--max_tokens", "0")
    assert (status, out) == (2, "")
    assert error == "ostinato: --max_tokens: expected an integer of at least 1, got 0\n"
