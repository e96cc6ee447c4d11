"""Models of the project whose recurrences run as Triton kernels in the interpreter."""

from __future__ import annotations

import pytest
import torch

from ostinato import backend
from tests.device.paths import PATHS

NO_RECURRENCE = ("output loss", "log softmax", "CRF")
FEW = ("language model with resets", "translation, all attention", "tagging, CRF", "forecasting")


def same(name: str) -> None:
    found = []
    for by in ("triton", "reference"):
        with backend(by):
            found.append(PATHS[name]("cpu"))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FEW)
def test_a_model_is_the_references(name: str) -> None:
    same(name)


@pytest.mark.parametrize("name", [name for name in PATHS if name not in (*FEW, *NO_RECURRENCE)])
def test_more_models_are_the_references(name: str) -> None:
    same(name)
