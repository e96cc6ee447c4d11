"""A classifier of images: 28 steps of 28 pixels, three LSTM layers of 256 units, the last step into 10 classes.

    python examples/rows_of_images.py            # scikit-learn's handwritten digits, enlarged to 28 x 28
    python examples/rows_of_images.py FOLDER     # MNIST, from a folder with its four files

The class is one that many courses show, with `ostinato.LSTM` in the place of `torch.nn.LSTM`: names, shapes and numbers are the
same. First states of zeros need not be given. For results, and not for reading, there is `ostinato train classify`.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.nn import functional as F

import ostinato
from ostinato.data import digits, read_image_splits
from ostinato.data.records.images import Images


class RecurrentNeuralNetworkClass(nn.Module):
    """Rows of an image in, logits of its classes out."""

    def __init__(self, xdim: int = 28, hdim: int = 256, ydim: int = 10, n_layer: int = 3):
        super().__init__()
        self.rnn = ostinato.LSTM(xdim, hdim, num_layers=n_layer, batch_first=True)
        self.lin = nn.Linear(hdim, ydim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 28, 28) to (B, 10)."""
        rnn_out, _ = self.rnn(x)  # (B, 28, 256); the states before the first row are zeros
        return self.lin(rnn_out[:, -1])


def print_parameters(model: nn.Module) -> int:
    """Prints a table; returns how many numbers there are."""
    total = 0
    for index, (name, parameter) in enumerate(model.named_parameters()):
        total += parameter.numel()
        values = " ".join(f"{value:6.3f}" for value in parameter.detach().flatten()[:5].tolist())
        print(f"[{index}] name:[{name}] shape:[{tuple(parameter.shape)}].")
        print(f"    val:[{values}]")
    print(f"Total number of parameters:[{total:,d}].")
    return total


def rows_of(images: Images) -> torch.Tensor:
    """(N, 28, 28), from 0 to 1."""
    rows = torch.from_numpy(images.rows())
    return rows if rows.shape[1:] == (28, 28) else F.interpolate(rows[:, None], (28, 28), mode="bilinear")[:, 0]


def main(folder: str | None = None, steps: int = 200, batch_size: int = 64) -> dict[str, float]:
    """Trains; returns the number of parameters, the first and the last loss, and the accuracy on 200 test images."""
    torch.manual_seed(0)
    data = digits() if folder is None else read_image_splits(folder)
    model = RecurrentNeuralNetworkClass()
    count = print_parameters(model)
    x, y = rows_of(data.train), torch.from_numpy(data.train.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for step in range(1, steps + 1):
        chosen = torch.randint(len(x), (batch_size,))
        loss = F.cross_entropy(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 20 == 0:
            print(f"step {step:4d}: loss {losses[-1]:.3f}")
    test = data.test.take(range(min(200, len(data.test))))
    with torch.no_grad():
        right = model(rows_of(test)).argmax(1) == torch.from_numpy(test.labels)
    accuracy = right.float().mean().item()
    print(f"{accuracy:.1%} of {len(test)} test images are right")
    return {"parameters": count, "first": losses[0], "last": losses[-1], "accuracy": accuracy}


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
