import torch

from ostinato import Recurrent
from ostinato.lab.experiments.state_tracking import parity, signed_min_gru


def test_parity_is_that_of_the_ones_so_far():
    bits = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 1]])
    assert parity(bits).tolist() == [[1, 0], [0, 0], [0, 1], [1, 0]]


def test_one_unit_with_signed_factors_tracks_parity_where_its_weights_say_so():
    layer = Recurrent(signed_min_gru, 2, 1, dtype=torch.float64)
    with torch.no_grad():
        # A zero has z = 0 and keeps h; a one has z = 2 and makes it 1 - h.
        layer.weight_ih_l0.copy_(torch.tensor([[-40.0, 40.0], [0.0, 0.5]]))
        layer.bias_ih_l0.zero_()
    bits = torch.randint(2, (300, 8), generator=torch.Generator().manual_seed(0))
    output, _ = layer(torch.nn.functional.one_hot(bits, 2).double())
    torch.testing.assert_close(output[..., 0], parity(bits).double(), atol=1e-9, rtol=0)
