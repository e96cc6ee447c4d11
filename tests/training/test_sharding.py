"""Shares themselves need several processes: see test_distributed."""

import torch
from torch import nn

from ostinato.training.sharding import (
    is_sharded,
    shared_by_name,
    shared_like,
    shared_optimizer_state,
    weights_together,
    whole,
)


def test_what_is_whole_stays_as_it_is():
    module, tree = nn.Linear(2, 3), {"a": [torch.ones(2), 3, None]}
    assert not is_sharded(module)
    assert whole(tree) == tree
    with weights_together(module):
        assert module(torch.ones(1, 2)).shape == (1, 3)
    tensor = torch.ones(3)
    assert shared_like(tensor, torch.zeros(3)) is tensor
    assert shared_by_name({"a": tensor, "b": tensor}, {"a": torch.zeros(3)}) == {"a": tensor, "b": tensor}


def test_the_state_of_a_fused_optimiser_does_not_fuse_another():
    module = nn.Linear(2, 3)
    fused, plain = (torch.optim.Adam(module.parameters(), lr=0.1, fused=fused) for fused in (True, False))
    module(torch.ones(1, 2)).sum().backward()
    fused.step()
    state = shared_optimizer_state(fused.state_dict(), plain)
    plain.load_state_dict(state)
    assert [group["fused"] for group in plain.param_groups] == [False]
    torch.testing.assert_close(plain.state_dict()["state"], fused.state_dict()["state"])
