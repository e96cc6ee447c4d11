"""Every task is asked: the number that is explained is what the task itself says, and contributions sum to it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch

import ostinato
from ostinato.errors import ConfigError, DataError
from ostinato.insight import Reasons
from ostinato.recipes import open_run, train
from ostinato.recipes.caption.settings import CaptionerSettings, CaptionSettings
from ostinato.recipes.classify.settings import ClassifySettings
from ostinato.recipes.tag.settings import TaggerSettings
from ostinato.recipes.trained import validation_of
from ostinato.recipes.translate.settings import TranslatorSettings
from tests.recipes import phrases, reviews, tagged, waves
from tests.recipes.inspection.test_tasks import write_photos

METHODS = ("gradients", "occlusion", "gates")


def few(settings: Any, steps: int = 30) -> Any:
    training = dataclasses.replace(settings.training, max_steps=steps, evaluate_every=steps)
    return dataclasses.replace(settings, training=training)


def learnt(settings: Any) -> Any:
    train(settings)
    return open_run(settings.run)


def replies(run: Any, data: Any, **how: Any) -> dict[str, list[Reasons]]:
    """By method; those that sum do."""
    found = {method: ostinato.why(run, data, method=method, **how) for method in METHODS}
    for gates, gradients, occlusion in zip(found["gates"], found["gradients"], found["occlusion"], strict=True):
        assert abs(gates.remainder) <= 1e-8 * max(1.0, abs(gates.answer))
        assert gradients.answer == pytest.approx(gates.answer, abs=1e-3)
        assert gradients.baseline == pytest.approx(gates.baseline, abs=1e-3) == occlusion.baseline
        assert abs(gradients.remainder) <= 2e-2 * abs(gates.answer - gates.baseline) + 1e-3
        assert gates.values.shape == (len(gates.steps), max(1, len(gates.channels)))
    return found


def odds(p: float) -> float:
    return math.log(p / (1 - p))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    folder = tmp_path_factory.mktemp("texts")
    data = reviews.write(folder / "data.csv", reviews.rows())
    return learnt(reviews.small(folder / "run", data)), data


def test_data_in_memory_are_asked_about_as_the_file_of_them_is(texts: tuple[Any, str]) -> None:
    run, data = texts
    of_file = ostinato.why(run, data, limit=3)
    frame = polars.read_csv(data)
    rows = frame.rows()
    for given in (frame, frame.drop("label"), frame.to_dict(as_series=False), rows, [text for text, _ in rows]):
        found = ostinato.why(run, given, limit=3)
        assert [each.to_dict() for each in found] == [each.to_dict() for each in of_file]


def test_a_class_of_texts(texts: tuple[Any, str]) -> None:
    run, data = texts
    assert run.model.naive_bayes is not None
    found = replies(run, data, limit=4)["gates"]
    for each, answer in zip(found, run.predict(data=data), strict=False):
        assert each.answer == pytest.approx(odds(answer["probability"]), abs=1e-3)
        assert each.joiner == " "
        assert " ".join(each.steps) == answer["text"]
        assert each.strongest(1)[0][1] in reviews.WORDS[answer["class"]]
    (other,) = ostinato.why(run, data, rows=[1], target="bad", method="gates")
    assert other.answer == pytest.approx(-found[1].answer, abs=1e-6)
    np.testing.assert_allclose(other.values, -found[1].values, atol=1e-6)


def test_what_naive_bayes_has_counted_is_said_word_by_word(texts: tuple[Any, str]) -> None:
    from ostinato.recipes.classify.explained import evidence

    run, _ = texts
    counts = run.model.naive_bayes
    ids = [3, 5, 3, 2, 4, 5]
    sums = counts.prior + evidence(counts, ids).sum(0)
    torch.testing.assert_close(sums.float(), counts(torch.tensor(ids)[:, None])[0], atol=1e-5, rtol=0)


def test_a_class_of_images(tmp_path: Path) -> None:
    settings = ClassifySettings(run=str(tmp_path / "run"), device="cpu", precision="32-true", quiet=True)
    run = learnt(few(settings, 20))
    part = validation_of(run.task, run)()
    found = replies(run, part, rows=[3])["gates"][0]
    assert found.answer == pytest.approx(odds(run.predict(part)[3]["probability"]), abs=1e-3)
    assert found.values.shape == (8, 8)
    black = part.pixels[3] == 0
    assert np.all(found.values[black] == 0.0)  # what is not there has no part in it
    np.testing.assert_allclose(found.read, part.pixels[3] / 16)


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_tags_of_words(output: Any, tmp_path: Path) -> None:
    data = tagged.write(tmp_path / "data.conll", tagged.sentences())
    model = TaggerSettings(embedding_size=8, hidden_size=8, output=output)
    run = learnt(few(tagged.small(tmp_path / "run", data, model=model)))
    answer = run.predict(data=data)[2]
    odds_of_all = [odds(p) for p in answer["probabilities"]]
    whole = replies(run, data, rows=[2])["gates"][0]
    if output == "softmax":
        assert whole.answer == pytest.approx(np.mean(odds_of_all), abs=1e-3)
    else:
        assert (
            whole.answer <= math.log(min(answer["probabilities"])) / len(answer["tags"]) + 1e-6
        )  # a path is in its tags
    one = replies(run, data, rows=[2], target=1)["gates"][0]
    assert one.answer == pytest.approx(odds_of_all[1], abs=1e-3)
    assert one.steps == tuple(answer["words"])
    assert answer["tags"][1] in one.about
    other = next(tag for tag in run.known.tags if tag != answer["tags"][1])
    assert ostinato.why(run, data, rows=[2], target=f"1:{other}")[0].answer < one.answer
    for target, match in {
        "99": "number of a step from 0 to",
        "1:NONE": "expected a tag",
        ":X": "expected a tag",
    }.items():
        with pytest.raises(ConfigError, match=match):
            ostinato.why(run, data, rows=[2], target=target)


@pytest.mark.parametrize("input_feeding", [False, True])
def test_a_translation(input_feeding: bool, tmp_path: Path) -> None:
    data = phrases.write(tmp_path / "data.tsv", phrases.phrases(80))
    model = TranslatorSettings(embedding_size=8, hidden_size=12, input_feeding=input_feeding)
    run = learnt(few(phrases.small(tmp_path / "run", data, model=model), 20))
    (tmp_path / "asked.txt").write_text("ein und zwei\n")
    asked = str(tmp_path / "asked.txt")
    answer = run.predict(data=asked)[0]
    found = replies(run, asked)["gates"][0]
    assert found.answer == pytest.approx(answer["log_probability"], abs=1e-3)
    assert (found.steps, found.said) == (("ein", "und", "zwei"), answer["translation"])
    assert "token 0 of the translation" in replies(run, asked, target=0)["gates"][0].about


@pytest.mark.parametrize("encoder", ["rows", "convolution"])
def test_a_caption(encoder: Any, tmp_path: Path) -> None:
    model = CaptionerSettings(encoder=encoder, features=8, embedding_size=8, hidden_size=12)
    data = write_photos(tmp_path / "photos")
    settings = CaptionSettings(data=data, run=str(tmp_path / "run"), device="cpu", quiet=True, model=model)
    run = learnt(few(settings, 8))
    part = validation_of(run.task, run)()
    found = replies(run, part, rows=[1])["gates"][0]
    answer = run.predict(part)[1]
    assert found.answer == pytest.approx(answer["log_probability"], abs=1e-3)
    assert found.said == answer["caption"]
    assert found.values.shape == (6, 6)
    assert replies(run, part, rows=[1], target=0)["gates"][0].unit == "nats of log-odds"


@pytest.mark.parametrize("head", ["gaussian", "student-t", "quantiles"])
def test_a_forecast(head: Any, tmp_path: Path) -> None:
    data = waves.write(tmp_path / "data.csv", waves.rows(gaps=0.05))
    settings = waves.small(tmp_path / "run", data)
    run = learnt(few(dataclasses.replace(settings, model=dataclasses.replace(settings.model, head=head))))
    part = validation_of(run.task, run)()
    answer = run.answer_with({"samples": 4000}).predict(part)[5]
    for ahead in (1, 3) if head == "gaussian" else (2,):
        found = replies(run, part, rows=[5], target=ahead)["gates"][0]
        width = answer["intervals"]["80"]["high"][ahead - 1] - answer["intervals"]["80"]["low"][ahead - 1]
        assert found.answer == pytest.approx(answer["median"][ahead - 1], abs=0.1 * width)
        assert found.steps[-1] == answer["times"][ahead - 1]
        assert {"value", "price", "weather"} <= set(found.channels)
        price = found.channels.index("price")
        later = found.values[-ahead:]
        assert np.all(np.delete(later, [price, *_cycles(run)], 1) == 0.0)  # nothing else is known of what is to come
    with pytest.raises(ConfigError, match="expected the number of a step to come from 1 to 4"):
        ostinato.why(run, part, target=5)


def _cycles(run: Any) -> list[int]:
    return [1 + at for at in range(len(run.known.cycles))]


def test_the_next_token(result: Any, text: Path) -> None:
    run = open_run(result.run.path)
    found = replies(result.run.path, str(text), target=50)["gates"][0]
    ids = torch.from_numpy(run.model.vocabulary.encode(text.read_text()[:51]).astype(np.int64))
    with torch.no_grad():
        p = float(run.model(ids[:50, None])[0][-1, 0].softmax(-1)[ids[50]])
    assert found.answer == pytest.approx(odds(p), abs=1e-3)
    assert "".join(found.steps) == text.read_text()[:50]
    last = ostinato.why(result.run.path, str(text))[0]
    assert len(last.steps) == 200
    with torch.no_grad():
        next_one = int(
            run.model(torch.from_numpy(run.model.vocabulary.encode("".join(last.steps)).astype(np.int64))[:, None])[0][
                -1, 0
            ].argmax()
        )
    assert last.said.startswith(repr(run.model.vocabulary.decode([next_one])))
    with pytest.raises(ConfigError, match="expected the number of a token from 1 to 2639"):
        ostinato.why(result.run.path, str(text), target="0")


def test_recordings_and_what_they_lack(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    lines = ["id,time,a,b,label"]
    for number in range(24):
        for t in range(10):
            a, b = draw.standard_normal(2) + 2 * (number % 2)
            gap = "" if t == 4 else f"{b:.3f}"
            lines.append(f"{number},{t + 0.3 * (t % 3)},{a:.3f},{gap},{'xy'[number % 2]}")
    data = tmp_path / "data.csv"
    data.write_text("\n".join(lines) + "\n")
    settings = ClassifySettings.from_dict(
        {"data": str(data), "run": str(tmp_path / "run"), "device": "cpu", "quiet": True, "recording": {"stack": 3}}
    )
    run = learnt(few(settings, 10))
    found = replies(run, str(data), rows=[2])["gates"][0]
    assert found.answer == pytest.approx(odds(run.predict(data=str(data))[2]["probability"]), abs=1e-3)
    assert found.channels == ("a", "b", "time between steps")
    assert found.values.shape == (10, 3)  # of the data, not of the network, which reads three at once
    assert found.read is not None
    assert np.isnan(found.read[4, 1])
    assert found.to_dict()["by_channel"] == pytest.approx(dict(zip(found.channels, found.values.sum(0), strict=True)))


def test_what_is_wrong_is_told(texts: tuple[Any, str], tmp_path: Path) -> None:
    run, data = texts
    for match, how in {
        "expected one of gradients, occlusion, gates": {"method": "lime"},
        "expected a class.* did you mean good": {"target": "goood"},
        "--row 120: expected the number of an example, from 0 to 119": {"rows": [120]},
        "--limit: expected at least 1": {"limit": 0},
    }.items():
        with pytest.raises(ConfigError, match=match):
            ostinato.why(run, data, **how)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError):
        ostinato.why(run, str(tmp_path / "empty.txt"))
