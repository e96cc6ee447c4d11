"""From a cell's step to its program: what it computes between its matrix products, and the derivative of that.

The step is recorded at two sizes, to find out what depends on them, together with its vector-Jacobian product as PyTorch derives
it. Its products are cut out first: `U`, and `F.linear` with a matrix of the cell's own, give a fresh input instead of what they
would have computed, and what enters them becomes a result. So a recording holds no matrix, and the caller computes each product and
its transposed one.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import fx
from torch.fx.traceback import preserve_node_meta
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product as RecurrentProduct
from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.graph import Graph, Node, Unsupported, number_of, walk
from ostinato.kernels.compiler.lines import Lines, in_brackets, raised_at, users_line
from ostinato.kernels.compiler.lowering import Lowering
from ostinato.kernels.compiler.program import ProductNode, Program
from ostinato.kernels.compiler.sized import (
    MOST_GATES,
    Constants,
    TracedSizes,
    Value,
    numbers,
    traced_sizes,
    unexplained,
)
from ostinato.locks import RECORDER, compiling
from ostinato.types import Tensor

__all__ = ["Node", "ProductNode", "Program", "Unsupported", "trace"]

_WAITS_S = (0.02, 0.1, 0.5, 2.0)


def trace(cell: Cell, bias: bool, projected: bool) -> Program:
    """Record the step of a cell.

    The leaves of the program, by `op` and `key`:

    | op | key | what it is |
    | --- | --- | --- |
    | x | (gate,) | `W_ih x` of a gate, by its place in `cell.input_gates`; before `cell.enter` and before `bias_ih` |
    | input | (name,) | the input itself, "x", or an extra, as it came |
    | u | (product, piece) | what a product yields, before anything is done to it and before `bias_hh` |
    | state | (name,) | a state before the step |
    | parameter | (name, piece) | the numbers of `bias_ih`, `bias_hh` or a vector of the cell's own, the same for all rows |
    | mask | (name,) | the cell's noise |
    | dstate | (name,) | the gradient of a new state |
    | dv | (product,) | the gradient of what entered a product |

    Args:
        cell: the cell, with its options.
        bias: whether there are `bias_ih` and, for a recurrent cell, `bias_hh`.
        projected: whether P is another number than H.

    Raises:
        Unsupported: with the reason, if the compiler does not know what the step does.
    """
    return alone(_trace, cell, bias, projected)


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that runs a step, while no other thread does so.

    It runs in a thread of its own, in which none of the caller's modes acts: autocast, no_grad, inference, a default device,
    torch.func.

    Raises:
        Unsupported: for any exception of the function.
    """
    with compiling:  # torch.fx patches global names while it records
        # A refusal is final, so the function is called again first: a recording of torch's own at the same time, such as an export
        # in another thread, changes what ours sees.
        for at, wait in enumerate(_WAITS_S):
            try:
                return _alone(function, *arguments)
            except Unsupported as refusal:
                is_surprise = refusal.__cause__ is not None and at == 0
                if not is_surprise and not _others_record():
                    raise
            time.sleep(wait)
        return _alone(function, *arguments)


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return _thread().submit(_undisturbed, function, *arguments).result()
    except Unsupported:
        raise
    except Exception as error:  # a user's step may raise anything when its tensors have no values
        said = str(error).strip().partition("\n")[0]
        where = in_brackets(raised_at(error, Run.step.__code__))
        raise Unsupported(f"the step cannot be recorded{where}: {type(error).__name__}: {said}") from error


def _others_record() -> bool:
    """Whether torch.export, torch.compile or torch.fx is recording in a thread other than the one that asks."""
    from torch._guards import TracingContext
    from torch._ops import mode_stack_state_for_pre_dispatch
    from torch.fx import _symbolic_trace

    is_mine = torch._C._len_torch_dispatch_stack() > 0 or TracingContext.try_get() is not None
    return not is_mine and (
        torch.compiler._is_compiling_flag
        or _symbolic_trace.CURRENT_PATCHER is not None
        or mode_stack_state_for_pre_dispatch().count() > 0
    )


