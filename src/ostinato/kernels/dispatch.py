"""The one seam between what a recurrence is and how it is run: for each request it chooses a backend, and says why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch._C._functorch import maybe_current_level

from ostinato.cells.spec import Cell
from ostinato.errors import CellError, ConfigError
from ostinato.kernels.backend import Backend, Bound
from ostinato.kernels.call import CallSpec
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.on_gpu import OnGPU
from ostinato.kernels.packed import run_padded
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Result
from ostinato.kernels.segments import in_segments
from ostinato.kernels.vendor import Vendor
from ostinato.locks import lock
from ostinato.recorded import has_translation, is_for_onnx, is_mapped, is_recorded, is_transformed, is_unobserved
from ostinato.types import Tensor

# In the order in which "auto" asks them: the fastest first, the one that takes everything last.
BACKENDS: dict[str, Backend] = {}
_priorities: dict[str, int] = {}


def register(backend: Backend, priority: int) -> None:
    """Add a backend, which can then be chosen by name and by "auto". "auto" asks it before all of a lower priority.

    Args:
        backend: the backend; it replaces one of the same name.
        priority: torch's own kernels have 100, the reference, which takes everything, has 0.
    """
    known = {**BACKENDS, backend.name: backend}
    _priorities[backend.name] = priority
    BACKENDS.clear()
    BACKENDS.update((name, known[name]) for name in sorted(known, key=lambda name: -_priorities[name]))


register(Compiled(), 200)
register(OnGPU(), 150)
register(Vendor(), 100)
register(Reference(), 0)


@dataclass(frozen=True, eq=False)
class _Block:
    """A `with backend(name)` that has been entered. With threads and generators, blocks may be left in any order."""

    name: str


# The blocks that are open in this context, and in all contexts; the one entered last decides.
_here: ContextVar[tuple[_Block, ...]] = ContextVar("ostinato_backend", default=())
_everywhere: tuple[_Block, ...] = ()
_entering = lock()
# The name of the last block, for torch.compile, which cannot read a ContextVar: it guards this global, and compiles anew when it
# changes.
_forced_in_graphs = "auto"
_record: ContextVar[list[Choice] | None] = ContextVar("ostinato_record", default=None)


@dataclass(frozen=True)
class Choice:
    """Which backend runs a request.

    Attributes:
        backend: the backend's name.
        reason: why this one was chosen, and why each backend that was passed over was not.
    """

    backend: str
    reason: str


def check_name(name: str) -> str:
    """Return `name` if it is "auto" or the name of a backend; raise `ConfigError` otherwise."""
    if name not in (names := ("auto", *BACKENDS)):
        raise ConfigError(f"backend expected one of {', '.join(names)}, got {name!r}")
    return name


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Run every layer inside the `with` block on this backend: "compiled", "triton", "vendor", "reference", or "auto".

    If a backend that was named here cannot run a request, it raises `ConfigError` with the reason; "auto" goes on to the next.
    """
    global _forced_in_graphs, _everywhere
    check_name(name)
    if torch.compiler.is_dynamo_compiling():
        before, _forced_in_graphs = _forced_in_graphs, name
        try:
            yield
        finally:
            _forced_in_graphs = before
        return
    block = _Block(name)
    _here.set((*_here.get(), block))
    with _entering:
        _everywhere, _forced_in_graphs = (*_everywhere, block), name
    try:
        yield
    finally:
        _here.set(_without(_here.get(), block))
        with _entering:
            _everywhere = _without(_everywhere, block)
            _forced_in_graphs = _innermost(_everywhere)


def _without(blocks: tuple[_Block, ...], left: _Block) -> tuple[_Block, ...]:
    return tuple(each for each in blocks if each is not left)


def _innermost(blocks: tuple[_Block, ...]) -> str:
    return blocks[-1].name if blocks else "auto"


def wanted(by_layer: str) -> str:
    """The backend to use for a layer with this setting; a `with backend(...)` around the call overrides the setting."""
    forced = _forced_in_graphs if torch.compiler.is_dynamo_compiling() else _innermost(_here.get())
    return by_layer if forced == "auto" else forced


def _select(request: Request, by_layer: str) -> Backend:
    if is_for_onnx():
        return _for_onnx(request)
    name = wanted(by_layer)
    if name != "auto":
        if refusal := BACKENDS[name].refusal(request):
            raise ConfigError(f"backend {name!r} was asked for by name, but {refusal}. Use backend='auto'")
        return BACKENDS[name]
    return next(b for b in backends_for(request.input.device.type) if _passed_over(b, request) is None)


def backends_for(device: str) -> list[Backend]:
    """The backends for a type of device, "cpu" or "cuda", in the order in which "auto" asks them."""
    return [b for b in BACKENDS.values() if b.devices is None or device in b.devices]


def _for_onnx(request: Request) -> Backend:
    """The backend whose operator becomes nodes of ONNX.

    With any other, the export would hold the loop unrolled, step by step, at the length of the example.
    """
    if not has_translation():
        raise ConfigError(
            "torch's exporter to ONNX does not know Ostinato's layers by itself: call ostinato.export(module, example, path), or "
            "give torch.onnx.export custom_translation_table=ostinato.exporting.onnx.translation_table()"
        )
    compiled = BACKENDS[Compiled.name]
    if (refusal := compiled.refusal(request)) is not None:
        raise CellError(
            f"the cell {request.cell.name!r} cannot be exported to ONNX: {refusal}. Write its step with what the compiler takes "
            "(docs/compiler.md), or use another cell"
        )
    return compiled


