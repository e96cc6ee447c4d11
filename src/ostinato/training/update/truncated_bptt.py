"""Truncated back-propagation through time: an update every k1 steps, with gradients over the last k2 steps, k2 >= k1.

Source: Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories",
where it is BPTT(h; h') with h = k2 and h' = k1; the names k1 and k2 are those of Sutskever 2013 (section 2.8.6). With k2 = k1
every step is computed once, forward and backward, and the gradient of its loss reaches back to the beginning of its chunk: 0 to
k1 - 1 steps. With k2 > k1 the k2 - k1 steps before a chunk are run again, so that every gradient reaches back at least k2 - k1
steps: k2 / k1 times the work. They are run with the present weights, from the state that is k2 steps back, because the graph of an
earlier update cannot be used after the weights have changed in place; Williams & Peng keep the old activations instead.

Memory does not grow with the length of a sequence: between two updates only one state without a graph is kept, and the last k2 - k1
steps of the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.batches.streams import Chunk, steps_of
from ostinato.training.update.tree import is_plain, map_tensors, tensors_of


class HasLoss(Protocol):
    """A module that can be trained: its `loss` takes a chunk and the state before it."""

    def loss(self, chunk: Any, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Return the mean loss (a scalar, in nats a token) and the state after the chunk.

        For a `Batch` of independent examples the state before it and the state after it are None.
        """
        ...


Fresh = Callable[[Any], Any]


def detach(state: Any) -> Any:
    """The nested state with its tensors detached from the graph."""
    return map_tensors(torch.Tensor.detach, state)


def chunks(
    source: Any,
    k1: int | None = None,
    k2: int | None = None,
    *,
    batch_dim: int = 1,
    fresh: Fresh | None = None,
    device: torch.device | str | None = None,
) -> Chunks:
    """Iterate over sequences for truncated BPTT: give one `BPTTWindow` for each update, and carry the state from each to the next.

        lstm, head = torch.nn.LSTM(8, 32), torch.nn.Linear(32, 8)
        optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
        for window in chunks((x, y), k1=20, k2=60):  # x: (T, B, 8), y: (T, B, 8)
            h = window.run(lstm)  # (20, B, 32), computed over 60 steps
            loss = F.mse_loss(head(h), window.target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    Args:
        source: the data in the order of time:

            - a `Chunk`, or a tuple (input,), (input, target) or (input, target, resets): whole sequences, time first. Input and
              target are tensors (T, B, ...) or nested ones;
            - `Batches` of independent examples, which are never cut: every window is one batch, to be used with `window.loss`;
            - `Streams` or `Documents`; or any other iterable of chunks, or of such tuples or lists, as a DataLoader gives, each
              of which continues where the one before ends.
        k1: steps from update to update; at least 1. Longer chunks are cut up, shorter ones stay. None leaves all chunks as they
            are.
        k2: steps that the gradient goes back from the end of a window; any number from k1 on. None is k1.
        batch_dim: the dimension of the rows in the state's tensors: 1 for torch.nn's layers, (L, B, H); 0 for cells, (B, H). Needed
            only with resets, and to save the state of several processes.
        fresh: makes the state of rows that begin, from a state of the same shape; zeros by default. Needed only with resets.
        device: the device that chunks are moved to; their resets are not moved.

    Returns:
        An iterable that passes over `source` once in each iteration; every pass begins with the state None, unless a place was
        loaded.

    Raises:
        ValueError: k1 < 1 or k2 < k1.
    """
    return Chunks(source, k1, k2, batch_dim=batch_dim, fresh=fresh, device=device)


