"""FSDP: weights, gradients and the optimiser's state in shares, one a process; and whole for a checkpoint.

The whole model is one group: its weights are gathered when its forward pass begins, and stay until the backward pass is over. One
group for each layer would need less memory, but then every process would have to call every layer equally often, and a process
whose rows have more document starts calls its layers more often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ostinato.training.update.tree import map_tensors


def shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Distribute the weights of `module` over the processes, in place.

    All processes first get the weights and buffers of the first one, as with DDP, because FSDP cuts each process's share out of
    that process's own weights.

    Args:
        module: the module whose `forward` computes with the weights.
        mesh: the processes, as Fabric arranges them.
    """
    from torch import distributed as dist
    from torch.distributed.fsdp import fully_shard

    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), 0)
    fully_shard(module, mesh=mesh["data_parallel"])
    return module


def is_sharded(module: nn.Module) -> bool:
    """Whether the weights of `module` are shares."""
    return any(hasattr(parameter, "full_tensor") for parameter in module.parameters())


@contextmanager
def weights_together(module: nn.Module) -> Iterator[None]:
    """Inside, the weights of a sharded module are whole, for use outside of its forward pass. All processes must enter it.

    The weights of any other module are always whole.
    """
    from torch.distributed.fsdp import FSDPModule

    groups = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for group in groups:
        group.unshard()
    try:
        yield
    finally:
        for group in groups:
            group.reshard()


def whole(tree: Any) -> Any:
    """The tree with whole tensors in place of shares; every process must call this, and gets all of it."""
    return map_tensors(_whole, tree)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def own_share(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that this process has, in the same memory: its share, or all of it.

    Use it for computations element by element: on the distributed tensor itself torch would derive the layout of the result anew
    for each number that takes part.
    """
    local = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def shared_like(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's share of a whole tensor, laid out like the tensor `like`; the whole tensor if `like` is whole."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    # Every process has the whole tensor, so nothing has to be sent.
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def shared_by_name(tensors: Mapping[str, torch.Tensor], like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """This process's shares of whole tensors, each laid out like the tensor of that name in `like`."""
    return {name: shared_like(tensor, like[name]) if name in like else tensor for name, tensor in tensors.items()}


def shared_optimizer_state(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """This process's share of an optimiser's `state_dict`, each tensor laid out like the parameter that it belongs to.

    Momentum, weight decay, and whether kernels are fused are not taken from the state: they stay as they are in `optimizer`.

    Raises:
        ValueError: the state belongs to another kind of optimiser.
    """
    if any(
        _kind(saved) != _kind(group) for saved, group in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ):
        raise ValueError("training.optimizer is another")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries = {
        index: map_tensors(lambda tensor, like=parameters[index]: shared_like(tensor, like), entry)
        for index, entry in state["state"].items()
    }
    groups = [
        {**group, "params": saved["params"], "lr": saved["lr"]}
        for saved, group in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {"state": entries, "param_groups": groups}


def _kind(group: Mapping[str, Any]) -> set[str]:
    """The option that tells Adam, gradient descent or RMSprop from the others, in every version of torch."""
    return {"betas", "dampening", "alpha"} & set(group)
