"""`ostinato explain` of a language model and of a classifier of texts."""

import json
import re

import pytest

from ostinato.cli.main import main
from tests.insight.pages import Page
from tests.recipes import reviews

WIDE = 80


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A run of a classifier, and its data."""
    folder = tmp_path_factory.mktemp("texts")
    data = reviews.write(folder / "data.csv", reviews.rows(60))
    sizes = [
        "--model.embedding_size",
        "8",
        "--model.hidden_size",
        "8",
        "--training.max_steps",
        "30",
        "--training.batch_size",
        "8",
    ]
    run = str(folder / "run")
    assert main(["train", "classify", "--data", data, "--run", run, "--quiet", "--device", "cpu", *sizes]) == 0
    return run, data


def test_it_prints_words_and_what_they_weigh(ostinato, texts, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDE))
    status, out, _ = ostinato("explain", *texts, "--limit", "2")
    assert status == 0
    assert "\x1b" not in out  # no terminal, no colours
    assert max(map(len, out.splitlines())) <= WIDE
    assert len(re.findall(r"^class (?:good|bad): [+-]\d", out, re.MULTILINE)) == 2
    assert len(re.findall(r"^method gradients; contributions sum to [+-]", out, re.MULTILINE)) == 2
    assert re.search(r"^ +\d+ \w+ +[+-]\d\S*  [+]+$", out, re.MULTILINE)


def test_colours_say_for_and_against(ostinato, texts, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    _, out, _ = ostinato("explain", *texts, "--row", "0")
    assert "\x1b[30;48;" in out  # black letters on a colour


def test_it_asks_about_another_class(ostinato, texts):
    _, good, _ = ostinato("explain", *texts, "--row", "1", "--target", "good", "--method", "gates")
    _, bad, _ = ostinato("explain", *texts, "--row", "1", "--target", "bad", "--method", "gates")
    numbers = [float(re.search(r"^class \w+: (\S+)", out, re.MULTILINE)[1]) for out in (good, bad)]
    assert numbers[0] == pytest.approx(-numbers[1], rel=1e-3)


def test_it_writes_what_the_suffix_says(ostinato, texts, tmp_path):
    run, data = texts
    for suffix in (".json", ".jsonl", ".html", ".png", ".svg"):
        words = ["--limit", "2"] if suffix not in (".png", ".svg") else []
        status, out, _ = ostinato("explain", run, data, *words, "--output", str(tmp_path / f"why{suffix}"))
        assert (status, out) == (0, "")
    whole = json.loads((tmp_path / "why.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "why.jsonl").read_text().splitlines()]
    assert whole == {"examples": lines}
    assert len(lines) == 2
    assert set(lines[0]) == {
        *("said", "about", "method", "unit", "answer", "baseline", "remainder", "steps", "by_step"),
    }
    assert sum(lines[0]["by_step"]) == pytest.approx(lines[0]["answer"] - lines[0]["baseline"] - lines[0]["remainder"])
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "why.svg").read_text()
    page = Page((tmp_path / "why.html").read_text())
    page.check()
    assert "background: rgba(214,66,46," in (tmp_path / "why.html").read_text()


def test_it_checks_itself(ostinato, texts, tmp_path):
    status, out, _ = ostinato("explain", *texts, "--check", "--limit", "8")
    assert status == 0
    rows = [line.split() for line in out.splitlines() if re.match(r" +\d+%", line)]
    assert [row[0] for row in rows] == ["5%", "10%", "20%", "30%", "50%"]
    assert all(float(own) > float(drawn) for _, own, drawn in rows)
    ostinato("explain", *texts, "--check", "--limit", "8", "--output", str(tmp_path / "why.json"))
    assert json.loads((tmp_path / "why.json").read_text())["check"]["better_than_random_at_every_share"]


def test_of_a_language_model_it_is_the_next_token(ostinato, run, text, tmp_path):
    status, out, _ = ostinato("explain", run, text, "--target", "30")
    assert status == 0
    assert out.startswith("fox.txt, token 30: ")
    assert "next token" in out
    status, out, _ = ostinato("explain", run, text, "--like", "4:9", "--limit", "3")
    assert status == 0
    places = [re.match(r"(\d\.\d{3})  0:(\d+)-(\d+)  .*\[quick\]", line) for line in out.splitlines()]
    assert len(places) == 3  # the same text stands in every line
    assert all(int(place[2]) % 44 == 4 and float(place[1]) > 0.95 for place in places)
    ostinato(
        "explain",
        run,
        text,
        "--like",
        "4:9",
        "--measure",
        "threshold",
        "--threshold",
        "0.05",
        "--output",
        str(tmp_path / "p.json"),
    )
    assert set(json.loads((tmp_path / "p.json").read_text())[0]) == {
        "score",
        "example",
        "start",
        "end",
        "before",
        "text",
        "after",
    }


def test_places_of_a_corpus_that_is_another(ostinato, texts, tmp_path):
    run, data = texts
    asked = tmp_path / "asked.txt"
    asked.write_text("the film was great\n")
    status, out, _ = ostinato("explain", run, str(asked), "--like", "3:4", "--among", data, "--limit", "5")
    assert status == 0
    found = [re.search(r"\[(\w+)\]", line)[1] for line in out.splitlines()]
    assert len(found) == 5
    assert len(set(found) & {"great", "good", "fun"}) >= 1


def test_what_is_wrong_is_said_in_one_line(ostinato, texts, run, text, tmp_path):
    wrong = {
        ("--method", "lime"): "--method lime: expected one of gradients, occlusion, gates",
        ("--target", "goood"): "--target goood: expected a class; did you mean good?",
        ("--row", "900"): "--row 900: expected the number of an example, from 0 to 59",
        ("--output", "why.txt"): "--output why.txt: expected a name that ends in .json",
        ("--output", str(tmp_path / "no" / "why.json")): "there is no folder",
        ("--output", str(tmp_path / "why.png"), "--limit", "2"): "expected one example for a picture, got 2; say --row",
        ("--like", "3"): "--like 3: expected two numbers, FIRST:END",
        ("--like", "3:400"): "expected a range within the",
        ("--like", "0:1", "--measure", "euclid"): "--measure euclid: expected one of cosine, threshold",
        ("--like", "0:1", "--output", str(tmp_path / "why.html")): "expected .json or .jsonl for places",
        ("--among", "x.csv"): "--among: expected --like FIRST:END beside it",
    }
    for words, said in wrong.items():
        status, out, error = ostinato("explain", *texts, *words)
        assert (status, out, error.count("\n")) == (2, "", 1), words
        assert said in error
    assert "as a text is one example" in ostinato("explain", run, text, "--like", "1:2", "--row", "3")[2]
