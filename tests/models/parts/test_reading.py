import pytest
import torch
from torch import nn

from ostinato.models.parts.reading import reading


@pytest.mark.parametrize("training", [True, False])
def test_inside_there_are_neither_dropout_nor_gradients_and_afterwards_all_is_as_before(training):
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)).train(training)
    with reading(model):
        out = model(torch.ones(3))
        assert not out.requires_grad
        torch.testing.assert_close(out, model[0](torch.ones(3)))
    assert model.training is training
    assert torch.is_grad_enabled()


def test_after_an_error_too_all_is_as_before():
    model = nn.Dropout(0.9)
    with pytest.raises(KeyError), reading(model):
        raise KeyError
    assert model.training
    assert torch.is_grad_enabled()
