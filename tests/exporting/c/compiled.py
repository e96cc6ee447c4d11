"""C as it is written, through a compiler with every warning as an error and the sanitizers on, and what it computes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.exporting.c import write_c
from ostinato.exporting.c.models import network_of
from ostinato.exporting.c.network import Network
from ostinato.exporting.c.series import SeriesReader

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compiler() -> str:
    """The C compiler of this machine."""
    found = shutil.which("gcc") or shutil.which("cc")
    assert found is not None, "the tests of the export to C need a C compiler: install gcc (apt-get install gcc)"
    return found


class Compiled:
    """A network that was written as C, compiled.

    Args:
        network: what was written.
        folder: where its files are.
        after: a call behind each step, which may change y.
        flags: in the place of `SANITIZED`.
    """

    def __init__(self, network: Network, folder: Path, after: str = "", flags: list[str] | None = None) -> None:
        name, (x, *others) = network.name, network.arguments
        self._outputs, self._is_token = network.outputs, x.kind == "int"
        sizes = self._sizes(network)
        self._names = [argument.reading for argument in others]
        kinds = {"const float *": "float", "float": "float", "int": "int"}
        lines = ["#include <stdio.h>", f'#include "{name}.h"', "int main(void)", "{", f"    static {name}_state s;"]
        lines += [f"    {kinds[a.kind]} a{n}[{sizes[n]}];" for n, a in enumerate(network.arguments)]
        lines += [f"    float y[{network.outputs}];", f"    {name}_reset(&s);"]
        self._has_past = any(isinstance(part, SeriesReader) for part in network.parts)
        if self._has_past:  # how many numbers, and the numbers
            lines += ["    int count;", "    static float past[1000];"]
            lines += ["    if (fread(&count, sizeof count, 1, stdin) != 1)", "        return 2;"]
            lines += [
                "    if (fread(past, sizeof *past, (unsigned)count, stdin) != (unsigned)count)",
                "        return 2;",
            ]
            lines += [f"    {name}_scale(&s, past, count, 0.0f);"]
        lines += ["    while (fread(a0, sizeof a0, 1, stdin) == 1) {"]
        for n in range(1, len(network.arguments)):
            lines += [f"        if (fread(a{n}, sizeof a{n}, 1, stdin) != 1)", "            return 2;"]
        given = ", ".join(f"a{n}" if a.kind.endswith("*") else f"a{n}[0]" for n, a in enumerate(network.arguments))
        lines += [f"        {name}_step(&s, {given}, y);", f"        {after}"]
        lines += [
            "        if (fwrite(y, sizeof y, 1, stdout) != 1)",
            "            return 1;",
            "    }",
            "    return 0;",
            "}",
        ]
        (folder / "main.c").write_text("\n".join(lines) + "\n")
        self._program = folder / "main"
        command = [compiler(), *STRICT, *(flags or SANITIZED), f"{name}.c", "main.c", "-o", "main", "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _sizes(network: Network) -> list[int]:
        stack, first = network.layers.stack, network.parts[0]
        known = {name: max(1, size) for name, size in stack.extras.items()}
        if isinstance(first, SeriesReader):
            known |= {"known": first.known, "observed": first.observed, "series": 1}
        x, *others = network.arguments
        return [stack.inputs if x.kind.endswith("*") else 1, *(known[a.reading] for a in others)]

    def __call__(self, x: Tensor, more: Mapping[str, Tensor] | None = None) -> Tensor:
        """What it gives for a sequence.

        Args:
            x: `(T, I)`; `(T,)` of tokens or of a series.
            more: what comes besides, by its name in Python, with as many steps; and "past" of a series.

        Returns:
            `(T, outputs)`.
        """
        more = more or {}
        content = []
        if self._has_past:
            past = more["past"].numpy().astype(np.float32)
            content += [np.int32(len(past)).tobytes(), past.tobytes()]
        for t in range(len(x)):
            for v in (x[t], *(more[name][t] for name in self._names)):
                kind = np.float32 if v.is_floating_point() else np.int32
                content.append(np.atleast_1d(v.numpy()).astype(kind).tobytes())
        done = subprocess.run([self._program], input=b"".join(content), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return torch.from_numpy(np.frombuffer(done.stdout, np.float32).copy()).view(len(x), self._outputs)


def compiled(module: torch.nn.Module, folder: Path, **how: Any) -> Compiled:
    """A module as C, compiled.

    Args:
        module: in evaluation.
        folder: where it goes.
        **how: arguments of `write_c`.
    """
    name = how.pop("name", "net")
    flags, after = how.pop("flags", None), how.pop("after", "")
    write_c(module, name, folder, **how)
    network = network_of(module, name, how.get("weights", "float32"))
    return Compiled(network, folder, after=after, flags=flags)
