"""C as it is written, through a compiler with every warning as an error and the sanitizers on, and what it computes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ostinato.exporting.c.source import Source

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
_DRIVER = """\
#include <stdio.h>
#include "{name}.h"

int main(void)
{{
    static {name}_state s;
    {x_type} x[{inputs}];
    {declared}float y[{outputs}];
    {name}_reset(&s);
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        {read}
        {name}_step(&s, {x}{given}, y);
        {after}
        if (fwrite(y, sizeof y, 1, stdout) != 1)
            return 1;
    }}
    return 0;
}}
"""


def compiler() -> str:
    """The C compiler of this machine."""
    found = shutil.which("gcc") or shutil.which("cc")
    assert found is not None, "the tests of the export to C need a C compiler: install gcc (apt-get install gcc)"
    return found


class Compiled:
    """A network that was written as C, compiled.

    Args:
        source: both files.
        name: of the network.
        folder: where they go.
        inputs: numbers of x.
        outputs: numbers of y.
        extras: by name, numbers of each; 0 for a number that is no array.
        is_token: whether x is a token.
        after: a call behind each step.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        folder: Path,
        inputs: int,
        outputs: int,
        extras: Mapping[str, int] | None = None,
        is_token: bool = False,
        after: str = "",
        flags: list[str] | None = None,
    ) -> None:
        extras = extras or {}
        folder.mkdir(parents=True, exist_ok=True)
        self._outputs, self._is_token = outputs, is_token
        (folder / f"{name}.h").write_text(source.header)
        (folder / f"{name}.c").write_text(source.body)
        arrays = {f"e{n}": max(1, size) for n, size in enumerate(extras.values())}
        driver = _DRIVER.format(
            name=name,
            x_type="int" if is_token else "float",
            inputs=1 if is_token else inputs,
            x="x[0]" if is_token else "x",
            declared="".join(f"float {e}[{size}]; " for e, size in arrays.items()),
            outputs=outputs,
            read="\n".join(f"if (fread({e}, sizeof {e}, 1, stdin) != 1)\n return 2;" for e in arrays),
            given="".join(f", {e}" if size else f", {e}[0]" for e, size in zip(arrays, extras.values(), strict=True)),
            after=after,
        )
        (folder / "main.c").write_text(driver)
        self._program = folder / "main"
        command = [compiler(), *STRICT, *(flags or SANITIZED), f"{name}.c", "main.c", "-o", "main", "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def __call__(self, x: torch.Tensor, extras: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """`(T, I)` or `(T,)` tokens to `(T, outputs)`."""
        steps = []
        for t in range(len(x)):
            steps.append(x[t].numpy().astype(np.int32 if self._is_token else np.float32).tobytes())
            steps += [np.atleast_1d(v[t].numpy()).astype(np.float32).tobytes() for v in (extras or {}).values()]
        done = subprocess.run([self._program], input=b"".join(steps), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return torch.from_numpy(np.frombuffer(done.stdout, np.float32).copy()).view(len(x), self._outputs)
