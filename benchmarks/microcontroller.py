"""`python -m benchmarks.microcontroller`: a network as C for a Cortex-M4F: flash, RAM, stack, and instructions a step.

The network is written as C, compiled with Debian's `gcc-arm-none-eabi`, linked with newlib's libm and nothing else, and run in
`qemu-arm`, once with one step and once with several. What comes out is compared with the module.

| column | what it is |
| --- | --- |
| flash | code and constants of the linked program, with the functions of libm that it calls, without what stands around it |
| RAM | data and zeroed memory of the network and of libm, and one state |
| stack | the deepest that a step goes, calls of libm included: bytes that it wrote over in a stack that was painted before |
| instructions | that qemu executed for one more step: no cycles, as a processor waits for its memory and its pipeline |
| error | largest difference from the module in float32, over the steps that were run |
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ostinato.errors import ConfigError
from ostinato.exporting.c import write_c
from ostinato.models.classifying.classifier import Classifier

CPU = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-ffunction-sections", "-fdata-sections"]
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow"]
LINK = ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections", "-lm"]
TOOLS = {"arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi", "qemu-arm": "qemu-user"}
STEPS, PAINTED = 20, 4096  # bytes of stack that are painted

# qemu's user mode offers Linux' system calls: 4 writes, 1 ends.
_MAIN = """\
#include "net.h"

static const float inputs[] = {@NUMBERS@};
static net_state s;
static float y[NET_OUTPUTS];

static void call(int number, int first, const void *second, int third)
{
    register int r7 __asm__("r7") = number;
    register int r0 __asm__("r0") = first;
    register const void *r1 __asm__("r1") = second;
    register int r2 __asm__("r2") = third;
    __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
}

static __attribute__((noinline)) void paint(void)
{
    volatile unsigned char below[PAINTED];
    for (int i = 0; i < PAINTED; i++)
        below[i] = 0xa5;
}

static __attribute__((noinline)) int written(void)
{
    volatile unsigned char below[PAINTED];
    int i = 0;
    while (i < PAINTED && below[i] == 0xa5)
        i++;
    return PAINTED - i;
}

