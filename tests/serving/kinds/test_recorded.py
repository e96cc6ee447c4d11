"""Sessions of models of recordings: raw values step by step, against the whole and against the stream in Python."""

import dataclasses
import math

import numpy as np
import pytest

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.errors import ConfigError, DataError
from ostinato.recipes import open_run
from ostinato.recipes.recordings.live import Live
from ostinato.recipes.transcribe.live import LiveTranscript
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.limits import Limits
from ostinato.training.run.run_folder import RunFolder
from tests.recipes.transcribe import strokes
from tests.serving.conftest import serving
from tests.serving.untrained import untrained


def table(folder, label):
    random = np.random.default_rng(0)
    rows = ["id,time,acc,pressure,label"]
    for id in range(30):
        for step in range(12):
            time = step + random.uniform(0, 0.9)
            pressure = "" if random.random() < 0.3 else f"{101325 + random.normal():.2f}"
            rows.append(f"{id},{time:.3f},{random.normal():.3f},{pressure},{label(id, step)}")
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    return str(folder / "a.csv")


KINDS = {
    "class": ("classify", lambda at, step: "ab"[at % 2], {"pooling": "attention"}, {}),
    "stacked": ("classify", lambda at, step: "ab"[at % 2], {}, {"stack": 5}),
    "gru-d": ("classify", lambda at, step: "ab"[at % 2], {"cell": "grud"}, {}),
    "cfc": ("classify", lambda at, step: "ab"[at % 2], {"cell": "cfc", "pooling": "mean"}, {}),
    "number": ("classify", lambda at, step: 0.5 + at, {"number_loss": "gaussian", "pooling": "last"}, {}),
    "several": ("classify", lambda at, step: ("a;b", "b", "a")[at % 3], {}, {}),
    "tags": ("tag", lambda at, step: "ab"[step % 2], {"num_layers": 1}, {}),
    "numbers": ("tag", lambda at, step: 0.37 * step, {"num_layers": 1}, {}),
}


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    task, label, model, recording = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    model = {"hidden_size": 8, "bidirectional": False, **model}
    return untrained(folder / "run", task, data=table(folder, label), model=model, recording=recording)


def recording(seed=3, steps=13):
    random = np.random.default_rng(seed)
    values = random.normal(size=(steps, 2)) + np.array([0, 101325])
    values[random.random((steps, 2)) < 0.3] = np.nan
    return Recording("", values, times=np.cumsum(random.uniform(0.5, 1.5, steps)))


def whole(trained, one, step):
    """What the model says of the first steps as of a whole recording."""
    some = dataclasses.replace(one, values=one.values[:step], times=one.times[:step])
    (answer,) = trained.predict(Recordings(trained.known.scaling.channels, (some,)))
    if "numbers" in answer:
        return {"number": answer["numbers"][-1]}
    if "tags" in answer:
        return {"tag": answer["tags"][-1], "probability": answer["probabilities"][-1]}
    return {name: value for name, value in answer.items() if name != "id"}


def same(told, wanted):
    assert set(wanted) <= set(told)
    for name, value in wanted.items():
        if isinstance(value, dict):
            assert told[name] == pytest.approx(value, abs=1e-5)
        else:
            assert told[name] == (pytest.approx(value, abs=1e-5, rel=1e-5) if isinstance(value, float) else value)


def test_after_each_step_python_says_what_it_says_of_the_whole(run):
    trained, one = open_run(run), recording()
    live = Live(trained)
    for turn in range(2):  # the second after another recording
        for at, (values, time) in enumerate(zip(one.values.tolist(), one.times.tolist(), strict=True), start=1):
            same(live([None if math.isnan(v) else v for v in values], time + turn), whole(trained, one, at))
        assert live.steps == 13
        live.reset()
    with pytest.raises(DataError, match="expected a finite number or None for each of acc, pressure, got"):
        live([1.0])


def test_a_session_says_the_same_from_raw_values(run, go, tmp_path):
    ones = [recording(seed) for seed in range(3)]

    def body(one, begin, end):
        values = [[None if math.isnan(v) else v for v in step] for step in one.values[begin:end].tolist()]
        return {"values": values, "times": one.times[begin:end].tolist(), "all": True}

    async def work():
        async with serving(run, Limits(sessions_in_memory=2), store=str(tmp_path / "s")) as service:
            made = [await service.open("m", "", body(one, 0, 4)) for one in ones]
            more = [
                await service.steps("m", "", each["id"], body(one, 4, 13)) for each, one in zip(made, ones, strict=True)
            ]
            return [a["said"] + b["said"] for a, b in zip(made, more, strict=True)]

    trained = open_run(run)
    for said, one in zip(go(work()), ones, strict=True):
        live = Live(trained)
        for at, (told, values, time) in enumerate(zip(said, one.values, one.times, strict=True), start=1):
            if "tag" not in told:
                same(
                    told,
                    {**whole(trained, one, at), **{k: v for k, v in live(values, time).items() if k == "sure_after"}},
                )
            else:
                assert told["tag"] == whole(trained, one, at)["tag"]


