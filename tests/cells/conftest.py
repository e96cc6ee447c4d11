from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ostinato import backend
from ostinato.cells import MaskSpec
from tests.cells.equations import Array


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=["compiled", "reference"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs a test once for each way to run any cell."""
    with backend(request.param):
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Array]:
    """The masks that the layer has drawn, by name; filled when it runs."""
    masks: dict[str, Array] = {}
    draw = MaskSpec.draw

    def recorded(self: MaskSpec, *args: Any) -> torch.Tensor:
        mask = draw(self, *args)
        assert self.name not in masks, "one layer, one direction, one call: each mask is drawn once"
        masks[self.name] = mask.numpy()
        return mask

    monkeypatch.setattr(MaskSpec, "draw", recorded)
    return masks
