"""A linear-chain conditional random field: the tags of a sequence, scored together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ostinato.errors import ConfigError, DataError
from ostinato.nn.crf.chain import Chain, best_path, log_partition
from ostinato.nn.crf.span_schemes import SpanScheme, mark_of
from ostinato.nn.lengths import as_lengths
from ostinato.types import Lengths, Tensor


class Constraints(NamedTuple):
    """Transitions, first tags and last tags that no path may have; True forbids.

    Attributes:
        transitions: (N, N) bool, from the tag of the matrix row to that of the column.
        start: (N,) bool, beginning with the tag.
        end: (N,) bool, ending with the tag.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor


class Scores(NamedTuple):
    """The scores of a path other than its emissions.

    Attributes:
        transitions: (N, N), of going from the tag of the matrix row to that of the column.
        start: (N,), of beginning with the tag.
        end: (N,), of ending with the tag.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor


class Decoded(NamedTuple):
    """The best paths.

    Attributes:
        tags: (T, B) int64, 0 past a row's end.
        score: (B,), of each path; minus infinity if constraints and emissions allow no path, and then the tags mean nothing.
    """

    tags: Tensor
    score: Tensor


def span_constraints(tags: Sequence[str], scheme: SpanScheme | None = None) -> Constraints:
    """The constraints for tags that mark spans, by their scheme.

    Args:
        tags: the names of the tags, in the order of their ids.
        scheme: as `SpanScheme.of` finds it in tagged sequences; None for IOB2 ("B-x" begins a span, "I-x" continues it, "O" is
            outside), or for IOBES if there are tags "E-x" (the last of a span) or "S-x" (a span of one). A tag of another form is
            outside.

    Example:
        >>> span_constraints(["O", "B-LOC", "I-LOC"]).start.tolist()
        [False, False, True]
    """
    if scheme is None:
        marks = {tag: mark_of(tag) for tag in tags}
        scheme = SpanScheme("IOBES" if any(mark.letter in "ES" for mark in marks.values()) else "IOB2", marks)
    return Constraints(
        torch.tensor(
            [[not scheme.allows(before, after) for after in tags] for before in tags], dtype=torch.bool, device="cpu"
        ),
        torch.tensor([not scheme.allows(None, tag) for tag in tags], dtype=torch.bool, device="cpu"),
        torch.tensor([not scheme.allows(tag, None) for tag in tags], dtype=torch.bool, device="cpu"),
    )


class CRF(nn.Module):
    """Scores of whole tag sequences y of a sequence with emissions e:

        score(y) = start_{y_1} + sum_t e_t(y_t) + sum_t transition_{y_t, y_{t+1}} + end_{y_T}
        log p(y) = score(y) - log sum over all y' of exp(score(y'))

    Sums run in float64; results have the type of the emissions, at least float32. A row of no steps has one path, the empty one,
    with score 0.

    Source: Lafferty, McCallum & Pereira 2001; over a recurrent network Huang, Xu & Yu 2015, arXiv 1508.01991; constraints as in
    AllenNLP's module, but exact: they score minus infinity, so that a forbidden path has probability 0.

    Args:
        num_tags: N, at least 1.
        constraints: what no path may do, as from `span_constraints`; None allows everything.
        device: the device of the parameters.
        dtype: the dtype of the parameters.

    Attributes:
        transitions: (N, N), score from the tag of the matrix row to that of the column. All scores are drawn from U(-0.1, 0.1).
        start: (N,), score of beginning with the tag.
        end: (N,), score of ending with the tag.

    Raises:
        ConfigError: num_tags is below 1, or the constraints are for another number of tags.
    """  # noqa: D415

    forbidden_transitions: Tensor | None

    def __init__(
        self,
        num_tags: int,
        constraints: Constraints | None = None,
        *,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        if num_tags < 1:
            raise ConfigError(f"num_tags: expected at least 1, got {num_tags}")
        N = num_tags
        self.num_tags = N
        self.transitions = nn.Parameter(torch.empty(N, N, device=device, dtype=dtype))
        self.start = nn.Parameter(torch.empty(N, device=device, dtype=dtype))
        self.end = nn.Parameter(torch.empty(N, device=device, dtype=dtype))
        forbidden = {} if constraints is None else _forbidden(constraints, N, device)
        for name in Constraints._fields:
            self.register_buffer(f"forbidden_{name}", forbidden.get(name), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all scores anew."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def extra_repr(self) -> str:
        """The number of tags, and whether there are constraints."""
        return f"{self.num_tags}, constrained={self.forbidden_transitions is not None}"

    def log_likelihood(
        self, emissions: Tensor, tags: Tensor, lengths: Lengths | None = None, *, mask: Tensor | None = None
    ) -> Tensor:
        """log p(tags), (B,), in nats for whole sequences; minus infinity for tags that the constraints forbid.

        It is minus infinity too, without a gradient, in a row where constraints, or emissions of minus infinity, allow no path.

        Args:
            emissions: (T, B, N), floating point. Numbers past a row's end have no effect, even NaN.
            tags: (T, B) integers from 0 to N - 1; any number past a row's end.
            lengths: (B,), steps of each row, from 0 to T; None if all have T.
            mask: (T, B) bool in place of `lengths`: True for valid steps, which must be the first ones of each row.

        Raises:
            DataError: a shape, a tag or a mask does not fit.
            ValueError, TypeError: lengths do not fit.
        """
        chain, valid = self._chain(emissions, lengths, mask)
        score, z = self._score(chain, tags, valid), log_partition(chain)
        # Without a path both are minus infinity, and their difference would be NaN.
        return (score - z).masked_fill(z == -torch.inf, -torch.inf).to(_result_type(emissions))

    def score(
        self, emissions: Tensor, tags: Tensor, lengths: Lengths | None = None, *, mask: Tensor | None = None
    ) -> Tensor:
        """The score of one path for each row, (B,); for arguments and errors see `log_likelihood`."""
        chain, valid = self._chain(emissions, lengths, mask)
        return self._score(chain, tags, valid).to(_result_type(emissions))

    def _score(self, chain: Chain, tags: Tensor, valid: Tensor) -> Tensor:
        tags = self._checked(tags, valid)
        e = chain.emissions.gather(2, tags.unsqueeze(2)).squeeze(2)  # (T, B)
        pairs = tags[:-1] * self.num_tags + tags[1:]
        moves = chain.transitions.flatten().index_select(0, pairs.flatten()).view_as(pairs)
        total = e.masked_fill(~valid, 0.0).sum(0) + moves.masked_fill(~valid[1:], 0.0).sum(0)
        if len(tags):
            last = tags.gather(0, (chain.lengths - 1).clamp_min(0).unsqueeze(0)).squeeze(0)
            ends = chain.start.index_select(0, tags[0]) + chain.end.index_select(0, last)
            total = total + ends.masked_fill(chain.lengths == 0, 0.0)
        return total

    def log_partition(self, emissions: Tensor, lengths: Lengths | None = None, *, mask: Tensor | None = None) -> Tensor:
        """log of the sum over all paths of exp(score), (B,); for arguments and errors see `log_likelihood`.

        It can be differentiated twice. It is minus infinity if every path is forbidden.
        """
        return log_partition(self._chain(emissions, lengths, mask)[0]).to(_result_type(emissions))

    def marginals(self, emissions: Tensor, lengths: Lengths | None = None, *, mask: Tensor | None = None) -> Tensor:
        """p(tag j at step t), (T, B, N), 0 past a row's end and in a row without a path; for arguments see `log_likelihood`.

        They are the gradient of log Z with respect to the emissions, and can be differentiated themselves.
        """
        create_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            e = emissions if emissions.requires_grad else emissions.detach().requires_grad_()
            z = self.log_partition(e, lengths, mask=mask)
            (p,) = torch.autograd.grad(z.sum(), e, create_graph=create_graph)
        return p

    @torch.no_grad()
    def viterbi(
        self,
        emissions: Tensor,
        lengths: Lengths | None = None,
        *,
        mask: Tensor | None = None,
        constraints: Constraints | None = None,
    ) -> Decoded:
        """The path with the highest score for each row, without gradient; for other errors see `log_likelihood`.

        Args:
            emissions: as in `log_likelihood`.
            lengths: as in `log_likelihood`.
            mask: as in `log_likelihood`.
            constraints: further constraints for this path only, for models trained on data that break them.

        Raises:
            ConfigError: the constraints are for another number of tags.
        """
        chain = self._chain(emissions, lengths, mask)[0]
        allowed = self.scores(constraints)
        chain = chain._replace(transitions=allowed.transitions, start=allowed.start, end=allowed.end)
        tags, score = best_path(chain)
        return Decoded(tags, score.to(_result_type(emissions)))

    def scores(self, constraints: Constraints | None = None) -> Scores:
        """The scores of paths other than the emissions, in float64; minus infinity for what is forbidden.

        Args:
            constraints: further constraints, beside those of the module.

        Raises:
            ConfigError: the constraints are for another number of tags.
        """
        found = {name: self._allowed(name) for name in Scores._fields}
        if constraints is not None:
            for name, where in _forbidden(constraints, self.num_tags, self.start.device).items():
                found[name] = found[name].masked_fill(where, -torch.inf)
        return Scores(**found)

    def _chain(self, emissions: Tensor, lengths: Lengths | None, mask: Tensor | None) -> tuple[Chain, Tensor]:
        """All scores in float64, and which steps are valid, (T, B) bool."""
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags:
            raise DataError(f"emissions: expected the shape (T, B, {self.num_tags}), got {tuple(emissions.shape)}")
        T, B, _ = emissions.shape
        device = emissions.device
        if mask is not None:
            if lengths is not None:
                raise DataError("expected lengths or a mask, got both; leave one out")
            lengths = _lengths_of(mask, T, B)
        steps = torch.full((B,), T, device=device) if lengths is None else as_lengths(lengths, B, T, device)
        valid = torch.arange(T, device=device).unsqueeze(1) < steps
        e = emissions.double() if lengths is None else emissions.double().masked_fill(~valid.unsqueeze(2), 0.0)
        transitions, start, end = (self._allowed(name) for name in ("transitions", "start", "end"))
        return Chain(e, transitions, start, end, steps), valid

    def _allowed(self, name: str) -> Tensor:
        scores, forbidden = getattr(self, name).double(), getattr(self, f"forbidden_{name}")
        return scores if forbidden is None else scores.masked_fill(forbidden, -torch.inf)

    def _checked(self, tags: Tensor, valid: Tensor) -> Tensor:
        if tags.shape != valid.shape:
            raise DataError(f"tags: expected the shape of the emissions, {tuple(valid.shape)}, got {tuple(tags.shape)}")
        if tags.is_floating_point():
            raise DataError(f"tags: expected integers, got {tags.dtype}")
        tags = tags.long().masked_fill(~valid, 0)
        if not torch.compiler.is_compiling() and tags.numel():
            low, high = int(tags.min()), int(tags.max())
            if low < 0 or high >= self.num_tags:
                raise DataError(f"tags: expected numbers from 0 to {self.num_tags - 1}, got {low} to {high}")
        return tags


def _forbidden(constraints: Constraints, num_tags: int, device: Any) -> dict[str, Tensor]:
    """The constraints as bool tensors by name, checked for this number of tags."""
    found: dict[str, Tensor] = {}
    for name, where in constraints._asdict().items():
        shape = (num_tags, num_tags) if name == "transitions" else (num_tags,)
        if tuple(where.shape) != shape:
            raise ConfigError(
                f"constraints.{name}: expected the shape {shape} for {num_tags} tags, got {tuple(where.shape)}"
            )
        found[name] = where.bool().to(device)
    return found


def _result_type(emissions: Tensor) -> torch.dtype:
    return torch.promote_types(emissions.dtype, torch.float32)


def _lengths_of(mask: Tensor, T: int, B: int) -> Tensor:
    if mask.dtype != torch.bool or tuple(mask.shape) != (T, B):
        raise DataError(f"mask: expected (T, B) = ({T}, {B}) bool, got {tuple(mask.shape)} {mask.dtype}")
    lengths = mask.sum(0)
    if not bool((mask == (torch.arange(T, device=mask.device).unsqueeze(1) < lengths)).all()):
        raise DataError("mask: expected the steps that are there to be the first ones of each row, got a gap")
    return lengths
