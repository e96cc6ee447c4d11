import pytest
import torch
from torch import nn

from ostinato.insight import doctor

from .patients import KINDS, Classifier, H, I, Reader, Trained, V, chunk, row_loss, rows, trained

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


@both
def test_dropout_of_one_layer(layers) -> None:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        model = Classifier(layers.LSTM(I, H, dropout=0.3))
    found = doctor(model, rows(), row_loss)
    assert found.names == ["dropout without effect"]
    assert found[0].where == "layer (LSTM)"
    assert found[0].numbers["dropout"].value == 0.3
    assert doctor(Classifier(layers.LSTM(I, H, 2, dropout=0.3)), rows(), row_loss).names == []


@both
def test_a_part_of_a_layer_that_is_frozen(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.GRU(I, H))
    model.layer.weight_hh_l0.requires_grad_(False)
    found = doctor(model, rows(), row_loss)
    assert found.names == ["frozen parameters"]
    assert found[0].numbers["frozen"].value == 3 * H * H
    assert "weight_hh_l0" in found[0].evidence


@both
def test_a_whole_layer_that_is_frozen_is_meant_so_unless_the_optimizer_has_it(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    everything = torch.optim.SGD(model.parameters(), lr=0.5)
    model.embedding.requires_grad_(False)
    some = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    assert "frozen parameters" not in doctor(model, chunk(0), optimizer=some).names
    found = doctor(model, chunk(0), optimizer=everything)
    assert found.names == ["frozen parameters"]
    assert "embedding" in found[0].where


@both
def test_parameters_that_the_optimizer_does_not_have(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    optimizer = torch.optim.SGD([*model.embedding.parameters(), *model.layer.parameters()], lr=0.5)
    found = doctor(model, chunk(0), optimizer=optimizer)
    assert found.names == ["parameters not in the optimizer"]
    assert found[0].where == "output.weight, output.bias"
    assert found[0].numbers["size"].value == V * H + V
    optimizer.add_param_group({"params": list(model.output.parameters())})
    assert doctor(model, chunk(0), optimizer=optimizer).names == []


@both
def test_one_layer_in_the_place_of_two(layers) -> None:
    class Stack(nn.Module):
        def __init__(self, same: bool) -> None:
            super().__init__()
            one = layers.GRU(H, H)
            self.first = nn.Linear(I, H)
            self.stack = nn.ModuleList([one, one if same else layers.GRU(H, H)])
            self.output = nn.Linear(H, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for layer in self.stack:
                x, _ = layer(x)
            return self.output(x[-1])

    torch.manual_seed(0)
    found = doctor(Stack(same=True), rows(steps=10), row_loss)
    assert found.names == ["one layer under several names"]
    assert found[0].where == "stack.0, stack.1"
    assert doctor(Stack(same=False), rows(steps=10), row_loss).names == []


@both
def test_rows_of_an_embedding_that_no_token_asks_for(layers) -> None:
    def told(one: Trained) -> dict[str, object]:
        return {"optimizer": one.optimizer}

    one = trained(layers.GRU(I, H), updates=120, tokens=3 * V)
    found = doctor(one.model, chunk(0), **told(one))
    assert found.names == ["embedding rows never used"]
    assert found[0].numbers["unused"].value == 2 * V
    assert found[0].numbers["rows"].value == 3 * V
    few = trained(layers.GRU(I, H), updates=120, tokens=V + 1)
    assert doctor(few.model, chunk(0), **told(few)).names == []
    young = trained(layers.GRU(I, H), updates=20, tokens=3 * V)
    assert doctor(young.model, chunk(0), **told(young)).names == []


def test_an_embedding_that_is_the_output_layer_too_is_no_tie_by_mistake() -> None:
    model = Reader(nn.GRU(I, H))
    model.embedding = nn.Embedding(V, H)
    model.layer = nn.GRU(H, H)
    nn.init.uniform_(model.embedding.weight, -0.25, 0.25)
    model.output.weight = model.embedding.weight
    assert doctor(model, chunk(0)).names == []