def _passed_over(backend: Backend, request: Request) -> str | None:
    """Why "auto" goes on to the next backend; None if it takes this one."""
    return backend.refusal(request) or backend.reluctance(request)


def _because(by_layer: str, acceptance: str, refusals: list[str]) -> str:
    named = ["asked for by name"] if wanted(by_layer) != "auto" else []
    return "; ".join([acceptance, *named, *refusals])


def _recording() -> bool:
    return not torch.compiler.is_compiling() and _record.get() is not None


def _note(choice: Choice) -> None:
    if _recording() and (record := _record.get()) is not None:
        record.append(choice)


def choose(request: Request, by_layer: str = "auto") -> Choice:
    """Say which backend would run this request, and why."""
    return _explained(_select(request, by_layer), request, by_layer)


def _explained(chosen: Backend, request: Request, by_layer: str) -> Choice:
    asked = (
        []
        if wanted(by_layer) != "auto"
        else list(takewhile(lambda b: b is not chosen, backends_for(request.input.device.type)))
    )
    refusals = [f"not {b.name}: {_passed_over(b, request)}" for b in asked]
    return Choice(chosen.name, _because(by_layer, chosen.acceptance(request), refusals))


def run(request: Request, by_layer: str = "auto") -> Result:
    """Run a request on the first backend that takes it, or on the one asked for by name."""
    chosen = _select(request, by_layer)
    if _recording():
        _note(_explained(chosen, request, by_layer))
    if request.packed and (is_recorded() or not chosen.takes_packed):
        return run_padded(request, lambda padded: _run(chosen, padded))
    return _run(chosen, request)


def binds(by_layer: str, input: Tensor) -> str | None:
    """The name to pass to `bind`; None if the call must go through `run`.

    A call may be bound if nothing observes or records it, and the backend that is asked first binds calls.
    """
    if not is_unobserved() or _record.get() is not None:
        return None
    forced = _innermost(_here.get())  # enough here, as torch.compile is not recording
    name = by_layer if forced == "auto" else forced
    first = next(iter(BACKENDS.values())) if name == "auto" else BACKENDS[name]
    return name if first.binds(input) else None


def bind(spec: CallSpec, given: Sequence[Tensor], is_one_step: bool, name: str) -> Bound | None:
    """Bind the call of a stack of layers; None if no backend that may run it binds it.

    Args:
        spec: the constants of the call.
        given: the call's tensors.
        is_one_step: whether all rows have a single step.
        name: "auto", or the name of a backend.
    """
    asked = BACKENDS.values() if name == "auto" else [BACKENDS[name]]
    # With a single step, nearly all of the time goes into the work around the kernel. The backends asked last bind such calls only
    # where they are quick at it.
    calls = (each.bind(spec, given, is_one_step) for each in (reversed(list(asked)) if is_one_step else asked))
    return next((call for call in calls if call is not None), None)


def is_plain(by_layer: str) -> bool:
    """Whether no backend was asked for and nothing observes the call: torch may then be called directly where it is as fast."""
    return (
        not torch.compiler.is_compiling()
        and by_layer == "auto"
        and _innermost(_here.get()) == "auto"
        and _record.get() is None
        and maybe_current_level() is None
    )


def _run(chosen: Backend, request: Request) -> Result:
    checkpoints = torch.is_grad_enabled() and not is_transformed()
    if request.segment and checkpoints and not chosen.takes_segments:
        return in_segments(request, chosen.run)
    return chosen.run(request)


def takes_whole(cell: Cell, by_layer: str, input: Any = None) -> bool:
    """Whether a module of this cell, on which no option of ours acts, is handed to torch in one call.

    Args:
        cell: the module's cell.
        by_layer: the backend that the module asks for.
        input: what the module was called with, a tensor or a `PackedSequence`; None for a single step, on which no other backend
            can be faster.
    """
    if cell.vendor is None or is_mapped() or is_for_onnx():
        return False
    name = wanted(by_layer)
    if name != "auto" or input is None:
        return name in ("auto", Vendor.name)
    if is_recorded():
        return False
    before = takewhile(lambda b: b.name != Vendor.name, BACKENDS.values())
    return not any(b.is_faster(cell, getattr(input, "data", input)) for b in before)


def run_whole(
    torch_class: type[torch.nn.Module], module: torch.nn.Module, cell: Cell, by_layer: str, input: Any, hx: Any
) -> Any:
    """Run a module for which `takes_whole` is true, by `forward` of the torch.nn class that it replaces."""
    if _recording():
        because = _because(by_layer, f"torch's {cell.vendor} kernel, exactly as torch.nn calls it", [])
        _note(Choice(Vendor.name, because))
    return torch_class.forward(module, input, hx)


@contextlib.contextmanager
def recording() -> Iterator[list[Choice]]:
    """Collect the choice for every request that runs inside the `with` block, in order."""
    choices: list[Choice] = []
    token = _record.set(choices)
    try:
        yield choices
    finally:
        _record.reset(token)
