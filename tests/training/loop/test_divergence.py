import pytest
import torch
from torch import nn

from ostinato.training.loop.divergence import where_it_began


class Chain(nn.Module):
    """Three layers; `bad` says where it breaks."""

    def __init__(self, bad):
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(2, 2) for _ in range(3))
        self.bad = bad
        with torch.no_grad():
            if bad == "second":
                self.second.bias[0] = torch.inf

    def attempt(self):
        h = self.second(self.first(torch.ones(1, 2)))
        if self.bad == "root":
            h = (h - h.detach()).square().sum(dim=1, keepdim=True).sqrt() + h  # the root's slope at 0 is infinite
        self.third(h).sum().backward()


def test_forward_it_is_the_first_module_backward_the_parameter_nearest_to_the_loss():
    module = Chain("second")
    # The product with an infinite input gives the third layer's weights such a gradient; those before it get none.
    assert where_it_began(module, module.attempt) == (
        "The first not finite: going forward, the output of second (Linear); going backward, the gradient of third.weight"
    )
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_gradient_alone():
    module = Chain("root")
    found = where_it_began(module, module.attempt)
    assert found in (
        "The first not finite: going backward, the gradient of second.weight",
        "The first not finite: going backward, the gradient of second.bias",
    )


def test_what_does_not_happen_again_is_told():
    module = Chain("nowhere")
    assert where_it_began(module, module.attempt).endswith("is not finite when the step is run again")


def test_nothing_listens_afterwards():
    module = Chain("nowhere")
    where_it_began(module, module.attempt)
    assert not any(part._forward_hooks for part in module.modules())
    assert not any(parameter._backward_hooks for parameter in module.parameters())


def test_an_error_comes_through():
    module = Chain("nowhere")

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        where_it_began(module, fail)
    assert not any(part._forward_hooks for part in module.modules())
