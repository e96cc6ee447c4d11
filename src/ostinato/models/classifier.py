"""Many to one: a sequence in, one of C classes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.dropout import Dropout, check_rate
from ostinato.models.layers import CellName, make_layers, output_size
from ostinato.models.pooling import Pooling, PoolingName
from ostinato.nn.lengths import takes_lists
from ostinato.types import Lengths


class Classifier(nn.Module):
    """Embedding or features, recurrent layers, pooling, dropout, output layer: p(class | sequence).

        h_1 .. h_n = recurrent(x_1 .. x_n),   logits = W dropout(pool(h_1 .. h_n)) + b

    Args:
        num_classes: C, at least 1.
        input_size: I, of the vectors that come at each step; or give `vocabulary_size`.
        vocabulary_size: V, of the tokens that come at each step, which are embedded.
        embedding_size: E, of the vector that stands for a token.
        cell: the recurrent layer.
        hidden_size: H, units of each layer and direction; or one number a layer.
        num_layers: recurrent layers.
        bidirectional: a second direction, from the last step to the first.
        pooling: from all steps to one vector, see `Pooling`.
        dropout: between the layers and before the output, from 0 to below 1.
        input_dropout: of what enters the first layer, from 0 to below 1.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.
        class_weights: (C,), how much an example of each class counts in the training loss; None for 1 each. The loss is the sum of
            weighted losses over the number of examples: with weights whose mean over the training data is 1, its mean over batches
            of any size is that of all examples. (`torch.nn.CrossEntropyLoss` divides by the weights of the batch instead.)
        label_smoothing: s in [0, 1): the training loss takes (1 - s) of the right class and s / C of every class (Szegedy et al.
            2016, section 7).

    Raises:
        ConfigError: sizes, rates or options that do not fit.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        num_classes: int,
        *,
        input_size: int | None = None,
        vocabulary_size: int | None = None,
        embedding_size: int = 128,
        cell: CellName = "lstm",
        hidden_size: int | Sequence[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        pooling: PoolingName = "last",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        options: Mapping[str, Any] | None = None,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        if (input_size is None) == (vocabulary_size is None):
            raise ConfigError("expected one of input_size (vectors) and vocabulary_size (tokens)")
        for name, value in (
            ("num_classes", num_classes),
            ("input_size", input_size),
            ("vocabulary_size", vocabulary_size),
            ("embedding_size", embedding_size),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")
        for name, rate in (
            ("dropout", dropout),
            ("input_dropout", input_dropout),
            ("label_smoothing", label_smoothing),
        ):
            check_rate(name, rate)
        if class_weights is not None and (
            len(class_weights) != num_classes or not all(0 <= weight < math.inf for weight in class_weights)
        ):
            raise ConfigError(f"class_weights: expected {num_classes} numbers of at least 0, got {list(class_weights)}")
        self.num_classes, self.label_smoothing = num_classes, label_smoothing
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, embedding_size)
        self.input_dropout = Dropout(input_dropout)
        several = num_layers > 1 or (not isinstance(hidden_size, int) and len(hidden_size) > 1)
        self.recurrent = make_layers(
            cell,
            embedding_size if input_size is None else input_size,
            hidden_size,
            num_layers,
            options=options,
            dropout=dropout if several else 0.0,
            bidirectional=bidirectional,
        )
        width = output_size(self.recurrent)
        self.pooling = Pooling(pooling, width, self.recurrent.num_directions)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, num_classes)
        weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        # Not in the state_dict: the weights are a setting of training, and a run keeps its settings.
        self.register_buffer("class_weights", weights, persistent=False)

    @takes_lists
    def forward(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """Logits, (B, C).

        Args:
            input: (T, B) int64 tokens, or (T, B, I) vectors; T at least 1.
            lengths: (B,) integers from 0 to T, the steps that are real; None for all. Those past a row's end change nothing.
        """
        return self.output(self.dropout(self.pooling(self.steps(input, lengths), lengths)))

    @takes_lists
    def steps(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """What the last recurrent layer gives at every step, (T, B, D H); as `forward`."""
        x = input if self.embedding is None else self.embedding(input)
        return self.recurrent(self.input_dropout(x), lengths=lengths)[0]

    def loss(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean cross entropy in nats an example, a scalar, and no state.

        Class weights and label smoothing act in training only. Targets that are no class, as of a label that training never had,
        are left out; without any other it is 0.
        """
        logits = self(batch.input, batch.lengths)
        return self.cross_entropy(logits, batch.target), None

    def cross_entropy(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """See `loss`.

        Args:
            logits: (B, C).
            target: (B,) int64.
        """
        if logits.dtype in (torch.bfloat16, torch.float16):
            logits = logits.float()
        known = (target >= 0) & (target < self.num_classes)
        target = target.masked_fill(~known, 0)
        smoothing = self.label_smoothing if self.training else 0.0
        losses = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
        if self.training and self.class_weights is not None:
            losses = losses * self.class_weights[target]
        return losses.masked_fill(~known, 0.0).sum() / known.sum().clamp_min(1)
