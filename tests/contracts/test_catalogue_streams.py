"""Every cell of the catalogue in a stream: one step after the other as the layer has them."""

from __future__ import annotations

import pytest
import torch

from ostinato import Stream
from tests.cells.language import extras
from tests.contracts.menu import CATALOGUE, layer


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_stream_computes_what_the_layer_does(name: str) -> None:
    torch.manual_seed(0)
    whole = layer(name, 5, 6).eval()
    x, more = torch.randn(9, 1, 5), extras(whole, 9, 1, torch.float32)
    with torch.no_grad():
        want, _ = whole(x, **more)
    stream = Stream(whole)
    got = torch.stack([stream(x[t, 0], **{n: v[t, 0] for n, v in more.items()}) for t in range(9)])
    torch.testing.assert_close(got, want[:, 0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", CATALOGUE)
def test_rows_that_step_together_are_streams_of_their_own(name: str) -> None:
    torch.manual_seed(0)
    whole = layer(name, 5, 6).eval()
    x, more = torch.randn(4, 3, 5), extras(whole, 4, 3, torch.float32)
    rows, alone = Stream(whole, rows=5), [Stream(whole) for _ in range(5)]
    for t, which in enumerate([[0, 3, 4], [4, 1, 0], [2, 0, 3], [1, 2, 4]]):
        got = rows(x[t], which, **{n: v[t] for n, v in more.items()})
        want = [alone[row](x[t, at], **{n: v[t, at] for n, v in more.items()}) for at, row in enumerate(which)]
        torch.testing.assert_close(got, torch.stack(want), atol=1e-6, rtol=1e-6)
