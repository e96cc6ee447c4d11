"""One layer as a C function: the equations as a comment, then a sequence of loops over units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from ostinato.cells.spec import Cell
from ostinato.exporting.c.body import LoopBody, Parents, is_name
from ostinato.exporting.c.events import Events, Loop, Multiply, Result, X, is_row, product_of
from ostinato.exporting.c.expressions import Text, constant, known, operation
from ostinato.exporting.c.step import arrange
from ostinato.exporting.c.text import INDENT, block, comment, counted, extra, identifier, state
from ostinato.exporting.c.weights import Constants, Matrix, dot
from ostinato.kernels.compiler.graph import Node, name_of, number_of, piece_of
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.schedule import Schedule

_UNIT = re.compile(r"\bi\b")


@dataclass(frozen=True)
class LayerDescription:
    """The description of a layer from which its C function is written.

    Attributes:
        number: the number of the layer, from 0.
        cell: the cell in evaluation.
        program: the program of the cell's step.
        schedule: the schedule of the program.
        matrices: the matrices by their names without suffix.
        vectors: the names of the arrays of vectors, by the vectors' names without suffix.
        sizes: the number for each letter of a size.
        masks: the mean of each noise by its name.
    """

    number: int
    cell: Cell
    program: Program
    schedule: Schedule
    matrices: Mapping[str, Matrix]
    vectors: Mapping[str, str]
    sizes: Mapping[str, int]
    masks: Mapping[str, float]

    @property
    def states(self) -> dict[str, int]:
        """The number of values of each state."""
        return {name: self.sizes[letter] for name, letter in self.cell.states.items()}

    @property
    def outputs(self) -> int:
        """The number of values of the output."""
        return self.states[self.cell.output]

    @property
    def extras(self) -> dict[str, int]:
        """The number of values of each extra; 0 for an extra that is a single number, not an array."""
        return {name: 0 if letter == "1" else self.sizes[letter] for name, letter in self.cell.extras.items()}


@dataclass
class LayerFunction:
    """Writes the C function of a layer.

    Args:
        layer: the description of the layer.
        constants: the constants of the file.
        prefix: the prefix of the network's types.

    Attributes:
        lines: the lines of the function's body.
        work: the number of floats that the function needs of the work area.
    """

    layer: LayerDescription
    constants: Constants
    prefix: str
    lines: list[str] = field(default_factory=list[str])
    work: int = 0

    def __post_init__(self) -> None:
        self.events = Events(self.layer.program, self.layer.schedule, self.layer.sizes)
        self.work = arrange(list(self.events.rooms.values()))
        self._rows: dict[Node, Text] = {}  # expressions of values that are the same for all units
        self._row_parents = self._parents_of_rows()
        self._copied: set[str] = set()
        self._count = 0
        for room in sorted(self.events.rooms.values(), key=lambda r: r.offset):
            place = f"work + {room.offset}" if room.offset else "work"
            self.lines.append(f"float *const {self._array(room.name)} = {place}; /* {room.size} */")
        for at, event in enumerate(self.events.all):
            if isinstance(event, Multiply):
                self._multiply(event)
            else:
                self._loop(event)
            self._copy_after(at)

    # the function

    @property
    def sizes(self) -> Mapping[str, int]:
        """The number for each letter of a size."""
        return self.layer.sizes

    @property
    def name(self) -> str:
        """The name of the function, and of the layer's states in the network's state."""
        return f"layer{self.layer.number}"

    @property
    def type(self) -> str:
        """The name of the type of the layer's states."""
        return f"{self.prefix}_{self.name}"

    @property
    def parameters(self) -> list[str]:
        """The parameters of the function after its states, the input and the extras."""
        return ["float *work"] if self.work else []

    def struct(self) -> list[str]:
        """Return the definition of the type of the layer's states."""
        fields = [f"{INDENT}float {state(name)}[{size}];" for name, size in self.layer.states.items()]
        return ["typedef struct {", *fields, f"}} {self.type};"]

    def text(self) -> str:
        """Return the whole function."""
        extras = [f"float {extra(n)}" if not size else f"const float *{extra(n)}" for n, size in self._extras()]
        given = ", ".join([f"{self.type} *s", "const float *x", *extras, *self.parameters])
        names = ["s", "x", *(extra(n) for n, _ in self._extras())]
        unused = [f"(void){n};" for n in names if not re.search(rf"\b{n}\b", "\n".join(self.lines))]
        head = f"static void {self.name}({given})"
        return "\n".join([self._comment(), head, "{", *block([*unused, *self.lines]), "}"])

    def _extras(self) -> list[tuple[str, int]]:
        return list(self.layer.extras.items())

    def _comment(self) -> str:
        layer, cell = self.layer, self.layer.cell
        options = f" with {', '.join(cell.options)}" if cell.options else ""
        told = [
            f"Layer {layer.number}: {cell.name}{options}; {counted(layer.sizes['I'], 'input')}, {counted(layer.outputs, 'output')}."
        ]
        if cell.__doc__ and cell.__doc__ != Cell.__doc__:
            told += ["", *(line.strip() for line in cell.__doc__.strip().splitlines())]
        if cell.source:
            told += ["", f"Source: {cell.source}"]
        if not layer.number:
            told += ["", *str(layer.program).partition("\nbackward")[0].splitlines()[1:]]
        return comment(told)

    # events

    def _multiply(self, event: Multiply) -> None:
        """Write rows of a matrix times a vector, with one loop for each run of neighbouring rows."""
        matrix, gates, heads = self._matrix(event.product)
        size, columns = self.layer.sizes[self.events.space(event.product)], matrix.columns
        array, v = self._array(self.events.kept_name(event.product)), self._entering(event.product)
        rows = [gates[piece] if gates else 0 for piece in event.pieces]
        starts = [n for n in range(len(rows)) if n == 0 or rows[n] != rows[n - 1] + 1]
        told = ", ".join(self._gate(event.product, piece) for piece in event.pieces if gates)
        what = f"{matrix.name}{f' [{told}]' if told else ''} {v}"
        self.lines += [comment([what])]
        for begin, end in pairwise([*starts, len(rows)]):
            place = self.events.kept[event.product, event.pieces[begin]] * size
            to = f"{array}[{place} + i]" if place else f"{array}[i]"
            row = f"{rows[begin] * size} + i" if rows[begin] else "i"
            count = (end - begin) * size
            entering = v if heads == 1 else f"{v} + (i % {size}) / {size // heads} * {columns}"
            self.lines += [
                f"for (int i = 0; i < {count}; i++)",
                INDENT + f"{to} = {dot(self.constants, matrix, row, entering)};",
            ]

    def _loop(self, loop: Loop) -> None:
        for result in loop.results:
            if result.to[0] == "sum":
                start = "0.0f" if self._reduction(result) == "sum" else "-INFINITY"
                self.lines.append(f"float sum{result.to[1]} = {start};")
        parents = self._parents(loop)
        for node in loop.nodes:
            if is_row(node) and (node in parents.results or any(not is_row(p) for p in parents.of.get(node, ()))):
                self.row(node, loop)
        body = LoopBody(self, loop, parents)
        lines = body.write()
        if loop.width == 1:
            lines = [_UNIT.sub("0", line) for line in lines]
            self.lines += ["{", *block(lines), "}"] if len(lines) > 1 else lines
        else:
            braces = len(lines) > 1
            self.lines.append(f"for (int i = 0; i < {loop.width}; i++)" + (" {" if braces else ""))
            self.lines += [*block(lines), *(["}"] if braces else [])]

    def _reduction(self, result: Result) -> str:
        return self.layer.schedule.rows[int(result.to[1])].op

    def _copy_after(self, at: int) -> None:
        for name, new in self.events.new.items():
            if new.copied == at:
                self._copied.add(name)
                self.lines += [
                    f"for (int i = 0; i < {self.layer.states[name]}; i++)",
                    INDENT + f"s->{state(name)}[i] = new_{state(name)}[i];",
                ]

    # values that are the same for all units

    def _parents(self, loop: Loop) -> Parents:
        of: dict[Node, list[Node]] = {}
        for node in loop.nodes:
            if not self.events.is_loaded(node, loop.stage):
                for arg in node.args:
                    of.setdefault(arg, []).append(node)
        return Parents(of, {r.node for r in loop.results})

    def _parents_of_rows(self) -> dict[Node, set[Node | int]]:
        """Return the users, in the whole step, of each value that is the same for all units; loops stand as numbers."""
        found: dict[Node, set[Node | int]] = {}
        for at, event in enumerate(self.events.all):
            if isinstance(event, Loop):
                parents = self._parents(event)
                for node in event.nodes:
                    if is_row(node):
                        here = found.setdefault(node, set())
                        here |= {p if is_row(p) else at for p in parents.of.get(node, ())}
                        here |= {-1 - at} if node in parents.results else set()
        return found

    def row(self, node: Node, loop: Loop) -> Text:
        """Return a value that is the same for all units.

        An expression that is more than a name or a number gets a name before the loop, if several values or a loop need
        it.
        """
        if node in self._rows:
            return self._rows[node]
        value = known(node, self.layer.sizes)
        if value is not None:
            text = constant(value)
        elif self.events.is_loaded(node, loop.stage):
            text = self._loaded_row(node)
        else:
            text = operation(node.op, [self.row(arg, loop) for arg in node.args])
        needed = self._row_parents.get(node, set())
        is_inside = len(needed) == 1 and all(isinstance(p, Node) for p in needed)
        is_old_state = node.op == "state"  # the state may have changed before its next use
        if value is None and (is_old_state or not (is_inside or is_name(text))):
            self._count += 1
            kind = "int" if node.is_boolean else "float"
            self.lines.append(f"const {kind} r{self._count} = {text.text};")
            text = Text(f"r{self._count}")
        self._rows[node] = text
        return text

    def _loaded_row(self, node: Node) -> Text:
        kind, what = self.layer.schedule.found[node]
        match kind:
            case "sum":
                return Text(f"sum{what}")
            case "mask":
                return constant(self.layer.masks[name_of(node)])
            case "parameter":
                return Text(f"{self._vector(name_of(node))}[0]")
            case "state":
                return Text(f"s->{state(name_of(node))}[0]")
            case "input":
                return Text(extra(name_of(node)))
            case _:
                raise AssertionError(kind)

    # values that differ between units

    def loaded(self, node: Node) -> Text:
        """Return a value that is stored in memory, or one number of a matrix product."""
        if node.op in ("x", "u"):
            return self.multiplied(node)
        kind, what = self.layer.schedule.found[node]
        match kind:
            case "state":
                return Text(f"s->{state(name_of(node))}[i]")
            case "new":
                name = str(what)
                is_copied = self.events.new[name].copied is None or name in self._copied
                return Text(f"s->{state(name)}[i]" if is_copied else f"new_{state(name)}[i]")
            case "parameter":
                offset = piece_of(node) * self.layer.sizes[node.space]
                return Text(f"{self._vector(name_of(node))}[{f'{offset} + i' if offset else 'i'}]")
            case "mask":
                return constant(self.layer.masks[name_of(node)])
            case "input":
                return Text(f"{'x' if name_of(node) == 'x' else extra(name_of(node))}[i]")
            case "scratch":
                return Text(f"{self._array(self.events.scratch_name(node.space, int(what)))}[i]")
            case "roll" | "flip":
                array = self._array(self.events.scratch_name(node.space, int(what)))
                return Text(f"{array}[{self._moved(node)}]")
            case "enters":
                return Text(f"{self._array(self.events.enters_name(int(what)))}[i]")
            case _:
                raise AssertionError(kind)

    def _moved(self, node: Node) -> str:
        """Return the index of the unit whose value unit i gets by a roll or a flip."""
        size = self.layer.sizes[node.space]
        if node.op == "flip":
            return f"{size - 1} - i"
        forward = -number_of(node) % size
        return f"(i + {forward}) % {size}" if forward else "i"

    def multiplied(self, leaf: Node) -> Text:
        """Return one number of a matrix product: from memory, or as a row of the matrix times its vector."""
        product, piece = product_of(leaf)
        size = self.layer.sizes[self.events.space(product)]
        if (place := self.events.kept.get((product, piece))) is not None:
            array = self._array(self.events.kept_name(product))
            return Text(f"{array}[{f'{place * size} + i' if place else 'i'}]")
        matrix, gates, heads = self._matrix(product)
        row = (gates[piece] if gates else 0) * size
        v = self._entering(product)
        entering = v if heads == 1 else f"{v} + i / {size // heads} * {matrix.columns}"
        return Text(dot(self.constants, matrix, f"{row} + i" if row else "i", entering))

    def multiplied_name(self, leaf: Node) -> str:
        """Return the name for one number of a matrix product."""
        product, piece = product_of(leaf)
        letter = "x" if product == X else f"u{product}" if len(self.layer.program.products) > 1 else "u"
        gate = self._gate(product, piece)
        return f"{letter}_{identifier(gate)}" if gate else letter

    def _gate(self, product: int, piece: int) -> str:
        cell = self.layer.cell
        if product == X:
            return cell.input_gates[piece]
        described = self.layer.program.products[product]
        if not described.gates:
            return ""
        names = cell.input_gates if described.matrix == "weight_ih" else cell.gates
        gate = described.gates[piece]
        return names[gate] if gate < len(names) else str(gate)

    def _matrix(self, product: int) -> tuple[Matrix, tuple[int, ...], int]:
        """Return the matrix of a product, the block of its rows for each piece, and the number of heads."""
        if product == X:
            return self.layer.matrices["weight_ih"], tuple(range(len(self.layer.cell.input_gates))), 1
        described = self.layer.program.products[product]
        return self.layer.matrices[described.matrix], described.gates, described.heads

    def _entering(self, product: int) -> str:
        """Return the vector that enters a product."""
        if product == X:
            return "x"
        enters = self.layer.program.products[product].enters
        if enters.op == "state":
            return f"s->{state(name_of(enters))}"
        if enters.op == "input":
            return "x" if name_of(enters) == "x" else extra(name_of(enters))
        return self._array(self.events.enters_name(product))

    def _vector(self, name: str) -> str:
        return self.constants.use(self.layer.vectors[name])

    def _array(self, name: str) -> str:
        """Return the C name of a temporary array; the name of a new state contains the state's name in Python."""
        return f"new_{state(name.removeprefix('new_'))}" if name.startswith("new_") else name

    def target(self, result: Result) -> str:
        """Return the left-hand side of the assignment of a result, with its operator."""
        kind, what = result.to
        match kind:
            case "sum":
                return f"sum{what} += " if self._reduction(result) == "sum" else f"sum{what} = "
            case "state":
                is_direct = self.events.new[str(what)].copied is None
                return f"s->{state(str(what))}[i] = " if is_direct else f"new_{state(str(what))}[i] = "
            case "enters":
                return f"{self._array(self.events.enters_name(int(what)))}[i] = "
            case _:
                return f"{self._array(self.events.scratch_name(result.node.space, int(what)))}[i] = "

    def made(self, result: Result, text: Text) -> str:
        """Return the right-hand side of the assignment of a result."""
        if result.to[0] == "sum" and self._reduction(result) == "max":
            return f"maximum(sum{result.to[1]}, {text.text})"
        return text.text

    def named(self) -> str:
        """Return a new name."""
        self._count += 1
        return f"v{self._count}"
