"""Many to one: a sequence in, one of C classes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.classifying.calibration import best_scales
from ostinato.models.classifying.class_stream import ClassStream
from ostinato.models.classifying.naive_bayes import NaiveBayes
from ostinato.models.classifying.pooling import Pooling, PoolingName
from ostinato.models.parts.augmentation import Augmentation
from ostinato.models.parts.beside import extras_of, input_size_of, parted
from ostinato.models.parts.dropout import Dropout, check_rate
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.nn.lengths import takes_lists
from ostinato.types import Lengths


class Classifier(nn.Module):
    """Embedding or features, recurrent layers, pooling, dropout, output layer: p(class | sequence).

        h_1 .. h_n = recurrent(x_1 .. x_n),   logits = W dropout(pool(h_1 .. h_n)) + b

    Training uses these logits. In evaluation mode they are multiplied by a scale, which `calibrate` fits to data that training did
    not see. If `naive_bayes` is given, the logits of naive Bayes are added with a scale of their own: with few examples, counting
    finds what a network misses, and the other way round.

    Args:
        num_classes: C, at least 1.
        input_size: I, the size of the vector at each step; or give `vocabulary_size`.
        vocabulary_size: V, the number of different tokens, which are embedded.
        embedding_size: E, the size of the vector that stands for a token.
        cell: the recurrent layer.
        hidden_size: H, units of each layer and direction; or one number a layer.
        num_layers: the number of recurrent layers.
        bidirectional: a second direction, from the last step to the first.
        pooling: how all steps become one vector, see `Pooling`.
        dropout: the rate between the layers and before the output, from 0 to below 1.
        input_dropout: the rate for what enters the first layer, from 0 to below 1.
        augmentation: how much each sequence of vectors is changed each time it is trained on, see `Augmentation`; 0 for
            tokens, and for a cell that reads something beside its input.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.
        class_weights: (C,), the weight of an example of each class in the training loss; None for 1 each. The loss is
            the sum of weighted losses divided by the number of examples: with weights whose mean over the training data
            is 1, its mean over batches of any size is that over all examples. (`torch.nn.CrossEntropyLoss` divides by
            the weights of the batch instead.)
        naive_bayes: for tokens, how many runs of 2, 3, ... tokens are counted, see `NaiveBayes`; the caller then sets
            the counts with `model.naive_bayes.take`. None for no naive Bayes.
        with_extras: whether the cell may read something beside its input, as GRU-D does; `input_size` is then the size
            of input and extras side by side, in the cell's order.
        label_smoothing: s in [0, 1): the training loss is (1 - s) times that of the right class plus s / C times that
            of every class (Szegedy et al. 2016, section 7).

    Raises:
        ConfigError: sizes, rates or options do not fit.
    """

    class_weights: torch.Tensor | None
    scales: torch.Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        input_size: int | None = None,
        vocabulary_size: int | None = None,
        embedding_size: int = 128,
        cell: AnyCell = "lstm",
        hidden_size: int | Sequence[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        pooling: PoolingName = "last",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        augmentation: float = 0.0,
        options: Mapping[str, Any] | None = None,
        class_weights: Sequence[float] | None = None,
        naive_bayes: Sequence[int] | None = None,
        label_smoothing: float = 0.0,
        with_extras: bool = False,
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
        self.augmentation, self.input_dropout = Augmentation(augmentation), Dropout(input_dropout)
        if augmentation and vocabulary_size is not None:
            raise ConfigError("augmentation: expected 0 of tokens, which have nothing between them")
        several = num_layers > 1 or (not isinstance(hidden_size, int) and len(hidden_size) > 1)
        entering = embedding_size if input_size is None else input_size
        if with_extras and input_size is not None:
            entering = input_size_of(input_size, extras_of(cell, options))
        self.recurrent = make_layers(
            cell,
            entering,
            hidden_size,
            num_layers,
            options=options,
            dropout=dropout if several else 0.0,
            bidirectional=bidirectional,
            with_extras=with_extras,
        )
        if augmentation and (beside := self.recurrent.base_cell.extras):
            raise ConfigError(
                f"augmentation: expected 0 of a cell that reads {', '.join(beside)} beside its input, got {augmentation}"
            )
        width = output_size(self.recurrent)
        self.pooling = Pooling(pooling, width, self.recurrent.num_directions)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, num_classes)
        if naive_bayes is not None and vocabulary_size is None:
            raise ConfigError("naive_bayes: expected vocabulary_size beside it, for it counts tokens")
        self.naive_bayes = None
        if vocabulary_size is not None and naive_bayes is not None:
            self.naive_bayes = NaiveBayes(vocabulary_size, num_classes, naive_bayes)
        number = 1 if self.naive_bayes is None else 2
        self.register_buffer("scales", torch.full((number,), 1.0 / number))
        weights = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        # Not in the state_dict: the weights are a training setting, which a run stores with its settings.
        self.register_buffer("class_weights", weights, persistent=False)

    @takes_lists
    def forward(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """Logits, (B, C).

        Args:
            input: (T, B) int64 tokens, or (T, B, I) vectors; T at least 1.
            lengths: (B,) integers from 0 to T, the steps that are real; None for all. Steps past a row's end change
                nothing.
        """
        if self.training:
            return self._network(input, lengths)
        return self.combined(self.experts(input, lengths))

    def open_stream(self, **arguments: Any) -> ClassStream:
        """Opens the stream of `Stream(model, ...)`, see `ClassStream`."""
        return ClassStream(self, **arguments)

    def stream(self, **arguments: Any) -> ClassStream:
        """Decides while the sequence is still coming, see `ClassStream`; `**arguments` are those of `Stream`."""
        return self.open_stream(**arguments)

    @takes_lists
    def _network(self, input: torch.Tensor, lengths: Lengths | None) -> torch.Tensor:
        return self.output(self.dropout(self.pooling(self.steps(input, lengths), lengths)))

    @takes_lists
    def experts(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """The logits of the network and, if there is one, of naive Bayes, (1 or 2, B, C); arguments as in `forward`."""
        found = [self._network(input, lengths)]
        if self.naive_bayes is not None:
            found.append(self.naive_bayes(input, lengths).to(found[0].dtype))
        return torch.stack(found)

    def combined(self, experts: torch.Tensor) -> torch.Tensor:
        """The sum of the experts' logits weighted by `scales`, (N, C), from (1 or 2, N, C)."""
        return torch.einsum("k,knc->nc", self.scales.to(experts), experts)

    def calibrate(self, experts: torch.Tensor, target: torch.Tensor) -> None:
        """Sets `scales` to the best ones for examples that were not trained on, see `best_scales`.

        Args:
            experts: (1 or 2, N, C), the result of `experts` for them in evaluation mode.
            target: (N,) int64; targets that are no class are left out.
        """
        weight = None if self.class_weights is None else self.class_weights.to(experts.device)
        self.scales.copy_(best_scales(experts, target, weight))

    @takes_lists
    def steps(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """The output of the last recurrent layer at every step, (T, B, D H); arguments as for `forward`."""
        input = self.augmentation(input, lengths) if self.embedding is None else self.embedding(input)
        x, extras = parted(self.recurrent, input)
        return self.recurrent(self.input_dropout(x), lengths=lengths, **extras)[0]

    def loss(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean cross entropy in nats an example, a scalar; and None for a state.

        Class weights and label smoothing act in training only. Examples whose target is no class, such as a label that
        training never had, are left out; the loss is 0 if no other is left.
        """
        logits = self(batch.input, batch.lengths)
        return self.cross_entropy(logits, batch.target), None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        state_dict.setdefault(f"{prefix}scales", torch.ones(1))  # for models saved before there were scales
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def cross_entropy(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of logits, see `loss`.

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
