"""A launch: a part of a call that is ready to run again and again, for one call at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.jobs import Job
from ostinato.kernels.cpu.run.layer_jobs import BackwardJobs, ForwardJobs
from ostinato.kernels.cpu.run.passes import Team
from ostinato.kernels.cpu.run.route import MaskKind, Part, Route
from ostinato.kernels.cpu.run.sizes import Sizes
from ostinato.kernels.cpu.threads.lateness import activity
from ostinato.kernels.cpu.threads.openmp import InTurn, run_beside
from ostinato.types import Tensor

KEPT_BYTES = 1 << 16  # a launch keeps its memory up to this size; larger memory is taken anew for each call


class Launch:
    """All that a part of a call needs to run on one kind of batch. For one call at a time.

    Args:
        call: the sizes of the call.
        route: where everything is stored.
        part: the part to run.
        masks: the kind of each mask, place by place.
        teams: the team of each place.
        beside: whether the directions of a layer run at the same time, each on a thread.

    Attributes:
        route: where everything is stored.
        stock: the stock in which it waits for the next call.
    """

    def __init__(
        self,
        call: Sizes,
        route: Route,
        part: Part,
        masks: Sequence[MaskKind],
        teams: Sequence[Team],
        beside: bool,
    ) -> None:
        self.route, self.stock, self._beside, self._functions = route, Stock(), beside, call.functions
        make = BackwardJobs if part.name == "backward" else ForwardJobs
        made = make(call, route, part, masks, teams)
        self._layers, self._jobs, self._dtype, self._numbers = made.layers, made.jobs, call.dtype, made.numbers
        self._dx = made.dx
        self._telling = self._jobs.telling(made.count)
        self._memory: Tensor | None = None
        self._is_kept = self._numbers * call.bytes <= KEPT_BYTES
        jobs = [self._telling]
        for _, before, frames, behind in self._layers:
            jobs += [*before, *(Job(frame.function, frame.address) for frame in frames), *behind]
        is_alone = not beside and not call.spec.bf16 and all(team.shares == 1 for team in teams)
        # With one thread, and nothing for Python to do in between, all jobs are one call of machine code.
        self._at_once = InTurn(call.functions, [(job.loop, job.fields) for job in jobs]) if is_alone else None

    def enter(self) -> int:
        """Take the memory that is needed during the call, with whatever numbers are in it; gives its address."""
        if self._memory is None:
            self._memory = pool.take(max(1, self._numbers), dtype=self._dtype)
        elif pool.poison:
            self._memory.fill_(float("nan"))
        return self._memory.data_ptr()

    def leave(self) -> None:
        """Give large memory back, and go back into the stock if it is open."""
        if not self.route.is_small:
            activity.worked()
        if not self._is_kept:
            self._memory = None
        if self.stock.is_open:
            self.stock.append(self)

    def run(self, numbers: Sequence[int], between: Callable[[int], None] | None = None) -> None:
        """Run the part.

        Args:
            numbers: the numbers of the call, see `route`.
            between: for bfloat16, a function that is called with the number of each layer after its frames have run.
        """
        self._jobs.put(numbers)
        if self._at_once is not None:
            self._at_once()
            return
        self._jobs.run([self._telling])
        for number, before, frames, behind in self._layers:
            self._jobs.run(before)
            if self._beside:
                run_beside(self._functions, [(frame.function, frame.address) for frame in frames])
            else:
                for frame in frames:
                    frame.launch(self._functions)
            if between is not None:
                between(number)
            self._jobs.run(behind)

    def gradient(self, place: int, outside: Tensor | None, inputs: int) -> Tensor | None:
        """The gradient of a place's input, `(rows, I)`, as a tensor; None if it is not computed.

        Args:
            place: the number of the place.
            outside: the tensor that the caller gets as the gradient of the call's input.
            inputs: `I`.
        """
        if (where := self._dx.get(place)) is None:
            return None
        rows = self.route.order.total
        assert self._memory is not None
        return view(self._memory, where[1], rows, inputs) if where[0] == self.route.memory else outside


class Stock(list[Launch]):
    """Launches that wait for the next call.

    Attributes:
        is_open: whether launches may come back. A stock that is no longer kept is closed, or it and its launches would keep each
            other alive.
    """

    is_open = True

    def close(self) -> None:
        """Drop the launches, and take none back."""
        self.is_open = False
        self.clear()


def view(block: Tensor, offset: int, *shape: int) -> Tensor:
    """A view of some numbers in a block, which begin `offset` bytes behind its start."""
    begin = offset // block.itemsize
    return block[begin : begin + math.prod(shape)].view(shape)
