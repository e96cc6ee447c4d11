"""`Trained.predict` on plain values: the answers to a file of the same; one gives one, a list gives a list."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

import ostinato
from ostinato.data import Example, Images, Pair, Recording, Sentence, digits
from ostinato.errors import ConfigError, DataError
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.in_python.prediction import Prediction, Predictions
from ostinato.recipes.task import Task
from ostinato.recipes.task_training import TaskResult
from ostinato.recipes.trained import Scores
from ostinato.training import Outcome, RunFolder
from ostinato.training.loop.counters import Counters

from ..reviews import rows
from ..tagged import sentences

HOW = {"quiet": True, "device": "cpu", "precision": "32-true", "training": {"max_steps": 6, "batch_size": 16}}


class Pairs(Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, at):
        return self.pairs[at]


def close(first, second):
    """The same answers, which may have been rounded in batches of another size."""
    first, second = ([each] if isinstance(each, dict) else list(each) for each in (first, second))
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert (
                one[name] == other[name]
                if isinstance(one[name], str)
                else one[name] == pytest.approx(other[name], abs=1e-5)
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("values")


@pytest.fixture(scope="module")
def texts(folder):
    return ostinato.train("classify", rows(), run=folder / "texts", model={"hidden_size": 4}, **HOW)


@pytest.fixture(scope="module")
def tags(folder):
    pairs = [tuple(map(list, zip(*each, strict=True))) for each in sentences()]
    return ostinato.train("tag", pairs, run=folder / "tags", model={"hidden_size": 4, "embedding_size": 4}, **HOW)


@pytest.fixture(scope="module")
def signals(folder):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 6, 2)).astype(np.float32) * 9
    y = np.where(x[..., 0].sum(1) > 0, "up", "down")
    return ostinato.train("classify", {"x": x, "y": y}, run=folder / "signals", model={"hidden_size": 4}, **HOW)


@pytest.fixture(scope="module")
def one_channel(folder):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 6)) * 9
    return ostinato.train(
        "classify", (x, (x.sum(1) > 0).astype(int)), run=folder / "one", model={"hidden_size": 4}, **HOW
    )


@pytest.fixture(scope="module")
def images(folder):
    return ostinato.train("classify", run=folder / "images", model={"hidden_size": 4}, **HOW)


@pytest.fixture(scope="module")
def series(folder):
    frame = {"value": [float(np.sin(n)) + n % 3 for n in range(120)]}
    return ostinato.train(
        "forecast", frame, run=folder / "series", model={"hidden_size": 4}, reading={"horizon": 5}, **HOW
    )


def test_texts(texts, tmp_path):
    given = ["good fun", "", "a dull film"]
    (tmp_path / "a.txt").write_text("\n".join(given) + "\n")
    wanted = texts.predict(Path(tmp_path / "a.txt"))
    assert isinstance(wanted, Predictions)
    assert [answer.text for answer in wanted] == given
    for values in (
        given,
        tuple(given),
        np.array(given),
        pandas.Series(given),
        polars.Series(given),
        polars.DataFrame({"text": given}),
        pandas.DataFrame({"text": given}),
        {"text": given},
        [{"text": text} for text in given],
        [Example(text, None) for text in given],
        [text.split() for text in given],
    ):
        close(texts.predict(values), wanted)
    close(list(texts.stream(given)), wanted)
    one = texts.predict("good fun")
    assert isinstance(one, Prediction)
    close(one, wanted[0])
    close(texts.predict(data=str(tmp_path / "a.txt")), wanted)
    assert texts.predict([]) == []


def test_an_answer_is_json_and_has_fields(texts):
    answer = texts.predict("good fun")
    assert json.loads(json.dumps(answer)) == answer == dict(answer)
    assert list(answer) == ["text", "class", "probability", "probabilities"]
    assert (answer.label, answer.text, answer.id) == (answer["class"], "good fun", None)
    assert answer.probability == max(answer.probabilities.values())
    assert dataclasses.asdict(answer)["label"] == answer.label
    assert copy.deepcopy(answer) == copy.copy(answer) == answer
    assert type(copy.deepcopy(answer)) is type(answer)
    assert {"label", "probabilities", "text"} <= set(dir(answer))
    match answer:
        case ostinato.recipes.classify.prediction.ClassPrediction(label=label):
            assert label == answer["class"]
    with pytest.raises(
        AttributeError, match="ClassPrediction has no field tag; it has text, label, probability, probabilities"
    ):
        _ = answer.tag
    with pytest.raises(AttributeError, match="an answer stays as it was given"):
        answer.label = "bad"
    assert repr(answer).startswith("ClassPrediction(text='good fun', label=")
    assert len(repr(texts.predict("very " * 1000))) < 300


def test_answers_and_runs_show_themselves(texts, tags, series):
    html = texts.predict("<b>&")._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert html.count("%</td>") == 2
    both = texts.predict(["good", "bad"])._repr_html_()
    assert both.count("<tr>") == 3
    assert "no answers" in texts.predict([])._repr_html_()
    assert "... and 5 more" in texts.predict(["good"] * 25)._repr_html_()
    assert tags.predict("the dog sees")._repr_html_().count("<sub") == 3
    drawn = series.predict(np.arange(30.0))._repr_html_()
    assert drawn.count("<polygon") == len(series.predict(np.arange(30.0)).intervals)
    assert "<polyline" in drawn
    told = repr(texts)
    assert told.startswith("Trained: classify, ")
    for part in (str(texts.folder), "validation", "test", "accuracy", "6 steps"):
        assert part in told
        assert part in texts._repr_html_()
    scores, _ = texts.evaluate(rows(12))
    assert "accuracy" in scores._repr_html_()
    assert "12 examples" in scores._repr_html_()
    # Colours of their own would be black on black, or white on white.
    for html in (both, drawn, told):
        assert "color:black" not in html
        assert "background:white" not in html


def test_a_run_without_a_report_is_told_as_far_as_it_is_known(texts):
    bare = copy.copy(texts)
    bare.folder = None
    assert repr(bare) == f"Trained: classify, {texts.about().parameters:,} parameters\n  data  {texts.settings.data}"


def test_sentences(tags):
    words = [["the", "dog", "sees"], ["a", "fox"]]
    wanted = tags.predict(tuple(Sentence(tuple(each), (None,) * len(each), 1) for each in words))
    assert [answer.words for answer in wanted] == words
    close(tags.predict(words), wanted)
    close(tags.predict([" ".join(each) for each in words]), wanted)
    close(tags.predict("the dog sees"), wanted[0])
    close(tags.predict(Sentence(("the", "dog", "sees"), (None,) * 3, 1)), wanted[0])
    assert tags.predict("dogs, foxes!").words == ["dogs", ",", "foxes", "!"]
    assert tags.predict("").tags == []
    for wrong in (3, polars.DataFrame({"text": ["the dog"]})):
        with pytest.raises(DataError, match="expected a sentence, a list of sentences, or a list of lists of words"):
            tags.predict(wrong)


def test_recordings(signals, one_channel, tmp_path):
    x = np.random.default_rng(1).normal(size=(3, 7, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x, lengths=np.full(3, 7))
    wanted = signals.predict(tmp_path / "a.npz")
    items = [Recording(str(at), each) for at, each in enumerate(x, start=1)]
    for values in (
        x,
        torch.from_numpy(x),
        x.tolist(),
        list(x),
        list(torch.from_numpy(x)),
        items,
        [{"values": v} for v in x],
    ):
        close(signals.predict(values), wanted)
    for values in (x[0], torch.from_numpy(x[0]), x[0].tolist(), items[0], {"values": x[0], "id": "1"}):
        close(signals.predict(values), wanted[0])
    assert [answer.id for answer in signals.predict([x[0], x[1][:3]])] == ["1", "2"]
    assert one_channel.predict(np.arange(5.0)).label in ("0", "1")
    assert len(one_channel.predict(np.ones((3, 5)))) == 3
    assert len(one_channel.predict([[1.0, None, 2.0], [1.0]])) == 2
    for wrong, told in (
        (x[..., :1], r"\(3, 7, 1\)"),
        (3, "an int"),
        ("a.npz", r"pathlib.Path\('a.npz'\) or data='a.npz'"),
    ):
        with pytest.raises(
            DataError, match=rf"expected recordings as numbers \(T, 2\) of x0, x1, T steps each.*{told}"
        ):
            signals.predict(wrong)
    with pytest.raises(DataError, match="expected finite numbers"):
        signals.predict(np.full((4, 2), np.inf))


def test_a_task_that_reads_recordings_takes_arrays_without_more(signals):
    x = np.random.default_rng(1).normal(size=(3, 7, 2)).astype(np.float32)
    given = [
        x,
        list(x),
        [{"values": each} for each in x],
        [Recording(str(at), each) for at, each in enumerate(x, start=1)],
    ]
    for values in given:
        part, is_one = Task.from_values(signals.task, signals.settings, signals.known, values)
        assert [each.id for each in part.items] == ["1", "2", "3"]
        assert not is_one
    assert Task.from_values(signals.task, signals.settings, signals.known, x[0])[1]
    rows = [("mine", 1)]
    assert Task.from_values(signals.task, signals.settings, signals.known, rows) == (rows, False)


def test_images(images):
    some = digits().test.take(range(3))
    wanted = images.predict(some)
    assert isinstance(some, Images)
    bright = [Image.fromarray(np.rint(each / 16 * 255).astype(np.uint8)) for each in some.pixels]
    for values in (some.pixels, list(some.pixels), torch.from_numpy(some.pixels), some.rows()):
        close(images.predict(values), wanted)
    close(images.predict(some.pixels[0]), wanted[0])
    assert [answer.label for answer in images.predict(bright)] == [answer.label for answer in wanted]
    assert images.predict(bright[0].convert("RGB")).probability == pytest.approx(wanted[0].probability, abs=0.02)
    with pytest.raises(DataError, match=r"got one of 8 x 9 .*scale it, as with image.resize\(\(8, 8\)\)"):
        images.predict(np.zeros((8, 9)))
    with pytest.raises(DataError, match=r"expected images whose rows have 8 values.*data='digits.npz'"):
        images.predict("digits.npz")


def test_deep_images_and_such_as_can_be_seen_through_keep_what_is_in_them(folder):
    def deep(n):
        return Image.fromarray(np.full((4, 4), 60000 if n % 2 else 20000, np.uint16))

    def through(n):  # black, where it can be seen
        image = Image.new("LA", (4, 4), (0, 0))
        image.paste((0, 255), (0, 0, 4, 1 + n % 2 * 2))
        return image

    for number, made in enumerate((deep, through)):
        images = [(made(n), "ab"[n % 2]) for n in range(40)]
        run = folder / f"seen{number}"
        trained = ostinato.train("classify", images, run=run, **{**HOW, "model": {"hidden_size": 4}})
        one, other = trained.predict([made(0), made(1)])
        assert one.probabilities != other.probabilities
        kept = trained.predict(trained.task.read(trained.settings).train)
        told = [answer.probabilities["a"] for answer in kept]
        assert min(abs(each - one.probabilities["a"]) for each in told) < 1e-6
        assert min(abs(each - other.probabilities["a"]) for each in told) < 1e-6
        shown = ostinato.train(
            "caption",
            [(made(n), ["dark", "light"][n % 2]) for n in range(40)],
            run=folder / f"told{number}",
            **{**HOW, "model": {"hidden_size": 4}},
        )
        assert len(np.unique(shown.task.read(shown.settings).train.images.pixels)) == 2


def test_series(series, tmp_path):
    numbers = [float(np.sin(n)) for n in range(40)]
    (tmp_path / "a.csv").write_text("value\n" + "".join(f"{number}\n" for number in numbers))
    (wanted,) = series.predict(tmp_path / "a.csv")
    for values in (numbers, np.array(numbers), torch.tensor(numbers, dtype=torch.float64), polars.Series("x", numbers)):
        answer = series.predict(values)
        assert answer.median == pytest.approx(wanted.median)
    assert series.predict([numbers, numbers[:20]])[0].median == pytest.approx(wanted.median)
    (framed,) = series.predict(polars.DataFrame({"value": numbers}))
    assert framed == wanted
    assert set(wanted.intervals["80"]) == {"low", "high"}
    with pytest.raises(DataError, match="expected series: numbers"):
        series.predict("a.csv")


def test_evaluation_takes_what_training_takes(texts, tmp_path):
    pairs = rows(20)
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in pairs))
    wanted = texts.evaluate(str(tmp_path / "a.csv"))[0]
    frame = pandas.DataFrame(pairs, columns=["text", "label"])
    records = frame.to_dict("records")
    for given in (
        pairs,
        frame,
        polars.from_dicts(records),
        records,
        Pairs(pairs),
        tuple(Example(*pair) for pair in pairs),
    ):
        found = texts.evaluate(given)[0]
        assert (found.examples, found.loss) == (20, pytest.approx(wanted.loss, rel=1e-5))


def test_a_text_that_names_a_file_is_none_of_both(texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_text("text\ngood\n")
    with pytest.raises(DataError, match=r"'reviews.csv' is a file.*pathlib.Path\('reviews.csv'\).*\['reviews.csv'\]"):
        texts.predict("reviews.csv")
    assert texts.predict(["reviews.csv"])[0].text == "reviews.csv"
    assert texts.predict("no_such_file.csv").text == "no_such_file.csv"
    assert texts.predict(Path("reviews.csv"))[0].text == "good"


def test_what_is_wrong_is_told(texts):
    for given, message in (
        (3, "expected a text or a list of such, or a file as pathlib.Path or data=..., got an int"),
        ([3], "got an int"),
        ([["a", 3]], "got a list of str"),
        (polars.DataFrame({"a": ["x"], "b": ["y"]}), "data.parquet: none of the columns a, b is called text"),
    ):
        with pytest.raises(DataError, match=message):
            texts.predict(given)
    for arguments in ({}, {"values": "a", "data": "b"}):
        with pytest.raises(ConfigError, match="expected values or data="):
            texts.predict(**arguments)


def test_a_task_of_ones_own_has_answers_with_fields():
    answer = Prediction({"number": 3.25, "items": [1, 2]})
    assert answer.number == 3.25
    assert answer["items"] == [1, 2]
    assert repr(answer) == "Prediction(number=3.25, items=[1, 2])"
    told = Prediction({"tags": ["a", "b"], "probabilities": {"1": 0.25, "True": 0.75}})  # texts are seen to be texts
    assert repr(told) == "Prediction(tags=['a', 'b'], probabilities={'1': 0.25, 'True': 0.75})"
    assert "3.25" in answer._repr_html_()
    with pytest.raises(AttributeError, match="has no field other; it has number, items"):
        _ = answer.other


def test_pairs_are_translated(folder):
    pairs = [(f"ein {n}", f"one {n}") for n in range(40)]
    how = {**HOW, "model": {"hidden_size": 4, "embedding_size": 4}}
    trained = ostinato.train("translate", pairs, run=folder / "translate", **how)
    wanted = trained.predict([Pair("ein 7", ""), Pair("ein 12", "")])
    close(trained.predict(["ein 7", "ein 12"]), wanted)
    close(trained.predict(polars.DataFrame({"source": ["ein 7", "ein 12"]})), wanted)
    one = trained.predict("ein 7")
    assert (one.source, one.translation) == ("ein 7", wanted[0].translation)
    assert "ein 7" in one._repr_html_()


def test_images_are_captioned(folder):
    pairs = [(np.full((8, 6, 3), 250 * (n % 2), np.uint8), ["dark", "light"][n % 2]) for n in range(40)]
    how = {**HOW, "model": {"hidden_size": 4}}
    trained = ostinato.train("caption", pairs, run=folder / "caption", **how)
    kept = folder / "caption" / "data" / "data"
    (wanted,) = trained.predict(kept / "000002.png")
    for given in (
        pairs[1][0],
        Image.fromarray(pairs[1][0]),
        pairs[1][0] / 255.0,
        Image.new("RGB", (30, 40), (250,) * 3),
    ):
        answer = trained.predict(given)
        assert (answer.caption, answer.log_probability) == (
            wanted.caption,
            pytest.approx(wanted.log_probability, abs=1e-3),
        )
    assert len(trained.predict([pairs[0][0], pairs[1][0]])) == 2
    assert len(trained.predict(np.stack([pairs[0][0]] * 3))) == 3
    with pytest.raises(DataError, match=r"expected images: of Pillow, or arrays \(height, width, 3\)"):
        trained.predict(np.zeros((8, 6)))
    with pytest.raises(DataError, match="of uint8, or of floats from 0 to 1, got int64"):
        trained.predict(np.zeros((8, 6, 3), np.int64))


def test_what_training_gave_shows_itself(tmp_path):
    scores = Scores(
        "a <table>", 12, 0.25, 12, {"accuracy": 0.875}, warnings=["few"], baselines={"majority": {"accuracy": 0.5}}
    )
    outcome = Outcome("budget", Counters(step=7, best_step=5), "32-true", {"max_steps": 7})
    html = TaskResult(RunFolder(tmp_path), Classify(), outcome, {"test": scores})._repr_html_()
    for said in ("a &lt;table&gt;", "0.875", "majority", "0.5", "few", "the weights of step 5 are kept"):
        assert said in html
