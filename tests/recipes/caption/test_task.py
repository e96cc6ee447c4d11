import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from ostinato.data.records.captions import Captioned
from ostinato.data.records.images import Images
from ostinato.errors import ConfigError, DataError
from ostinato.recipes import load, train
from ostinato.recipes.caption.settings import (
    CaptionAnswering,
    CaptionerSettings,
    CaptionReadingSettings,
    CaptionSettings,
    UpdateSettings,
)

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
MODEL = CaptionerSettings(features=8, embedding_size=8, hidden_size=16, dropout=0.0)
TRAINING = UpdateSettings(batch_size=16, learning_rate=0.02, max_steps=80, evaluate_every=40)


def small(folder, data=None, **arguments):
    given = {"run": str(folder), "data": data and str(data), "model": MODEL, "training": TRAINING, **arguments}
    return CaptionSettings(device="cpu", precision="32-true", quiet=True, **given)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A square of one colour at one of two heights; two captions of each, one in which a word is there once."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for n in range(90):
        name, place = list(COLOURS)[n % 3], ["top", "bottom"][n // 3 % 2]
        pixels = rng.integers(0, 40, (8, 6, 3)).astype(np.uint8)
        pixels[slice(0, 4) if place == "top" else slice(4, 8)] = COLOURS[name]
        Image.fromarray(pixels).save(folder / f"{n:02}.png")
        rare = f", number{n}" if n == 0 else ""
        rows += [{"file": f"{n:02}.png", "caption": f"A {name} square at the {place}{rare}."}]
        rows += [{"file": f"{n:02}.png", "caption": f"At the {place}: {name}!"}]
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    return train(small(tmp_path_factory.mktemp("caption") / "run", photos)).run.path


def test_the_built_in_digits_are_named_in_a_language(tmp_path):
    training = dataclasses.replace(TRAINING, batch_size=64, learning_rate=4e-3, max_steps=2, evaluate_every=2)
    result = train(small(tmp_path / "run", reading=CaptionReadingSettings(language="de"), training=training))
    assert result.scores["test"].examples == 357
    assert load(result.run.path).known.normal("Fünf") == "fünf"
    with pytest.raises(ConfigError, match="language must be one whose number words are known"):
        train(small(tmp_path / "x", reading=CaptionReadingSettings(language="xx")))
    with pytest.raises(ConfigError, match="are for data of your own"):
        train(small(tmp_path / "x", reading=CaptionReadingSettings(size=9)))


def test_a_language_is_not_for_captions_of_ones_own(tmp_path, photos):
    with pytest.raises(ConfigError, match=r"reading\.language is of the built-in digits"):
        train(small(tmp_path / "x", photos, reading=CaptionReadingSettings(language="de")))


def test_a_folder_of_pictures_is_learnt(run, photos):
    report = json.loads((run / "report.json").read_text())
    scores = report["scores"]["test"]
    assert scores["figures"]["exact_match"] > 0.9
    assert scores["figures"]["bleu"] > 90
    assert scores["details"]["bleu_signature"].startswith("nrefs:")
    assert {"pictures/captions_test.png", "pictures/attention_test.png"} <= set(report["pictures"])
    for name in report["pictures"]:
        assert (run / name).read_bytes().startswith(b"\x89PNG")


def test_new_pictures_are_said_something_of_in_their_order(run, photos, tmp_path, monkeypatch):
    wide = Image.fromarray(np.full((40, 30, 3), COLOURS["blue"], np.uint8))
    wide.paste((20, 20, 20), (0, 20, 30, 40))
    for name in ("z.jpg", "a.png"):
        wide.save(tmp_path / name)
    (tmp_path / "b.gif").write_bytes((photos / "01.png").read_bytes())  # what is in it counts, not its name
    trained = load(run)
    answers = trained.predict(tmp_path)
    assert [answer["file"] for answer in answers] == ["a.png", "b.gif", "z.jpg"]
    said = {"a blue square at the top.", "at the top: blue!"}
    assert answers[0]["caption"] in said
    assert answers[0]["log_probability"] == pytest.approx(answers[2]["log_probability"], abs=0.5)
    assert trained.predict(tmp_path / "[az].*")[0] == pytest.approx(answers[0])
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/z.jpg\n\n{tmp_path}/a.png\n"))
    assert [answer["caption"] for answer in trained.predict(data="-")] == [answers[2]["caption"], answers[0]["caption"]]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(DataError, match="expected names of pictures on standard input"):
        trained.predict(data="-")
    assert str(trained.task.shown(answers[0])) == f"a.png: {answers[0]['caption']}"
    listed = trained.predict(photos / "captions.jsonl")
    assert len(listed) == 90


def test_the_best_captions_can_be_asked_for(run, photos):
    trained = load(run).answer_with({"beam": 4, "n_best": 3})
    answer = trained.predict(photos / "00.png")[0]
    assert len(answer["captions"]) == len({each["caption"] for each in answer["captions"]}) == 3
    assert answer["caption"] == answer["captions"][0]["caption"]
    short = load(run).answer_with({"max_length": 2}).predict(photos / "00.png")[0]["caption"]
    assert len(short.split()) <= 2
    drawn = [load(run).answer_with({"temperature": 3.0, "seed": seed}).predict(photos / "00.png") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_answer_does_not_depend_on_what_is_beside_it(run, photos):
    trained = load(run)
    together = trained.predict(photos)
    for number in (0, 41, 89):
        (alone,) = trained.predict(photos / f"{number:02}.png")
        assert alone["caption"] == together[number]["caption"]
        assert alone["log_probability"] == pytest.approx(together[number]["log_probability"], abs=1e-5)


@pytest.mark.parametrize(("option", "value"), [("max_length", 10**8), ("max_length", 0), ("seed", 2**80), ("seed", -1)])
def test_what_would_have_no_end_and_no_generator_takes_is_refused(run, option, value):
    with pytest.raises(ConfigError, match=f"{option}: expected an integer .*, got {value}$"):
        load(run).answer_with({option: value})


def test_other_captions_count_as_errors_with_a_loss_and_long_ones_can_be_scored(run, photos, tmp_path):
    trained = load(run)
    rows = [{"file": str(photos / "00.png"), "caption": caption} for caption in ("a zebra", "red " * 300, "")]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores, judge = trained.evaluate(tmp_path / "new.jsonl")
    assert (scores.examples, scores.count) == (1, 3 + 301 + 1)  # tokens and ends
    assert scores.figures["exact_match"] == 0.0
    (wrong,) = judge.details()["wrong"]
    assert wrong["captions"][0] == "a zebra"


def test_images_without_captions_have_no_part_in_the_figures(run, photos):
    trained = load(run)
    part = trained.task.read_part(trained.settings, trained.known, str(photos), labelled=True)
    some = dataclasses.replace(part, captions=((), *part.captions[1:]))
    scores, _ = trained.evaluate(some)
    assert scores.warnings == ("1 images have no caption: they have no part in the figures",)
    assert scores.figures == trained.evaluate(part.take(range(1, 90)))[0].figures
    nothing = dataclasses.replace(part, captions=((),) * 90)
    assert trained.evaluate(nothing)[0].count == 0


def test_images_of_another_shape_are_refused(run):
    grey = Captioned(Images(np.zeros((1, 8, 6), np.uint8), None, (), 255.0), ((),))
    with pytest.raises(DataError, match=r"expected images of 8 x 6 with 3 channels, .* got 8 x 6 with 1"):
        load(run).predict(grey)


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (CaptionReadingSettings, {"size": [3]}, r"reading.size: expected one or two numbers of at least 1, got \[3\]"),
        (CaptionReadingSettings, {"size": 0}, "reading.size: expected one or two numbers"),
        (CaptionReadingSettings, {"min_count": 0}, "reading.min_count: expected at least 1, got 0"),
        (CaptionReadingSettings, {"validation_share": 0.0}, "expected shares above 0"),
        (CaptionAnswering, {"beam": 0}, "beam: expected an integer of at least 1, got 0"),
        (CaptionAnswering, {"beam": "many"}, "beam: expected an integer of at least 1, got 'many'"),
        (CaptionAnswering, {"n_best": 6}, "n_best: expected a number from 1 to beam = 5, got 6"),
        (CaptionAnswering, {"temperature": -1.0}, "temperature: expected at least 0, got -1.0"),
        (CaptionAnswering, {"temperature": 1.0, "n_best": 2}, "n_best: expected 1 where captions are drawn"),
        (CaptionAnswering, {"length_penalty": "x"}, "length_penalty: expected a number, got 'x'"),
    ],
)
def test_settings_that_cannot_be_are_refused(group, values, message):
    with pytest.raises(ConfigError, match=message):
        group(**values)