void _start(void)
{
    int deepest;
    net_reset(&s);
    paint();
    for (int t = 0; t < STEPS; t++) {
        net_step(&s, inputs + t * NET_INPUTS, y);
        call(4, 1, y, sizeof y);
    }
    deepest = written();
    call(4, 1, &deepest, sizeof deepest);
    call(1, 0, 0, 0);
    for (;;) {
    }
}
"""
_EMPTY = "void _start(void)\n{\n    for (;;) {\n    }\n}\n"


@dataclass(frozen=True)
class Sections:
    """What `size` says of a program, in bytes.

    Attributes:
        text: code and constants.
        data: memory with first values, which lie in flash too.
        bss: zeroed memory.
    """

    text: int
    data: int
    bss: int

    @classmethod
    def read(cls, printed: str) -> Sections:
        """From what `size` prints: a line of names, and one of numbers.

        Raises:
            ConfigError: it is not that.
        """
        lines = printed.splitlines()
        if len(lines) != 2 or lines[0].split()[:3] != ["text", "data", "bss"]:
            raise ConfigError(f"size expected a line of text, data and bss and one of numbers, got {printed!r}")
        return cls(*map(int, lines[1].split()[:3]))


@dataclass(frozen=True)
class Measured:
    """A network on the processor; bytes, but for the last two.

    Attributes:
        flash: see above.
        ram: see above, without the stack.
        stack: see above.
        constants: those of the flash that are weights.
        instructions: of a step.
        error: see above.
    """

    flash: int
    ram: int
    stack: int
    constants: int
    instructions: int
    error: float


def instructions(log: str) -> int:
    """How many of them qemu has written down: a line each, as every block of code is one of them."""
    return len(re.findall(r"^Trace ", log, re.MULTILINE))


def missing_tools() -> str | None:
    """What to install, or None."""
    packages = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"apt-get install {' '.join(packages)}" if packages else None


def measure(
    module: torch.nn.Module, inputs: torch.Tensor, folder: Path, optimisation: str = "-Os", **how: Any
) -> Measured:
    """Write, compile, run.

    Args:
        module: reads `(I,)` a step.
        inputs: `(STEPS, I)`.
        folder: for the files.
        optimisation: of gcc.
        **how: arguments of `write_c`.
    """
    if (install := missing_tools()) is not None:
        raise ConfigError(f"benchmarks.microcontroller needs {', '.join(TOOLS)}; {install}")
    done = write_c(module, "net", folder, force=True, **how)
    _run(["arm-none-eabi-gcc", *CPU, *WARNINGS, optimisation, "-c", "net.c", "-o", "net.o"], folder)
    numbers = ", ".join(
        f"{v:.9g}f" if "." in f"{v:.9g}" or "e" in f"{v:.9g}" else f"{v:.0f}.0f" for v in inputs.flatten().tolist()
    )
    main = _MAIN.replace("@NUMBERS@", numbers).replace("PAINTED", str(PAINTED))
    (folder / "main.c").write_text(main)
    (folder / "empty.c").write_text(_EMPTY)
    linked: dict[int, Sections] = {}
    counted: dict[int, int] = {}
    out = b""
    for steps in (1, 2, STEPS):
        out, counted[steps] = _linked(folder, steps)
        linked[steps] = _size(folder / "main.elf")
    _run(["arm-none-eabi-gcc", *CPU, "-Os", "empty.c", "-o", "empty.elf", *LINK], folder)
    empty, whole = _size(folder / "empty.elf"), linked[1]
    harness = _harness(folder)
    answers = torch.frombuffer(bytearray(out[:-4]), dtype=torch.float32).view(STEPS, -1)
    stack = int.from_bytes(out[-4:], "little")
    with torch.no_grad():
        want = torch.cat([module(inputs[: n + 1, None]) for n in range(STEPS)])
    return Measured(
        flash=whole.text + whole.data - empty.text - empty.data - harness.text,
        # What links them fills up to whole words.
        ram=max(0, whole.data + whole.bss - empty.data - empty.bss - harness.data - harness.bss) + done.state_bytes,
        stack=stack,
        constants=done.constant_bytes,
        instructions=counted[2] - counted[1],
        error=float((answers - want).abs().max()),
    )


def _linked(folder: Path, steps: int) -> tuple[bytes, int]:
    """What the program gives, and how many instructions it takes."""
    command = ["arm-none-eabi-gcc", *CPU, "-Os", f"-DSTEPS={steps}", "main.c", "net.o", "-o", "main.elf", *LINK]
    _run(command, folder)
    # It knows no system calls of an M core; the instructions are the same.
    command = ["qemu-arm", "-cpu", "max", "-singlestep", "-d", "exec,nochain", "-D", "log", "main.elf"]
    out = _run(command, folder)
    return out, instructions((folder / "log").read_text())


def _harness(folder: Path) -> Sections:
    """What the program around the network takes itself: the inputs, the state and the answer."""
    _run(["arm-none-eabi-gcc", *CPU, "-Os", "-DSTEPS=1", "-c", "main.c", "-o", "main.o"], folder)
    return _size(folder / "main.o")


def _size(file: Path) -> Sections:
    return Sections.read(_run(["arm-none-eabi-size", file.name], file.parent).decode())


def _run(command: list[str], folder: Path) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True)
    if done.returncode:
        raise ConfigError(f"{' '.join(command)} failed: {done.stderr.decode().strip()}")
    return done.stdout


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.microcontroller", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cell", nargs="+", default=["gru", "lstm"], help="of which cells")
    parser.add_argument("--hidden", type=int, default=32, help="units")
    parser.add_argument("--channels", type=int, default=6, help="numbers that come in")
    parser.add_argument("--classes", type=int, default=5, help="numbers that come out")
    parser.add_argument("--optimisation", default="-Os", help="of gcc")
    given = parser.parse_args(arguments)
    title = f"{given.hidden} units on {given.channels} channels, {given.classes} classes; Cortex-M4F, gcc {given.optimisation}"
    table = Table(title=title)
    for column in (
        "cell",
        "weights",
        "math",
        "flash",
        "of it weights",
        "RAM",
        "stack",
        "RAM + stack",
        "instructions",
        "error",
    ):
        table.add_column(column, justify="left" if column in ("cell", "weights", "math") else "right")
    for cell in given.cell:
        torch.manual_seed(0)
        module = Classifier(given.classes, input_size=given.channels, cell=cell, hidden_size=given.hidden).eval()
        inputs = torch.randn(STEPS, given.channels)
        for weights in ("float32", "int8"):
            for math in ("libm", "own"):
                with tempfile.TemporaryDirectory() as folder:
                    m = measure(module, inputs, Path(folder), given.optimisation, weights=weights, math=math)
                sizes = (m.flash, m.constants, m.ram, m.stack, m.ram + m.stack, m.instructions)
                table.add_row(cell, weights, math, *(f"{v:,}" for v in sizes), f"{m.error:.1e}")
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
