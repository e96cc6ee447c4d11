"""Whether a cell's kernels are right on a device: before their first use there, two small cases are compared with the reference.

A cell that passed is remembered, in this process and in the folder for compiled code, under a key of the cell, the device and the
versions of everything involved. A cell that did not pass is tried again by the next process.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from ostinato.cells.spec import Cell
from ostinato.kernels.call import CallSpec
from ostinato.kernels.cpu.code import cache
from ostinato.kernels.gpu.run.call import GPUCall, run_call
from ostinato.kernels.gpu.run.kernel import GPUKernel
from ostinato.kernels.gpu.run.launch import LaunchFailed
from ostinato.kernels.gpu.run.ways import Way
from ostinato.kernels.gpu.run.ways import way as in_way
from ostinato.types import Tensor
from ostinato.version import __version__

_PASSED = b"passed"
# The largest difference, relative to the largest number of a tensor. In float32 torch may multiply in TF32.
_ALLOWED = {torch.float64: 1e-9, torch.float32: 2e-3, torch.bfloat16: 6e-2, torch.float16: 2e-2}


@functools.cache
def _made_by(package: Path = Path(__file__).parents[3]) -> str:
    """A text of everything on which the kernels depend, besides the cell and the device."""
    import triton

    digest = hashlib.sha256()
    for source in sorted({*package.glob("kernels/gpu/**/*.py"), *package.glob("kernels/compiler/**/*.py")}):
        digest.update(source.read_bytes())
    return f"{digest.hexdigest()} {__version__} {torch.__version__} {torch.version.git_version} {triton.__version__}"


def _device(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)} {major}.{minor} {torch.version.cuda}"


def distrust(kernel: GPUKernel, cell: Cell, dtype: torch.dtype, low: torch.dtype, device: torch.device) -> str | None:
    """Why a cell must not run on a device; None if it may. The first call tries it.

    Args:
        kernel: the kernel of the cell.
        cell: the recurrence.
        dtype: the dtype of the parameters.
        low: the dtype of what enters products.
        device: the device to run on.
    """
    key = dtype, low, str(device), torch.get_float32_matmul_precision()
    if key not in kernel.tried:
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return "it has not been tried on this device, which cannot be done while a CUDA graph is captured; call it once before"
        kernel.tried[key] = _tried(kernel, cell, dtype, low, device)
        if (why := kernel.tried[key]) is not None:
            warnings.warn(
                f"the cell {cell.name!r} runs on the reference on {device}: {why}", RuntimeWarning, stacklevel=2
            )
    return kernel.tried[key]


def _tried(kernel: GPUKernel, cell: Cell, dtype: torch.dtype, low: torch.dtype, device: torch.device) -> str | None:
    name = (
        f"{kernel.reading.digest} {kernel.bias} {kernel.projected} {dtype} {low} {torch.get_float32_matmul_precision()}"
    )
    key = hashlib.sha256(f"gpu {name} {_device(device)} {_made_by()}".encode()).hexdigest()
    if kernel.reading.digest is not None and cache.load(key) == _PASSED:
        return None
    if (why := _compared(kernel, cell, dtype, low, device, "steps", 0)) is not None:
        return why
    if (why := _compared(kernel, cell, dtype, low, device, "persistent", 1)) is not None:
        kernel.avoided["persistent"] = why  # with one tick in each launch it is right
    elif kernel.reading.digest is not None:
        cache.store(key, _PASSED)
    return None


@torch.enable_grad()
def _compared(
    kernel: GPUKernel, cell: Cell, dtype: torch.dtype, low: torch.dtype, device: torch.device, kind: str, n: int
) -> str | None:
    """Run small case `n` and compare it with the reference: what is wrong, or None."""
    least = max((count for count in kernel.plan.program.least.values()), default=1)
    units = max(-(-least // cell.heads), (5, 40)[n])
    hidden = -(-units // cell.heads) * cell.heads
    projected = cell.heads * -(-max(units // 2, least) // cell.heads) if kernel.projected else 0
    if projected >= hidden:
        hidden = projected + cell.heads
    steps, rows, inputs = ((3, 2, 3), (4, 18, 7))[n]
    generator = torch.Generator().manual_seed(n)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(shape, generator=generator) * scale).to(device, dtype)

    inputs = max(inputs, least)
    shapes = cell.parameter_sizes(inputs, hidden, projected, kernel.bias)
    extras = sum(cell.extra_sizes(inputs, hidden, projected).values())
    given = [draw(steps, rows, inputs + extras)]
    given += [draw(*shape, scale=shape[-1] ** -0.5 if len(shape) == 2 else 0.5) for shape in shapes.values()]
    sizes = cell.state_sizes(hidden, projected, inputs)
    given += [draw(rows, width) for width in sizes.values()]
    masks = [
        torch.rand(
            (steps, rows, sizes[each.state]) if each.every_step else (rows, sizes[each.state]), generator=generator
        )
        for each in cell.noise
    ]
    masks = [mask.to(device, dtype) for mask in masks]
    lengths = torch.tensor([steps, *[max(0, steps - 2)] * (rows - 1)], device=device) if n else None
    spec = CallSpec(cell, kernel.bias, (bool(n),), every_state=True)
    sized = kernel.sized(cell, inputs, hidden, projected)
    with torch.autocast(device.type, enabled=False), in_way(kind):
        chosen = sized.way(rows, low, device)
        if isinstance(chosen, str):
            return None  # it does not fit at these sizes, but may at others
        try:
            got = _outcome(spec, given, masks, lengths, GPUCall(spec, sized, chosen, low, None))
        except LaunchFailed as reason:
            return str(reason)
        wide = torch.float64 if dtype is torch.float64 else torch.float32
        exact = [v.to(wide) for v in given]
        expected = _outcome(spec, exact, [mask.to(wide) for mask in masks], lengths, None)
    return _difference(spec, got, expected, _ALLOWED[low], chosen)


def _outcome(
    spec: CallSpec, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None, call: GPUCall | None
) -> list[Tensor]:
    """The results of a call, and the gradients of all of `given`; without a call, those of the reference."""
    leaves = [v.detach().requires_grad_() for v in given]
    results = spec.reference(leaves, masks, lengths) if call is None else list(run_call(call, leaves, masks, lengths))
    generator = torch.Generator().manual_seed(2)
    found = [(v, torch.randn(v.shape, generator=generator).to(v)) for v in results if v.requires_grad]
    gradients = torch.autograd.grad([v for v, _ in found], leaves, [g for _, g in found], allow_unused=True)
    pairs = zip(gradients, leaves, strict=True)
    return [*(v.detach() for v in results), *(torch.zeros_like(v) if g is None else g for g, v in pairs)]


def _difference(
    spec: CallSpec, got: Sequence[Tensor], expected: Sequence[Tensor], allowed: float, way: Way
) -> str | None:
    names = [
        *spec.shown,
        *(f"the last {name}" for name in spec.cell.states),
        *(f"the gradient of {n}" for n in spec.names),
    ]
    for name, a, b in zip(names, got, expected, strict=True):
        a, b = a.to(b.dtype), b
        if bool((a.isnan() != b.isnan()).any()):
            return f"in a small case ({way.kind}) {name} is NaN elsewhere than in the reference"
        off = (a - b).nan_to_num().abs().max() / b.nan_to_num().abs().max().clamp(min=1e-2)
        if float(off) > allowed:
            what = f"is off by {float(off):.1e} of its largest number, allowed are {allowed:.0e}"
            return f"in a small case ({way.kind}) {name} {what}"
    return None
