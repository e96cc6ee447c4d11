"""A cell one step at a time, with torch.nn's semantics and `state_dict`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Unpack

import torch
from torch.nn import Parameter

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.kernels import dispatch
from ostinato.kernels.vendor import step_function
from ostinato.nn.extras import NONE, beside, check_names
from ostinato.nn.initialisation import set_forget_bias
from ostinato.nn.options import StepOptions, parse
from ostinato.nn.quantizing import Qconfig
from ostinato.nn.requests import make_request
from ostinato.nn.stack import Calls, run_step
from ostinato.nn.states import StateLayout, are_entries, check_floating, check_tensor, without_names
from ostinato.nn.symbolic import as_one_node, is_symbolic, not_scriptable
from ostinato.types import Tensor


class Step(torch.nn.RNNCellBase):
    """One step of a cell: what the single steps by name have in common.

    Args:
        cell: the recurrence.
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
    """

    # The class of torch.nn whose forward computes the same when no option acts, if there is one.
    torch_class: ClassVar[type[torch.nn.RNNCellBase] | None] = None
    qconfig = Qconfig()

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        torch.nn.Module.__init__(self)
        if not isinstance(cell, Cell):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"cell expected a Cell, made with the decorator ostinato.cell, got: {type(cell).__name__}")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.base_cell = cell
        self.options = parse(options, cell, StepOptions)
        self.backend = self.options.backend
        self._make_cells()
        if self.options.num_heads > 1 and hidden_size % self.options.num_heads:
            raise ValueError(f"num_heads expected a divisor of hidden_size={hidden_size}, got {self.options.num_heads}")
        cell = self._cells[True]
        shapes = cell.parameter_sizes(input_size, hidden_size, bias=bias)
        self._parameter_names = tuple(shapes)
        for name, shape in shapes.items():
            empty = torch.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(empty, requires_grad=name not in cell.fixed))
        if not bias:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def _make_cells(self) -> None:
        self._cells = {t: self.options.cell(self.base_cell, projected=False, training=t) for t in (True, False)}
        self._torch_steps = {t: step_function(cell) for t, cell in self._cells.items()}
        self._state_count = len(self.base_cell.states)
        sizes = self.input_size, self.hidden_size
        shapes = self._cells[True].state_shapes(sizes[1], 0, sizes[0])
        self._layout = StateLayout({name: [shape] for name, shape in shapes.items()}, 1)
        self._extra_sizes = self._cells[True].extra_sizes(*sizes)
        self._bound = Calls()

    @property
    def _name(self) -> str:
        return (self.torch_class or type(self)).__name__

    @property
    def cell(self) -> Cell:
        """The cell with the options that act in the present mode, training or evaluation."""
        return self._cells[self.training]

    def reset_parameters(self) -> None:
        """Fill all parameters anew, as `init` and `forget_bias` say; the default draws what torch.nn would draw."""
        parameters = dict(self.named_parameters())
        self.options.init.fill(self._cells[True], parameters, self.hidden_size)
        if self.options.forget_bias is not None:
            set_forget_bias(self._cells[True], parameters, self.hidden_size, self.options.forget_bias)

    def forward(self, input: Tensor, hx: Any = None, **extras: Any) -> Any:
        """One step.

        Args:
            input: `(B, I)` or `(I,)`.
            hx: the states before it, `(B, H)` or `(H,)`, a tuple (h, c) for the LSTM, or a `State`; None for zeros.
            **extras: those of the cell by name, `(B,)`, or `(B, width)`; without `B` where the input has none.

        Returns:
            The states after it, like `hx`.
        """
        # One step of a cell of torch's is so little work that a choice would take as long.
        if (torch_step := self._torch_steps[self.training]) is not None and _are_plain(input, hx, self._state_count):
            known: Any = self._parameters
            if dispatch.is_plain(self.backend) and all(
                map(known.__contains__, _TORCHS)
            ):  # one may be computed from others
                return torch_step(input, hx, *map(known.__getitem__, _TORCHS))
        if is_symbolic(input):
            return as_one_node(self, input, hx, **extras)
        check_tensor(input, "a tensor, (B, I) or (I,)")
        hx = without_names(hx, self.cell.states)
        self._check_states(hx, input.dtype)
        if self.torch_class is not None and dispatch.takes_whole(self.cell, self.backend):
            return dispatch.run_whole(self.torch_class, self, self.cell, self.backend, input, hx)
        if input.dim() not in (1, 2):
            raise ValueError(f"{self._name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        x = input if input.dim() == 2 else input.unsqueeze(0)
        first = self._first(hx, x, batched=input.dim() == 2)
        idle = NONE
        if extras or self._extra_sizes:
            check_names(self.cell, extras, f"{self._name}.forward()")
            lay_in: Callable[[Tensor], Tensor] = (lambda v: v) if input.dim() == 2 else (lambda v: v.unsqueeze(0))
            beyond, idle = beside(self.cell, self._extra_sizes, extras, x, input.shape, lay_in)
            x = torch.cat([x, *beyond], -1)
        name = None if self.cell.derived else dispatch.binds(self.backend, x)
        if name is None or (states := run_step(self, name, x, list(first), idle)) is None:
            # By attribute, as a weight may be computed from others (torch.nn.utils.parametrizations).
            parameters = {name: getattr(self, name) for name in self._parameter_names}
            parameters |= {name: derive(parameters[name]) for name, derive in self.cell.derived.items()}
            request = make_request(self.cell, parameters, x.unsqueeze(0), first, training=self.training, idle=idle)
            states = list(dispatch.run(request, self.backend).last)
        if not self._layout.has_vectors_only:
            shapes = (shape for (shape,) in self._layout.shapes.values())
            states = [v.view(len(v), *shape) if len(shape) > 1 else v for v, shape in zip(states, shapes, strict=True)]
        states = states if input.dim() == 2 else [v.squeeze(0) for v in states]
        return tuple(states) if len(states) > 1 else states[0]

    def _check_states(self, hx: Any, dtype: torch.dtype) -> None:
        if hx is None:
            return
        names = list(self.cell.states)
        given = hx if len(names) > 1 else (hx,)
        if not are_entries(given) or len(given) != len(names):
            got = f"{len(hx)} entries" if are_entries(hx) else type(hx).__name__
            raise ValueError(f"hx expected one tensor for each of the states {', '.join(names)}, got {got}")
        for name, v in zip(names, given, strict=True):
            if not isinstance(v, torch.Tensor):
                raise ValueError(f"hx expected a tensor for the state {name}, got {type(v).__name__}")
            check_floating(f"hx, for the state {name},", v, dtype, "the input is")

    def _first(self, hx: Any, x: Tensor, batched: bool) -> State:
        names = list(self.cell.states)
        given = () if hx is None else hx if len(names) > 1 else (hx,)
        shapes = [shape for (shape,) in self._layout.shapes.values()]
        for at, (v, shape) in enumerate(zip(given, shapes, strict=False)):
            if v.dim() not in (dims := (len(shape), len(shape) + 1)):
                what = "hidden" if len(names) == 1 else f"hx[{at}]"
                expected = " or ".join(f"{n}D" for n in dims)
                raise ValueError(f"{self._name}: Expected {what} to be {expected}, got {v.dim()}D instead")
        if x.size(-1) != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {x.size(-1)} expected {self.input_size}")
        if hx is None:
            return State(**{n: x.new_zeros(x.shape[0], size) for n, (size,) in self._layout.sizes.items()})
        rows = [v if batched else v.unsqueeze(0) for v in given]
        for at, (v, shape) in enumerate(zip(rows, shapes, strict=True)):
            if v.size(0) != x.size(0):
                raise RuntimeError(f"Input batch size {x.size(0)} doesn't match hidden{at} batch size {v.size(0)}")
            if v.dim() == 1 or v.size(1) != shape[0]:
                got = v.size(1) if v.dim() > 1 else 1
                raise RuntimeError(f"hidden{at} has inconsistent hidden_size: got {got}, expected {shape[0]}")
            if tuple(v.shape[1:]) != shape:
                raise RuntimeError(f"hx[{at}] should be {len(shape)}D, as the input is, got {v.dim() - 1}D")
        return State(**{name: v.flatten(1) if v.dim() > 2 else v for name, v in zip(names, rows, strict=True)})

    def __prepare_scriptable__(self) -> Any:  # torch.jit.script's
        raise not_scriptable(self)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["_cells"], state["_torch_steps"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # pyright: ignore[reportUnknownMemberType]
        self._make_cells()

    def extra_repr(self) -> str:
        """torch.nn's, then the options that were changed."""
        text = super().extra_repr()
        if self.torch_class is None:
            text = f"{self.base_cell.name}, {text}"
        return ", ".join([text, *(f"{name}={value}" for name, value in self.options.changed().items())])


_TORCHS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _are_plain(input: Any, hx: Any, count: int) -> bool:
    """Whether input and so many states are tensors of one dtype with a batch dimension; all else torch checks."""
    if count == 1:
        return _is_plain(input) and _is_plain(hx) and hx.dtype is input.dtype
    kind = type(hx)  # pyright: ignore[reportUnknownVariableType]
    if kind is not tuple or len(hx) != count or not _is_plain(input):
        return False
    for v in hx:  # noqa: SIM110 - `all` would take as long as the step
        if not _is_plain(v) or v.dtype is not input.dtype:
            return False
    return True


def _is_plain(v: Any) -> bool:
    return type(v) is torch.Tensor and v.dim() == 2
