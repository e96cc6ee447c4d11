"""What runs in Triton's interpreter: on the CPU, one program after the other, with NaN in all memory that is not written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from ostinato.kernels.gpu.run import call
from ostinato.kernels.on_gpu import interpreting


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from triton.runtime import interpreter

    monkeypatch.setattr(call, "poison", True)
    # Half of the interpreter's time goes into a look for overflows of whole numbers.
    builder = interpreter.interpreter_builder
    monkeypatch.setattr(builder, "options", dataclasses.replace(builder.options, sanitize_overflow=False))
    with interpreting():
        yield
