"""The model of a run, exported, gives the same answers without torch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ostinato.cli.main import main
from ostinato.data.records.conll import Sentence
from ostinato.data.records.images import Images
from ostinato.recipes import open_run, train
from ostinato.recipes.caption.settings import CaptionerSettings, CaptionSettings
from ostinato.recipes.classify.settings import ClassifierSettings, ClassifyReadingSettings
from ostinato.recipes.forecast.settings import ForecasterSettings
from ostinato.recipes.lm.settings import ModelSettings, TokenSettings
from ostinato.recipes.registry import find
from ostinato.recipes.tag.settings import TaggerSettings, TagReadingSettings, WordSettings
from ostinato.recipes.translate.settings import TranslateReadingSettings, TranslatorSettings
from ostinato.training.run.settings import UpdateSettings
from tests.recipes import phrases, reviews, tagged, waves
from tests.recipes.conftest import small as small_lm

RUNNER = Path(__file__).with_name("without_torch.py")
FEW = UpdateSettings(batch_size=16, learning_rate=0.01, max_steps=6)


def calls(folder: Path, asked: list[Any]) -> list[Any]:
    """What the runner of an export gives, in a process that cannot import torch."""
    files = [folder.parent / f"{name}.json" for name in ("asked", "given")]
    files[0].write_text(json.dumps(asked), encoding="utf-8")
    words = [sys.executable, str(RUNNER), str(folder), *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(files[1].read_text(encoding="utf-8"))


def exported(run: Path, *words: str) -> Path:
    folder = run.parent / "out"
    assert main(["export", str(run), "--output", str(folder), *words]) == 0
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert all((folder / graph["file"]).is_file() for graph in card["graphs"].values())
    assert all(len(file.read_text().splitlines()) <= 150 for file in folder.glob("*.py"))
    return folder


def built_in(name: str, folder: Path, **changes: Any) -> Any:
    settings = find(name).built_in_settings(run=str(folder), device="cpu", precision="32-true", quiet=True)
    return dataclasses.replace(settings, training=dataclasses.replace(settings.training, max_steps=4), **changes)


def parts(run: Any) -> Any:
    """All examples of a run's own data."""
    from ostinato.recipes.trained import read_splits

    return read_splits(run.task, run.settings)


# --- language models ---

LANGUAGE = {
    "words, widths, tied": {
        "tokens": TokenSettings(kind="word", vocabulary_size=12),
        "model": ModelSettings(embedding_size=8, hidden_size=[12, 8], tied=True),
    },
    "bpe": {"tokens": TokenSettings(kind="bpe", vocabulary_size=300)},
    "bytes, RHN, learned": {
        "tokens": TokenSettings(kind="byte"),
        "model": ModelSettings(
            embedding_size=8, hidden_size=16, cell="rhn", options={"depth": 2, "initial_state": "learned"}
        ),
    },
}


@pytest.mark.parametrize("kind", LANGUAGE)
def test_a_language_model_scores_and_writes_the_same(kind: str, tmp_path: Path, text: Path) -> None:
    settings = small_lm(tmp_path / "run", text, **LANGUAGE[kind])
    train(dataclasses.replace(settings, training=dataclasses.replace(settings.training, max_steps=5)))
    model = open_run(tmp_path / "run").model
    prompts = [text.read_text()[at : at + 3 + at % 20] for at in range(0, 600, 3)]
    asked = [["generate", [prompt, 5], {"temperature": 0}] for prompt in prompts]
    asked += [["score", [prompt + "zebra, naïve!\n" + prompt], {}] for prompt in prompts]
    found = calls(exported(tmp_path / "run"), asked)
    assert found[: len(prompts)] == [model.generate(prompt, 5, temperature=0) for prompt in prompts]
    scores = [model.score(prompt + "zebra, naïve!\n" + prompt).nats for prompt in prompts]
    np.testing.assert_allclose(found[len(prompts) :], scores, rtol=1e-5, atol=1e-4)


def test_a_language_model_draws_as_it_should_and_searches(tmp_path: Path, text: Path) -> None:
    train(small_lm(tmp_path / "run", text))
    folder = exported(tmp_path / "run")
    model = open_run(tmp_path / "run").model
    drawn = [["generate", ["the ", 20], {"seed": seed, "top_k": 3, "top_p": 0.9}] for seed in (1, 1, 2)]
    one, again, another, likeliest, searched = calls(
        folder, [*drawn, ["generate", ["the ", 8], {"temperature": 0}], ["generate", ["the ", 8], {"beam": 4}]]
    )
    assert one == again != another
    greedy, best = (model.score("the " + text).nats for text in (likeliest, searched))
    assert best <= greedy + 1e-3


# --- classifiers ---


def classes(answers: list[Any]) -> list[str]:
    return [each["class"] for each in answers]


def assert_same_probabilities(found: list[Any], wanted: list[Any]) -> None:
    assert classes(found) == classes(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-4)


