"""Options: each one a small function from cell to cell, which acts at one place and is independent of the others.

`ostinato.nn.options` applies them in the order of this file: first those that change the gates, then those that wrap the products,
last those that mix old and new states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product, Select
from ostinato.cells.spec import Cell, MaskSpec, Parameter, identity
from ostinato.cells.trial import check, state_at
from ostinato.errors import CellError
from ostinato.types import Tensor


def _require(cell: Cell, option: str, gates: str = "", states: str = "", seams: str = "") -> None:
    """Raise `CellError` unless the cell has these names; `gates` must be input gates, as options change them by the input."""
    gate = "gates" if cell.input_gates == cell.gates else "input gates"
    has = {gate: set(cell.input_gates), "states": set(cell.states), "seams": set(cell.seams)}
    for what, names in ((gate, gates), ("states", states), ("seams", seams)):
        if missing := sorted(set(names.split()) - has[what]):
            have = " ".join(sorted(has[what])) or "none"
            raise CellError(
                f"{option} needs a cell with the {what} {' '.join(missing)!r}; {cell.name!r} has the {what} {have!r}. "
                f"Leave {option} out, or use another cell"
            )


def _require_no_peepholes(cell: Cell, option: str) -> None:
    """Raise `CellError` for a cell with peepholes: its step would add them after the option has changed the gates."""
    if any(p.name == "weight_co" for p in cell.parameters):
        raise CellError(
            f"{option} needs a cell with no peepholes of its own; {cell.name!r} has the parameter 'weight_co'. "
            f"Leave {option} out, or use another cell"
        )


def require_product(cell: Cell, option: str, remedy: str) -> None:
    """Raise `CellError` if a cell has no recurrent product for an option to act on; `remedy` is text such as "Leave it out"."""
    if not cell.recurrent:
        raise CellError(
            f"{option} needs a cell with a recurrent product; {cell.name!r} has none. {remedy}, or use another cell"
        )


def _changed(cell: Cell, x: Any, named: dict[str, Any], change: Callable[[Gates], Gates]) -> Any:
    """Apply `change` to the input's gates: to `x`, or to the result of `W` if the step gets the input itself."""
    if not cell.raw:
        return change(x)
    named["W"] = replace(named["W"], then=(*named["W"].then, change))
    return x


def num_heads(cell: Cell, count: int) -> Cell:
    """Make the recurrent matrix block-diagonal: each of `count` heads of units reads only its own units of the step before.

    Source: Beck et al. 2024, xLSTM, arXiv 2405.04517, 2.2 ("memory mixing" within heads).

    Raises:
        CellError: the cell has no recurrent product, and neither states nor operations by head.
    """
    described = " ".join([*cell.states.values(), *(letter for p in cell.parameters for letter in p.shape)]).split()
    if not cell.counts_heads and not {"N", "d"} & set(described):
        require_product(cell, "num_heads", "Leave num_heads out")
    made = cell.changed("num_heads", heads=count)
    check(made)
    return made


def coupled_gates(cell: Cell) -> Cell:
    """Couple the input gate to the forget gate, i = 1 - f, which saves the parameters of one gate.

    Source: Greff et al. 2017, LSTM: A Search Space Odyssey, "CIFG". They keep i and set f = 1 - i; here f stays, so that
    `forget_bias` acts as in the LSTM. As sigmoid(-a) = 1 - sigmoid(a), the input gate gets the forget gate's sum negated.
    """
    _require(cell, "coupled_gates", gates="i f")
    _require_no_peepholes(cell, "coupled_gates")

    def with_i(v: Gates) -> Gates:
        return v.with_(i=-v.f)

    def step(x: Gates, s: State, U: Any, **named: Any) -> State:
        product = replace(U, then=(*U.then, with_i)) if cell.recurrent else U
        return cell.step(_changed(cell, x, named, with_i), s, product, **named)

    gates, input_gates = (tuple(gate for gate in some if gate != "i") for some in (cell.gates, cell.input_gates))
    coupled = cell.changed("coupled_gates", step=step, gates=gates, input_gates=input_gates, write=None)
    try:
        check(coupled)
    except CellError as error:
        raise CellError(
            f"coupled_gates needs a step that asks every recurrent product for all gates; {cell.name!r} does not: {error}. "
            "Leave coupled_gates out, or use another cell"
        ) from error
    return coupled


