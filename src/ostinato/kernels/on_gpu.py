"""The backend "triton": kernels for a GPU, forward and backward, which Triton compiles from a cell's step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
import torch

from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError
from ostinato.kernels.call import CallSpec, named, result_of, spec_of
from ostinato.kernels.compiler.fits import reason_at_sizes, sizes_of_request, too_few_of_request
from ostinato.kernels.gpu.available import missing
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Result
from ostinato.kernels.vendor import Vendor
from ostinato.recorded import is_differentiated_forward, is_recorded
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.gpu.run.kernel import GPUKernel
    from ostinato.kernels.gpu.run.ways import Way

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_interpreting: ContextVar[str] = ContextVar("ostinato_gpu_interpreting", default="")


@contextlib.contextmanager
def interpreting(tried: bool = False) -> Iterator[None]:
    """Have the backend "triton" take tensors on the CPU, in Triton's interpreter: for tests, on a machine without a GPU.

    Args:
        tried: whether each cell is tried first, as on a device (see `trust`).

    Raises:
        ConfigError: if Triton was not told to interpret, or is missing.
    """
    if (why := missing()) is not None:
        raise ConfigError(f"interpreting expected Triton to be installed, but {why}")
    from ostinato.kernels.gpu.code.module import is_interpreted

    if not is_interpreted():
        raise ConfigError(
            "interpreting expected the variable TRITON_INTERPRET to be 1 from the start of the process on; start Python with it"
        )
    token = _interpreting.set("tried" if tried else "untried")
    try:
        with np.errstate(all="ignore"):  # infinities and NaN are numbers like others
            yield
    finally:
        _interpreting.reset(token)


class OnGPU:
    """Triton kernels made from the step: traced, differentiated by PyTorch, emitted as tiles of rows and units."""

    name = "triton"
    devices = ("cuda",)
    takes_packed = takes_segments = False

    @staticmethod
    def is_faster(cell: Cell, input: Tensor) -> bool:
        """False: whether it is faster than torch's kernels has not been measured yet."""
        return False

    @staticmethod
    def binds(input: Tensor) -> bool:
        """False: it runs requests only."""
        return False

    @staticmethod
    def bind(spec: CallSpec, given: Sequence[Tensor], is_one_step: bool) -> None:
        """None: it runs requests only."""
        return

    def refusal(self, request: Request) -> str | None:
        """Why it cannot run this request; None if it can."""
        return _of_device(request) or _of_tensors(request) or missing() or _of_cell(request)

    def reluctance(self, request: Request) -> str | None:
        """Why "auto" should ask the next backend, although this one can run the request; None if it should not."""
        if request.lengths is None and Vendor().refusal(request) is None:
            return "torch's kernel has been measured on GPUs, and this one has not"
        return None

    def acceptance(self, request: Request) -> str:
        """Say what it will run."""
        dtype = str(_multiplied(request)).removeprefix("torch.")
        return f"the step of {request.cell.name!r} compiled by Triton, matrices in {dtype}"

    def run(self, request: Request) -> Result:
        """Run the request; see `Request` and `Result` for the shapes."""
        from ostinato.kernels.gpu.run.call import GPUCall, run_call
        from ostinato.kernels.gpu.run.launch import LaunchFailed

        cell, kernel, dtype = request.cell, _kernel(request), _multiplied(request)
        assert not isinstance(kernel, str)
        sized, spec = kernel.sized(cell, *sizes_of_request(request)), spec_of(request)
        given, masks = list(named(request).values()), [request.masks[noise.name] for noise in cell.noise]
        found: Sequence[Tensor] | None = None
        while found is None and not isinstance(way := _way(request, kernel), str):
            try:
                call = GPUCall(spec, sized, way, dtype, kernel.reading.digest)
                found = run_call(call, given, masks, request.lengths, request.idle)
            except LaunchFailed as reason:
                sized.fail(way.kind, str(reason), cell.name, request.input.device)
        if found is None:
            return Reference().run(request)
        shown = _shown_dtype(request)
        return result_of(request, [v if v.dtype is shown else v.to(shown) for v in found])


