"""`fit` on a map-style Dataset and a module of one's own, against a plain torch loop; killed and resumed, bit for bit."""

import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from ostinato.data import Batches, DatasetExamples
from ostinato.errors import DataError
from ostinato.training import Progress, RunFolder, fit
from ostinato.training.run.settings import UpdateSettings

SETTINGS = UpdateSettings(batch_size=7, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip_norm=None, max_epochs=2.0,
                          schedule="constant", warmup=0.0, learning_rate=0.5, log_every=1)  # fmt: skip


class Sums(Dataset):
    """Sequences of two to six numbers and whether their sum is above 0; noise is drawn each time that one is asked for."""

    def __init__(self, count=30, noise=0.1, slow=0.0):
        generator = np.random.default_rng(0)
        self.x = [generator.normal(size=int(n)).astype(np.float32) for n in generator.integers(2, 7, count)]
        self.noise, self.slow = noise, slow

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        time.sleep(self.slow)
        x = torch.from_numpy(self.x[index])
        return {"x": x + self.noise * torch.randn(len(x)), "y": int(x.sum() > 0)}


def together(items):
    """No tensor first, a dict, and strings beside: whatever somebody's own function makes."""
    lengths = torch.tensor([len(item["x"]) for item in items])
    return {
        "names": [str(len(item["x"])) for item in items],
        "x": nn.utils.rnn.pad_sequence([item["x"] for item in items]),
        "lengths": lengths,
        "y": torch.tensor([item["y"] for item in items]),
    }


