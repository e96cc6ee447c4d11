"""What the last step of rows gave, without another step."""

import pytest
import torch

import ostinato


@pytest.mark.parametrize("output", [None, 5])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"num_layers": 2, "proj_size": 8}),
        ("GRU", {"layer_norm": True}),
        ("RNN", {"zoneout": 0.1}),
    ],
)
def test_outputs_of_has_the_bits_of_the_last_step(kind: str, options: dict, output: int | None) -> None:
    layer = getattr(ostinato, kind)(6, 16, **options).eval()
    linear = None if output is None else torch.nn.Linear(options.get("proj_size", 16), output)
    stream = ostinato.Stream(layer, rows=9, output=linear)
    for _ in range(3):
        y = stream(torch.randn(3, 6), [1, 4, 7])

    assert torch.equal(stream.outputs_of([7, 1, 4]), y[[2, 0, 1]])
    assert torch.equal(stream(torch.ones(1, 6), [4]), stream.outputs_of([4]))


def test_nothing_is_told_where_states_do_not_tell() -> None:
    residual = ostinato.LSTM(8, 8, num_layers=2, connection="residual").eval()
    plain = ostinato.catalogue.MLSTM(8, 8, num_heads=2).eval()

    assert ostinato.Stream(residual, rows=2).outputs_of([0]) is None
    assert ostinato.Stream(plain, rows=2).outputs_of([0]) is None
