"""From a cell to machine code: traced and compiled once on a machine, and found on disk by every later process."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite
import torch
from llvmlite import ir
from llvmlite.binding import llvm_version_info

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.fits import observed
from ostinato.kernels.compiler.graph import Unsupported, name_of
from ostinato.kernels.cpu.code import cache, product
from ostinato.kernels.cpu.code.target import Loaded, assembly, host, load
from ostinato.kernels.cpu.code.target import compile as machine_code
from ostinato.kernels.reading.current import current
from ostinato.kernels.reading.fingerprint import Reading
from ostinato.locks import compiling
from ostinato.version import __version__

if TYPE_CHECKING:
    from ostinato.kernels.compiler.observed import Observed

PARTS = ("inference", "training", "backward")


@dataclass(frozen=True)
class Multiplied:
    """What the caller needs to know of a product inside the step.

    Attributes:
        matrix: "weight_hh" or the name of one of the cell's own matrices.
        gates: the blocks of rows of the matrix, in the order of the pieces.
        pieces: the number of pieces.
        space: the space of its pieces.
        state: the state that enters it unchanged, or None.
        input: the input, "x", or the extra that enters it unchanged, or None. If `state` and `input` are None, a computed value
            enters.
        entered_space: the space of what enters.
        accumulated: whether the gradient of what enters is added to the gradient of that state in place.
        heads: the number of blocks on the diagonal of each piece; the matrix has no other numbers.
    """

    matrix: str
    gates: tuple[int, ...]
    pieces: int
    space: str
    state: str | None
    input: str | None
    entered_space: str
    accumulated: bool
    heads: int


@dataclass(frozen=True)
class Description:
    """What the caller needs to know of a plan, in plain data, which is stored with the code on disk.

    Attributes:
        gates: the number of gates of W_ih x.
        letters: the letter of the width of each state.
        spaces: the letters of all widths.
        products: the products, in order.
        slots: for each space, the number of vectors that a row and unit block keeps.
        dx: the gates of W_ih x in the order of their gradient slots.
        du: the same for each product.
        dx_slot: the first of the slots of `dx`.
        du_slots: the same for each product.
        parameters: for each space, the number of gradient slots of parameters.
        parameter_slots: (name, piece, space, slot) of every piece of a vector parameter that has a gradient.
        sums: for each part, the number of sums over rows.
        saved_sums: the number of sums that the backward pass loads.
        scratch: for each part and space, the number of scratch vectors.
        least: see `too_few`.
    """

    gates: int
    letters: dict[str, str]
    spaces: tuple[str, ...]
    products: tuple[Multiplied, ...]
    slots: dict[str, int]
    dx: tuple[int, ...]
    du: tuple[tuple[int, ...], ...]
    dx_slot: int
    du_slots: tuple[int, ...]
    parameters: dict[str, int]
    parameter_slots: tuple[tuple[str, int, str, int], ...]
    sums: dict[str, int]
    saved_sums: int
    scratch: dict[str, dict[str, int]]
    least: dict[str, int]

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Description:
        """Make a description of what JSON gives."""
        plain["products"] = tuple(Multiplied(**{**p, "gates": tuple(p["gates"])}) for p in plain["products"])
        for name in ("dx", "du", "du_slots", "parameter_slots", "spaces"):
            plain[name] = tuple(tuple(v) if isinstance(v, list) else v for v in plain[name])
        return cls(**plain)


@dataclass(frozen=True)
class CodePart:
    """One compiled function and what it reads.

    Attributes:
        address: the address of the code.
        fields: the names of its fields, in order.
        loaded: the code in memory.
    """

    address: int
    fields: tuple[str, ...]
    loaded: Loaded


class Kernel:
    """The compiled parts of one cell in one dtype; each is made when it is first needed.

    Args:
        cell: the recurrence.
        bias: whether there are `bias_ih` and `bias_hh`.
        projected: whether the output has `P` units.
        double: whether it computes in float64 rather than float32.

    Attributes:
        reading: the reading of the cell that was compiled.
        observed: what its step looks at besides values; None for a cell of this package, whose steps look at nothing else.

    Raises:
        Unsupported: with the reason, if the compiler does not take the cell.
    """

    def __init__(self, cell: Cell, bias: bool, projected: bool, double: bool) -> None:
        self.cell, self.bias, self.projected = cell, bias, projected
        self.shape = shape(double)
        self.reading = current(cell)
        if self.reading.refusal is not None:
            raise Unsupported(self.reading.refusal)
        self.observed: Observed | None = None if self.reading.is_ours else observed(cell, bias, projected, self.reading)
        self._key = f"{self.reading.digest} {bias} {projected}"
        self.passes: dict[object, Any] = {}  # by sizes, see `sizes`
        self._parts: dict[str, CodePart] = {}
        self._description: Description | None = None
        # The description is stored with every part; if no part is on disk, the step is recorded. Machine code is made when it is
        # first needed, as training may never need the part "inference". If the step reads something that may change, it is made
        # now, before that changes.
        if len(self.reading.watch):
            self.part("inference")
        elif not any(map(self._read, PARTS)):
            self._describe()

    def follow(self, cell: Cell, reading: Reading) -> None:
        """Make the parts that are still missing from another cell, which computes the same."""
        self.cell, self.reading = cell, reading

    @property
    def description(self) -> Description:
        """What the caller needs to know to call the code."""
        assert self._description is not None
        return self._description

    def part(self, name: str) -> CodePart:
        """The code of one of `PARTS`."""
        if (found := self._parts.get(name)) is None:
            with compiling:
                found = self._parts.get(name) or self._make(name)
                self._parts[name] = found
                if name == "training" and len(self.reading.watch):
                    self.part("backward")  # what the step reads may have changed by the time it is needed
        return found

    def _make(self, name: str) -> CodePart:
        key = key_of(f"{self._key} {name}", self.shape)
        if (kept := self._read(name)) is not None:
            fields, code = kept
            return CodePart((loaded := load(code, [name])).address(name), fields, loaded)
        module, fields = self.module(name)
        code = machine_code(module)
        head = json.dumps({"description": asdict(self.description), "fields": fields})
        cache.store(key, head.encode() + b"\n" + code)
        return CodePart((loaded := load(code, [name])).address(name), tuple(fields), loaded)

    def _read(self, name: str) -> tuple[tuple[str, ...], bytes] | None:
        """The fields and the code of a part that an earlier process has stored; sets the description."""
        if (kept := cache.load(key_of(f"{self._key} {name}", self.shape))) is None:
            return None
        head, _, code = kept.partition(b"\n")
        read = json.loads(head)
        self._description = Description.read(read["description"])
        return tuple(read["fields"]), code

    def _describe(self) -> None:
        if self._description is None:
            letters = self._plan.program.letters
            self._description = _describe(self._plan, {name: letters[name] for name in self.cell.states})

    def module(self, name: str) -> tuple[ir.Module, list[str]]:
        """The LLVM code of a part, and the names of its fields."""
        from ostinato.kernels.cpu.code.backward import Backward
        from ostinato.kernels.cpu.code.forward import Forward
        from ostinato.kernels.cpu.code.loops import Fields

        plan = self._plan
        self._describe()
        module, fields = ir.Module(f"{self.cell.name}_{name}"), Fields()
        kind = Backward if name == "backward" else Forward
        kind(module, name, plan, getattr(plan, name), self.shape, fields, plan.program.letters).write()
        return module, fields.names

    @functools.cached_property
    def _plan(self) -> Any:
        # Imported only to compile, as importing torch's tracer takes time.
        from ostinato.kernels.compiler.plan import plan
        from ostinato.kernels.compiler.trace import trace

        with compiling:
            self._check("before")
            planned = plan(trace(self.cell, self.bias, self.projected))
            self._check("while")
        return planned

    def _check(self, when: str) -> None:
        # Otherwise the recording would be stored under a fingerprint that is not its own.
        if not self.reading.watch.holds():
            names = ", ".join(self.reading.watch.changed()) or "what it reads"
            raise RuntimeError(
                f"{names}, which the step of cell {self.cell.name!r} reads, changed {when} it was compiled; call it again"
            )

    def listing(self, kind: str = "program", part: str = "training") -> str:
        """The generated code as text.

        Args:
            kind: "program", the graphs of the step and its gradient; "llvm", LLVM's language; or "assembly".
            part: "inference", "training" or "backward", for the last two kinds.
        """
        if kind == "program":
            return str(self._plan.program)
        module, _ = self.module(part)
        return str(module) if kind == "llvm" else assembly(module)


def _describe(plan: Any, letters: dict[str, str]) -> Description:
    program = plan.program

    def entering(op: str, node: Any) -> str | None:
        return name_of(node) if node.op == op else None

    products = tuple(
        Multiplied(
            p.matrix,
            tuple(p.gates),
            p.pieces,
            p.space,
            entering("state", p.enters),
            entering("input", p.enters),
            p.entered,
            k in plan.accumulated,
            p.heads,
        )
        for k, p in enumerate(program.products)
    )
    slots = tuple((*piece, *slot) for piece, slot in plan.parameter_slots.items())
    schedules = {part: getattr(plan, part) for part in PARTS}
    return Description(
        len(program.dx),
        letters,
        program.spaces,
        products,
        dict(plan.slots),
        plan.dx.order,
        tuple(s.order for s in plan.du),
        plan.dx.first,
        tuple(s.first for s in plan.du),
        {space: len(names) for space, names in plan.parameters.items()},
        slots,
        {part: len(s.rows) for part, s in schedules.items()},
        plan.rows,
        {part: dict(s.scratch) for part, s in schedules.items()},
        dict(program.least),
    )


@functools.cache
def shape(double: bool) -> product.Shape:
    """The shape of the vectors of this machine."""
    target = host()
    return product.Shape(target.vector_bytes // (8 if double else 4), double, target.registers)


# The sources that decide what the machine code computes: the steps and all that they are made of, the tracer, the compiler, and
# what these share with the rest of the package.
_SOURCES = ("*.py", "cells/**/*.py", "kernels/**/*.py")


@functools.cache
def _made_by(package: Path = Path(__file__).parents[3]) -> str:
    """A text of everything on which the code depends, besides the cell."""
    digest = hashlib.sha256()
    files = {file for pattern in _SOURCES for file in package.glob(pattern)} - {*package.glob("kernels/gpu/**/*.py")}
    for source in sorted(files):
        content = source.read_bytes()
        digest.update(f"{source.relative_to(package).as_posix()} {len(content)} ".encode() + content)
    makers = {
        "ostinato": __version__,  # needed if there are no source files
        "torch": f"{torch.__version__} {torch.version.git_version}",
        "llvmlite": llvmlite.__version__,
        "LLVM": llvm_version_info,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": host(),
    }
    return f"{digest.hexdigest()} {makers}"


def key_of(what: str, of: product.Shape) -> str:
    """The key under which machine code is stored for later processes."""
    # The default dtype is included, as a tensor that a step makes, and thus a constant of the code, has it.
    return hashlib.sha256(f"{what} {of} {torch.get_default_dtype()} {_made_by()}".encode()).hexdigest()


# The kernels of the last cells, for other cells that compute the same; a cell itself holds its own.
_kernels: OrderedDict[object, Kernel | Unsupported] = OrderedDict()
_MOST_KERNELS = 64


def kernel(cell: Cell, bias: bool, projected: bool, double: bool) -> Kernel | Unsupported:
    """The kernel of what a cell computes now, or the reason why there is none. Cells that compute the same share one."""
    reading = current(cell)
    found = reading.kernels.get((bias, projected, double))
    if found is None:
        with compiling:
            reading = current(cell)
            found = reading.kernels.get((bias, projected, double)) or _found(cell, reading, bias, projected, double)
            reading.kernels[bias, projected, double] = found
    return found


def _found(cell: Cell, reading: Reading, bias: bool, projected: bool, double: bool) -> Kernel | Unsupported:
    if reading.refusal is not None:
        return Unsupported(reading.refusal)
    key = (reading.digest, bias, projected, double)
    found = _kernels.get(key)
    if found is None:
        try:
            found = Kernel(cell, bias, projected, double)
        except Unsupported as reason:
            # A new one: the exception that was raised keeps the frames that it went through, and they keep the cell.
            found = Unsupported(str(reason))
        if current(cell) is not reading:
            return found
        _kernels[key] = found
        while len(_kernels) > _MOST_KERNELS:
            _kernels.popitem(last=False)
    elif isinstance(found, Kernel):
        found.follow(cell, reading)
    return found
