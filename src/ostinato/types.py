"""The glossary: one letter for each dimension, used in every shape comment of the package.

| letter | means |
| --- | --- |
| `B` | batch: independent sequences (rows) |
| `T` | time steps |
| `I` | input features of a step (`input_size`) |
| `H` | hidden units (`hidden_size`) |
| `P` | projected hidden units (`proj_size`), else equal to `H` |
| `L` | layers (`num_layers`) |
| `D` | directions: 1, or 2 when bidirectional |
| `G` | gates of a cell |
| `S` | states of a cell |
| `V` | vocabulary size |

Inside the package time comes first: `(T, B, I)`. Only a layer's own call converts a `batch_first` layout, nothing below it does.
"""

from __future__ import annotations

from typing import TypeAlias

import torch

Tensor: TypeAlias = torch.Tensor
Lengths: TypeAlias = torch.Tensor | list[int] | tuple[int, ...]
