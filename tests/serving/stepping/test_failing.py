"""What fails leaves a session where it was, and others alone."""

import asyncio

import pytest
import torch

import ostinato
from ostinato.errors import ConfigError
from ostinato.recipes import load
from ostinato.serving.errors import FailedError, UnavailableError
from ostinato.serving.generating import Generating
from ostinato.serving.limits import Limits
from tests.serving.conftest import serving
from tests.serving.untrained import untrained_lm


def bits(model, text):
    stream = ostinato.Stream(model)
    stream.read(text)
    return stream.state_bytes()


@pytest.mark.parametrize("error", [ConfigError("not this one"), ValueError("a bug")])
@pytest.mark.parametrize("durability", ["interval", "step"])
def test_a_step_that_fails_leaves_its_session_at_the_step_before(fox, go, tmp_path, monkeypatch, error, durability):
    model = load(fox)
    bad = int(model.vocabulary.encode("z")[0])

    async def work():
        async with serving(fox, Limits(durability=durability), store=str(tmp_path / "s")) as service:
            kind = service._sessions["m"].kind
            real = kind.step

            def step(bank, inputs, rows):
                if bad in inputs:
                    raise error
                return real(bank, inputs, rows)

            ids = [(await service.open("m", "", {"text": "the "}))["id"] for _ in range(3)]
            monkeypatch.setattr(kind, "step", step)
            texts = ["lazy dog", "quick fox", "q"]
            found = await asyncio.gather(
                *(service.steps("m", "", id, {"text": text}) for id, text in zip(ids, texts, strict=True)),
                return_exceptions=True,
            )
            with pytest.raises(FailedError):
                await anext(service.write("m", "", ids[0], Generating(max_tokens=3), None, "az"))
            monkeypatch.setattr(kind, "step", real)
            states = [await service.state("m", "", id) for id in ids]
            views = [await service.view("m", "", id) for id in ids]
            again = await service.steps("m", "", ids[0], {"text": texts[0]})
            return found, states, views, again, await service.state("m", "", ids[0]), service.stats()["m"]["queue"]

    found, states, views, again, state, queue = go(work())
    assert isinstance(found[0], FailedError)
    assert "bug" not in str(found[0])
    for told, read, view, text in zip(found, states, views, ("lazy dog", "quick fox", "q"), strict=True):
        text = "the " + ("" if isinstance(told, FailedError) else text)
        assert view["step"] == len(text)
        assert read == bits(model, text)
    if isinstance(error, ConfigError):  # which no row has taken a step of
        assert all(isinstance(each, dict) for each in found[1:])
    assert again["step"] == 12
    assert state == bits(model, "the lazy dog")
    assert queue == 0


def test_a_model_that_gives_no_numbers_is_told(go, tmp_path):
    run = untrained_lm(tmp_path / "run")
    from ostinato.training.run.run_folder import RunFolder

    weights = RunFolder(run).read_model()
    weights["output.bias"] = torch.full_like(weights["output.bias"], torch.nan)
    RunFolder(run).write_model(weights)

    async def work():
        async with serving(run) as service:
            id = (await service.open("m", "", {}))["id"]
            with pytest.raises(FailedError, match="numbers"):
                await service.steps("m", "", id, {"text": "the"})
            with pytest.raises(FailedError, match="numbers"):
                await anext(service.generate("m", "the", Generating()))
            return (await service.view("m", "", id))["step"], service.stats()["m"]["queue"]

    assert go(work()) == (0, 0)


def test_nobody_waits_for_ever_whatever_fails(fox, go, monkeypatch):
    async def work():
        async with serving(fox) as service:
            stepper = service._sessions["m"].keeping.stepper
            id = (await service.open("m", "", {"text": "the"}))["id"]
            monkeypatch.setattr(stepper, "_stepped", lambda *_: 1 / 0)
            with pytest.raises(FailedError):
                await service.steps("m", "", id, {"text": "x"})
            monkeypatch.undo()
            with pytest.raises(ZeroDivisionError):
                await stepper.call(lambda _: 1 / 0)
            return await service.steps("m", "", id, {"text": " quick"}), await service.state("m", "", id)

    found, state = go(work())
    assert found["step"] == 9
    assert state == bits(load(fox), "the quick")


def test_a_service_that_must_end_tells_those_who_wait_to_try_again(fox, go, tmp_path):
    async def work():
        async with serving(fox, store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            other = (await service.open("m", "", {"text": "the"}))["id"]
            reading = asyncio.ensure_future(service.steps("m", "", id, {"text": "x" * 16_000}))
            pieces = service.write("m", "", other, Generating(max_tokens=16_000))
            await anext(pieces)
            await service.drain(0.0)
            with pytest.raises(Exception, match="try again") as error:
                await reading
            with pytest.raises(UnavailableError) as ended:
                async for _ in pieces:
                    pass
        async with serving(fox, store=str(tmp_path / "s")) as service:
            view = await service.view("m", "", other)
            assert view["step"] == ended.value.details["step"] > 3
            assert 3 <= ended.value.details["saved"] <= view["step"]
            assert f"at step {view['step']}," in str(ended.value)
            return error.value, await service.view("m", "", id), await service.state("m", "", id)

    error, view, state = go(work())
    assert error.status == 503
    assert error.retry_after > 0
    assert view["step"] == 3
    assert state == bits(load(fox), "the")