def peephole(cell: Cell) -> Cell:
    """Add peephole connections: the gates read the cell state, i and f before the step, o after it.

    Source: Gers, Schraudolph & Schmidhuber 2002; the equations of Graves 2013, arXiv 1308.0850, (7) to (11):
    i: + w_ci c_{t-1}, f: + w_cf c_{t-1}, o: + w_co c_t, with diagonal weights. The new cell state does not depend on o, so the
    step is evaluated twice, the first time for c_t only; a compiler removes the repeated operations.
    """
    _require(cell, "peephole", gates="f o", states="c")
    _require_no_peepholes(cell, "peephole")
    before = tuple(gate for gate in ("i", "f") if gate in cell.input_gates)

    def step(x: Gates, s: State, U: Any, **named: Any) -> State:
        weight = {gate: named.pop(f"weight_c{gate}") for gate in (*before, "o")}
        product = U.remembering() if cell.recurrent else U
        if cell.raw:
            named["W"] = named["W"].remembering()

        def seeing(v: Gates) -> Gates:
            return v.with_(**{gate: getattr(v, gate) + weight[gate] * s.c for gate in before})

        x = _changed(cell, x, named, seeing)
        c = cell.step(x, s, product, **named).c

        def seeing_new(v: Gates) -> Gates:
            return v.with_(o=v.o + weight["o"] * c)

        return cell.step(_changed(cell, x, named, seeing_new), s, product, **named)

    weights = tuple(Parameter(f"weight_c{gate}", ("H",)) for gate in (*before, "o"))
    return cell.changed("peephole", step=step, parameters=(*cell.parameters, *weights))


