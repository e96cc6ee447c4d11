"""What of the project runs on CUDA gives there what it gives on the CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import ostinato
from ostinato import backend, explain
from ostinato.kernels.gpu.run.ways import way
from ostinato.kernels.reference import Reference
from tests.contracts.test_compiled import NAMES, identified
from tests.device.paths import PATHS, chunk, language_model, moved, pairs, seq2seq
from tests.kernels.compiler.test_trace import with_options
from tests.kernels.cpu.against import Example, error, outcome

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
LIMIT = {torch.float64: 1e-9, torch.float32: 1e-4}


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("name", PATHS)
def test_it_is_what_the_cpu_gives(name: str) -> None:
    got, expected = PATHS[name]("cuda"), PATHS[name]("cpu")
    torch.testing.assert_close([v.cpu() for v in got], expected, rtol=1e-8, atol=1e-10)


def on_device(example: Example, dtype: torch.dtype) -> Any:
    request = example.request(dtype)

    def run(_: Any) -> Any:
        import dataclasses

        weights = request.weights
        return ostinato.kernels.dispatch.run(
            dataclasses.replace(
                request,
                input=request.input.cuda(),
                first=type(request.first)(**{n: getattr(request.first, n).cuda() for n in example.cell.states}),
                weights=dataclasses.replace(
                    weights,
                    ih=weights.ih.cuda(),
                    hh=None if weights.hh is None else weights.hh.cuda(),
                    bias_ih=None if weights.bias_ih is None else weights.bias_ih.cuda(),
                    bias_hh=None if weights.bias_hh is None else weights.bias_hh.cuda(),
                    own={name: v.cuda() for name, v in weights.own.items()},
                ),
                lengths=None if request.lengths is None else request.lengths.cuda(),
                masks={name: v.cuda() for name, v in request.masks.items()},
            ),
            "triton",
        )

    return request, run


@pytest.mark.parametrize("kind", ["persistent", "steps"])
@pytest.mark.parametrize("names", NAMES, ids=identified)
def test_every_cell_with_every_option(names: tuple[str, ...], kind: str) -> None:
    name, *options = names
    made = with_options(name, *options)
    assert made is not None
    proj = 20 if "projection" in options else 0
    example = Example(made, 7, 33, 10, 72, proj, lengths=[7, 0, *[5] * 31], reverse=kind == "steps", every_state=True)
    expected = outcome(example, Reference().run, example.request())
    request, run = on_device(example, torch.float32)
    with way(kind):
        first = outcome(example, lambda r: on_cpu(run(r)), request)
        again = outcome(example, lambda r: on_cpu(run(r)), request)  # what was recorded is repeated
    for key, wanted in expected.items():
        assert error(first[key].cpu(), wanted) <= LIMIT[torch.float32], key
        assert torch.equal(first[key], again[key]), key


def on_cpu(result: Any) -> Any:
    import dataclasses

    def state(s: Any) -> Any:
        return None if s is None else type(s)(**{name: getattr(s, name).cpu() for name in s.names})

    return dataclasses.replace(result, output=result.output.cpu(), last=state(result.last), states=state(result.states))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_auto_takes_cudnn_for_plain_layers_and_triton_for_options(dtype: torch.dtype) -> None:
    x = torch.randn(5, 3, 16, device="cuda", dtype=dtype)
    plain = ostinato.LSTM(16, 32, device="cuda", dtype=dtype)
    assert explain(plain, x).backends == {"vendor"}
    assert explain(plain, x, lengths=torch.tensor([5, 2, 1], device="cuda")).backends == {"triton"}
    assert explain(ostinato.LSTM(16, 32, zoneout=0.1, device="cuda", dtype=dtype), x).backends == {"triton"}


def test_under_autocast() -> None:
    layer, x = ostinato.LSTM(16, 32, layer_norm=True, device="cuda"), torch.randn(5, 3, 16, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        got = layer(x)[0]
        assert "matrices in bfloat16" in str(explain(layer, x))
    with backend("reference"):
        torch.testing.assert_close(got, layer(x)[0], rtol=0.05, atol=0.05)


def test_gradients_of_gradients() -> None:
    layer = ostinato.LSTM(3, 5, zoneout=0.1, dtype=torch.float64, device="cuda").eval()
    x = torch.randn(4, 2, 3, dtype=torch.float64, device="cuda", requires_grad=True)
    found = []
    for by in ("triton", "reference"):
        with backend(by):
            (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(first.square().sum(), x))
    torch.testing.assert_close(found[0], found[1], rtol=1e-8, atol=1e-10)


def test_a_training_step_waits_for_nothing() -> None:
    """Of the language model, with cuDNN and with Triton; and of a layer with lengths on the device."""
    for options in ({}, {"options": {"layer_norm": True, "zoneout": 0.1}}):
        model, batch = language_model(**options).float().to("cuda").train(), moved(chunk(), "cuda")
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        waits_for_nothing(lambda m=model, b=batch: m.loss(b)[0].backward(), optimizer)
    layer = ostinato.GRU(8, 24, bidirectional=True, zoneout=0.1, device="cuda")
    x, lengths = torch.randn(6, 4, 8, device="cuda"), torch.tensor([6, 0, 3, 1], device="cuda")
    waits_for_nothing(lambda: layer(x, lengths=lengths)[0].sum().backward(), torch.optim.SGD(layer.parameters(), 0.1))


def waits_for_nothing(backward: Any, optimizer: Any) -> None:
    for n in range(4):
        torch.cuda.set_sync_debug_mode("error" if n > 1 else "default")  # the first ones compile, and record
        try:
            optimizer.zero_grad()
            backward()
            optimizer.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_stream_says_that_it_is_for_the_cpu() -> None:
    with pytest.raises(ostinato.errors.OstinatoError, match=r"cpu|CPU"):
        ostinato.Stream(ostinato.LSTM(3, 5, device="cuda").eval())


def test_a_seed_draws_the_same_twice() -> None:
    layer = ostinato.LSTM(3, 5, zoneout=0.3, recurrent_dropout=0.2, device="cuda")
    x = torch.randn(4, 2, 3, device="cuda")
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(layer(x)[0])
    assert torch.equal(*found)


def test_a_run_on_the_device_is_resumed(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("It was the best of times, it was the worst of times, " * 200, encoding="utf-8")
    run = [
        sys.executable,
        "-m",
        "ostinato.cli.main",
        "train",
        "lm",
        "--data",
        str(text),
        "--run",
        str(tmp_path / "run"),
    ]
    for steps in (4, 8):
        more = ["--training.max_steps", str(steps), "--training.batch_size", "4", "--training.chunk_length", "16"]
        done = subprocess.run([*run, *more, *(["--resume"] if steps == 8 else [])], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]


def test_translation_is_the_same_when_it_is_trained_for_a_step() -> None:
    model = seq2seq(dropout=0.2).to("cuda").train()
    loss, _ = model.loss(moved(pairs(), "cuda"))
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
