"""A decision while a sequence is still coming: the classifier's answer to the steps so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ostinato.models.classifying.naive_bayes import Evidence
from ostinato.models.parts.model_stream import ModelStream, embedded
from ostinato.nn.streams.snapshot import Shape, shapes_of


class ClassStream(ModelStream):
    """`Stream(classifier)`: the logits of the sequence so far, `(C,)`, or `(n, C)` for n rows.

    They are those of `model(input[:t])` in evaluation mode after t steps, for every pooling, with naive Bayes if the
    model has it; `softmax` turns them into probabilities. An input is a token's number, or a vector `(I,)`; for n rows
    `(n,)` or `(n, I)`.
    """

    @property
    def _dims(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return int(self.model.embedding is None)

    def _fresh(self, rows: int) -> dict[str, torch.Tensor]:
        made = self.model.pooling.begin(rows, self.model.output.weight.detach())
        self._evidence = [*getattr(self, "_evidence", []), *self._no_evidence(rows)]
        return made

    def _no_evidence(self, rows: int) -> list[Evidence]:
        bayes = self.model.naive_bayes
        if bayes is None or not rows:
            return []
        first = bayes.no_evidence()
        return [first.copy() for _ in range(rows)]

    @torch.inference_mode(False)
    def reset(self, rows: Any = None) -> None:
        """Begins some rows, or all, anew."""
        kept = self._evidence
        super().reset(rows)
        self._evidence = kept
        if kept:
            which = self._which(rows).tolist()
            for row, none in zip(which, self._no_evidence(len(which)), strict=True):
                self._evidence[row] = none

    def _enter(self, input: Any, which: torch.Tensor) -> torch.Tensor:
        if self.model.embedding is None:
            return torch.as_tensor(input, device="cpu") if not isinstance(input, torch.Tensor) else input
        return embedded(self.model.embedding, input, len(which))

    def _answer(self, h: torch.Tensor, input: Any, which: torch.Tensor) -> torch.Tensor:
        model = self.model
        before = {name: v[which] for name, v in self._memory.items()}
        after, pooled = model.pooling.go_on(before, h)
        for name, v in after.items():
            self._memory[name][which] = v
        experts = [model.output(pooled)]
        if (bayes := model.naive_bayes) is not None:
            tokens = torch.as_tensor(input, device="cpu").reshape(-1).tolist()
            said = [bayes.go_on(self._evidence[row], token) for row, token in zip(which.tolist(), tokens, strict=True)]
            experts.append(torch.stack(said) if said else torch.zeros_like(experts[0]))
        return model.combined(torch.stack([v.to(experts[0].dtype) for v in experts]))

    def _memory_of(self, row: int) -> dict[str, torch.Tensor]:
        made = super()._memory_of(row)
        return made | (self._evidence[row].tensors() if self._evidence else {})

    def _shapes(self, row: int) -> Mapping[str, Shape]:
        made = shapes_of(self._state(row))
        for name in Evidence.LISTS if self._evidence else ():
            made[f"memory.{name}"] = (None,), made[f"memory.{name}"][1]
        return made

    def _put_memory(self, given: Mapping[str, torch.Tensor], row: int) -> None:
        super()._put_memory({name: v for name, v in given.items() if name in self._memory}, row)
        if self._evidence:
            self._evidence[row] = self._evidence[row].with_tensors(given)

    def copy(self) -> ClassStream:
        """See `ModelStream.copy`."""
        made = super().copy()
        made._evidence = [each.copy() for each in self._evidence]
        return made