@torch.enable_grad()  # an earlier step may have left the thread in another mode
def _undisturbed(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class NoRandomNumbers(TorchDispatchMode):
    """Refuses, before it runs, an operator that draws random numbers, as it would change the generator that all share."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # with True, PyTorch imports the whole of torch.compile at the first operator

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            where = users_line(Run.step.__code__)
            raise Unsupported(
                f"the step draws random numbers ({func.overloadpacket}{f', {where}' if where else ''}); give it a mask, "
                "as the options for dropout do"
            )
        return func(*args, **(kwargs or {}))


@functools.cache
def _thread() -> ThreadPoolExecutor:
    # One thread for the whole process. In builds of PyTorch for CUDA, on a machine without it, later threads use what the first
    # thread that records has set up; if that thread ends, the process crashes.
    return ThreadPoolExecutor(1, thread_name_prefix=RECORDER)


if hasattr(os, "register_at_fork"):  # a child process has only the thread that forked
    os.register_at_fork(after_in_child=_thread.cache_clear)


def _trace(cell: Cell, bias: bool, projected: bool) -> Program:
    if len(cell.gates) > MOST_GATES:
        raise Unsupported(f"it has {len(cell.gates)} gates, and the compiler takes up to {MOST_GATES}")
    sizes = traced_sizes(cell, projected)
    aliases: dict[int, int] = {}
    while True:
        recordings = [_Recording(cell, bias, at, aliases) for at in sizes]
        modules = [(r.module, r.sizes) for r in recordings]
        constants = numbers(modules)
        program, other = (r.lowered(constants) for r in recordings)
        if str(program) != str(other):
            raise Unsupported(
                f"what the step does, and not only its sizes, depends on the sizes of its tensors{unexplained(modules)}"
            )
        if not (repeated := _repeated(program)):
            return program
        # The numbers of products do not count the calls that are aliases.
        calls = [call for call in range(len(program.products) + len(aliases)) if call not in aliases]
        aliases |= {calls[later]: calls[first] for later, first in repeated.items()}


def _repeated(program: Program) -> dict[int, int]:
    """For each product that is the same as an earlier one, the number of that one."""
    roots = [*program.dx, *(n for du in program.du for n in du), *program.dstates.values(), *program.dinputs.values()]
    roots += [n for pieces in program.dparameters.values() for n in pieces]
    # The same value may enter two products and need different gradients: one of the two may be detached.
    reached = [{number_of(n) for n in walk([root]) if n.op == "dv"} for root in roots]
    seen: dict[object, int] = {}
    found: dict[int, int] = {}
    for at, each in enumerate(program.products):
        reaches = tuple(at in numbers for numbers in reached)
        if (first := seen.setdefault((each.matrix, each.gates, each.enters, reaches), at)) != at:
            found[at] = first
    return found


class Cuts:
    """Stands in for every product of one run of the step.

    Args:
        aliases: for each call that yields the same as an earlier call, the number of that call.
        given: what the other calls yield, in order; None for ones of the right shape.
    """

    def __init__(self, aliases: Mapping[int, int], given: Sequence[Tensor] | None) -> None:
        self._aliases, self._given = aliases, given
        self._by_call: list[Tensor] = []
        self.products: list[tuple[str, tuple[int, ...]]] = []  # matrix and gates, none for a matrix of one piece
        self.entered: list[Tensor] = []
        self.yielded: list[Tensor] = []

    def __call__(self, matrix: str, gates: tuple[int, ...], v: Tensor, shape: tuple[int, int]) -> Tensor:
        """Stand in for `v` times the transposed `matrix`, whose `gates` together have this shape."""
        width, columns = shape
        if v.dim() != 2 or v.shape[1] != columns:
            raise Unsupported(
                f"what enters the product with {matrix} has the shape {tuple(v.shape)}, not (B, {columns})"
                f"{in_brackets(users_line(Run.step.__code__))}"
            )
        earlier = self._aliases.get(len(self._by_call))
        if earlier is None:
            self.products.append((matrix, gates))
            self.entered.append(v)
            self.yielded.append(v.new_ones(len(v), width) if self._given is None else self._given[len(self.yielded)])
        self._by_call.append(self.yielded[-1] if earlier is None else self._by_call[earlier])
        return self._by_call[-1]


@dataclass(eq=False)
class _CutProduct(RecurrentProduct):
    """A product that is cut out of the step instead of being multiplied.

    Attributes:
        matrix: the name of the matrix.
        cuts: what stands in for the product.
        of_input: the input, and its product, which is computed for all time steps at once.
    """

    matrix: str = "weight_hh"
    cuts: Cuts | None = None
    of_input: tuple[Tensor, Tensor] | None = None

    def multiply(self, v: Tensor, bias: Tensor | None) -> Tensor:
        assert self.cuts is not None
        gates = tuple(range(len(self.gates))) if self.chosen is None else self.chosen
        if self.of_input is not None and v is self.of_input[0]:
            every = self.of_input[1].chunk(len(self.gates), -1)
            raw = torch.cat([every[n] for n in gates], -1)
        else:
            raw = self.cuts(self.matrix, gates, v, (len(gates) * self.size, self.weight.shape[1] * self.heads))
        return raw if bias is None else raw + bias


class _CutLinear(TorchFunctionMode):
    """Cuts `F.linear` with one of these matrices out of the step.

    Args:
        matrices: the matrices by name.
        gates: the gates of each, as `Cuts` takes them.
        cuts: what stands in for the products.
    """

    def __init__(self, matrices: Mapping[str, Tensor], gates: Mapping[str, tuple[int, ...]], cuts: Cuts) -> None:
        super().__init__()
        self._names = {id(matrix): name for name, matrix in matrices.items()}
        self._gates, self._cuts = gates, cuts

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(zip(("input", "weight", "bias"), args, strict=False)) | dict(kwargs or {})
        if func is not F.linear or id(named["weight"]) not in self._names:
            return func(*args, **(kwargs or {}))
        name = self._names[id(named["weight"])]
        raw = self._cuts(name, self._gates[name], named["input"], named["weight"].shape)
        return raw if named.get("bias") is None else raw + named["bias"]


_Key = tuple[str, Any]  # the `op` of a leaf, and the name or number that its key begins with


class Run:
    """The step at one set of sizes, with its arguments.

    Args:
        cell: the cell of the step.
        bias: whether there are biases.
        sizes: B, H, P and the other sizes.
        aliases: see `Cuts`.
        dtype: the dtype of all arguments.
    """

    def __init__(
        self,
        cell: Cell,
        bias: bool,
        sizes: TracedSizes,
        aliases: Mapping[int, int] | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        _check(cell)
        self.cell, self.sizes, self.aliases = cell, sizes, aliases or {}
        at = sizes.hidden, sizes.projected, sizes.inputs
        shapes = sizes.cell(cell).parameter_sizes(sizes.inputs, sizes.hidden, sizes.projected, bias)
        self.states = sizes.cell(cell).state_sizes(*at)
        extras = sizes.cell(cell).extra_sizes(sizes.inputs, sizes.hidden, sizes.projected)

        def ones(*shape: int) -> Tensor:
            return torch.ones(shape, dtype=dtype, device="cpu")

        # Each matrix is one expanded number: at a user's sizes, filling a whole one would take time.
        self.matrices = {name: ones(1, 1).expand(shape) for name, shape in shapes.items() if len(shape) == 2}
        self.masks: dict[_Key, Tensor] = {
            ("mask", noise.name): ones(sizes.rows, self.states[noise.state]) for noise in cell.noise
        }
        # The arguments by which the step is differentiated, besides what its products yield.
        self.primals: dict[_Key, Tensor] = {
            ("x", None): ones(sizes.rows, len(cell.input_gates) * sizes.hidden),
            **({("input", "x"): ones(sizes.rows, sizes.inputs)} if cell.raw else {}),
            **{("input", name): ones(sizes.rows, width) for name, width in extras.items()},
            **{("state", name): ones(sizes.rows, width) for name, width in self.states.items()},
            **{("parameter", name): ones(*shape) for name, shape in shapes.items() if len(shape) == 1},
        }

    def step(self, given: Mapping[_Key, Tensor], cuts: Cuts) -> dict[_Key, Tensor]:
        """Run the step. Returns its results, each under the key of the leaf that is its gradient."""
        cell, sizes = self.cell, self.sizes
        of = {op: {n: v for (at, n), v in given.items() if at == op} for op in ("state", "parameter", "mask", "input")}
        vectors, inputs = of["parameter"], of["input"]
        own = {p.name: (self.matrices | vectors)[p.name] for p in cell.parameters}
        offered: dict[str, Any] = {"num_heads": cell.heads} if cell.counts_heads else {}
        U = None
        if cell.recurrent:
            weight, bias = self.matrices["weight_hh"], vectors.get("bias_hh")
            U = _CutProduct(cell.gates, weight, bias, sizes.hidden, cell.heads, cuts=cuts)
        x: Any = given["x", None]
        bias = vectors.get("bias_ih")
        if cell.raw:
            raw, weight = inputs.pop("x"), self.matrices["weight_ih"]
            offered["W"] = _CutProduct(
                cell.input_gates, weight, bias, sizes.hidden, matrix="weight_ih", cuts=cuts, of_input=(raw, x)
            )
            x = raw
        else:
            for enter in cell.enter:
                x = enter(x, own)
            x = x if bias is None else x + bias
            x = Gates(**dict(zip(cell.input_gates, x.chunk(len(cell.input_gates), -1), strict=True)))
        matrices = {p.name: own[p.name] for p in cell.parameters if p.name in self.matrices}
        with _CutLinear(matrices, {name: self._gates_of(name) for name in matrices}, cuts):
            new = cell.step(x, State(**of["state"]), U, **own, **of["mask"], **inputs, **offered)
        for name, width in self.states.items():
            if (shape := tuple(getattr(new, name).shape)) != (sizes.rows, width):
                raise Unsupported(f"the step gives {name} the shape {shape} at (B, width) = {(sizes.rows, width)}")
        states: dict[_Key, Tensor] = {("dstate", name): getattr(new, name) for name in self.states}
        return states | {("dv", n): v for n, v in enumerate(cuts.entered)}

    def _gates_of(self, matrix: str) -> tuple[int, ...]:
        """The blocks of `H` rows of a matrix of the cell's own; none for a matrix of one piece."""
        rows = next(p.shape[0] for p in self.cell.parameters if p.name == matrix)
        count = {"G": len(self.cell.gates), "G_ih": len(self.cell.input_gates)}
        return tuple(range(count.get(rows, 0)))


class _Recording(Run):
    """A recording of the step and its derivative, in `module`."""

    def __init__(self, cell: Cell, bias: bool, sizes: TracedSizes, aliases: Mapping[int, int]) -> None:
        super().__init__(cell, bias, sizes, aliases)
        cuts = Cuts(aliases, None)
        with NoRandomNumbers():
            results = self.step({**self.primals, **self.masks}, cuts)
        self._products = cuts.products
        self.primals |= {("u", n): raw for n, raw in enumerate(cuts.yielded)}
        self._cotangents: dict[_Key, Tensor] = {key: _ones(*v.shape) for key, v in results.items()}
        self.module = self._recorded()

    def _recorded(self) -> fx.GraphModule:
        # Imported here, as a process that finds its machine code on disk needs none of it.
        from torch._guards import TracingContext, tracing
        from torch._subclasses import FakeTensorMode
        from torch.fx.experimental.proxy_tensor import make_fx

        def step(masks: Sequence[Tensor], *primals: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip((*self.primals, *self.masks), (*primals, *masks), strict=True))
            yields = [v for (op, _), v in given.items() if op == "u"]
            return tuple(self.step(given, Cuts(self.aliases, yields)).values())

        def step_and_gradients(*flat: Tensor) -> tuple[Any, ...]:
            with Lines(Run.step.__code__):
                return results_and_gradients(*flat)

        def results_and_gradients(*flat: Tensor) -> tuple[Any, ...]:
            primals, masks = flat[: len(self.primals)], flat[len(self.primals) : -len(self._cotangents)]
            results, gradients, *_ = torch.func.vjp(partial(step, masks), *primals)
            return *results, *gradients(tuple(flat[-len(self._cotangents) :]))

        arguments = (*self.primals.values(), *self.masks.values(), *self._cotangents.values())
        # PyTorch notes shapes beside every node. With a FakeTensorMode given, all are made in it; without one, PyTorch makes a mode
        # for each, and each mode records a stack trace.
        with preserve_node_meta(), tracing(TracingContext(FakeTensorMode())):  # the first keeps the lines of the step
            module = make_fx(step_and_gradients, decomposition_table=_decompositions())(*arguments)
            if _changes_in_place(module):  # as some of PyTorch's own decompositions do
                run = fx.Interpreter(module).run
                module = make_fx(torch.func.functionalize(run, remove="mutations"))(*arguments)
        module.graph.eliminate_dead_code()
        return module

    def lowered(self, constants: Constants) -> Program:
        """Lower the recording to a program; `constants` are those of `numbers`."""
        graph = Graph()
        arguments = {**self.primals, **self.masks, **self._cotangents}
        leaves = [self._leaves(graph, key, v) for key, v in arguments.items()]
        lowering = Lowering(graph, self.module, self.sizes, constants, self.matrices)
        found = lowering.run(leaves)
        results = dict(zip(self._cotangents, found, strict=False))
        gradients = dict(zip(self.primals, found[len(results) :], strict=True))

        def pieces(values: Mapping[_Key, Value], *key: Any) -> tuple[Node, ...]:
            value, shape = values[key], arguments[key].shape
            # The gradient of an argument that all rows share is a sum over the rows, followed by linear operations only.
            if value.rows != ("each" if len(shape) == 2 else "summed") and not value.is_zero:
                raise Unsupported(f"the gradient of {key[1]} is no sum over the rows of a batch")
            letters = self._letters(key)
            if "N" in letters:  # what is made of heads has a piece for each
                value = lowering.whole(value)
            return value.cut([self._width(letter) for letter in letters]).pieces

        def one(values: Mapping[_Key, Value], *key: Any) -> Node:
            (node,) = pieces(values, *key)
            return node

        def product(n: int, matrix: str, gates: tuple[int, ...]) -> ProductNode:
            heads = self.cell.heads if matrix == "weight_hh" else 1
            space, entered = self._spaces_of(n)
            return ProductNode(matrix, gates, one(results, "dv", n), space, entered, heads)

        products = tuple(product(n, *described) for n, described in enumerate(self._products))
        return Program(
            products=products,
            states={name: one(results, "dstate", name) for name in self.states},
            dx=pieces(gradients, "x", None),
            du=tuple(pieces(gradients, "u", n) for n in range(len(products))),
            dstates={name: one(gradients, "state", name) for name in self.states},
            dparameters={name: pieces(gradients, op, name) for op, name in self.primals if op == "parameter"},
            dinputs={name: one(gradients, op, name) for op, name in self.primals if op == "input"},
            letters={name: self._letters((op, name))[0] for op, name in self.primals if op in ("state", "input")},
            least=lowering.least,
        )

    def _leaves(self, graph: Graph, key: _Key, like: Tensor) -> Value:
        op, name = key
        letters = self._letters(key)
        begin = () if name is None else (name,)
        # One number for each row is the space "row"; one number for all rows is "one".
        scalar = "row" if like.dim() == 2 else "one"
        nodes = [
            graph.leaf(op, (*begin, n) if op in ("x", "u", "parameter") else begin, scalar if letter == "1" else letter)
            for n, letter in enumerate(letters)
        ]
        widths = tuple(map(self._width, letters))
        return Value(tuple(nodes), widths, "each" if like.dim() == 2 else "same")

    def _letters(self, key: _Key) -> list[str]:
        """The space of each piece of an argument or a gradient; "1" for a single number."""
        op, name = key
        cell = self.cell
        match op:
            case "x":
                found = ["H"] * len(cell.input_gates)
            case "u":
                space, _ = self._spaces_of(name)
                found = [space] * max(1, len(self._products[name][1]))
            case "dv":
                found = [self._spaces_of(name)[1]]
            case "state" | "dstate":
                found = [cell.states[name]]
            case "mask":
                found = [cell.states[next(noise.state for noise in cell.noise if noise.name == name)]]
            case "input":
                found = ["I" if cell.raw and name == "x" else cell.extras[name]]
            case _:
                found = self._vector(name)
        return [self._known(letter) for letter in found]

    def _vector(self, name: str) -> list[str]:
        pieces = {"G": len(self.cell.gates), "G_ih": len(self.cell.input_gates)}
        letter = {"bias_ih": "G_ih", "bias_hh": "G"} | {p.name: p.shape[0] for p in self.cell.parameters}
        return ["H"] * pieces[letter[name]] if letter[name] in pieces else [letter[name]]

    def _spaces_of(self, product: int) -> tuple[str, str]:
        """The space of the pieces of a product, and the space of what enters it."""
        matrix, gates = self._products[product]
        letters = {"weight_hh": ("G", "P"), "weight_ih": ("G_ih", "I")} | {
            p.name: p.shape for p in self.cell.parameters
        }
        space, entered = ("H" if gates else letters[matrix][0]), letters[matrix][1]
        return self._known(space), self._known(entered)

    def _known(self, letter: str) -> str:
        """A letter, or that of the same width where it is none of the recording's."""
        return letter if letter in self.sizes.letters else {"P": "H", "N": "1"}.get(letter, letter)

    def _width(self, letter: str) -> int:
        return 1 if letter == "1" else self.sizes.letters[letter]


@functools.cache  # it goes through a list of all operators
def _decompositions() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions, get_decompositions

    aten = torch.ops.aten
    more = [aten.native_layer_norm, aten.native_layer_norm_backward, aten.leaky_relu, aten.elu, aten.hardtanh]
    more += [aten.gelu, aten.ldexp, aten._softmax, aten._log_softmax, aten.linalg_vector_norm]
    table: dict[Any, Any] = {**core_aten_decompositions(), **get_decompositions(more)}
    for known in (aten.roll, aten.select_scatter):  # whose decompositions make tensors of the numbers of units
        table.pop(known.default, None)
    return table


def _check(cell: Cell) -> None:
    """Raise `Unsupported` for states and parameters of shapes that the compiler has no memory for."""
    for name, described in cell.states.items():
        if " " in described or described == "d":
            shape = described.replace(" ", ", ")
            raise Unsupported(f"its state {name} has the shape (B, {shape}), which the compiler does not know")
    for p in cell.parameters:
        single = {"1"} if cell.heads > 1 else {"1", "N"}
        if "d" in p.shape or (len(p.shape) == 2 and single & set(p.shape)):
            shape = ", ".join(p.shape)
            raise Unsupported(f"its parameter {p.name} has the shape ({shape}), which the compiler does not know")


def _changes_in_place(module: fx.GraphModule) -> bool:
    return any(
        isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable for node in module.graph.nodes
    )


def _ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.float64, device="cpu")