class Own(nn.Module):
    """Knows nothing of this house."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.gru, self.output = nn.GRU(1, 4), nn.Linear(4, 2)

    def forward(self, batch):
        h, _ = self.gru(batch["x"][..., None])
        return self.output(h[batch["lengths"] - 1, torch.arange(len(batch["y"]))])


def loss(module, batch):
    return nn.functional.cross_entropy(module(batch), batch["y"])


def train(folder, model, settings=SETTINGS, data=None, **arguments):
    torch.manual_seed(5)
    return fit(
        model,
        Sums() if data is None else data,
        Sums(noise=0.0),
        **{
            "run": folder,
            "settings": settings,
            "loss": loss,
            "collate_fn": together,
            "device": "cpu",
            "precision": "32-true",
            "resume": True,
            "progress": Progress(quiet=True),
            **arguments,
        },
    )


def test_two_epochs_are_those_of_a_plain_loop(tmp_path):
    model, expected = Own(), Own()
    outcome = train(tmp_path, model, data=Sums(noise=0.0))
    optimizer = torch.optim.SGD(expected.parameters(), 0.5)
    data, batches = Sums(noise=0.0), Batches(DatasetExamples(Sums(), together), 7)
    for _ in range(2):
        for batch in batches:
            optimizer.zero_grad()
            loss(expected, together([data[int(row)] for row in batch.rows])).backward()
            optimizer.step()
    assert (outcome.counters.step, outcome.counters.tokens) == (10, 60)
    for got, want in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(got, want)


def test_each_epoch_has_every_item_once_and_an_order_of_its_own():
    batches = Batches(DatasetExamples(Sums(), together), 7)
    first, second = ([batch.rows.tolist() for batch in batches] for _ in range(2))
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(30))
    assert first != second


def test_items_of_like_length_come_together():
    lengths = [len(x) for x in Sums().x]
    batches = Batches(DatasetExamples(Sums(), together, lengths=lengths), 7)
    spread = [max(found) - min(found) for batch in batches if (found := batch.input["lengths"].tolist())]
    assert np.mean(spread) <= 2


def test_a_module_has_its_own_loss_and_keeps_its_names(tmp_path):
    class WithLoss(Own):
        def loss(self, batch):
            return loss(self, batch), "whatever else"

    model, plain = WithLoss(), Own()
    train(tmp_path / "own", model, data=Sums(noise=0.0), loss=None)
    train(tmp_path / "given", plain, data=Sums(noise=0.0))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    assert not hasattr(plain, "loss")
    assert model.loss.__func__ is WithLoss.loss
    weights = RunFolder(tmp_path / "given").read_model()
    assert set(weights) == set(Own().state_dict())


def test_the_loss_that_chooses_is_the_mean_over_all_items(tmp_path):
    data = Sums(noise=0.0)
    model = Own()
    outcome = train(tmp_path, model, UpdateSettings(batch_size=7, max_steps=3, learning_rate=0.1, evaluate_every=3))
    whole = loss(model, together([data[at] for at in range(len(data))]))
    assert outcome.counters.best == pytest.approx(whole.item(), rel=1e-5)


def test_a_tensor_dataset_and_the_default_collate_will_do(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    model = nn.Linear(3, 2)
    outcome = fit(
        model,
        data,
        data,
        run=tmp_path,
        settings=UpdateSettings(batch_size=8, max_epochs=20.0, learning_rate=0.1),
        loss=lambda module, batch: nn.functional.cross_entropy(module(batch[0]), batch[1]),
        device="cpu",
        progress=Progress(quiet=True),
    )
    assert outcome.counters.best < 0.3


def test_a_run_that_is_resumed_ends_like_one_that_was_not(tmp_path):
    """In the middle of an epoch, with items that draw random numbers."""
    whole, other = Own(), Own()
    train(tmp_path / "whole", whole)
    train(tmp_path / "parted", Own(), UpdateSettings(**{**vars(SETTINGS), "max_epochs": 1.4}))
    train(tmp_path / "parted", other)
    for got, want in zip(other.parameters(), whole.parameters(), strict=True):
        assert torch.equal(got, want)


KILLED = UpdateSettings(batch_size=7, max_epochs=4.0, learning_rate=0.05, checkpoint_every=1)


def train_slowly(folder):
    train(Path(folder), Own(), KILLED, data=Sums(slow=0.004))


def test_a_run_that_was_killed_ends_like_one_that_was_not(tmp_path):
    settings = KILLED
    whole, other = Own(), Own()
    train(tmp_path / "whole", whole, settings)
    folder = tmp_path / "killed"
    # No fork: once torch's threads for backward passes have begun, a child that has none of them cannot make any.
    code = f"from {__name__} import train_slowly; train_slowly({str(folder)!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as child:
        state = folder / "state"
        while not len(list(state.glob("step-*.json"))):
            assert child.poll() is None, "it ended before its first step"
            time.sleep(0.01)
        time.sleep(0.15)
        child.kill()
        assert child.wait() == -signal.SIGKILL
    assert 0 < RunFolder(folder).checkpoints.read().step < 20
    train(folder, other, settings)
    for got, want in zip(other.parameters(), whole.parameters(), strict=True):
        assert torch.equal(got, want)
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(TensorDataset(torch.zeros(3))), r"give fit\(module, loader.dataset, collate_fn=loader.collate_fn"),
        (Endless(), "or a map-style Dataset, whose place a checkpoint can keep, got a Endless"),
    ],
)
def test_what_has_no_place_is_told(tmp_path, data, message):
    with pytest.raises(TypeError, match=message):
        train(tmp_path, Own(), data=data)


def test_a_loss_that_is_no_number_is_told(tmp_path):
    model = Own()
    with pytest.raises(
        TypeError, match=r"expected the mean loss of the batch, a tensor with one number, got a tensor \(\d, 2\)"
    ):
        train(tmp_path / "a", model, loss=lambda module, batch: module(batch))
    assert not hasattr(model, "loss")
    with pytest.raises(TypeError, match="got a NoneType"):
        train(tmp_path / "b", model, loss=lambda module, batch: None)


def test_a_dataset_without_items_is_told():
    with pytest.raises(DataError, match="expected at least one item, got none"):
        DatasetExamples([])
    with pytest.raises(DataError, match="expected one for each of 3 items, got 2"):
        DatasetExamples([1, 2, 3], lengths=[1, 2])
