import torch

from ostinato.training.update.generators import kept_generators, read_generators, set_generators

CPU = torch.device("cpu")


def test_what_is_drawn_inside_is_not_missed_outside():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with kept_generators(CPU):
        torch.rand(7)
    assert torch.equal(torch.rand(4), expected)


def test_the_same_is_drawn_again():
    state = read_generators(CPU)
    first = torch.rand(4)
    torch.rand(3)
    set_generators(state, CPU)
    assert torch.equal(torch.rand(4), first)
