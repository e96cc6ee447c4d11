import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import ostinato
from ostinato.insight import doctor

from .patients import KINDS, B, Classifier, H, I, Reader, T, V, chunk, row_loss, rows

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)
NAME = "batch_first looks wrong"


class LastStep(nn.Module):
    """Written for (B, T, I), whatever the layer was made for."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer, self.output = layer, nn.Linear(H, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.layer(x)[0][:, -1])


def rows_first(steps: int = T) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = rows(steps=steps)
    return x.transpose(0, 1).contiguous(), y


@both
def test_a_batch_longer_than_the_sequence(layers) -> None:
    torch.manual_seed(0)
    found = doctor(LastStep(layers.GRU(I, H)), rows_first(), row_loss)
    assert found.names == [NAME]
    assert f"{T} rows of {B} steps (a batch longer than the sequence)" in found[0].evidence
    assert "one row and at no other row" in found[0].evidence
    assert "10 targets, one a row" in found[0].evidence
    assert "batch_first=True" in found[0].remedy
    assert doctor(LastStep(layers.GRU(I, H, batch_first=True)), rows_first(), row_loss).names == []


@both
def test_the_other_way_round(layers) -> None:
    torch.manual_seed(0)
    found = doctor(Classifier(layers.GRU(I, H, batch_first=True)), rows(), row_loss)
    assert found.names == [NAME]
    assert "batch_first=False" in found[0].remedy
    assert doctor(Classifier(layers.GRU(I, H)), rows(), row_loss).names == []


@both
def test_a_batch_longer_than_the_sequence_is_no_evidence_by_itself(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.GRU(I, H))
    short = (rows()[0][:4], rows()[1])
    assert doctor(model, short, row_loss).names == []


def every_step(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return F.mse_loss(model(batch[0])[0], batch[1])


@both
def test_targets_that_are_the_inputs_shifted(layers) -> None:
    torch.manual_seed(0)
    ids, following = (each.T.contiguous() for each in chunk(0))
    found = doctor(Reader(layers.GRU(I, H)), (ids, following))
    assert found.names == [NAME]
    assert "shifted along dimension 1" in found[0].evidence
    assert doctor(Reader(layers.GRU(I, H)), chunk(0)).names == []


@both
def test_rows_that_look_like_steps(layers) -> None:
    """Series of 20 steps in 18 rows, each a sine from a place of its own, as (B, T, I)."""
    torch.manual_seed(0)
    series = torch.sin(torch.rand(18, 1, 1) * 6 + torch.arange(20)[:, None] / 3 + torch.zeros(18, 20, 1))
    batch = (series, torch.zeros(18, 20, H))
    found = doctor(layers.GRU(1, H), batch, every_step)
    assert found.names == [NAME]
    assert "neighbouring rows resemble each other (r = 0.9" in found[0].evidence
    assert doctor(layers.GRU(1, H, batch_first=True), batch, every_step).names == []
    noise = (torch.randn(18, 20, 1), batch[1])
    assert doctor(layers.GRU(1, H), noise, every_step).names == []


@both
def test_what_the_user_says(layers) -> None:
    torch.manual_seed(0)
    batch = (torch.randn(T, B, I), torch.zeros(T, B, H))
    model = layers.GRU(I, H)
    assert doctor(model, batch, every_step, batch_first=True).names == [NAME]
    assert doctor(model, batch, every_step, batch_first=False).names == []
    assert doctor(model, batch, every_step, lengths=[B] * T).names == [NAME]  # one length for each of T rows
    assert doctor(model, batch, every_step, lengths=[T] * B).names == []


def test_a_model_that_transposes_by_itself_is_believed() -> None:
    class Transposing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.output = nn.GRU(I, H), nn.Linear(H, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.layer(x.transpose(0, 1))[0][-1])

    torch.manual_seed(0)
    assert doctor(Transposing(), rows_first(), row_loss, batch_first=True).names == []


# Padding

LENGTHS = [24, 23, 20, 17, 15, 12, 10, 9, 8, 6]
PADDING = "padding reaches the loss"


def padded() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = rows()
    return x.masked_fill(torch.arange(T)[:, None, None] >= torch.tensor(LENGTHS)[:, None], 0.0), y


class LastReal(Classifier):
    """The output at the last step that a row has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.layer(x)[0][torch.tensor(LENGTHS) - 1, torch.arange(B)])


