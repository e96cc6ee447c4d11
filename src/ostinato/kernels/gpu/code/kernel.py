"""The kernels of a plan as Triton source.

A *tick* is what programs do between two barriers: one phase, and after the last phase of a step the first phase of the next step,
which needs no other program. A kernel runs the ticks `n0` to `n1 - 1`, with barriers only between them. So the same code runs a
whole sequence in one launch, if all programs of the grid are on the device at the same time, or one tick in each launch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.gpu.code.blocks import Blocks, power
from ostinato.kernels.gpu.code.memory import Memory
from ostinato.kernels.gpu.code.operations import functions
from ostinato.kernels.gpu.code.phase import PhaseText
from ostinato.kernels.gpu.code.phases import phases
from ostinato.kernels.gpu.code.prelude import PRELUDE
from ostinato.kernels.gpu.code.product import of_stage
from ostinato.kernels.gpu.code.writer import Writer

PARTS = ("inference", "training", "backward")
# Otherwise Triton would compile another kernel for 1 and for multiples of 16, and tick by tick these take all values in turn.
_NOT_SPECIALIZED = ("n0", "n1", "T", "B", "reverse")


@dataclass(frozen=True)
class Emitted:
    """The text of a module, and the arguments of its kernel.

    Attributes:
        part: the part, one of `PARTS`.
        source: the text; its kernel has the name of the part.
        arguments: the names of the kernel's arguments, in order, behind n0, n1, T, B, reverse and flags.
        ticks: the number of ticks of a step.
        rows: the number of sums over rows, which are stored, whole and in parts, in each step.
    """

    part: str
    source: str
    arguments: tuple[str, ...]
    ticks: int
    rows: int

    def count(self, steps: int) -> int:
        """The number of ticks of a sequence."""
        return steps if self.ticks == 0 else 1 + steps * self.ticks


def precision(dtype: torch.dtype) -> str:
    """The precision in which `tl.dot` multiplies: the one that torch is set to."""
    return "ieee" if dtype is not torch.float32 or torch.get_float32_matmul_precision() == "highest" else "tf32"


def emit(
    plan: Plan,
    part: str,
    widths: Mapping[str, int],
    blocks: Blocks,
    *,
    dtype: torch.dtype = torch.float32,
    with_lengths: bool = False,
    about: str = "a step",
    interpreted: bool = False,
) -> Emitted:
    """Make the source of one part.

    Args:
        plan: the plan of a step.
        part: one of `PARTS`.
        widths: the number of units by letter.
        blocks: the tiles.
        dtype: the dtype of what enters products; all else is float32, or float64 if this is.
        with_lengths: whether rows may end before the last step.
        about: what the step is, for people who read the source.
        interpreted: whether Triton's interpreter is to run it.
    """
    return _Kernel(plan, part, widths, blocks, dtype, with_lengths, interpreted).emitted(about)


def low_states(plan: Plan, dtype: torch.dtype) -> tuple[str, ...]:
    """The states that enter a product in another dtype than that in which they are kept."""
    if dtype not in (torch.bfloat16, torch.float16):
        return ()
    entering = [str(p.enters.key[0]) for p in plan.program.products if p.enters.op == "state"]
    return tuple(dict.fromkeys(entering))


class _Kernel:
    def __init__(
        self,
        plan: Plan,
        part: str,
        widths: Mapping[str, int],
        blocks: Blocks,
        dtype: torch.dtype,
        with_lengths: bool,
        interpreted: bool,
    ) -> None:
        self._plan, self._part, self._widths, self._blocks, self._dtype = plan, part, widths, blocks, dtype
        self._interpreted = interpreted
        self._schedule = getattr(plan, part)
        self._phases = phases(self._schedule)
        self._memory = Memory(
            plan,
            self._schedule,
            is_forward=part != "backward",
            with_lengths=with_lengths,
            low=low_states(plan, dtype),
        )
        self._called: set[str] = set()

    @property
    def _ticks(self) -> int:
        return len(self._phases) - 1

    def emitted(self, about: str) -> Emitted:
        # Written once to find out which memories are used, and which products are kept for another phase; then again.
        self._texts()
        for at in range(len(self._schedule.stages)):
            self._tiles(at, Writer())
        texts = self._texts()
        arguments = tuple(self._memory.used)
        parts = []
        for n, (text, phase) in enumerate(zip(texts, self._phases, strict=True)):
            own = self._tiles(phase.stage, Writer()) if phase.is_last else {}
            head = f"def {self._part}_{n}({', '.join(['t', 'step', 'T', 'B', 'reverse', *arguments, *own])}):"
            parts.append("\n".join(["@triton.jit", head, *text]))
        body = self._body(arguments)
        head = f"def {self._part}({', '.join(['n0', 'n1', 'T', 'B', 'reverse', 'flags', *arguments])}):"
        jit = f"@triton.jit(do_not_specialize={list(_NOT_SPECIALIZED)!r})"
        parts.append("\n".join([jit, head, *body]))
        prelude = PRELUDE.format(about=about, constants="\n".join(self._constants()))
        source = "\n\n".join(
            [prelude, *(f"\n{text}" for text in functions(self._called)), *(f"\n{t}\n" for t in parts)]
        )
        return Emitted(self._part, source, arguments, self._ticks, len(self._schedule.rows))

    def _constants(self) -> list[str]:
        blocks, programs = self._blocks, -(-max(self._sizes().values()) // self._blocks.units)
        acc = "tl.float64" if self._dtype is torch.float64 else "tl.float32"
        constants: dict[str, object] = {
            f"n_{letter}": width for letter, width in self._sizes().items() if letter != "1"
        }
        constants |= {"BLOCK_B": blocks.rows, "BLOCK_U": blocks.units, "BLOCK_K": blocks.k, "SPLIT": blocks.split}
        constants |= {"PROGRAMS": power(programs), "ACC": acc, "PRECISION": repr(precision(self._dtype))}
        constants["INTERPRETED"] = self._interpreted
        return [f"{name} = tl.constexpr({value})" for name, value in constants.items()]

    def _sizes(self) -> dict[str, int]:
        return {letter: self._widths[letter] for letter in self._plan.program.spaces}

    def _texts(self) -> list[list[str]]:
        found = []
        for phase in self._phases:
            writer = Writer()
            self._memory.begin(writer)
            text = PhaseText(self._memory, phase, self._widths, self._blocks, writer)
            text.write()
            self._called |= text.called
            found.append(writer.lines)
        return found

    def _tiles(self, at: int, writer: Writer) -> dict[str, str]:
        """Write the loads of a stage's tiles of weights that stay; gives for each name the variable that holds it."""
        found: dict[str, str] = {}
        if self._blocks.resident:
            for product in of_stage(self._memory, at, self._widths, self._blocks):
                for name, start in zip(product.names(), product.starts, strict=True):
                    found[name] = product.weight(writer, str(start))
        return found

    def _body(self, arguments: tuple[str, ...]) -> list[str]:
        writer, part = Writer(), self._part
        given = ", ".join(["T", "B", "reverse", *arguments])
        tiles: dict[str, str] = {}
        if self._blocks.resident and any(stage.products for stage in self._schedule.stages):
            self._memory.begin(writer)
            for at in range(len(self._schedule.stages)):
                for name, value in self._tiles(at, writer).items():
                    writer.line(f"{name} = {value}")
                    tiles[name] = name
        turn = "reverse" if part != "backward" else "1 - reverse"
        writer.line(f"turn = {turn}")

        def call(n: int) -> str:
            phase = self._phases[n]
            own = [*self._tiles(phase.stage, Writer())] if phase.is_last else []
            return f"{part}_{n}({', '.join(['t', 'step', given, *own])})"

        with writer.block("for n in range(n0, n1):"):
            if self._ticks:
                with writer.block("if n > 0:"):
                    writer.line(f"step = (n - 1) // {self._ticks}" if self._ticks > 1 else "step = n - 1")
                    writer.line("t = (step + turn * (T - 1 - 2 * step)).to(tl.int64)")
                    if self._ticks == 1:
                        writer.line(call(1))
                    else:
                        writer.line(f"phase = (n - 1) % {self._ticks}")
                        for at in range(1, len(self._phases)):
                            with writer.block(f"if phase == {at - 1}:"):
                                writer.line(call(at))
            ticks = max(1, self._ticks)
            first = f"(n % {ticks} == 0) & (n // {ticks} < T)" if ticks > 1 else "n < T"
            with writer.block(f"if {first}:"):
                writer.line("tl.debug_barrier()  # it loads what other threads of the program have just stored")
                writer.line(f"step = n // {ticks}" if ticks > 1 else "step = n + 0")
                writer.line("t = (step + turn * (T - 1 - 2 * step)).to(tl.int64)")
                writer.line(call(0))
            if self._ticks:
                with writer.block("if n + 1 < n1:"):
                    writer.line("meet(flags + tl.program_id(1) * tl.num_programs(0), tl.num_programs(0), n + 1)")
        return writer.lines
