"""Who follows operators is noticed, and nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from ostinato.recorded import is_mapped, is_recorded

seen: list[tuple[bool, bool]] = []


def look(x: torch.Tensor) -> torch.Tensor:
    seen.append((is_recorded(), is_mapped()))
    return x.sum()


def fake(x: torch.Tensor) -> None:
    with FakeTensorMode():
        look(torch.ones(3))


class Looking(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return look(x)


WAYS: dict[str, tuple[Callable[[torch.Tensor], object], bool, bool]] = {
    "plain": (look, False, False),
    "autograd": (lambda x: look(x.requires_grad_()).backward(), False, False),
    "grad": (torch.func.grad(look), True, False),
    "vmap": (torch.func.vmap(look), True, True),
    "grad of vmap": (torch.func.grad(lambda x: torch.func.vmap(look)(x[None])[0]), True, True),
    "vmap of grad": (lambda x: torch.func.vmap(torch.func.grad(look))(x[None]), True, True),
    "make_fx": (lambda x: make_fx(look)(x), True, False),
    "fake": (fake, True, False),
    "export": (lambda x: torch.export.export(Looking(), (x,)), True, False),
    "jit.trace": (lambda x: torch.jit.trace(look, (x,), check_trace=False), True, False),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("way", WAYS)
def test_who_records_is_noticed(way: str) -> None:
    run, recorded, mapped = WAYS[way]
    seen.clear()
    run(torch.ones(3))
    assert set(seen) == {(recorded, mapped)}
    assert not is_recorded()
    assert not is_mapped()


def test_inside_torch_compile_it_is_known() -> None:
    def run(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if is_recorded() and not is_mapped() else x

    x = torch.zeros(2)
    assert torch.equal(torch.compile(run, backend="eager", fullgraph=True)(x), x + 1)
    assert torch.equal(run(x), x)
