"""Shares themselves need several processes: see test_distributed."""

import itertools

import pytest
import torch
from torch import distributed as dist
from torch import nn

from ostinato.training.distributed.sharding import (
    is_sharded,
    own_share,
    shared_by_name,
    shared_like,
    shared_optimizer_state,
    weights_together,
    whole,
)
from ostinato.training.update.averaging import EMA


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


def test_a_state_brings_neither_momentum_nor_decay_along():
    module = nn.Linear(2, 3)
    first = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    module(torch.ones(1, 2)).sum().backward()
    first.step()
    second = torch.optim.SGD(module.parameters(), lr=0.3, momentum=0.5)
    second.load_state_dict(shared_optimizer_state(first.state_dict(), second))
    assert [(g["lr"], g["momentum"], g["weight_decay"]) for g in second.param_groups] == [(0.1, 0.5, 0.0)]
    torch.testing.assert_close(second.state_dict()["state"], first.state_dict()["state"])


@pytest.mark.parametrize(
    "kinds", [*itertools.permutations((torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop), 2)]
)
def test_a_state_of_another_optimiser_is_refused(kinds):
    first, second = (kind(nn.Linear(2, 3).parameters(), lr=0.1) for kind in kinds)
    with pytest.raises(ValueError, match=r"training\.optimizer is another"):
        shared_optimizer_state(first.state_dict(), second)


@pytest.fixture
def mesh():
    """Of one process, whose shares are tensors of the kind of shares."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.device_mesh.init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def test_an_average_of_shares_is_that_of_whole_weights(mesh):
    from torch.distributed.tensor import Shard, distribute_tensor

    modules = [nn.Linear(2, 3, bias=False) for _ in range(2)]
    start = torch.arange(6.0).view(3, 2)
    modules[0].weight = nn.Parameter(start.clone())
    modules[1].weight = nn.Parameter(distribute_tensor(start, mesh, [Shard(0)]))
    averages = [EMA(module, 0.9) for module in modules]
    for step in range(4):
        for module, average in zip(modules, averages, strict=True):
            with torch.no_grad():
                own_share(module.weight).mul_(1.0 + step)
            average.update()
    expected, found = (average.weights["weight"] for average in averages)
    assert is_sharded(modules[1])
    assert torch.equal(whole(found), expected)
    # 1, 2, 6 and 24 times the start, weighted by powers of 0.9.
    weights = [0.9**back for back in (3, 2, 1, 0)]
    mean = sum(w * times for w, times in zip(weights, (1, 2, 6, 24), strict=True)) / sum(weights)
    torch.testing.assert_close(expected, mean * start)
