"""Answers to inputs of requests, against those to files."""

import base64
import io
import math

import numpy as np
import pytest

from ostinato.insight.unit_values import activations
from ostinato.recipes import load, open_run
from ostinato.serving.errors import BadRequestError, NotFoundError, TooLargeError, UnavailableError
from ostinato.serving.generating import Generating
from ostinato.serving.limits import Limits
from tests.serving.conftest import serving
from tests.serving.untrained import untrained, untrained_lm


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translate")
    (folder / "train.tsv").write_text("".join(f"{n} apples\t{n} Äpfel\n" for n in range(60)))
    model = {"hidden_size": 8, "embedding_size": 8}
    return untrained(folder / "run", "translate", data=str(folder / "train.tsv"), model=model)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    return untrained(
        tmp_path_factory.mktemp("caption") / "run", "caption", model={"hidden_size": 8, "embedding_size": 8}
    )


def picture(seed=0, size=(8, 8)):
    import PIL.Image

    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, size).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_translations_are_those_of_the_file(translator, go, tmp_path):
    lines = ["3 apples", "", "17 apples!"]
    (tmp_path / "input.txt").write_text("\n".join(lines) + "\n")

    async def work():
        async with serving(translator) as service:
            with pytest.raises(BadRequestError):
                await service.predict("m", ["x"], {"beams": 2})
            with pytest.raises(BadRequestError):
                await service.predict("m", [3])
            return await service.predict("m", lines, {"beam": 2}), await service.predict("m", [])

    found, nothing = go(work())
    assert found == open_run(translator).answer_with({"beam": 2}).predict(data=str(tmp_path / "input.txt"))
    assert nothing == []


def test_a_translation_comes_token_by_token_with_where_it_looked(translator, go):
    trained = open_run(translator)

    async def work():
        async with serving(translator) as service:
            greedy = [p async for p in service.generate("m", "3 apples", Generating(temperature=0.0, logprobs=2))]
            drawn = [[p.text async for p in service.generate("m", "3 apples", Generating(seed=s))] for s in (1, 1, 2)]
            few = [p async for p in service.generate("m", "3 apples", Generating(max_tokens=2, temperature=0.0))]
            with pytest.raises(BadRequestError):
                await anext(service.generate("m", 3, Generating()))
            return greedy, drawn, few

    greedy, drawn, few = go(work())
    source = greedy[0].more["source"]
    assert greedy[0].text == ""
    text = "".join(piece.text for piece in greedy)
    assert text == trained.answer_with({"beam": 1}).predict(_pairs("3 apples"))[0]["translation"]
    for piece in greedy[1:-1]:
        assert len(piece.attention) == len(source)
        assert sum(piece.attention) == pytest.approx(1, abs=1e-3)
        assert piece.logprob == pytest.approx(piece.top_logprobs[0][2]) or piece.logprob < piece.top_logprobs[0][2]
    assert greedy[-1].finish in ("stop", "length")
    assert drawn[0] == drawn[1]
    assert few[-1].tokens == 2
    assert few[-1].finish == "length"


def _pairs(text):
    from ostinato.data.records.pairs import Pair, Pairs

    return Pairs("x", (Pair(text, ""),), (), 0)