def layer_norm(cell: Cell, eps: float = 1e-5) -> Cell:
    """Add layer normalisation of both products and of the cell state where it enters the output, if the cell has the seam `memory`.

    Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450, (20) to (22): each product is normalised as one vector over all its gates,
    with a gain for each element; the biases b_ih and b_hh are added afterwards and serve as shifts. h' = o tanh(LN(c')). Without a
    recurrent product only that of the input is normalised.
    """
    normalise_memory = "memory" in cell.seams

    def norm(product: Tensor, gain: Tensor) -> Tensor:
        return F.layer_norm(product, product.shape[-1:], gain, None, eps)

    def enter(product: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        return norm(product, parameters["norm_ih"])

    def normed(product: Product, gain: Tensor) -> Product:
        def after(rows: Tensor, select: Select) -> Tensor:
            return norm(rows, select(gain))

        return replace(product, after=(*product.after, after))

    def step(x: Gates, s: State, U: Any, **named: Any) -> State:
        gain = named.pop("norm_ih")
        if cell.raw:  # else `enter` normalises the input's product for all time steps, before the loop
            named["W"] = normed(named["W"], gain)
        product = normed(U, named.pop("norm_hh")) if cell.recurrent else U
        if normalise_memory:
            weight, bias = named.pop("norm_c_weight"), named.pop("norm_c_bias")
            outer = named.pop("memory", identity)

            def memory(c: Tensor) -> Tensor:
                c = F.layer_norm(c, c.shape[-1:], weight, bias, eps)
                return outer(c)

            named["memory"] = memory
        return cell.step(x, s, product, **named)

    own = (Parameter("norm_ih", ("G_ih",), 1.0),)
    if cell.recurrent:
        own += (Parameter("norm_hh", ("G",), 1.0),)
    if normalise_memory:
        own += (Parameter("norm_c_weight", ("H",), 1.0), Parameter("norm_c_bias", ("H",), 0.0))
    before = cell.enter if cell.raw else (*cell.enter, enter)
    return cell.changed("layer_norm", step=step, parameters=(*cell.parameters, *own), enter=before)


def recurrent_dropout(cell: Cell, rate: float) -> Cell:
    """Add dropout of what is about to be written, with a new mask at every step: no memory is ever lost.

    Source: Semeniuta, Severyn & Barth 2016, arXiv 1603.05118, (7): c' = f c + i d(g). Active in training only.
    """
    _require(cell, "recurrent_dropout", seams="candidate")
    name = "recurrent_dropout"

    def step(x: Gates, s: State, U: Product, **named: Any) -> State:
        mask, outer = named.pop(name), named.pop("candidate", identity)

        def masked(v: Tensor) -> Tensor:
            return outer(v * mask)

        return cell.step(x, s, U, candidate=masked, **named)

    noise = MaskSpec(name, rate, state_at(cell, "candidate"), every_step=True, scaled=True)
    return cell.changed("recurrent_dropout", step=step, noise=(*cell.noise, noise))


def variational_dropout(cell: Cell, rate: float) -> Cell:
    """Add dropout of what enters every recurrent product, with one mask for all time steps of a sequence.

    Source: Gal & Ghahramani 2016, arXiv 1512.05287, (7): one mask for all gates ("tied weights"). Active in training only.
    """
    require_product(cell, "variational_dropout of what enters the recurrent product", "Set its recurrent rate to 0")
    name = "variational_dropout"

    def step(x: Gates, s: State, U: Product, **named: Any) -> State:
        mask = named.pop(name)
        return cell.step(x, s, replace(U, before=(*U.before, partial(_multiply, mask))), **named)

    noise = MaskSpec(name, rate, cell.output, every_step=False, scaled=True)
    return cell.changed("variational_dropout", step=step, noise=(*cell.noise, noise))


def projection(cell: Cell) -> Cell:
    """Project the output to `P` units, also where it enters the next step: h' = W_hr (o tanh(c')).

    Source: Sak, Senior & Beaufays 2014, arXiv 1402.1128.
    """

    def step(x: Gates, s: State, U: Product, **named: Any) -> State:
        weight = named.pop("weight_hr")
        new = cell.step(x, s, U, **named)
        return new.with_(**{cell.output: F.linear(getattr(new, cell.output), weight)})

    if len(cell.states) < 2:
        raise CellError(
            f"proj_size needs a cell with a memory beside its output, like lstm; {cell.name!r} has one state"
        )
    # torch's LSTM kernels know projections, so this option alone keeps the cell's vendor.
    states = {name: "P" if name == cell.output else letter for name, letter in cell.states.items()}
    weight = Parameter("weight_hr", ("P", "H"))
    made = cell.changed("projection", step=step, states=states, parameters=(weight, *cell.parameters))
    try:
        check(made)
    except CellError as error:
        raise CellError(
            f"proj_size needs a step that combines its output of the step before with nothing of H units but by a product; "
            f"{cell.name!r} does: {error}. Leave proj_size out, or use another cell"
        ) from error
    return replace(made, vendor=cell.vendor)


def zoneout(cell: Cell, rates: Mapping[str, float]) -> Cell:
    """Let each unit keep its old value with probability `rates[state]`, drawn anew at every step; in evaluation use the mean.

    Source: Krueger et al. 2017, arXiv 1606.01305, (4) and (5). As there, h' is computed from the cell state before zoneout.
    """
    _require(cell, "zoneout", states=" ".join(rates))
    zoned = tuple(rates)  # the step must not depend on the rates, which it gets in the form of masks

    def step(x: Gates, s: State, U: Product, **named: Any) -> State:
        kept = {name: named.pop(f"zoneout_{name}") for name in zoned}
        new = cell.step(x, s, U, **named)
        mixed = {n: kept[n] * getattr(new, n) + (1 - kept[n]) * getattr(s, n) for n in zoned}
        return new.with_(**mixed)

    noise = tuple(
        MaskSpec(f"zoneout_{name}", rate, name, every_step=True, scaled=False) for name, rate in rates.items()
    )
    return cell.changed("zoneout", step=step, noise=(*cell.noise, *noise))


def _multiply(mask: Tensor, v: Tensor) -> Tensor:
    return v * mask
