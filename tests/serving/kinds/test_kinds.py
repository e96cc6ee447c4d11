"""Sessions of classifiers, taggers and forecasters, against streams of one row."""

import asyncio
import base64
import io
import json

import numpy as np
import pytest
import torch

import ostinato
from ostinato.recipes import open_run
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.limits import Limits
from ostinato.serving.served import Served
from tests.serving.conftest import serving
from tests.serving.untrained import untrained

WORDS = ["good", "bad", "fine", "awful", "film", "plot", "the", "a"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A run of a classifier of texts, with naive Bayes."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    rows = [(" ".join(rng.choice(WORDS, 6)), "yn"[n % 2]) for n in range(60)]
    (folder / "train.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    model = {"hidden_size": 8, "embedding_size": 6, "bidirectional": False, "pooling": "attention"}
    return untrained(folder / "run", "classify", data=str(folder / "train.csv"), model=model)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return untrained(
        tmp_path_factory.mktemp("digits") / "run", "classify", model={"hidden_size": 8, "bidirectional": False}
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run of a tagger of characters of Python, of one direction."""
    folder = tmp_path_factory.mktemp("source")
    for n in range(12):
        (folder / f"f{n}.py").write_text(f"def f{n}(x):\n    return x + {n}  # a comment\n" * 20)
    model = {"hidden_size": 8, "embedding_size": 6, "bidirectional": False}
    return untrained(folder / "run", "tag", data=str(folder), model=model)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """A run of a tagger of words, of one direction, with a CRF."""
    folder = tmp_path_factory.mktemp("sentences")
    lines = ["the\tDET\nfilm\tNOUN\nis\tVERB\ngood\tADJ\n\n", "a\tDET\nplot\tNOUN\n\n"] * 20
    (folder / "train.tsv").write_text("".join(lines))
    model = {"hidden_size": 8, "bidirectional": False, "output": "crf"}
    return untrained(folder / "run", "tag", data=str(folder / "train.tsv"), model=model)


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """A run of a forecaster that looks at the calendar."""
    folder = tmp_path_factory.mktemp("hours")
    times = np.datetime64("2024-01-01T00") + np.arange(24 * 40)
    values = 10 + 3 * np.sin(np.arange(24 * 40) * 2 * np.pi / 24) + np.random.default_rng(0).normal(0, 0.2, 24 * 40)
    rows = "".join(f"{str(t).replace('T', ' ')}:00,{v:.3f}\n" for t, v in zip(times, values, strict=True))
    (folder / "load.csv").write_text("time,load\n" + rows)
    return untrained(folder / "run", "forecast", data=str(folder / "load.csv"), model={"hidden_size": 8})


def picture(pixels, kind="PNG"):
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def test_a_classifier_says_the_class_so_far(texts, go, tmp_path):
    async def work():
        async with serving(texts, Limits(sessions_in_memory=2), store=str(tmp_path / "s")) as service:
            made = [await service.open("m", "", {"text": "the film", "all": True}) for _ in range(5)]
            found = [await service.steps("m", "", each["id"], {"text": " is good", "all": True}) for each in made]
            return made[0], found

    made, found = go(work())
    trained = open_run(texts)
    stream = ostinato.Stream(trained.model)
    classes, vocabulary = trained.known.classes, trained.known.vocabulary
    for said in (made["said"], found[0]["said"]):
        assert len(said) == (2 if vocabulary.kind == "word" else 8)
        for each in said:
            p = stream(int(vocabulary.encode(each["text"])[0])).softmax(-1).tolist()
            assert list(each["probabilities"].values()) == p
            assert each["class"] == classes[int(np.argmax(p))]
            assert each["probability"] == max(p)
    assert all(each["said"] == found[0]["said"] for each in found)  # which came back from the store
    assert found[0]["step"] == made["step"] * 2


def test_an_image_is_classified_row_by_row(digits, go):
    pixels = (np.arange(64).reshape(8, 8) * 4).astype(np.uint8)

    async def work():
        async with serving(digits) as service:
            one = (await service.open("m", "", {}))["id"]
            found = await service.steps("m", "", one, {"image": picture(pixels)})
            rows = (pixels / np.float32(255)).tolist()
            two = (await service.open("m", "", {"vectors": rows[:3]}))["id"]
            same = await service.steps("m", "", two, {"vectors": rows[3:]})
            whole = await service.predict("m", [picture(pixels), rows, f"data:image/png;base64,{picture(pixels)}"])
            for body in (
                {"vectors": [[1.0]]},
                {"vectors": [[float("nan")] * 8]},
                {"vectors": "x"},
                {"image": "x"},
                {"vectors": []},
            ):
                with pytest.raises(BadRequestError):
                    await service.steps("m", "", one, body)
            return found, same, whole

    found, same, whole = go(work())
    assert found["said"] == same["said"]
    assert found["step"] == 8
    for answer in whole:
        assert answer["probabilities"] == pytest.approx(found["said"][0]["probabilities"], abs=1e-6)


def test_a_tagger_of_characters_tags_as_they_come(source, go):
    text = "def f(x): return 1"

    async def work():
        async with serving(source) as service:
            id = (await service.open("m", "", {}))["id"]
            return [await service.steps("m", "", id, {"text": piece}) for piece in (text[:7], text[7:])]

    found = go(work())
    trained = open_run(source)
    stream = ostinato.Stream(trained.model)
    wanted = []
    for letter in text:
        stream(int(trained.known.characters.encode(letter)[0]))
        wanted.append({"text": letter, "tag": trained.known.tags[int(stream.best())]})
    assert found[0]["said"] + found[1]["said"] == wanted


def test_a_tagger_of_words_tags_as_they_come(sentences, go):
    async def work():
        async with serving(sentences) as service:
            ids = [(await service.open("m", "", {}))["id"] for _ in range(2)]
            one = [await service.steps("m", "", ids[0], {"text": piece}) for piece in ("the plot", "is good.")]
            two = await service.steps("m", "", ids[1], {"words": ["the", "plot", "is", "good", "."]})
            whole = await service.predict("m", ["the plot is good.", ["the", "plot"]])
            with pytest.raises(BadRequestError):
                await service.steps("m", "", ids[0], {"words": [1]})
            return one, two, whole

    one, two, whole = go(work())
    assert [each["text"] for each in two["said"]] == ["the", "plot", "is", "good", "."]
    assert one[0]["said"] + one[1]["said"] == two["said"]
    assert whole[0]["words"] == ["the", "plot", "is", "good", "."]
    assert len(whole[1]["tags"]) == 2


def test_a_forecaster_goes_on_from_a_past_and_forecasts_as_predict_does(hours, go, tmp_path):
    trained = open_run(hours)
    values = [10.0 + (n % 24) / 4 for n in range(100)]
    start = "2024-03-04 00:00"

    async def work():
        async with serving(hours, store=str(tmp_path / "s")) as service:
            body = {"past": values[:90], "start": start, "horizon": 5, "levels": [50, 95], "samples": 200}
            made = await service.open("m", "", body)
            id = made["id"]
            after = await service.steps("m", "", id, {"values": values[90:], "all": True, "horizon": 5, "samples": 200})
            fork = (await service.fork("m", "", id))["id"]
            same = await service.steps("m", "", fork, {"values": [], "horizon": 5, "samples": 200})
            data = await service.state("m", "", id)
            other = await service.open("m", "", {"state": data})
            also = await service.steps("m", "", other["id"], {"values": [], "horizon": 5, "samples": 200})
            options = {"horizon": 5, "samples": 200, "seed": 0}
            predicted = await service.predict("m", [{"values": values[:90], "start": start}], options)
            for wrong in (
                {},
                {"past": [None]},
                {"past": [1.0]},
                {"past": [1.0], "start": "yesterday"},
                {"past": [True], "start": start},
                {"past": [1e300], "start": start},
                {"past": values, "start": start, "levels": [100]},
                {"past": values, "start": start, "horizon": 0},
                {"past": values, "start": start, "known": {"x": [1.0]}},
            ):
                with pytest.raises(BadRequestError):
                    await service.open("m", "", wrong)
            return made, after, same, also, predicted, service.stats()["m"]

    made, after, same, also, predicted, stats = go(work())
    assert made["step"] == 90
    assert after["step"] == 100
    assert len(after["said"]) == 10
    assert all(each["expected"]["low"] < each["expected"]["mean"] < each["expected"]["high"] for each in after["said"])
    assert same["forecast"] == after["forecast"] == also["forecast"]
    assert predicted[0]["times"][0] == "2024-03-07T18:00:00"
    assert made["forecast"]["mean"] == pytest.approx(predicted[0]["mean"], rel=1e-5)
    low = predicted[0]["intervals"]["95"]["low"]
    assert made["forecast"]["levels"]["95"]["low"] == pytest.approx(low, rel=0.02)
    assert stats["queue"] == 0
    # The same by hand.
    known = trained.known
    stream = ostinato.Stream(trained.model)
    times = np.datetime64(start, "us") + np.arange(105) * np.timedelta64(1, "h")
    ahead = torch.from_numpy(known.inputs(times, np.zeros((105, 0))))
    anchor = values[89]
    context = known.context
    past = torch.tensor(values[:90], dtype=torch.float64) - anchor
    stream.begin(past[-context:].float(), known=ahead[max(0, 90 - context) : 90])
    for n in range(90, 100):
        stream(values[n] - anchor, known=ahead[n])
    paths = stream.forecast(5, future=ahead[100:], samples=200).double() + anchor
    assert after["forecast"]["mean"] == pytest.approx(paths.mean(1).tolist(), rel=1e-4)


def test_missing_values_are_read_as_missing(hours, go):
    async def work():
        async with serving(hours) as service:
            past = [1.0, None, 2.0, 3.0, None]
            made = await service.open("m", "", {"past": past, "start": "2024-03-04"})
            return made, await service.steps("m", "", made["id"], {"values": [None, 4.0], "horizon": 2})

    made, found = go(work())
    assert made["step"] == 5
    assert found["step"] == 7
    assert np.isfinite(found["forecast"]["mean"]).all()


def test_tasks_that_read_a_whole_have_no_sessions_and_say_why(go, tmp_path):
    (tmp_path / "train.tsv").write_text("".join(f"{n} apples\t{n} Aepfel\n" for n in range(40)))
    run = untrained(
        tmp_path / "run", "translate", data=str(tmp_path / "train.tsv"), model={"hidden_size": 8, "embedding_size": 8}
    )

    async def work():
        async with serving(run) as service:
            with pytest.raises(BadRequestError, match="has no sessions"):
                await service.open("m", "", {})
            return service.models["m"].info

    info = go(work())
    assert info["sessions"] is False
    assert info["why_no_sessions"]
    assert json.loads(json.dumps(info)) == info


def test_a_model_of_both_directions_has_no_sessions_and_says_what_to_do(tmp_path):
    data = tmp_path / "texts.csv"
    data.write_text("text,label\n" + "".join(f"word {n} good,a\nword {n} bad,b\n" for n in range(40)))
    run = untrained(tmp_path / "run", "classify", data=str(data), model={"hidden_size": 8, "embedding_size": 6})
    assert "--model.bidirectional false" in Served("m", run).info["why_no_sessions"]


def test_many_classifications_at_once(texts, go):
    async def one(service, words):
        id = (await service.open("m", "", {}))["id"]
        for word in words:
            found = await service.steps("m", "", id, {"text": word + " "})
        return found["said"][0]["probabilities"]

    async def work():
        async with serving(texts, Limits(max_batch=8)) as service:
            rng = np.random.default_rng(1)
            lists = [rng.choice(WORDS, 5).tolist() for _ in range(20)]
            together = await asyncio.gather(*(one(service, words) for words in lists))
            alone = [await one(service, words) for words in lists]
            with pytest.raises(TooLargeError):
                await service.steps("m", "", (await service.open("m", "", {}))["id"], {"text": "a " * 20_000})
            return together, alone

    together, alone = go(work())
    for a, b in zip(together, alone, strict=True):
        assert a == pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize("head", ["negative-binomial", "zero-inflated", "rectified"])
def test_counts_with_words_and_what_stays_the_same_are_forecast_as_a_file_is(head, go, tmp_path):
    draw = np.random.default_rng(0)
    header, rows = "shop,kind,size,day,sold,weather", []
    for number, shop in enumerate(("a", "b", "c", "d")):
        for t in range(150):
            cells = [shop, ("kiosk", "market")[number % 2], 10 + number, np.datetime64("2024-01-01") + t]
            rows.append([*cells, draw.poisson(3 + 5 * (number % 2)), ("rain", "sun")[t % 3 == 0]])
    (tmp_path / "sold.csv").write_text(header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    reading = {"id": "shop", "values": ["sold"], "known": ["weather"], "horizon": 4, "season": 7}
    model = {"head": head, "hidden_size": 6}
    run = untrained(tmp_path / "run", "forecast", data=str(tmp_path / "sold.csv"), reading=reading, model=model)
    trained = open_run(run).answer_with({"samples": 200, "seed": 0})
    assert {name for name, *_ in trained.known.static} == {"kind=kiosk", "kind=market", "size"}
    past, ahead = [row for row in rows if row[0] == "b"], ["sun", "rain", "rain", "sun"]
    more = [["b", "", "", np.datetime64("2024-01-01") + 150 + t, "", word] for t, word in enumerate(ahead)]
    (tmp_path / "b.csv").write_text(header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in past + more))
    (wanted,) = trained.predict(data=str(tmp_path / "b.csv"))
    told = {"series": "b", "start": "2024-01-01", "static": {"kind": "market", "size": 11}}
    weather, sold = [row[5] for row in past], [int(row[4]) for row in past]

    async def work():
        async with serving(run, store=str(tmp_path / "s")) as service:
            one = {**told, "values": [*sold, *[None] * 4], "known": {"weather": weather + ahead}}
            answer = await service.predict("m", [one], {"samples": 200, "seed": 0})
            begin = {**told, "past": sold, "known": {"weather": weather}, "future": {"weather": ahead}}
            made = await service.open("m", "", begin)
            begin |= {"past": sold[:140], "known": {"weather": weather[:140]}}
            short = await service.open("m", "", begin)
            steps = {
                "values": sold[140:],
                "known": {"weather": weather[140:]},
                "future": {"weather": ahead},
                "all": True,
            }
            after = await service.steps("m", "", short["id"], steps)
            for body in ({**begin, "past": [-1, *sold[1:140]]}, {**begin, "static": {"colour": 1}}):
                with pytest.raises(BadRequestError, match="expected"):
                    await service.open("m", "", body)
            with pytest.raises(BadRequestError, match="expected nothing below 0"):
                await service.steps("m", "", made["id"], {"values": [-2], "known": {"weather": ["sun"]}})
            with pytest.raises(BadRequestError, match=rf"nothing below 0, .* the head {head}"):
                await service.predict("m", [{**one, "values": [-1, *one["values"][1:]]}], {})
            return answer, made, after

    answer, made, after = go(work())
    assert answer[0]["mean"] == pytest.approx(wanted["mean"], rel=1e-4)
    assert answer[0]["intervals"]["90"]["high"] == pytest.approx(wanted["intervals"]["90"]["high"], abs=0.05)
    assert made["forecast"]["mean"] == pytest.approx(wanted["mean"], rel=1e-3)
    assert len(after["said"]) == 10
    low = [each["expected"]["low"] for each in after["said"]] + after["forecast"]["levels"]["95"]["low"]
    assert min(low) >= 0
    assert np.mean(after["forecast"]["mean"]) == pytest.approx(np.mean(wanted["mean"]), rel=0.4)