def _of_device(request: Request) -> str | None:
    device = request.input.device.type
    if device != "cuda" and not (device == "cpu" and _interpreting.get() != ""):
        there = "" if torch.cuda.is_available() else ", and this machine has no CUDA device"
        return f"it compiles for CUDA devices, and the input is on {device}{there}"
    tensors = _tensors(request)
    if others := sorted({str(v.device) for v in tensors} - {str(request.input.device)}):
        return f"the input is on {request.input.device}, and a parameter or state on {others[0]}"
    return None


def _of_tensors(request: Request) -> str | None:
    if is_recorded():
        return "it is no operator that torch.compile, torch.export, torch.func or a mode of torch could record"
    if is_differentiated_forward():
        return "its gradients are taken backward, not forward (torch.func.jvp)"
    tensors = _tensors(request)
    if request.input.dtype not in _DTYPES:
        return (
            f"it computes in {', '.join(str(d).removeprefix('torch.') for d in _DTYPES)}, not in {request.input.dtype}"
        )
    if _autocast(request) is None and len({v.dtype for v in tensors}) > 1:
        return "input, states and parameters have several dtypes"
    special = [type(v).__name__ for v in tensors if type(v) not in (torch.Tensor, torch.nn.Parameter)]
    if special:
        return f"the input or a parameter is a {special[0]}"
    if any(v.is_neg() or v._is_zerotensor() for v in tensors):
        return "a tensor is a view whose numbers are not those in memory"
    if request.input.shape[0] == 0 or request.input.shape[1] == 0:
        return "there is nothing to compute"
    return None


def _of_cell(request: Request) -> str | None:
    kernel = _kernel(request)
    if isinstance(kernel, str):
        return kernel
    if (why := too_few_of_request(kernel.plan.program.least, request)) is not None:
        return why
    if kernel.observed is not None and (why := reason_at_sizes(kernel.observed, request)) is not None:
        return why
    if isinstance(way := _way(request, kernel), str):
        return way
    if _interpreting.get() == "untried":
        return None
    from ostinato.kernels.gpu.run.trust import distrust

    return distrust(kernel, request.cell, request.weights.ih.dtype, _multiplied(request), request.input.device)


def _way(request: Request, kernel: GPUKernel) -> Way | str:
    """The way to run a request, or why there is none."""
    sized = kernel.sized(request.cell, *sizes_of_request(request))
    # A packed input has no dimension of the batch.
    rows = request.input.shape[1] if request.lengths is None else len(request.lengths)
    return sized.way(rows, _multiplied(request), request.input.device)


def _kernel(request: Request) -> GPUKernel | str:
    """The cell's plan, or why there is none."""
    from ostinato.kernels.gpu.run.kernel import GPUKernel, gpu_kernel

    cell = request.cell
    found = gpu_kernel(cell, request.weights.bias_ih is not None, "P" in cell.states.values())
    return found if isinstance(found, GPUKernel) else str(found)


def _autocast(request: Request) -> torch.dtype | None:
    """The dtype in which autocast wants products to be computed; None without autocast."""
    device = request.input.device.type
    if request.weights.ih.dtype is torch.float64 or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def _multiplied(request: Request) -> torch.dtype:
    """The dtype of what enters products."""
    return _autocast(request) or request.weights.ih.dtype


def _shown_dtype(request: Request) -> torch.dtype:
    """The dtype of the results: under autocast that of torch's kernel if it has one for the cell, else float32."""
    low = _autocast(request)
    if low is None:
        return request.input.dtype
    return low if Vendor().refusal(request) is None else torch.float32


def _tensors(request: Request) -> list[Tensor]:
    return [*named(request).values(), *request.masks.values()]
