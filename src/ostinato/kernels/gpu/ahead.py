"""Kernels compiled ahead of time, for a GPU that this machine need not have: what they need of it, and whether that fits."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ostinato.kernels.gpu.code.blocks import Blocks, compiler_options
from ostinato.kernels.gpu.code.kernel import Emitted
from ostinato.kernels.gpu.code.module import load

_NAMES = {torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16", torch.float16: "fp16"}
_IN_LOW = ("x", "low_", "enters_", "saved_", "gradient_", "matrix_", "mask_", "input_", "parameter_", "outside_")


@dataclass(frozen=True)
class Usage:
    """What a kernel needs of a multiprocessor.

    Attributes:
        registers: the registers of a thread.
        spilled: the bytes of a thread that do not fit into registers: its stack.
        shared: the bytes of shared memory of a program.
        products: the number of instructions that multiply matrices.
        seconds: the time that compiling took.
    """

    registers: int
    spilled: int
    shared: int
    products: int
    seconds: float


def signature(emitted: Emitted, dtype: torch.dtype) -> dict[str, str]:
    """The type of every argument, as Triton writes it; `dtype` is the dtype of what enters products."""
    low, acc = _NAMES[dtype], "fp64" if dtype is torch.float64 else "fp32"
    found = {"n0": "i32", "n1": "i32", "T": "i32", "B": "i32", "reverse": "i32", "flags": "*i32"}
    for name in emitted.arguments:
        is_stride = name.endswith(("_t", "_b")) and name[:-2] in emitted.arguments
        if is_stride:
            found[name] = "i32"
        elif name == "lengths":
            found[name] = "*i64"
        else:
            found[name] = f"*{low if name.startswith(_IN_LOW) else acc}"
    return found


def compile_for(emitted: Emitted, dtype: torch.dtype, blocks: Blocks, target: Any, in_one: bool = True) -> Any:
    """Compile a kernel. Returns Triton's compiled kernel.

    Args:
        emitted: the source of the kernel.
        dtype: the dtype of what enters products.
        blocks: the tiles.
        target: a GPU of NVIDIA, such as "sm_80" or "sm_90", or of AMD, such as "gfx942".
        in_one: whether a sequence is one launch.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    is_cuda = str(target).startswith("sm_")
    gpu = GPUTarget("cuda", int(str(target)[3:]), 32) if is_cuda else GPUTarget("hip", target, 64)
    types = signature(emitted, dtype)
    # At run time the JIT finds this out by itself: addresses, and the strides of layers of such widths, are multiples of 16.
    names = [name for name in types if name not in ("n0", "n1", "T", "B", "reverse")]
    aligned = {(list(types).index(name),): [["tt.divisibility", 16]] for name in names}
    source = ASTSource(fn=load(emitted.source)[emitted.part], signature=types, constexprs={}, attrs=aligned)
    return triton.compile(source, target=gpu, options=compiler_options(blocks, in_one and is_cuda))


def usage(emitted: Emitted, dtype: torch.dtype, blocks: Blocks, target: str, in_one: bool = True) -> Usage:
    """Compile a kernel for an NVIDIA GPU and read from the machine code what it needs; arguments as for `compile_for`."""
    began = time.perf_counter()
    kernel = compile_for(emitted, dtype, blocks, target, in_one)
    seconds = time.perf_counter() - began
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        said = subprocess.run(
            [_tool("cuobjdump"), "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = {name: int(value) for name, value in re.findall(r"(REG|STACK):(\d+)", said)}
    products = len(re.findall(r"\b(?:mma|wgmma)\.", kernel.asm["ptx"]))
    return Usage(found["REG"], found["STACK"], kernel.metadata.shared, products, seconds)


def _tool(name: str) -> str:
    """The path of a tool that comes with Triton; its bare name if it is not there."""
    import triton

    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return str(path) if path.exists() else name