def test_captions_are_those_of_the_file(captioner, go, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    coded = base64.b64encode(picture()).decode()

    async def work():
        async with serving(captioner) as service:
            for wrong in ("?", base64.b64encode(b"no picture").decode(), 3, base64.b64encode(huge()).decode()):
                with pytest.raises(BadRequestError):
                    await service.predict("m", [wrong])
            pieces = [p async for p in service.generate("m", coded, Generating(temperature=0.0))]
            return await service.predict("m", [coded]), pieces

    found, pieces = go(work())
    wanted = open_run(captioner).predict(data=str(tmp_path / "a.png"))[0]
    assert found == [{"caption": wanted["caption"], "log_probability": wanted["log_probability"]}]
    greedy = open_run(captioner).answer_with({"beam": 1}).predict(data=str(tmp_path / "a.png"))[0]["caption"]
    assert "".join(piece.text for piece in pieces) == greedy
    rows, columns = pieces[0].more["grid"]
    assert all(len(piece.attention) == rows * columns for piece in pieces[1:-1])


def huge():
    """A small file of very many pixels."""
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.new("1", (6000, 6000)).save(file, "PNG")
    return file.getvalue()


def test_a_language_model_gives_no_answers_but_scores_texts(fox, go):
    model = load(fox)

    async def work():
        async with serving(fox) as service:
            with pytest.raises(BadRequestError, match="language model"):
                await service.predict("m", ["x"])
            with pytest.raises(NotFoundError):
                await service.predict("other", ["x"])
            tokens = model.vocabulary.encode("the fox").tolist()
            return (
                await service.score("m", "the fox", 2),
                await service.score("m", tokens, 0),
                await service.score("m", "", 1),
            )

    found, same, nothing = go(work())
    assert "".join(piece.text for piece in found) == "the fox"
    assert found[0].logprob is None
    score = model.score("the fox")
    assert sum(piece.logprob for piece in found[1:]) == pytest.approx(-score.nats, rel=1e-6)
    assert all(len(piece.top_logprobs) == 2 for piece in found[1:])
    assert [piece.logprob for piece in same] == [piece.logprob for piece in found]
    assert nothing == []


def test_words_are_joined_as_they_must_wherever_a_text_is_cut(go, tmp_path):
    run = untrained_lm(
        tmp_path / "run", "the quick brown fox\njumps over dogs\n" * 40, tokens={"kind": "word", "vocabulary_size": 50}
    )

    async def work():
        async with serving(run) as service:
            whole = "".join([p.text async for p in service.generate("m", "the", Generating(max_tokens=12, seed=3))])
            id = (await service.open("m", "", {"text": "the"}))["id"]
            parts = [
                [p.text async for p in service.write("m", "", id, Generating(max_tokens=4, seed=3))] for _ in range(3)
            ]
            return whole, "".join("".join(part) for part in parts)

    whole, parts = go(work())
    assert whole == parts
    assert whole.startswith((" ", "\n"))


def test_units_are_those_that_the_model_has(fox, go):
    model = load(fox)
    text = "the quick brown fox"

    async def work():
        async with serving(fox, Limits(max_tokens=100)) as service:
            found = await service.units("m", text)
            id = (await service.open("m", "", {}))["id"]
            how = Generating(max_tokens=6, seed=1, unit="1.c.3")
            pieces = [p async for p in service.write("m", "", id, how, None, "the")]
            with pytest.raises(TooLargeError):
                await service.units("m", "x" * 101)
            with pytest.raises(BadRequestError):
                await service.units("m", "")
            return found, pieces, service.models["m"].info

    found, pieces, info = go(work())
    read = activations(model, text)
    values = np.frombuffer(base64.b64decode(found["values"]), np.int8).reshape(found["shape"])
    assert "".join(found["tokens"]) == text
    assert found["shape"] == [len(text), sum(each["count"] for each in info["units"])]
    for part in info["units"]:
        wanted = read.unit(part["layer"], part["state"], 5)
        got = values[:, part["first"] + 5] / 127
        assert got == pytest.approx(wanted if part["state"] == "h" else np.tanh(wanted), abs=0.005)
    written = "".join(piece.text for piece in pieces)
    if "\ufffd" not in written:
        c = activations(model, "the" + written).unit("layer 1", "c", 3)[3:]
        assert [piece.unit for piece in pieces[:-1]] == pytest.approx([math.tanh(v) for v in c], abs=1e-5)


def test_a_service_that_has_not_started_or_has_ended_takes_nothing(fox, go):
    async def work():
        async with serving(fox) as service:
            pass
        for attempt in (
            service.predict("m", ["x"]),
            service.open("m", "", {}),
            service.units("m", "x"),
            service.score("m", "x"),
        ):
            with pytest.raises(UnavailableError):
                await attempt

    go(work())


def test_inputs_and_beams_are_bounded_in_all(translator, captioner, go):
    async def refused(run, given, options=None, most=100):
        async with serving(run, Limits(max_tokens=most)) as service:
            with pytest.raises(TooLargeError) as error:
                await service.predict("m", given, options)
            assert "expected at most" in error.value.message
            return error.value.param

    assert go(refused(translator, ["3 apples"] * 60)) == "inputs"
    assert go(refused(translator, ["3 apples" * 60])) == "inputs"
    assert go(refused(translator, ["3 apples"], {"beam": 5000})) == "options"
    assert go(refused(translator, ["3 apples"] * 10, {"max_length": 10_000})) == "options"
    assert go(refused(captioner, [base64.b64encode(picture()).decode()] * 257)) == "inputs"

    async def answered():
        async with serving(translator, Limits(max_tokens=100)) as service:
            return await service.predict("m", ["3 apples"] * 40)

    assert len(go(answered())) == 40