def test_digits_are_told_apart_the_same(tmp_path: Path) -> None:
    train(built_in("classify", tmp_path / "run"))
    run = open_run(tmp_path / "run")
    part = parts(run).train
    part = Images(part.pixels[:200], part.labels[:200], part.classes, part.white)
    (found,) = calls(exported(tmp_path / "run"), [["classify_images", [part.pixels.tolist()], {}]])
    assert_same_probabilities(found, run.predict(part))


@pytest.mark.parametrize(
    ("reading", "pooling"), [({"tokens": "word"}, "last"), ({"tokens": "char", "max_length": 20}, "attention")]
)
def test_texts_are_told_apart_the_same_with_naive_bayes(reading: Any, pooling: Any, tmp_path: Path) -> None:
    data = reviews.write(tmp_path / "reviews.csv", reviews.rows())
    model = ClassifierSettings(embedding_size=8, hidden_size=8, pooling=pooling, naive_bayes=True)
    reading = ClassifyReadingSettings(**reading)
    train(reviews.small(tmp_path / "run", data, reading=reading, model=model, training=FEW))
    run = open_run(tmp_path / "run")
    texts = [text for text, _ in reviews.rows(190)] + ["", "Nothing of this.", "GOOD!?", "é—good", "x" * 50]
    (found,) = calls(exported(tmp_path / "run"), [["classify", [texts], {}]])
    lines = tmp_path / "texts.txt"
    lines.write_text("\n".join(texts) + "\n", encoding="utf-8")
    assert_same_probabilities(found, run.predict(data=lines))


# --- taggers ---


def test_source_code_is_tagged_the_same_in_windows_too(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for n in range(20):
        code = f'def f_{n}(x):\n    """Gives {n}."""\n    return x + {n} if x > {n} else "ä{n}"  # {"why " * n}\n\n\n'
        (source / f"part_{n}.py").write_text(code * 10, encoding="utf-8")
    settings = built_in("tag", tmp_path / "run", data=str(source))
    reading = dataclasses.replace(settings.reading, piece_length=100)
    train(dataclasses.replace(settings, reading=reading, model=dataclasses.replace(settings.model, window=64)))
    run = open_run(tmp_path / "run")
    files = [each for part in (parts(run).validation, parts(run).train) for each in part]
    pieces = [
        dataclasses.replace(file, text=file.text[at : at + 120], labels=None) for file in files for at in (0, 50)
    ][:200]
    found = calls(exported(tmp_path / "run"), [["tag_text", [each.text], {}] for each in pieces])
    for tags, answer in zip(found, run.predict(tuple(pieces)), strict=True):
        assert tags == [tag for start, end, tag in answer["spans"] for _ in range(end - start)]


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_words_are_tagged_the_same(output: Any, tmp_path: Path) -> None:
    sentences = tagged.sentences(120)
    spans = [[(word, {"DET": "O", "NOUN": "B-X", "VERB": "I-X"}[tag]) for word, tag in each] for each in sentences]
    data = tagged.write(tmp_path / "words.conll", spans)
    model = TaggerSettings(hidden_size=8, output=output)
    word = WordSettings(embedding_size=8, character_embedding_size=4, character_hidden_size=4)
    reading = TagReadingSettings(lower_case=True)
    train(tagged.small(tmp_path / "run", data, model=model, word=word, reading=reading, training=FEW))
    run = open_run(tmp_path / "run")
    asked = [[word for word, _ in each] for each in tagged.sentences(190, seed=5)]
    asked += [["Dog"], ["zebra" * 20, "the", "ÄÖ"], ["a"] * 40]
    found = calls(exported(tmp_path / "run"), [["tag", [each], {}] for each in asked])
    wanted = run.predict(tuple(Sentence(tuple(each), (None,) * len(each), 1) for each in asked))
    assert [each["tags"] for each in found] == [each["tags"] for each in wanted]
    if output == "softmax":
        for a, b in zip(found, wanted, strict=True):
            assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-4)


# --- texts that are written ---

HOW = [{}, {"beam": 1}]


@pytest.mark.parametrize("encoder", ["convolution", "rows"])
def test_images_are_captioned_the_same(encoder: Any, tmp_path: Path) -> None:
    attention = None if encoder == "rows" else "scaled"
    model = CaptionerSettings(encoder=encoder, features=8, embedding_size=8, hidden_size=12, attention=attention)
    settings = CaptionSettings(run=str(tmp_path / "run"), device="cpu", precision="32-true", quiet=True, model=model)
    train(dataclasses.replace(settings, training=dataclasses.replace(settings.training, max_steps=8)))
    run = open_run(tmp_path / "run")
    part, count = parts(run).train, 200 if encoder == "convolution" else 20
    images = dataclasses.replace(part.images, pixels=part.images.pixels[:count])
    part = dataclasses.replace(part, images=images, captions=part.captions[:count], names=part.names[:count])
    pixels = images.rows().reshape(images.pixels.shape).tolist()
    found = calls(exported(tmp_path / "run"), [["caption", [image], how] for how in HOW for image in pixels])
    wanted = [answer for how in HOW for answer in run.answer_with(how).predict(part)]
    assert [each["text"] for each in found] == [each["caption"] for each in wanted]
    chances = [each["log_probability"] for each in wanted]
    np.testing.assert_allclose([each["log_probability"] for each in found], chances, rtol=0, atol=1e-4)