WRONG = {
    "one step": {"values": [1.0, 2.0]},
    "few channels": {"values": [[1.0]]},
    "infinite": {"values": [[1.0, math.inf]]},
    "a text": {"values": "x"},
    "times of others": {"values": [[1.0, 2.0]], "times": [0.0, 1.0]},
    "times that go back": {"values": [[1.0, 2.0]] * 2, "times": [1.0, 1.0]},
    "times as texts": {"values": [[1.0, 2.0]], "times": ["x"]},
    "a text of words": {"text": "abc"},
}


def test_what_is_no_step_is_refused(tmp_path, go):
    run = untrained(
        tmp_path / "run",
        "classify",
        data=table(tmp_path, lambda at, step: "ab"[at % 2]),
        model={"bidirectional": False},
    )

    async def work():
        async with serving(run) as service:
            one = (await service.open("m", "", {}))["id"]
            for name, body in WRONG.items():
                with pytest.raises(BadRequestError, match=r"expected"):
                    await service.steps("m", "", one, body)
                assert name
            with pytest.raises(TooLargeError, match="steps"):
                await service.steps("m", "", one, {"values": [[1.0, 2.0]] * 200_000})
            return await service.steps("m", "", one, {"values": [[1.0, None]]})

    assert go(work())["step"] == 1


def test_a_stream_needs_recordings_and_one_direction(tmp_path):
    data = table(tmp_path, lambda at, step: "ab"[at % 2])
    with pytest.raises(ConfigError, match="bidirectional"):
        Live(open_run(untrained(tmp_path / "run", "classify", data=data, model={"hidden_size": 4})))
    with pytest.raises(ConfigError, match="expected a model of recordings"):
        Live(open_run(untrained(tmp_path / "images", "classify", model={"hidden_size": 4})))


LINES = {
    "frames": {"reading": {"stride": 2}, "recording": {"stack": 5}},
    "steps": {"reading": {"stride": 1}, "recording": {"stack": 1}},
    "apart": {"reading": {"stride": 3}, "recording": {"stack": 2}},
    "words": {"reading": {"stride": 1, "tokens": "word"}, "recording": {"stack": 4}},
}


@pytest.fixture(scope="module", params=LINES)
def transcriber(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    data = strokes.write(folder / "a.jsonl", strokes.recordings(30))
    model = {"hidden_size": 8, "bidirectional": False}
    run = untrained(folder / "run", "transcribe", data=data, model=model, **LINES[request.param])
    module = RunFolder(run).read_model()
    module["output.weight"] *= 20  # so that units differ from frame to frame
    RunFolder(run).write_model(module)
    return run


def test_a_transcriber_says_step_by_step_what_it_says_of_the_whole(transcriber, go, tmp_path):
    trained = open_run(transcriber).answer_with({"beam": 1})
    ones = [one for one in strokes.recordings(9, seed=5).items if len(one) >= 12]
    texts = [[trained.predict(one.values[: at + 1].astype(np.float64)).text for at in range(len(one))] for one in ones]
    assert len({text for each in texts for text in each}) > 5
    live = LiveTranscript(trained)
    for one, wanted in zip(ones, texts, strict=True):
        live.reset()
        written = ""
        for step, text in zip(one.values.tolist(), wanted, strict=True):
            said = live(step)
            assert said["text"].startswith(written)
            assert live.end()["text"] == text
            assert text.startswith(written := said["text"])
    with pytest.raises(ConfigError, match="use LiveTranscript"):
        Live(trained)
    with pytest.raises(DataError, match="expected a finite number or None for each of x0, x1, x2"):
        live([1.0])

    async def work():
        async with serving(transcriber, Limits(sessions_in_memory=2), store=str(tmp_path / "s")) as service:
            ids = [(await service.open("m", "", {}))["id"] for _ in ones]
            found = []
            for at in range(0, 12, 4):
                for number, (id, one) in enumerate(zip(ids, ones, strict=True)):
                    body = {"values": one.values[at : at + 4].tolist(), "end": True, "all": number % 2 == 0}
                    found.append((number, at + 4, (await service.steps("m", "", id, body))["said"]))
            again = (await service.steps("m", "", ids[0], {"end": True}))["said"]
            plain = (await service.steps("m", "", ids[0], {}))["said"]
            for body in ({"values": [[1.0]]}, {"text": "x"}, {"values": [[1.0] * 3], "end": "yes"}):
                with pytest.raises(BadRequestError, match="expected"):
                    await service.steps("m", "", ids[0], body)
            return found, again, plain

    found, again, plain = go(work())
    for number, step, said in found:
        assert len(said) == (4 if number % 2 == 0 else 1)
        assert said[-1]["text"] == texts[number][step - 1]
        text = said[-1]["text"]
        assert trained.known.tokens == "word" or said[-1]["units"] == len(text)
    assert again[0]["text"] == texts[0][11]
    assert texts[0][11].startswith(plain[0]["text"])
    assert plain[0]["added"] == ""
