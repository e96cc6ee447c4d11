"""A network as two files: a header for its caller, and a source with its computation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ostinato.errors import ConfigError
from ostinato.exporting.c.mathematics import OWN_ERRORS, Mathematics, helpers
from ostinato.exporting.c.network import Network
from ostinato.exporting.c.series import SeriesReader
from ostinato.exporting.c.step import StepWriter, loop
from ostinato.exporting.c.text import array, block, comment, counted, state
from ostinato.exporting.c.weights import DOT
from ostinato.version import __version__

WorkName: TypeAlias = Literal["stack", "state"]


@dataclass(frozen=True)
class Source:
    """The texts of the two files, and the memory that the code needs.

    Attributes:
        header: the text of `NAME.h`.
        body: the text of `NAME.c`.
        state_bytes: the size of a `NAME_state`, with the work area if that is in the state.
        work_bytes: the size of the work area, on the stack or in the state.
        constant_bytes: the size of the weights.
    """

    header: str
    body: str
    state_bytes: int
    work_bytes: int
    constant_bytes: int


@dataclass(frozen=True)
class _Function:
    """A public function.

    Attributes:
        told: the lines of its comment in the header.
        declaration: its declaration.
        lines: the lines of its body.
    """

    told: Sequence[str]
    declaration: str
    lines: Sequence[str]

    def text(self) -> str:
        """Return the definition of the function."""
        return "\n".join([self.declaration, "{", *block(self.lines), "}"])


class SourceWriter:
    """Writes both files.

    Args:
        network: the network to write.
        mathematics: which mathematical functions are called, "libm" or "own".
        work: where the work area is, "stack" or "state".
    """

    def __init__(self, network: Network, mathematics: Mathematics, work: WorkName) -> None:
        self.network, self.name = network, network.name
        self.mathematics: Mathematics = mathematics
        self.work: WorkName = work
        self.constants, self.stack = network.constants, network.layers.stack
        self._step = StepWriter(self.constants)
        v = network.arguments[0].name
        for part in network.parts:
            v = part.write(self._step, v)
        self.floats = self._step.arrange()
        self._public = list(self._functions())

    def source(self) -> Source:
        """Return both texts."""
        bodies = [layer.text() for layer in self.network.layers.functions] + [f.text() for f in self._public]
        dots = [text.rstrip() for name, text in DOT.items() if any(f"{name}(" in body for body in bodies)]
        defined, written = helpers([*dots, *bodies], self.mathematics, self.name)
        includes = [f'#include "{self.name}.h"']
        if self.mathematics == "libm":
            includes.append("#include <math.h>")
        elif any("int32_t" in text for text in defined):
            includes.append("#include <stdint.h>")
        constants = [*self.constants.texts(), *self._first_states()]
        if self.mathematics == "own" and any(re.search(r"\b(NAN|INFINITY)\b", text) for text in constants):
            raise ConfigError(
                "math='own' expected weights that are finite, as C writes others by names of math.h; use math='libm'"
            )
        parts = [comment(self._title()), "\n".join(includes), *constants, *defined, *written]
        body = "\n\n".join(part.rstrip() for part in parts) + "\n"
        inside = self.floats if self.work == "state" else 0
        learned = sum(v.numel() for states in self.stack.first for v in states.values() if bool(v.any()))
        constant_bytes = self.constants.nbytes + 4 * learned
        return Source(self._header(), body, 4 * (self._state_floats() + inside), 4 * self.floats, constant_bytes)

    # functions

    def _functions(self) -> Iterator[_Function]:
        name, network = self.name, self.network
        told = ["Makes the state that of a sequence which begins."]
        yield _Function(told, f"void {name}_reset({name}_state *s)", self._reset())
        for part in network.parts:
            if isinstance(part, SeriesReader):
                for each in part.functions(name):
                    yield _Function(*each)
        given = ", ".join([f"{name}_state *s", *(a.declaration for a in network.arguments), "float *y"])
        told = ["One step.", "", *(f"{a.name}: {a.told}" for a in network.arguments)]
        told += [f"y: {network.gives}; not the same memory as x"]
        yield _Function(told, f"void {name}_step({given})", self._step_lines())
        if network.choices:
            told = ["The place of the largest number of y, the first where there are several."]
            yield _Function(told, f"int {name}_best(const float *y)", _filled(_BEST, network.outputs))
            told = ["Turns the numbers of y into probabilities, which add up to 1 (softmax)."]
            yield _Function(told, f"void {name}_probabilities(float *y)", _filled(_SOFTMAX, network.outputs))

    def _step_lines(self) -> list[str]:
        body = "\n".join(self._step.lines)
        unused = [f"(void){a.name};" for a in self.network.arguments if not re.search(rf"\b{a.name}\b", body)]
        area = f"float work[{self.floats}];" if self.work == "stack" else "float *const work = s->work;"
        return [*([area] if self.floats else []), *self._step.places(), *unused, *self._step.lines]

    def _reset(self) -> list[str]:
        lines: list[str] = []
        for at, (layer, states) in enumerate(zip(self.stack.layers, self.stack.first, strict=True)):
            for name, size in layer.states.items():
                value = f"first_l{at}_{state(name)}[i]" if bool(states[name].any()) else "0.0f"
                lines += loop(size, f"s->layer{at}.{state(name)}[i] = {value};")
        return lines + [line for field in self.network.fields for line in field.reset()]

    def _first_states(self) -> Iterator[str]:
        for at, states in enumerate(self.stack.first):
            for name, v in states.items():
                if bool(v.any()):
                    yield array(f"first_l{at}_{state(name)}", v.numpy(), "float")

    # the header

    def _header(self) -> str:
        name, guard = self.name, f"{self.name.upper()}_H"
        fields = [f"{layer.type} {layer.name};" for layer in self.network.layers.functions]
        fields += [field.declaration() for field in self.network.fields]
        if self.work == "state" and self.floats:
            fields.append(f"float work[{self.floats}]; /* for what lives no longer than a step */")
        x = self.network.arguments[0]
        numbers = [f"#define {name.upper()}_{what} {count}" for what, count in x.counts]
        numbers += [f"#define {name.upper()}_OUTPUTS {self.network.outputs}"]
        declared = [line for f in self._public for line in (comment(f.told), f"{f.declaration};", "")]
        structs = [line for layer in self.network.layers.functions for line in (*layer.struct(), "")]
        lines = [comment(self._title()), "", f"#ifndef {guard}", f"#define {guard}", "", *numbers, ""]
        lines += ["#ifdef __cplusplus", 'extern "C" {', "#endif", "", *structs, comment(self._about_state())]
        lines += ["typedef struct {", *block(fields), f"}} {name}_state;", "", *declared]
        return "\n".join([*lines, "#ifdef __cplusplus", "}", "#endif", "", "#endif"]) + "\n"

    def _state_floats(self) -> int:
        layers = sum(size for layer in self.stack.layers for size in layer.states.values())
        return layers + sum(field.floats for field in self.network.fields)

    def _about_state(self) -> list[str]:
        where = "in the state" if self.work == "state" else "on the stack"
        count = self._state_floats()
        told = [
            f"What a sequence needs from step to step: {counted(count, 'number')}. Every sequence has one of its own."
        ]
        return [
            *told,
            *([f"Besides, a step works in {counted(self.floats, 'number')} {where}."] if self.floats else []),
        ]

    def _title(self) -> list[str]:
        kind = "whole numbers of 8 bits with a scale for each row" if self.constants.kind == "int8" else "float32"
        lines = [f"{self.name}: {self.network.title}", "", *self.network.notes]
        lines += [f"Matrices: {kind}. Everything else: float32."]
        if self.mathematics == "own":
            errors = ", ".join(f"{op} {count}" for op, count in OWN_ERRORS.items())
            lines += ["Functions: its own, off by so many units in the last place at most:", errors + "."]
        return [
            *lines,
            "",
            "C99, without allocation. -std=c99 keeps gcc from fusing products and sums, which some processors do faster;",
            "-ffp-contract=fast allows it, and changes the last bits.",
            "",
            f"Written by ostinato {__version__}.",
        ]


def _filled(text: str, count: int) -> list[str]:
    return text.replace("COUNT", str(count)).splitlines()


_BEST = """\
int best = 0;
for (int i = 1; i < COUNT; i++)
    if (y[i] > y[best])
        best = i;
return best;"""
_SOFTMAX = """\
float most = y[0], total = 0.0f;
for (int i = 1; i < COUNT; i++)
    most = maximum(most, y[i]);
for (int i = 0; i < COUNT; i++) {
    y[i] = expf(y[i] - most);
    total += y[i];
}
for (int i = 0; i < COUNT; i++)
    y[i] /= total;"""
