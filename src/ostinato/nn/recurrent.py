"""A stack of recurrent layers of any cell, with torch.nn's semantics, shapes and `state_dict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Unpack, cast

import torch
from torch.nn import Parameter, init
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.cells.trial import check
from ostinato.errors import CellError
from ostinato.kernels import dispatch
from ostinato.kernels.packed import lengths_of, rows_of_data
from ostinato.kernels.request import Result
from ostinato.nn.dynamo import allow
from ostinato.nn.extras import NONE, beside, check_names
from ostinato.nn.initialisation import set_forget_bias
from ostinato.nn.lengths import as_lengths, takes_lists
from ostinato.nn.options import LayerOptions, is_several, parse
from ostinato.nn.quantizing import Qconfig
from ostinato.nn.requests import make_request
from ostinato.nn.stack import Calls, run_stack
from ostinato.nn.states import StateLayout, States, check_tensor, without_names
from ostinato.nn.symbolic import as_one_node, is_symbolic, not_scriptable
from ostinato.types import Lengths, Tensor


class Recurrent(torch.nn.RNNBase):
    """Layers of a cell, one above the other: `Recurrent(cell, input_size, hidden_size, ...)`.

    The arguments and their meaning are `torch.nn.LSTM`'s; what is new is keyword-only.

    Args:
        cell: the recurrence, built in or made with the decorator `ostinato.cell`.
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `LayerOptions`; each has a row in the documentation.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    # The class of torch.nn whose forward computes the same when no option acts, if there is one.
    torch_class: ClassVar[type[torch.nn.RNNBase] | None] = None
    qconfig = Qconfig()

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        if not isinstance(cell, Cell):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"cell expected a Cell, made with the decorator ostinato.cell, got: {type(cell).__name__}")
        first = hidden_size[0] if isinstance(hidden_size, list | tuple) and hidden_size else hidden_size
        are_sizes = all(
            isinstance(n, int) and n > 0 for n in (input_size, first)
        )  # if they are not, torch.nn raises below
        check(cell, cast("tuple[int, int]", (input_size, first)) if are_sizes else None)
        widths = _widths(hidden_size, num_layers)
        layers = len(widths) if widths else num_layers
        for width in cast("list[int]", widths or [hidden_size]):
            # torch.nn itself checks the arguments that it has: exceptions, messages and warnings are those of the
            # installed torch.
            torch.nn.RNNBase(
                "LSTM", input_size, width, layers, bias, batch_first, dropout, bidirectional, proj_size, device="meta"
            )
        torch.nn.Module.__init__(self)
        self.mode = cell.vendor or cell.name
        self.input_size = input_size
        self.hidden_sizes = tuple(widths or [int(hidden_size)] * layers)  # pyright: ignore[reportArgumentType]
        uniform = len(set(self.hidden_sizes)) == 1
        self.hidden_size = self.hidden_sizes[0] if uniform else self.hidden_sizes  # pyright: ignore[reportAttributeAccessIssue]
        self.num_layers = layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.base_cell = cell
        self.options = parse(options, cell, LayerOptions)
        self.backend = self.options.backend
        self._check_heads()
        self._make_cells()
        self._make_parameters({"device": device, "dtype": dtype})
        self.reset_parameters()

    def _check_heads(self) -> None:
        heads = self.options.num_heads
        for name, width in (*(("hidden_size", hidden) for hidden in self.hidden_sizes), ("proj_size", self.proj_size)):
            if heads > 1 and width % heads:
                raise ValueError(f"num_heads expected a divisor of {name}={width}, got {heads}")

    def _make_cells(self) -> None:
        projected = self.proj_size > 0
        self._cells = {
            training: self.options.cell(self.base_cell, projected=projected, training=training)
            for training in (True, False)
        }
        options = self.options
        cell, layers = self._cells[True], range(self.num_layers)
        shapes = [cell.state_shapes(self.hidden_sizes[n], self.proj_size, self._input_size(n)) for n in layers]
        self._layout = StateLayout({name: [s[name] for s in shapes] for name in shapes[0]}, self.num_directions)
        extras = [cell.extra_sizes(self._input_size(n), self.hidden_sizes[n], self.proj_size) for n in layers]
        self._extra_sizes = extras[0]
        if wrong := next((n for n, sizes in enumerate(extras) if sizes != extras[0]), None):
            raise ValueError(
                f"num_layers expected 1, as layer {wrong} gets the extras {', '.join(cell.extras)} too, and for it their "
                f"widths are {list(extras[wrong].values())}, not {list(extras[0].values())}"
            )
        # A single call can run a whole stack only if all layers have one width and no layer above the first has extras.
        uniform = len(set(self.hidden_sizes)) == 1 and all(len(set(each)) == 1 for each in self._layout.shapes.values())
        uniform = uniform and not cell.derived and (self.num_layers == 1 or not cell.extras)
        # For training and for evaluation: whether the stack can be one call, because no option acts between its layers.
        self._plain_stack = {
            training: uniform
            and options.connection is None
            and options.checkpoint_segments is None
            and not (training and (options.weight_dropout or any(options.variational_dropout)))
            for training in (True, False)
        }
        self._bound = Calls()
        self._starts_at_zero = self.options.initial_state.is_zero

    @property
    def cell(self) -> Cell:
        """The cell with the options that act in the present mode, training or evaluation."""
        return self._cells[self.training]

    @property
    def num_directions(self) -> int:
        """`D`: 2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    def _places(self) -> Iterator[tuple[int, int, str]]:
        for layer in range(self.num_layers):
            for direction in range(self.num_directions):
                yield layer, direction, f"_l{layer}" + ("_reverse" if direction else "")

    @property
    def layer_input_sizes(self) -> list[int]:
        """The number of features of each layer's input; that of the first layer is `input_size`."""
        return [self._input_size(layer) for layer in range(self.num_layers)]

    def _input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self._output_size(layer - 1)

    def _output_size(self, layer: int) -> int:
        return (self.proj_size or self.hidden_sizes[layer]) * self.num_directions

    def _make_parameters(self, factory: dict[str, Any]) -> None:
        cell = self._cells[True]
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        for layer, _, suffix in self._places():
            shapes = cell.parameter_sizes(self._input_size(layer), self.hidden_sizes[layer], self.proj_size, self.bias)
            for name, shape in shapes.items():
                is_learned = name not in cell.fixed
                setattr(self, name + suffix, Parameter(torch.empty(shape, **factory), requires_grad=is_learned))
            self._all_weights.append([name + suffix for name in shapes])
            self._flat_weights_names += self._all_weights[-1]
        if self.options.initial_state.learned:
            for layer, _, suffix in self._places():
                for name, sizes in self._layout.sizes.items():
                    setattr(self, f"initial_{name}{suffix}", Parameter(torch.empty(sizes[layer], **factory)))
        if self.options.connection:
            for layer in range(1, self.num_layers):
                size = self._output_size(layer)
                if size != self._output_size(layer - 1):
                    raise ValueError(
                        f"connection={self.options.connection!r} needs layers of one width; "
                        f"layer {layer - 1} gives {self._output_size(layer - 1)} units and layer {layer} gives {size}"
                    )
                if self.options.connection == "highway":
                    setattr(self, f"highway_weight_l{layer}", Parameter(torch.empty(size, size, **factory)))
                    setattr(self, f"highway_bias_l{layer}", Parameter(torch.empty(size, **factory)))
        self._init_flat_weights()

    def _named_weights(self, layer: int, direction: int) -> dict[str, Tensor]:
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        names = self._all_weights[layer * self.num_directions + direction]
        return {name.removesuffix(suffix): getattr(self, name) for name in names}

    def _multiplied(self, layer: int, direction: int) -> dict[str, Tensor]:
        """The weights as the step gets them: a weight in the cell's `derived` is computed from the learned one."""
        weights = self._named_weights(layer, direction)
        for name, derive in self.cell.derived.items():
            made: Any = derive(weights[name])
            if not isinstance(made, Tensor) or made.shape != weights[name].shape:
                got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
                raise CellError(
                    f"derived[{name!r}] of cell {self.cell.name!r} expected to give the shape {tuple(weights[name].shape)} that it "
                    f"was given, got {got}; with num_heads the blocks of the heads lie below each other"
                )
            weights[name] = made
        return weights

    def reset_parameters(self) -> None:
        """Fill all parameters anew, as `init` and `forget_bias` say; by default with the numbers that torch.nn would draw."""
        cell = self._cells[True]
        for layer, direction, _ in self._places():
            weights, hidden = self._named_weights(layer, direction), self.hidden_sizes[layer]
            self.options.init.fill(cell, weights, hidden)
            if self.options.forget_bias is not None:
                set_forget_bias(cell, weights, hidden, self.options.forget_bias)
        for name, parameter in self.named_parameters(recurse=False):
            if name.startswith("initial_"):
                init.zeros_(parameter)
            elif name.startswith("highway_weight"):
                init.xavier_uniform_(parameter)
            elif name.startswith("highway_bias"):
                init.constant_(parameter, -2.0)  # mostly carry at first: Srivastava et al. 2015, arXiv 1505.00387, 2.2

    def flatten_parameters(self) -> None:
        """Store the weights as cuDNN wants them: all together if it will run the whole stack, else together by direction."""
        if not self._cells[False].vendor:
            return
        if self.torch_class is not None and self._plain_stack[False]:
            super().flatten_parameters()
            return
        for layer, direction, _ in self._places():
            names = self._all_weights[layer * self.num_directions + direction]
            one = SimpleNamespace(
                _flat_weights=[self._parameters.get(name) for name in names],
                _flat_weights_names=names,
                mode=self._cells[False].vendor,
                bias=self.bias,
                input_size=self._input_size(layer),
                hidden_size=self.hidden_sizes[layer],
                proj_size=self.proj_size,
                num_layers=1,
                batch_first=False,
                bidirectional=False,
            )
            torch.nn.RNNBase.flatten_parameters(cast("Any", one))

    def __prepare_scriptable__(self) -> Any:  # torch.jit.script calls it
        raise not_scriptable(self)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        del state["_cells"]  # steps are code: they are made again from the cell and the options
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # pyright: ignore[reportUnknownMemberType]
        self._make_cells()

    def extra_repr(self) -> str:
        """torch.nn's text, then the options that are not at their default."""
        text = super().extra_repr()
        if self.torch_class is None:
            text = f"{self.base_cell.name}, {text}"
        return ", ".join([text, *(f"{name}={value}" for name, value in self.options.changed().items())])

    @takes_lists
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input: Any,
        hx: Any = None,
        # Not keyword-only: the ONNX exporter passes every argument by position.
        lengths: Lengths | int | None = None,
        return_states: bool = False,
        **extras: Any,
    ) -> Any:
        """Run the stack over a sequence.

        Args:
            input: `(T, B, I)`; `(B, T, I)` with `batch_first`; `(T, I)` unbatched; or a `PackedSequence`.
            hx: the first states: one `(L D, B, H)` tensor for each state of the cell, in a tuple or a `State` if there are several.
                A list over layers of `(D, B, H)` tensors may replace each of them, and must if the widths differ. None for
                what `initial_state` says.
            lengths: valid steps of each row, `(B,)` integers from 0 to `T` in any order, on any device. Output past a row's end
                is zero, last states are those of its last valid step, padding changes no result and no gradient.
            return_states: give every state of every step as well.
            **extras: the extras of the cell by name, laid out like the input: `(T, B)`, or `(T, B, width)`. Every layer gets
                them.

        Returns:
            `(output, states)` as torch.nn does: output `(T, B, D H)`, states like `hx`. With `return_states` also the
            `States` of every step: for each state a tuple over layers of `(T, B, D H)`, laid out like the output.

        Raises:
            ValueError, RuntimeError, TypeError: a shape or a type is wrong; the messages are torch.nn's.
        """
        if type(input) is not torch.Tensor:
            if is_symbolic(input):
                return as_one_node(self, input, hx, lengths=lengths, return_states=return_states, **extras)
            check_tensor(input, "a tensor, (T, B, I) or (T, I), or a PackedSequence", PackedSequence)
        if hx is not None:
            hx = without_names(hx, self.cell.states)
        if extras or self._extra_sizes:
            check_names(self.cell, extras, f"{type(self).__name__}.forward()")
        # A stack without options between its layers is a single call: bound to this layer, or of torch's own layer.
        is_plain = self._plain_stack[self.training]
        between = self.training and self.dropout > 0 and self.num_layers > 1
        data = input.data if isinstance(input, PackedSequence) else input
        name = dispatch.binds(self.backend, data) if is_plain and not between else None
        if (
            name is None
            and is_plain
            and lengths is None
            and not return_states
            and self.torch_class is not None
            and (hx is not None or self._starts_at_zero)
            and dispatch.takes_whole(self.cell, self.backend, input)
        ):
            return dispatch.run_whole(self.torch_class, self, self.cell, self.backend, input, hx)
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError(
                    "lengths expected None for a PackedSequence, which has lengths of its own; leave them out"
                )
            self.check_input(input.data, input.batch_sizes)
            return self._run_packed(input, hx, return_states, name, extras)
        if input.dim() not in (2, 3):
            own = (self.torch_class or type(self)).__name__
            tensor = "tensor " if own == "RNN" else ""  # the messages of torch.nn's classes differ here
            raise ValueError(f"{own}: Expected input to be 2D or 3D, got {input.dim()}D {tensor}instead")
        if input.dim() == 2:
            lay_in, lay_out = _with_batch, _without_batch
        elif self.batch_first:
            lay_in = lay_out = _batch_first
        else:
            lay_in = lay_out = _as_it_is
        x = lay_in(input)
        if x.shape[-1] != self.input_size or x.dtype is not self._flat_weights[0].dtype:  # pyright: ignore[reportOptionalMemberAccess]
            self.check_input(x, None)
        steps, rows = x.shape[:2]
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        valid = None
        if lengths is not None:
            valid = as_lengths(lengths, rows, steps, x.device)
        batched = input.dim() == 3
        beyond, idle = beside(self.cell, self._extra_sizes, extras, x, input.shape, lay_in) if extras else (None, NONE)
        if name and beyond is not None:
            x, beyond = torch.cat([x, *beyond], -1), None
        if name and (found := run_stack(self, name, x, hx, rows, batched, valid, return_states, idle=idle)) is not None:
            output, last, every = found
            return self._closed(lay_out(output), self._layout.close_whole(last, batched), every, lay_out)
        first = self._first_states(x, rows) if hx is None else self._layout.open(hx, rows, batched, dtype=x.dtype)
        x, last, every = self._run(x, first, valid, return_states, extras=beyond, idle=idle)
        return self._closed(lay_out(x), self._layout.close(last, batched), every, lay_out)

    def _run_packed(
        self, input: PackedSequence, hx: Any, return_states: bool, name: str | None, extras: Mapping[str, Any]
    ) -> Any:
        """Run a packed input without unpacking it: its data already has the order of the recurrence, without padding."""
        lengths = lengths_of(input.batch_sizes)
        rows = lengths.numel()

        def lay_out(v: Tensor) -> PackedSequence:
            return PackedSequence(v, input.batch_sizes, input.sorted_indices, input.unsorted_indices)

        x, beyond, idle = input.data, None, NONE
        if extras:
            if any(not isinstance(v, PackedSequence) or not _are_packed_alike(v, input) for v in extras.values()):
                raise ValueError(
                    f"{', '.join(extras)} expected PackedSequences of the input's lengths, packed with the same enforce_sorted"
                )
            beyond, idle = beside(self.cell, self._extra_sizes, extras, x, x.shape, lambda v: v)
            if name:
                x = torch.cat([x, *beyond], -1)
        of_rows = rows, True, lengths, return_states, input.sorted_indices
        if name and (found := run_stack(self, name, x, hx, *of_rows, packed=True, idle=idle)):
            output, last, every = found
            if input.unsorted_indices is not None:
                last = [v.index_select(1, input.unsorted_indices) for v in last]
            return self._closed(lay_out(output), self._layout.close_whole(last, True), every, lay_out)
        of = rows_of_data(input.batch_sizes).to(input.data.device, non_blocking=True)
        first = (
            self._first_states(input.data, rows)
            if hx is None
            else self._layout.open(hx, rows, True, packed=True, dtype=input.data.dtype)
        )
        if hx is not None and input.sorted_indices is not None:
            first = [_reordered(state, input.sorted_indices) for state in first]
        valid = lengths.to(input.data.device, non_blocking=True)
        x, last, every = self._run(input.data, first, valid, return_states, of, beyond, lengths, idle)
        if input.unsorted_indices is not None:
            last = [_reordered(state, input.unsorted_indices) for state in last]
        return self._closed(lay_out(x), self._layout.close(last, True), every, lay_out)

    @staticmethod
    def _closed(
        output: Any, last: Any, every: Mapping[str, list[Tensor]] | None, lay_out: Callable[[Tensor], Any]
    ) -> Any:
        if every is None:
            return output, last
        return output, last, States({name: tuple(lay_out(v) for v in layers) for name, layers in every.items()})

    def _run(
        self,
        x: Tensor,
        first: Sequence[State],
        lengths: Tensor | None,
        every_state: bool,
        of: Tensor | None = None,
        extras: Sequence[Tensor] | None = None,
        known_lengths: Tensor | None = None,
        idle: frozenset[str] = NONE,
    ) -> tuple[Tensor, list[State], dict[str, list[Tensor]] | None]:
        """Run the layers one after the other.

        Args:
            x: `(T, B, I)`, or packed `(N, I)`.
            first: the states before the first step, of each layer and direction.
            lengths: the lengths of the rows.
            every_state: give all states of all steps.
            of: for packed input, `(N,)`, the row of the batch that each of its `N` entries belongs to.
            extras: the extras in columns, laid out like the input.
            known_lengths: the lengths of packed rows, on the CPU.
            idle: the names of the inputs ("x" and the extras) that need no gradient.

        Returns:
            The output, laid out like the input; the last states of each layer and direction; every state of each layer.
        """
        options, directions = self.options, self.num_directions
        last: list[State] = []
        every: dict[str, list[Tensor]] = {name: [] for name in self.cell.states}
        for layer in range(self.num_layers):
            below = x
            if layer > 0:
                x = F.dropout(x, self.dropout, self.training)
            x = self._same_mask(x, options.variational_dropout.input, of)
            idle = idle - {"x"} if x.requires_grad else idle
            x = x if extras is None else torch.cat([x, *extras], -1)
            of_rows = lengths, every_state, of is not None, known_lengths, idle
            results = [
                self._run_direction(x, layer, d, first[layer * directions + d], *of_rows) for d in range(directions)
            ]
            last += [result.last for result in results]
            if every_state:
                for name, layers in every.items():
                    layers.append(torch.cat([getattr(result.states, name) for result in results], -1))
            out = torch.cat([result.output for result in results], -1) if directions > 1 else results[0].output
            x = self._connected(layer, below, out)
        x = self._same_mask(x, options.variational_dropout.output, of)
        return x, last, every if every_state else None

    def _first_states(self, x: Tensor, rows: int) -> list[State]:
        return [
            State(
                **{
                    name: self.options.initial_state.make(
                        getattr(self, f"initial_{name}{suffix}", None), x, rows, sizes[layer], self.training
                    )
                    for name, sizes in self._layout.sizes.items()
                }
            )
            for layer, _, suffix in self._places()
        ]

    def _run_direction(
        self,
        x: Tensor,
        layer: int,
        direction: int,
        first: State,
        lengths: Tensor | None,
        every_state: bool,
        packed: bool,
        known_lengths: Tensor | None,
        idle: frozenset[str],
    ) -> Result:
        parameters = self._multiplied(layer, direction)
        if self.cell.recurrent:
            parameters["weight_hh"] = F.dropout(parameters["weight_hh"], self.options.weight_dropout, self.training)
        request = make_request(
            self.cell,
            parameters,
            x,
            first,
            training=self.training,
            lengths=lengths,
            reverse=bool(direction),
            every_state=every_state,
            segment=self.options.checkpoint_segments or 0,
            packed=packed,
            known_lengths=known_lengths,
            idle=idle,
        )
        return dispatch.run(request, self.backend)

    def _same_mask(self, x: Tensor, rate: float, of: Tensor | None) -> Tensor:
        """Apply dropout with one mask for all time steps; `of` is as in `_run`."""
        if not self.training or rate == 0:
            return x
        if of is None:
            return x * F.dropout(torch.ones_like(x[0]), rate)
        masks = F.dropout(x.new_ones(int(of.max()) + 1, x.shape[1]), rate)
        return x * masks.index_select(0, of)

    def _connected(self, layer: int, below: Tensor, out: Tensor) -> Tensor:
        if layer == 0 or self.options.connection is None:
            return out
        if self.options.connection == "residual":
            return out + below
        weight, bias = getattr(self, f"highway_weight_l{layer}"), getattr(self, f"highway_bias_l{layer}")
        gate = torch.sigmoid(F.linear(below, weight, bias))
        return gate * out + (1 - gate) * below


allow(Recurrent)


def _are_packed_alike(a: PackedSequence, b: PackedSequence) -> bool:
    if not a.batch_sizes.equal(b.batch_sizes) or (a.sorted_indices is None) != (b.sorted_indices is None):
        return False
    return a.sorted_indices is None or b.sorted_indices is None or a.sorted_indices.equal(b.sorted_indices)


def _with_batch(v: Tensor) -> Tensor:
    return v.unsqueeze(1)


def _without_batch(v: Tensor) -> Tensor:
    return v.squeeze(1)


def _batch_first(v: Tensor) -> Tensor:
    return v.transpose(0, 1)


def _as_it_is(v: Tensor) -> Tensor:
    return v


def _reordered(state: State, order: Tensor) -> State:
    return type(state)(**{name: getattr(state, name).index_select(0, order) for name in state.names})


def _widths(hidden_size: Any, num_layers: Any) -> list[int] | None:
    if not is_several(hidden_size):
        return None
    widths: list[int] = list(hidden_size)
    if not widths or (num_layers not in (1, len(widths))):
        raise ValueError(
            f"hidden_size expected one width for each of the num_layers={num_layers} layers, got {len(widths)} widths; "
            "leave num_layers out"
        )
    return widths