@both
@pytest.mark.parametrize("told", [{"lengths": LENGTHS}, {}], ids=["told", "seen"])
def test_the_last_output_of_rows_that_have_ended(layers, told) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.GRU(I, H))
    found = doctor(model, padded(), row_loss, **told)
    assert found.names == [PADDING]
    numbers = found[0].numbers
    assert numbers["padding"].value == sum(T - length for length in LENGTHS)
    # The remedy that was tried, tried by hand: without the padding, the loss is that of the last real step.
    right = LastReal(model.layer)
    right.output = model.output
    assert numbers["loss_with_lengths"].value == pytest.approx(float(row_loss(right, padded()).detach()), rel=1e-5)
    assert doctor(right, padded(), row_loss, **told).names == []


@both
def test_a_reverse_direction_that_begins_in_the_padding(layers) -> None:
    torch.manual_seed(0)
    model = LastReal(layers.GRU(I, H, bidirectional=True), width=2 * H)
    assert PADDING in doctor(model, padded(), row_loss, lengths=LENGTHS).names


def test_layers_that_know_the_lengths() -> None:
    class Knowing(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.layer(x, lengths=LENGTHS)[1][0])

    class Packing(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.layer(pack_padded_sequence(x, torch.tensor(LENGTHS)))[1][0])

    torch.manual_seed(0)
    assert doctor(Knowing(ostinato.GRU(I, H)), padded(), row_loss).names == []
    for layer in (nn.GRU(I, H), ostinato.GRU(I, H)):
        assert doctor(Packing(layer), padded(), row_loss, lengths=LENGTHS).names == []


@pytest.mark.parametrize("ignored", [True, False])
@both
def test_answers_that_are_asked_for_in_the_padding(layers, ignored) -> None:
    class Tagger(Reader):
        def loss(self, batch, state=None):
            h, state = self.layer(self.embedding(batch[0]), state)
            logits = self.output(h).flatten(0, 1)
            return F.cross_entropy(logits, batch[1].flatten(), ignore_index=0 if ignored else -100), state

    torch.manual_seed(0)
    model = Tagger(layers.GRU(I, H))
    model.embedding = nn.Embedding(V, I, padding_idx=0)
    past = torch.arange(T)[:, None] >= torch.tensor(LENGTHS)
    generator = torch.Generator().manual_seed(0)
    ids, tags = (torch.randint(1, V, (T, B), generator=generator).masked_fill(past, 0) for _ in range(2))
    assert doctor(model, (ids, tags)).names == ([] if ignored else [PADDING])


@both
def test_answers_that_are_asked_for_behind_packed_rows(layers) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.output = layers.GRU(I, H), nn.Linear(H, V)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, _ = self.layer(pack_padded_sequence(x, torch.tensor(LENGTHS)))
            return self.output(pad_packed_sequence(h)[0])

    torch.manual_seed(0)
    x, tags = padded()[0], torch.zeros(T, B, dtype=torch.int64)

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())

    assert doctor(Tagger(), (x, tags), loss, lengths=LENGTHS).names == [PADDING]
    ignored = tags.masked_fill(torch.arange(T)[:, None] >= torch.tensor(LENGTHS), -100)
    assert doctor(Tagger(), (x, ignored), loss, lengths=LENGTHS).names == []


@both
@pytest.mark.parametrize("written", [5, 40])
@pytest.mark.parametrize("attends", [False, True])
def test_lengths_of_what_is_read_are_not_those_of_what_is_written(layers, written, attends) -> None:
    """An encoder that knows them, and a decoder of answers that are shorter, or longer, than what was read."""

    class Translating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder, self.output = layers.GRU(I, H), layers.GRU(I, H), nn.Linear(H, V)
            self.embedding = nn.Embedding(V, I)

        def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            h, last = self.encoder(pack_padded_sequence(source, torch.tensor(LENGTHS)))
            h = self.decoder(self.embedding(target), last)[0] + (h.data.mean() if attends else 0.0)
            return self.output(h)

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(model(*batch)[:-1].flatten(0, 1), batch[1][1:].flatten())

    torch.manual_seed(0)
    target = torch.randint(0, V, (written, B), generator=torch.Generator().manual_seed(0))
    found = doctor(Translating(), (padded()[0], target), loss, lengths=LENGTHS)
    assert not {NAME, PADDING} & set(found.names)
    assert not {NAME, PADDING} & set(found.unchecked)
