"""A network as two files: what its caller sees, and what it computes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch

from ostinato.exporting.c.layer import DOT, LayerFunction, counted, dot, state
from ostinato.exporting.c.mathematics import OWN_ERRORS, Mathematics, helpers
from ostinato.exporting.c.network import Network, Pool, Stack
from ostinato.exporting.c.room import Room, arrange
from ostinato.exporting.c.text import INDENT, array, block, comment, identifier
from ostinato.exporting.c.weights import Constants
from ostinato.version import __version__

WorkName: TypeAlias = Literal["stack", "state"]


@dataclass(frozen=True)
class Source:
    """The two files.

    Attributes:
        header: the text of `NAME.h`.
        body: the text of `NAME.c`.
        state_bytes: of a `NAME_state`.
        work_bytes: of the work area, on the stack or in the state.
        constant_bytes: of the weights.
    """

    header: str
    body: str
    state_bytes: int
    work_bytes: int
    constant_bytes: int


@dataclass
class _Step:
    """The step's function while it is written.

    Attributes:
        lines: of its body, behind the declarations.
        rooms: its part of the work area.
        now: the event that is written.
    """

    lines: list[str] = field(default_factory=list[str])
    rooms: dict[str, Room] = field(default_factory=dict[str, Room])
    now: int = 0

    def array(self, name: str, size: int) -> str:
        """Memory that is needed now."""
        if name in self.rooms:
            self.rooms[name].last = self.now
        else:
            self.rooms[name] = Room(name, size, self.now, self.now)
        return name

    def reads(self, name: str) -> None:
        """What lies there is needed until now, if it is memory of the work area."""
        if name in self.rooms:
            self.rooms[name].last = self.now

    def loop(self, count: int, *body: str) -> None:
        """A loop over numbers."""
        braces = len(body) > 1
        self.lines += [f"for (int i = 0; i < {count}; i++)" + (" {" if braces else "")]
        self.lines += [*block(body), *(["}"] if braces else [])]


class SourceWriter:
    """Writes both files.

    Args:
        network: what is written.
        name: with which every public name begins.
        mathematics: whose functions are called.
        work: where the work area is.
    """

    def __init__(self, network: Network, name: str, mathematics: Mathematics, work: WorkName) -> None:
        self.network, self.name, self.mathematics, self.work = network, name, mathematics, work
        self.constants: Constants = network.constants
        self.layers = [LayerFunction(each, self.constants, name) for each in network.stack.layers]
        self._step = _Step()
        self._write_step()
        self.floats = arrange(list(self._step.rooms.values()))

    def source(self) -> Source:
        """Both texts."""
        functions = [layer.text() for layer in self.layers]
        public = [*self._public()]
        bodies = [*functions, *public]
        dots = [text.rstrip() for name, text in DOT.items() if any(f"{name}(" in body for body in bodies)]
        defined, written = helpers([*dots, *bodies], self.mathematics, self.name)
        constants = [*self.constants.texts(), *self._first_states()]
        includes = [f'#include "{self.name}.h"']
        if self.mathematics == "libm":
            includes.append("#include <math.h>")
        elif any("uint32_t" in text or "int32_t" in text for text in defined):
            includes.append("#include <stdint.h>")
        parts = [comment(self._title()), "\n".join(includes), *constants, *defined, *written]
        body = "\n\n".join(part.rstrip() for part in parts) + "\n"
        constant_bytes = self.constants.nbytes + 4 * sum(v.numel() for v in self._learned())
        inside = self.floats if self.work == "state" else 0
        return Source(self._header(), body, 4 * (self._state_floats() + inside), 4 * self.floats, constant_bytes)

    # the step

    def _write_step(self) -> None:
        step, network = self._step, self.network
        x = "x"
        if network.embedding is not None:
            x = self._embedded()
        out = self._stacked(network.stack, x)
        if network.pool is not None:
            out = self._pooled(network.pool, out)
        self._put_out(out)
        if not step.lines:
            raise AssertionError("a network computes something")

    def _embedded(self) -> str:
        step, matrix = self._step, self.network.embedding
        assert matrix is not None
        table, columns = self.constants.use(matrix), matrix.columns
        row = f"(x >= 0 && x < {len(matrix.values)} ? x : 0)"
        if not matrix.is_int8:
            step.lines += [f"const float *const row = &{table}[{row} * {columns}];"]
            return "row"
        to = step.array("embedded", columns)
        step.lines += [f"const signed char *const row = &{table}[{row} * {columns}];"]
        step.lines += [f"const float scale = {table}_scale[{row}];"]
        step.loop(columns, f"{to}[i] = (float)row[i] * scale;")
        return to

    def _stacked(self, stack: Stack, x: str) -> str:
        """The layers. Returns where the output lies."""
        step = self._step
        extras = [f", {self.extra(name)}" for name in stack.extras]
        for at, (layer, function) in enumerate(zip(stack.layers, self.layers, strict=True)):
            step.now += 1
            step.reads(x)
            work = f", {step.array(f'work{at}', function.work)}" if function.work else ""
            step.lines.append(f"{function.name}(&s->{function.name}, {x}{''.join(extras)}{work});")
            out = f"s->{function.name}.{state(layer.cell.output)}"
            if at and stack.connection is not None:
                step.now += 1
                out = self._connected(stack, at, x, out)
            x = out
        return x

    def _connected(self, stack: Stack, at: int, below: str, above: str) -> str:
        """A layer with what stands around it."""
        step, width = self._step, stack.layers[at].outputs
        step.reads(below)
        if stack.connection == "residual":
            to = step.array("sum", width)
            step.loop(width, f"{to}[i] = {above}[i] + {below}[i];")
            return to
        to = step.array(f"carried{at}", width)
        matrix, bias, _ = stack.gates[at - 1]
        row = dot(self.constants, matrix, "i", below)
        step.loop(
            width,
            f"const float gate = sigmoid({row} + {self.constants.use(bias)}[i]);",
            f"{to}[i] = gate * {above}[i] + (1.0f - gate) * {below}[i];",
        )
        return to

    def _pooled(self, pool: Pool, h: str) -> str:
        step, width = self._step, self.network.stack.outputs
        step.now += 1
        step.reads(h)
        match pool.name:
            case "mean":
                step.lines.append("if (s->steps < 16777216.0f)")
                step.lines.append(INDENT + "s->steps += 1.0f;")
                step.loop(width, f"s->pooled[i] += ({h}[i] - s->pooled[i]) / s->steps;")
            case "max":
                step.loop(width, f"s->pooled[i] = maximum(s->pooled[i], {h}[i]);")
            case "attention":
                assert pool.key is not None and pool.query is not None
                row = dot(self.constants, pool.key, "i", h)
                step.lines.append("float score = 0.0f, weight;")
                query = self.constants.use(pool.query)
                step.loop(width, f"score += {query}[i] * tanhf({row} + {self.constants.use(pool.bias)}[i]);")
                # A softmax over all steps so far, of which the largest score is known only now.
                step.lines += ["if (score > s->most) {"]
                step.lines += block(
                    [
                        "weight = expf(s->most - score);",
                        "s->most = score;",
                        "s->total *= weight;",
                        f"for (int i = 0; i < {width}; i++)",
                        INDENT + "s->pooled[i] *= weight;",
                    ]
                )
                step.lines += ["}", "weight = expf(score - s->most);", "s->total += weight;"]
                step.loop(width, f"s->pooled[i] += weight * {h}[i];")
            case _:
                return h
        return "s->pooled"

    def _put_out(self, h: str) -> None:
        step, network = self._step, self.network
        step.now += 1
        step.reads(h)
        if network.output is None:
            step.loop(network.outputs, f"y[i] = {h}[i];")
            return
        matrix, bias = network.output.matrix, network.output.bias
        value = dot(self.constants, matrix, "i", h)
        if network.pool is not None and network.pool.name == "attention":
            value = f"{value} / s->total"
        step.loop(network.outputs, f"y[i] = {value}{f' + {self.constants.use(bias)}[i]' if bias else ''};")

    # texts

    def extra(self, name: str) -> str:
        """An extra's name among the arguments of the step."""
        return identifier(name, taken={"s", "x", "y", "i", "work", *self._step.rooms})

    @property
    def _arguments(self) -> str:
        network = self.network
        x = "int x" if network.embedding is not None else "const float *x"
        extras = [f"const float *{self.extra(n)}" if size else f"float {self.extra(n)}" for n, size in network.stack.extras.items()]
        return ", ".join([f"{self.name}_state *s", x, *extras, "float *y"])

    def _prototypes(self) -> dict[str, tuple[list[str], str]]:
        """What the header declares: by role the comment and the declaration."""
        name, network = self.name, self.network
        takes = [f"x: {network.takes}"]
        for extra, size in network.stack.extras.items():
            takes.append(f"{self.extra(extra)}: {counted(size, 'number') if size else 'a number'}")
        found = {
            "reset": (["Makes the state that of a sequence which begins."], f"void {name}_reset({name}_state *s)"),
            "step": (
                ["One step.", "", *takes, f"y: {network.gives}; not the same memory as x"],
                f"void {name}_step({self._arguments})",
            ),
        }
        if network.choices:
            found["best"] = (
                [f"The place of the largest of the {network.outputs} numbers of y, the first where there are several."],
                f"int {name}_best(const float *y)",
            )
            found["probabilities"] = (
                ["Turns the numbers of y into probabilities, which add up to 1 (softmax)."],
                f"void {name}_probabilities(float *y)",
            )
        return found

    def _header(self) -> str:
        name, guard = self.name, f"{self.name.upper()}_H"
        network = self.network
        structs = [layer.struct() for layer in self.layers]
        fields = [f"{layer.type} {layer.name};" for layer in self.layers]
        fields += [f"float {field}{f'[{size}]' if size else ''};" for field, size in network.fields().items()]
        if self.work == "state" and self.floats:
            fields.append(f"float work[{self.floats}]; /* between the lines of a step; holds nothing from step to step */")
        numbers = [f"#define {name.upper()}_INPUTS {network.inputs}"] if network.embedding is None else []
        if network.embedding is not None:
            numbers = [f"#define {name.upper()}_TOKENS {len(network.embedding.values)}"]
        numbers += [f"#define {name.upper()}_OUTPUTS {network.outputs}"]
        declared: list[str] = []
        for told, declaration in self._prototypes().values():
            declared += [comment(told), f"{declaration};", ""]
        lines = [comment(self._title()), "", f"#ifndef {guard}", f"#define {guard}", "", *numbers, ""]
        lines += ["#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
        for struct in structs:
            lines += [*struct, ""]
        lines += [comment(self._about_state())]
        lines += ["typedef struct {", *block(fields), f"}} {name}_state;", "", *declared]
        lines += ["#ifdef __cplusplus", "}", "#endif", "", "#endif"]
        return "\n".join(lines) + "\n"

    def _about_state(self) -> list[str]:
        where = "in the state" if self.work == "state" else "on the stack, where a step takes them"
        return [
            f"All that a sequence needs from step to step: {counted(self._state_floats(), 'number')}. Every sequence has one of its own.",
            f"Besides, a step works in {counted(self.floats, 'number')} {where}.",
        ]

    def _title(self) -> list[str]:
        network = self.network
        lines = [f"{self.name}: {network.title}", ""]
        kind = "whole numbers of 8 bits with a scale for each row" if self.constants.kind == "int8" else "float32"
        lines += [f"Weights: {kind}. Everything else: float32."]
        if self.mathematics == "own":
            errors = ", ".join(f"{op} {count}" for op, count in OWN_ERRORS.items())
            lines += [f"Functions: its own; off by units in the last place, at most: {errors}."]
        lines += [
            "C99, without allocation. gcc fuses products and sums with -ffp-contract=fast, which -std=c99 alone forbids: faster where",
            "the processor can, and different in the last bits.",
            "",
            f"Written by ostinato {__version__}.",
        ]
        return lines

    def _public(self) -> Iterable[str]:
        declared = {role: declaration for role, (_, declaration) in self._prototypes().items()}
        yield self._function(declared["reset"], self._reset())
        work = [f"float work[{self.floats}];"] if self.work == "stack" else ["float *const work = s->work;"]
        places = [
            f"float *const {room.name} = work{f' + {room.offset}' if room.offset else ''}; /* {room.size} */"
            for room in sorted(self._step.rooms.values(), key=lambda room: room.offset)
        ]
        lines = [*(work if self.floats else []), *places, *self._step.lines]
        arguments = ["x", *map(self.extra, self.network.stack.extras)]
        unused = [f"(void){each};" for each in arguments if not re.search(rf"\b{each}\b", "\n".join(self._step.lines))]
        yield self._function(declared["step"], [*unused, *lines])
        if self.network.choices:
            yield self._function(declared["best"], _BEST.format(count=self.network.outputs).splitlines())
            yield self._function(declared["probabilities"], _SOFTMAX.format(count=self.network.outputs).splitlines())

    @staticmethod
    def _function(declaration: str, lines: Sequence[str]) -> str:
        return "\n".join([declaration, "{", *block(lines), "}"])

    # states

    def _state_floats(self) -> int:
        layers = sum(size for layer in self.network.stack.layers for size in layer.states.values())
        return layers + sum(max(1, size) for size in self.network.fields().values())

    def _learned(self) -> list[torch.Tensor]:
        return [v for states in self.network.stack.first for v in states.values() if bool(v.any())]

    def _first_states(self) -> list[str]:
        return [
            array(f"first_l{at}_{state(name)}", v.numpy(), "float")
            for at, states in enumerate(self.network.stack.first)
            for name, v in states.items()
            if bool(v.any())
        ]

    def _reset(self) -> list[str]:
        lines: list[str] = []
        for at, (layer, states) in enumerate(zip(self.network.stack.layers, self.network.stack.first, strict=True)):
            for name, size in layer.states.items():
                value = f"first_l{at}_{state(name)}[i]" if bool(states[name].any()) else "0.0f"
                lines += [f"for (int i = 0; i < {size}; i++)", INDENT + f"s->layer{at}.{state(name)}[i] = {value};"]
        for name, size in self.network.fields().items():
            start = self.network.first_of(name)
            if size:
                lines += [f"for (int i = 0; i < {size}; i++)", INDENT + f"s->{name}[i] = {start};"]
            else:
                lines += [f"s->{name} = {start};"]
        return lines


_BEST = """\
int best = 0;
for (int i = 1; i < {count}; i++)
    if (y[i] > y[best])
        best = i;
return best;"""
_SOFTMAX = """\
float most = y[0], total = 0.0f;
for (int i = 1; i < {count}; i++)
    most = y[i] > most ? y[i] : most;
for (int i = 0; i < {count}; i++) {{
    y[i] = expf(y[i] - most);
    total += y[i];
}}
for (int i = 0; i < {count}; i++)
    y[i] /= total;"""