TRANSLATORS = {
    "bpe, coverage, input feeding": {
        "reading": TranslateReadingSettings(tokens="bpe", joint=True, vocabulary_size=280),
        "model": TranslatorSettings(
            embedding_size=16, hidden_size=16, attention="additive", coverage=True, input_feeding=True, num_layers=2
        ),
    },
    "no attention, GRU": {
        "model": TranslatorSettings(embedding_size=16, hidden_size=16, attention="none", cell="gru", bridge="linear")
    },
    "words, no bridge": {
        "model": TranslatorSettings(embedding_size=16, hidden_size=16, attention="dot", bridge="none")
    },
}


@pytest.mark.parametrize("kind", TRANSLATORS)
def test_texts_are_translated_the_same(kind: str, tmp_path: Path) -> None:
    data = phrases.write(tmp_path / "phrases.tsv", phrases.phrases())
    training = dataclasses.replace(FEW, max_steps=20)
    train(phrases.small(tmp_path / "run", data, training=training, **TRANSLATORS[kind]))
    run = open_run(tmp_path / "run")
    sources = [source for source, _ in phrases.phrases(97, seed=3)] + ["", "eins, zwei!", "drei-vier (und)"]
    file = tmp_path / "sources.txt"
    file.write_text("\n".join(sources) + "\n", encoding="utf-8")
    found = calls(exported(tmp_path / "run"), [["translate", [each], how] for how in HOW for each in sources])
    wanted = [answer for how in HOW for answer in run.answer_with(how).predict(data=file)]
    assert [each["text"] for each in found] == [each["translation"] for each in wanted]
    chances = [each["log_probability"] for each in wanted]
    np.testing.assert_allclose([each["log_probability"] for each in found], chances, rtol=0, atol=1e-4)


# --- forecasts ---

FORECASTERS = {
    "student-t": ("student-t", {"ids": ("a", "b"), "gaps": 0.1}, None),
    "gaussian": ("gaussian", {"ids": ("a",)}, "season_mean"),
    "quantiles": ("quantiles", {"ids": ("a", "b", "c"), "gaps": 0.3}, "seasonal_change"),
}


@pytest.mark.parametrize("kind", FORECASTERS)
def test_series_are_forecast_the_same(kind: str, tmp_path: Path) -> None:
    head, table, baseline = FORECASTERS[kind]
    data = waves.write(tmp_path / "waves.csv", waves.rows(**table))
    model = ForecasterSettings(hidden_size=8, head=head, baseline=baseline)
    reading = dataclasses.replace(waves.READING, stride=1)
    train(waves.small(tmp_path / "run", data, model=model, reading=reading, training=FEW))
    run = open_run(tmp_path / "run")
    part = parts(run).train
    rows = np.unique(np.linspace(0, len(part) - 1, 200).astype(int))
    part = dataclasses.replace(part, series=part.series[rows], origin=part.origin[rows])
    asked, anchors = [], []
    for series, origin in zip(part.series, part.origin, strict=True):
        track, end = part.tracks[series], int(origin) + part.horizon
        values = [None if np.isnan(v) else v for v in track.values[:origin]]
        while values[-1] is None:  # where the series goes on, it forecasts behind the last value
            values.pop()
        anchors.append(len(values) == origin)
        times = track.times[:end].astype(str).tolist()
        asked.append(
            ["forecast", [values, times, track.known[:end].tolist(), track.observed[:origin].tolist(), track.id], {}]
        )
    found = calls(exported(tmp_path / "run"), asked)
    wanted = run.predict(part)
    assert sum(anchors) >= 30
    for ours, theirs, is_same in zip(wanted, found, anchors, strict=True):
        if is_same:
            for name in ("mean", "median"):
                np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(
                theirs["intervals"]["90"]["low"], ours["intervals"]["90"]["low"], rtol=1e-4, atol=1e-4
            )


def test_carbon_dioxide_is_forecast_the_same(tmp_path: Path) -> None:
    settings = built_in("forecast", tmp_path / "run")
    reading = dataclasses.replace(settings.reading, validation_share=0.02, test_share=0.0)  # less to judge it on
    train(dataclasses.replace(settings, reading=reading))
    run = open_run(tmp_path / "run")
    part = parts(run).train
    part = dataclasses.replace(part, series=part.series[-200:], origin=part.origin[-200:])
    asked = []
    for origin in part.origin:
        track = part.tracks[0]
        asked.append(
            [
                "forecast",
                [track.values[:origin].tolist(), track.times[: origin + part.horizon].astype(str).tolist()],
                {},
            ]
        )
    for ours, theirs in zip(run.predict(part), calls(exported(tmp_path / "run"), asked), strict=True):
        np.testing.assert_allclose(theirs["mean"], ours["mean"], rtol=0, atol=1e-4)