class BPTTWindow:
    """The steps of one update: the new ones, and those before them that the gradient goes back to.

    Args:
        whole: all steps, context first, as a `Chunk`; or a `Batch`.
        context: how many of the first steps are context: they are run again, and their loss does not count.
        kept: the next window begins after so many steps of this one.
        owner: the `Chunks` that gave this window and has the state.
    """

    def __init__(self, whole: Any, context: int, kept: int, owner: Chunks):
        self.whole, self.context, self.kept = whole, context, kept
        self.state = owner.state
        self.is_carried = False
        self._owner = owner

    @property
    def new(self) -> Any:
        """The k1 new steps: a `Chunk`; or the `Batch`."""
        return self.whole if self.context == 0 else _cut(self.whole, self.context, _length(self.whole))

    @property
    def input(self) -> Any:
        """The input of the new steps, (k1, B, ...)."""
        return self.new.input

    @property
    def target(self) -> Any:
        """The target of the new steps, (k1, B, ...)."""
        return self.new.target

    @property
    def mask(self) -> torch.Tensor | None:
        """The mask of the new steps, (k1, B) bool: False after the end of a row's data; None if all rows have data."""
        return self.new.mask

    @property
    def steps(self) -> int:
        """The number of new steps, k1."""
        return _length(self.new)

    @property
    def count(self) -> int:
        """How many terms the mean of the loss has, in this process: tokens, or the `count` of a `Batch`."""
        new = self.new
        if isinstance(new, Batch):
            return new.count
        return new.target.numel() if new.mask is None else int(new.mask.sum())

    @property
    def weight(self) -> float:
        """The factor of the loss before the mean over processes is taken; see `Batch`."""
        return self.whole.weight if isinstance(self.whole, Batch) else 1.0

    def run(self, function: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
        """Call `function(input, state) -> (output, state)` over the window; carries the state, with resets by row.

        Args:
            function: a layer such as `torch.nn.LSTM`, or any callable. The state is None at the very beginning. If rows begin anew
                within the window, it is called separately for the steps before and after that. It may contain several layers:
                the state can be nested.

        Returns:
            The output of the new steps, (k1, B, ...): tensors or nested ones, time first.
        """
        self._owner.rebuild(self, lambda: function(_cut(self.whole.input, 0, 1), None)[1])
        state, outputs, resets = self.state, [], self.whole.resets
        begins = steps_of(resets)
        self._carry(0, state)
        for start, end in self._parts(begins):
            if resets is not None and start in begins and state is not None:
                state = self._owner.renewed(state, resets[start])
            output, state = function(_cut(self.whole.input, start, end), state)
            self._carry(end, state)
            if end > self.context:
                first = max(self.context - start, 0)
                outputs.append(_cut(output, first, end - start) if first else output)
        return outputs[0] if len(outputs) == 1 else map_tensors(lambda *parts: torch.cat(parts), *outputs)

    def loss(self, module: HasLoss) -> torch.Tensor:
        """The mean loss of the new steps, from `module.loss(chunk, state) -> (loss, state)`; carries the state.

        The module has to apply resets itself. With k2 > k1 it is called two or three times: for the context, whose loss is not
        used, and for the new steps, which are split in two if the next window begins among them.

        Raises:
            TypeError: the module returned something else.
        """
        self._owner.rebuild(self, lambda: module.loss(_cut(self.whole, 0, 1), None)[1])
        state, total, count = self.state, None, 0
        self._carry(0, state)
        parts = list(self._parts([self.context]))
        for start, end in parts:
            part = _cut(self.whole, start, end) if len(parts) > 1 else self.whole
            loss, state = _loss_and_state(module, module.loss(part, state))
            self._carry(end, state)
            if start >= self.context and (size := _count(part)):
                total = loss * size if total is None else total + loss * size
                count += size
                if size == _count(self.new):
                    return loss
        if total is None:
            raise ValueError("expected a window with at least one step of data, got one that is masked out altogether")
        return total / count

    def carry(self, state: Any) -> None:
        """Set the state that the next window begins with: the one after `kept` steps of this window.

        `run` and `loss` call it themselves.
        """
        self._owner.state = detach(state)
        self.is_carried = True

    def give_back(self) -> None:
        """Undo the window, so that a place saved now is the one before it. For an update that was not made after all."""
        self._owner.undo(self)

    def _carry(self, step: int, state: Any) -> None:
        if step == self.kept:
            self.carry(state)

    def _parts(self, cuts: list[int]) -> Iterator[tuple[int, int]]:
        T = _length(self.whole)
        inner = sorted({cut for cut in (*cuts, self.kept) if 0 < cut < T})
        yield from zip([0, *inner], [*inner, T], strict=True)


class Chunks:
    """Windows over a source; see `chunks`.

    Attributes:
        state: the detached state before the next window, k2 - k1 steps back from the newest data; None at the beginning.
    """

    def __init__(
        self,
        source: Any,
        k1: int | None = None,
        k2: int | None = None,
        *,
        batch_dim: int = 1,
        fresh: Fresh | None = None,
        device: torch.device | str | None = None,
    ):
        length = getattr(source, "chunk_length", None) if k1 is None else k1
        if length is not None and length < 1:
            raise ValueError(f"k1: expected at least 1 step from update to update, got {length}")
        if k2 is not None and length is None:
            raise ValueError(
                "k2: expected k1 beside it, for this source has no chunk_length; say chunks(..., k1=, k2=)"
            )
        if k2 is not None and length is not None and k2 < length:
            raise ValueError(f"k2: expected at least k1 = {length} steps to go back, got {k2}")
        self.source, self.batch_dim, self.device = source, batch_dim, device
        self.overlap = 0 if k2 is None or length is None else k2 - length
        self.state: Any = None
        self._fresh = fresh or (lambda state: map_tensors(torch.zeros_like, state))
        self._k1 = k1
        self.reset()

    def __iter__(self) -> Iterator[BPTTWindow]:
        for piece in self._pieces():
            if isinstance(piece, Batch) and (self._k1 is not None or self.overlap):
                raise ValueError("k1, k2: expected none of them for batches of examples, which are not cut")
            whole = piece if self._past is None else self._joined(self._past, piece)
            T = _length(whole)
            kept = max(0, T - self.overlap)
            self._past = _cut(whole, kept, T) if self.overlap else None
            self._window = window = BPTTWindow(whole, T - _length(piece), kept, self)
            yield window
            if not window.is_carried and self._window is window:
                raise RuntimeError(
                    "expected window.run, window.loss or window.carry to be called, for the state to go on"
                )
        self.reset()

    def reset(self) -> None:
        """Forget the state: the next data do not continue the earlier ones."""
        self.state = None
        self._leaves: list[torch.Tensor] | None = None  # the tensors of a loaded state whose types are not known yet
        self._past: Chunk | list[torch.Tensor] | None = None  # the last k2 - k1 steps; only their tensors after loading
        self._window: BPTTWindow | None = None
        # The place in the source: its own `state_dict` if it has one, else the number of finished pieces; and the number of
        # steps used of the current piece.
        self._place: dict[str, Any] = {"state": None, "pieces": 0, "steps": 0}
        self._before = self._now()  # the place and the state before the current window

    def renewed(self, state: Any, begins: torch.Tensor) -> Any:
        """The state with fresh values in the rows where `begins`, (B,) bool, is True."""

        def choose(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            shape = [1] * old.dim()
            shape[self.batch_dim] = -1
            return torch.where(begins.to(old.device, non_blocking=True).view(shape), new.to(old.dtype), old)

        return map_tensors(choose, state, self._fresh(state))

    # --- the place, saved and loaded ---

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue after the last window that was run: tensors, numbers and text in dicts, lists and tuples.

        A window that was not run, or was given back, will be given again.
        """
        at_work = self._window is not None and not self._window.is_carried
        return self._described(*(self._before if at_work else self._now()))

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue where `saved` was taken. Current iterations must be left; the next one begins at that place.

        A source without `state_dict` must be the same again, from its beginning; the pieces that were used are skipped.
        """
        self.reset()
        self._place = dict(saved["source"])
        if self._place["state"] is not None:
            self.source.load_state_dict(self._place["state"])
        self._past = map_tensors(self._moved, saved["past"])
        state = map_tensors(self._moved, saved["state"])
        if saved["is_plain"]:
            self.state = state
        else:
            self._leaves = state

    def undo(self, window: BPTTWindow) -> None:
        """See `BPTTWindow.give_back`."""
        if self._window is not window:
            raise RuntimeError("expected the window that was given last; an older one cannot be given back")
        self.state, window.is_carried = window.state, False

    def rebuild(self, window: BPTTWindow, example: Callable[[], Any]) -> None:
        """Restore the types of a loaded state of named tuples or dataclasses, which no file has, from those of an example."""
        if self._leaves is None:
            return
        leaves, self._leaves = iter(self._leaves), None
        cuda = sorted({tensor.device for tensor in tensors_of(window.whole) if tensor.is_cuda}, key=str)
        with torch.no_grad(), torch.random.fork_rng(devices=cuda):
            window.state = map_tensors(lambda _: next(leaves), example())

    def _now(self) -> tuple[dict[str, Any], Any, Any, list[torch.Tensor] | None]:
        return dict(self._place), self._past, self.state, self._leaves

    def _described(
        self, place: dict[str, Any], past: Any, state: Any, leaves: list[torch.Tensor] | None
    ) -> dict[str, Any]:
        if place["state"] is None and hasattr(self.source, "state_dict"):
            place = {**place, "state": self.source.state_dict()}
        plain = leaves is None and is_plain(state)
        return {
            "source": place,
            "past": None if past is None else tensors_of(past),
            "state": state if plain else leaves or tensors_of(state),
            "is_plain": plain,
        }

    # --- pieces of the source ---

    def _pieces(self) -> Iterator[Any]:
        source, has_place = self.source, hasattr(self.source, "state_dict")
        iterator = iter([source]) if isinstance(self.source, Chunk | tuple | torch.Tensor) else iter(source)
        pieces, start = self._place["pieces"], self._place["steps"]
        for _ in range(0 if has_place else pieces):
            next(iterator, None)
        while True:
            self._place = {"state": source.state_dict() if has_place else None, "pieces": pieces, "steps": start}
            given = next(iterator, None)
            if given is None:
                return
            chunk = _as_chunk(given)
            T = _length(chunk)
            if self._k1 is not None or self.overlap:
                _check_steps(chunk, T)
            while start < T:
                end = min(start + (self._k1 or T), T)
                self._before = self._now()
                self._place["steps"] = end
                if end == T:  # take the source's own place, so that the piece need not be read again
                    self._place = {
                        "state": source.state_dict() if has_place else None,
                        "pieces": pieces + 1,
                        "steps": 0,
                    }
                yield self._moved(chunk if end - start == T else _cut(chunk, start, end))
                start = end
            pieces, start = pieces + 1, 0

    @staticmethod
    def _joined(past: Any, piece: Any) -> Any:
        first = iter(tensors_of(past))
        return map_tensors(lambda second: torch.cat((next(first), second)), piece)

    def _moved(self, chunk: Any) -> Any:
        if self.device is None:
            return chunk
        moved = map_tensors(lambda tensor: tensor.to(self.device), chunk)
        # Resets stay on the host, which reads them: it would have to wait to get them back from the device.
        return dataclasses.replace(moved, resets=chunk.resets) if isinstance(chunk, Chunk) else moved


def _loss_and_state(module: Any, given: Any) -> Any:
    """Check that a module's `loss` returned a loss and a state, and return them."""
    parts = list(given) if isinstance(given, tuple | list) else [given]
    if len(parts) == 2 and isinstance(parts[0], torch.Tensor) and parts[0].numel() == 1:
        return given
    got = [f"tensor {tuple(part.shape)}" if isinstance(part, torch.Tensor) else type(part).__name__ for part in parts]
    raise TypeError(
        f"expected {type(module).__name__}.loss to give two things, the mean loss (a scalar tensor) and the state (None for none), "
        f"got ({', '.join(got)})"
    )


def _as_chunk(piece: Any) -> Any:
    nothing: Any = None
    if isinstance(piece, Chunk | Batch):
        return piece
    if isinstance(piece, torch.Tensor):
        return Chunk(piece, nothing, None)
    if isinstance(piece, tuple | list) and 1 <= len(piece) <= 3:
        return Chunk(*(*piece, nothing, nothing)[:3])
    raise TypeError(f"expected a Chunk, a tensor or a tuple (input, target, resets), got a {type(piece).__name__}")


def _check_steps(chunk: Any, T: int) -> None:
    """Check that all tensors to be cut along time have the same number of steps: a shorter target would end unnoticed."""
    steps = sorted({tensor.shape[0] if tensor.dim() else 0 for tensor in tensors_of(chunk)} - {T})
    if steps and not isinstance(chunk, Batch):
        raise ValueError(f"expected input, target and resets of as many steps, time first, got {T} and {steps[0]}")


def _cut(tree: Any, start: int, end: int) -> Any:
    return map_tensors(lambda tensor: tensor[start:end], tree)


def _length(chunk: Any) -> int:
    input: Any = chunk.input
    if isinstance(chunk, Batch):  # never cut; a batch made by a user's collate function may have no steps
        first = next(iter(tensors_of(input)), None)
        return 1 if first is None or not first.dim() else max(1, len(first))
    return (input if isinstance(input, torch.Tensor) else tensors_of(input)[0]).shape[0]


def _count(chunk: Any) -> int:
    """The weight of a chunk's mean loss, in a unit that is the same for all chunks of a source."""
    mask = getattr(chunk, "mask", None)
    return _length(chunk) if mask is None else int(mask.sum())
