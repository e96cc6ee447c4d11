from __future__ import annotations

import copy
import pickle
import re
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import sigmoid, tanh

from ostinato import Recurrent, Step
from ostinato.cells import Cell, Gates, MaskSpec, Parameter, Product, State, cell, gru, identity, lstm
from ostinato.cells.options import layer_norm, peephole
from ostinato.cells.trial import check
from ostinato.cells.widths import Widths
from ostinato.errors import CellError


@cell(gates="f z", states="h", parameters={"decay": "H"}, keep="f", source="this test")
def leaky(x: Gates, s: State, U: Any, decay: Any, candidate: Any = identity, squash: Any = identity) -> State:
    """h' = f h + (1 - f) z, f has a bias of its own."""
    u = U(s.h)
    f = sigmoid(squash(x.f + u.f + decay))
    return State(h=f * s.h + (1 - f) * candidate(tanh(x.z + u.z)))


# -- the decorator ------------------------------------------------------------------------------------------------------------


def test_the_description_is_read_off_the_decorator_and_the_step() -> None:
    assert (leaky.name, leaky.gates, dict(leaky.states), leaky.output) == ("leaky", ("f", "z"), {"h": "H"}, "h")
    assert leaky.parameters == (Parameter("decay", ("H",), 0.0),)
    assert leaky.seams == {"candidate", "squash"}
    assert (leaky.keep, leaky.write, leaky.vendor, leaky.source) == ("f", None, None, "this test")
    assert leaky.__doc__ is not None
    assert leaky.__doc__.startswith("h' = f h")


def test_a_cell_of_ten_lines_learns_to_remember_the_last_but_one_input() -> None:
    torch.manual_seed(0)
    layer, readout = Recurrent(leaky, 1, 12, recurrent_dropout=0.05, zoneout=0.05), torch.nn.Linear(12, 1)
    assert layer.get_parameter("decay_l0").abs().max() == 0
    optimiser = torch.optim.Adam([*layer.parameters(), *readout.parameters()], 0.02)
    x = torch.randn(20, 16, 1)

    def loss() -> torch.Tensor:
        return (readout(layer(x)[0])[2:] - x[:-2]).square().mean()

    layer.eval()
    before = loss().item()
    for _ in range(120):
        layer.train()
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    layer.eval()
    assert loss().item() < 0.5 * before
    assert layer.get_parameter("decay_l0").abs().min() > 0


@pytest.mark.parametrize("gates", ["", "  ", "i i", "i 2", "i f-g", "class", "_i", "names", "with_"])
def test_gates_need_distinct_names_that_can_be_read(gates: str) -> None:
    with pytest.raises(CellError, match=r"gates expected distinct names with spaces between, like .*, got"):
        cell(gates=gates, states="h")


@pytest.mark.parametrize("role", ["gates", "states"])
def test_names_come_in_one_text(role: str) -> None:
    with pytest.raises(CellError, match=rf"{role} expected names in one text .*, got \['a', 'b'\]"):
        cell(**{"gates": "a", "states": "h", role: cast("Any", ["a", "b"])})


def test_units_that_a_small_layer_has_not_are_taken_in_a_large_one() -> None:
    @cell(gates="a", states="h")
    def fifth(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a * s.h[:, 4:5]))

    @cell(gates="a", states="h")
    def short(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a)[:, :3])

    layer = Recurrent(fifth, 2, 6)
    assert layer(torch.randn(5, 3, 2))[0].shape == (5, 3, 6)
    with pytest.raises(CellError, match=r"failed on two rows of three units"):
        Recurrent(fifth, 2, 4)(torch.randn(5, 3, 2))
    for lengths in (None, [5, 0, 2]):
        with pytest.raises(CellError, match=r"'short' changed the shape of h from \(3, 20\) to \(3, 3\)"):
            Recurrent(short, 2, 20)(torch.randn(5, 3, 2), lengths=lengths)


def test_a_description_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    cell(gates="a", states="h", starts={"weight_hh": "orthogonal", "weight_ih": "uniform(0, 1)"})(lambda x, s, U: s)
    assert torch.equal(torch.get_rng_state(), before)


def test_names_and_letters_of_a_description_are_told() -> None:
    with pytest.raises(CellError, match='"H" or "P H", got 3'):
        cell(gates="a", states="h", parameters={"b": cast("Any", 3)})
    with pytest.raises(CellError, match=r"different names, got 'dt' in both; rename one"):
        cell(gates="a", states="h", extras="dt", parameters={"dt": "H"})
    with pytest.raises(TypeError, match=r"cell expected a Cell, made with the decorator ostinato.cell, got: str"):
        Step(cast("Any", "janet"), 3, 4)


def test_numbers_of_a_start_go_together_and_what_is_derived_is_a_function() -> None:
    with pytest.raises(
        CellError, match=r"start of weight_hh got numbers that do not go together, 'uniform\(1, 0\)': uniform_"
    ):
        cell(gates="a", states="h", starts={"weight_hh": "uniform(1, 0)"})(lambda x, s, U: s)
    with pytest.raises(CellError, match="derived expected a function for 'weight_hh', got 3"):
        cell(gates="a", states="h", derived={"weight_hh": cast("Any", 3)})


@pytest.mark.parametrize("name", ["orthogonal", "identity", "identity(2)", "xavier", "he"])
@pytest.mark.parametrize("of", ["r", "bias_ih"])
def test_a_vector_has_no_start_that_is_for_matrices(name: str, of: str) -> None:
    with pytest.raises(CellError, match=rf"start of '?{of}'? expected one for a vector.* got {re.escape(repr(name))}"):
        cell(gates="a", states="h", parameters={"r": "H"}, starts={of: name})(lambda x, s, U, r: s)


@pytest.mark.parametrize(
    "fill",
    [torch.ones_like, lambda v: torch.ones(9), lambda v: v[1:].fill_(1.0), lambda v: v.fill_(float("nan"))],
    ids=["ones_like", "other", "most", "NaN"],
)
def test_a_start_that_does_not_fill_its_tensor_is_told(fill: Any) -> None:
    def step(x: Any, s: Any, U: Any, r: Any) -> Any:
        return State(h=torch.tanh(x.a + U(s.h).a + r))

    made = cell(gates="a", states="h", parameters={"r": "H"}, starts={"r": fill})(step)
    with pytest.raises(CellError, match=r"expected to fill all numbers of its tensor, \(4,\), in place"):
        Recurrent(made, 3, 4)
    Recurrent(made, 3, 4, device="meta")


def test_nan_is_no_start() -> None:
    with pytest.raises(CellError, match="expected a number"):
        cell(gates="a", states="h", parameters={"r": "H"}, starts={"r": float("nan")})(lambda x, s, U, r: s)


@pytest.mark.parametrize("role", ["parameters", "widths", "starts", "derived"])
def test_what_goes_by_name_comes_in_a_mapping(role: str) -> None:
    with pytest.raises(CellError, match=rf"{role} expected a mapping from names, got \('a', 'H'\)"):
        cell(gates="a", states="h", **{role: cast("Any", ("a", "H"))})


def test_a_cell_is_shown_in_a_line() -> None:
    assert repr(leaky) == "<cell leaky: gates f z; states h>"


def test_a_cell_is_checked_as_it_is_whatever_types_are_set_outside() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        check(leaky)


@pytest.mark.parametrize("states", ["", "h h", "1", "names"])
def test_states_need_distinct_names_that_can_be_read(states: str) -> None:
    with pytest.raises(CellError, match=r"states expected distinct names"):
        cell(gates="i", states=states)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, s: None,
        lambda x, s, U: None,
        lambda x, s, U, other: None,
        lambda x, s, U, decay, candidate: None,
        lambda x, s, U, decay, candidate=None: None,
    ],
)
def test_the_step_takes_what_is_described_and_seams_only(step: Any) -> None:
    with pytest.raises(
        CellError, match=r"must take \(x, s, U\), then its parameters \(decay\), then seams .*; it takes \(x, s"
    ):
        cell(gates="a", states="h", parameters={"decay": "H"})(step)


@pytest.mark.parametrize("role", ["keep", "write"])
def test_a_role_belongs_to_a_gate(role: str) -> None:
    with pytest.raises(CellError, match=rf"{role} expected some of the gates 'i f', got 'z'"):
        cell(gates="i f", states="h", **{role: "z"})(lambda x, s, U: s)  # pyright: ignore[reportArgumentType]


def test_several_gates_may_have_a_role() -> None:
    assert cell(gates="i f g", states="h", keep="f g")(lambda x, s, U: s).keep == "f g"
    with pytest.raises(CellError, match="write expected some of the gates 'i f', got 'z'"):
        cell(gates="i f", states="h", write="f z")


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_a_parameter_does_not_take_the_name_of_a_weight(name: str) -> None:
    with pytest.raises(CellError, match=rf"parameters expected .*got '{name}'"):
        cell(gates="a", states="h", parameters={name: "H"})(lambda x, s, U, weight_ih: s)


def test_a_parameter_s_shape_is_a_letter() -> None:
    with pytest.raises(
        CellError, match=r"the parameter 'decay' expected letters of G, G_ih, H, P, I, N, d, 1, got 'X'"
    ):
        cell(gates="a", states="h", parameters={"decay": "X"})(lambda x, s, U, decay: s)


# -- Cell.check ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda x, s, U: State(h=x.b + U(s.h).a), "expected one of a, got 'b'"),
        (lambda x, s, U: State(h=x.a + s.c), "expected one of h, got 'c'"),
        (lambda x, s, U: State(h=x.a + U(s.h).z), "expected one of a, got 'z'"),
        (lambda x, s, U: x.a, "must return a State, got Tensor"),
        (lambda x, s, U: Gates(h=x.a), "must return a State, got Gates"),
        (lambda x, s, U: State(c=x.a), "described with the states 'h' but its step returned 'c'"),
        (lambda x, s, U: State(h=x.a, c=x.a), "described with the states 'h' but its step returned 'h c'"),
        (lambda x, s, U: State(h=x.a[:, :2]), r"changed the shape of h from \(B, H\) = \(2, 3\) to \(2, 2\)"),
        (lambda x, s, U: State(h=x.a.sum()), r"changed the shape of h from \(B, H\) = \(2, 3\) to \(\)"),
        (lambda x, s, U: State(h=U.only("b")(s.h).b), "U.only expected some of the gates 'a', got 'b'"),
        (lambda x, s, U: State(h=U.only("")(s.h).a), "U.only expected some of the gates 'a', got ''"),
        (lambda x, s, U: State(h=cast("Any", 0.5)), "returned a float for h, not a tensor"),
        (lambda x, s, U: State(h=x.a @ x.a), "failed on two rows of three units"),
        (lambda x, s, U: State(h=x.a + U(s)), "failed on two rows of three units"),
        (
            lambda x, s, U: State(h=x.a + U(s.h)),
            r"U\(...\) and x hold a tensor for each gate: read one, such as U\(s.h\).a",
        ),
        (
            lambda x, s, U: State(h=x.a.double()),
            r"was given torch.float32 and returned torch.float64 for h; compute it in",
        ),
    ],
)
def test_a_layer_of_a_cell_that_disagrees_with_its_description_is_not_made(step: Any, message: str) -> None:
    with pytest.raises(CellError, match=message) as caught:
        Recurrent(cell(gates="a", states="h")(step), 2, 4)
    assert "\n" not in str(caught.value)


def test_the_check_passes_a_cell_whose_description_is_right() -> None:
    check(leaky)
    check(lstm)
    check(peephole(lstm))


# -- what the input reaches, and whether there is a recurrence ----------------------------------------------------------------


@cell(gates="a b c", states="h k", inputs="c b", parameters={"scale": "G"})
def partly(x: Gates, s: State, U: Any, scale: Any) -> State:
    u = U(s.h)
    assert x.names == ("b", "c")
    return State(h=u.a * x.b + scale.chunk(3)[0], k=u.c + x.c)


@cell(gates="a b", states="h k", recurrent=False)
def apart(x: Gates, s: State, U: None) -> State:
    assert U is None
    return State(h=s.h + x.a, k=s.k * x.b)


def test_the_input_reaches_all_gates_unless_told_otherwise() -> None:
    assert (leaky.input_gates, leaky.recurrent) == (leaky.gates, True)
    assert partly.input_gates == ("b", "c")  # in the order of the gates, as all rows are
    assert (apart.input_gates, apart.recurrent) == (("a", "b"), False)


def test_weights_have_rows_for_what_they_reach() -> None:
    assert partly.parameter_sizes(5, 4, 2) == {
        "weight_ih": (8, 5),
        "weight_hh": (12, 2),
        "bias_ih": (8,),
        "bias_hh": (12,),
        "scale": (12,),
    }
    assert partly.parameter_sizes(5, 4, bias=False) == {"weight_ih": (8, 5), "weight_hh": (12, 4), "scale": (12,)}
    assert apart.parameter_sizes(5, 4) == {"weight_ih": (8, 5), "bias_ih": (8,)}
    for described in (partly, apart):
        layer = Recurrent(described, 5, 4)
        assert {n.removesuffix("_l0"): tuple(v.shape) for n, v in layer.state_dict().items()} == (
            described.parameter_sizes(5, 4)
        )
        assert layer(torch.randn(3, 2, 5))[0].shape == (3, 2, 4)


def test_layer_norm_has_a_gain_for_each_row_that_there_is() -> None:
    sizes = layer_norm(partly).parameter_sizes(5, 4)
    assert (sizes["norm_ih"], sizes["norm_hh"]) == ((8,), (12,))
    assert layer_norm(apart).parameter_sizes(5, 4)["norm_ih"] == (8,)
    assert "norm_hh" not in layer_norm(apart).parameter_sizes(5, 4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("z", "inputs expected some of the gates 'a b', got 'z'"),
        ("a z", "inputs expected some of the gates 'a b', got 'z'"),
        ("", "inputs expected distinct names"),
        ("a a", "inputs expected distinct names"),
    ],
)
def test_the_input_reaches_gates_that_there_are(inputs: str, message: str) -> None:
    with pytest.raises(CellError, match=message):
        cell(gates="a b", states="h", inputs=inputs)


def test_a_step_has_no_more_than_its_description_gives_it() -> None:
    beyond = cell(gates="a b", states="h", inputs="b")(lambda x, s, U: State(h=x.a))
    with pytest.raises(CellError, match=r"expected one of b, got 'a'$"):
        check(beyond)
    product = cell(gates="a", states="h", recurrent=False)(lambda x, s, U: State(h=x.a + U(s.h).a))
    with pytest.raises(CellError, match=r"not callable \(U is None, as the cell is described with recurrent=False\)$"):
        check(product)


@pytest.mark.parametrize("description", [{"recurrent": False}, {"inputs": "a"}])
def test_torch_has_no_kernel_for_less_than_a_whole_cell(description: Any) -> None:
    with pytest.raises(CellError, match="vendor expected None, as all of torch's kernels"):
        cell(gates="a b", states="h", vendor="GRU", **description)


# -- Named --------------------------------------------------------------------------------------------------------------------


def test_named_tensors_do_not_change() -> None:
    state = State(h=torch.zeros(2, 3), c=torch.ones(2, 3))
    with pytest.raises(AttributeError, match=r"State does not change; use with_\(h=...\)"):
        state.h = torch.ones(2, 3)
    other = state.with_(h=torch.ones(2, 3), k=torch.ones(1))
    assert state.h.sum() == 0
    assert (type(other), other.names, len(other)) == (State, ("h", "c", "k"), 3)
    assert other.h.sum() == 6


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match="expected one of h, c, got 'x'"):
        _ = State(h=torch.zeros(1), c=torch.zeros(1)).x


def test_named_tensors_are_listed_in_order_shown_by_shape_and_can_be_copied() -> None:
    gates = Gates(o=torch.zeros(2, 3), i=torch.ones(2, 1))
    assert [v.shape for v in gates] == [(2, 3), (2, 1)]
    assert repr(gates) == "Gates(o=(2, 3), i=(2, 1))"
    for copied in (copy.copy(gates), copy.deepcopy(gates), pickle.loads(pickle.dumps(gates))):
        assert copied.names == ("o", "i")
        assert torch.equal(copied.i, gates.i)


# -- Product ------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True), st.booleans(), st.booleans())
def test_some_of_the_gates_are_rows_of_all(wanted: list[str], bias: bool, scaled: bool) -> None:
    generator = torch.Generator().manual_seed(len(wanted))
    weight, b, gain, v = (torch.randn(n, generator=generator, dtype=torch.float64) for n in ((12, 3), 12, 12, (2, 3)))
    # A gain for each row, as layer normalisation has one, must be selected like the rows.
    after = ((lambda rows, select: rows * select(gain)),) if scaled else ()
    product = Product(("a", "b", "c", "d"), weight, b if bias else None, 3, after=after)
    gates = product.only(" ".join(wanted))(v)
    assert gates.names == tuple(wanted)
    for name in wanted:
        row = 3 * "abcd".index(name)
        expected = v @ weight[row : row + 3].T
        expected = expected * gain[row : row + 3] if scaled else expected
        expected = expected + b[row : row + 3] if bias else expected
        torch.testing.assert_close(getattr(gates, name), expected)


@pytest.mark.parametrize("gates", ["", "z", "a z", "ab"])
def test_only_gates_that_there_are(gates: str) -> None:
    with pytest.raises(CellError, match=rf"U.only expected some of the gates 'a b', got '{gates}'"):
        Product(("a", "b"), torch.zeros(6, 3), None, 3).only(gates)


def test_what_enters_and_leaves_a_product_is_done_in_order() -> None:
    product = Product(
        ("a",),
        torch.eye(3),
        torch.ones(3),
        3,
        before=(lambda v: v + 1, lambda v: 2 * v),
        after=(lambda rows, _: rows - 3, lambda rows, _: 10 * rows),
        then=(lambda gates: gates.with_(b=gates.a + 1), lambda gates: gates.with_(a=gates.b * 2)),
    )
    gates = product(torch.full((1, 3), 4.0))
    assert gates.b.tolist() == [[10 * (2 * (4 + 1) - 3) + 1 + 1] * 3]
    assert gates.a.tolist() == [[2 * 72.0] * 3]


def test_a_remembering_product_computes_once_for_each_tensor_and_choice() -> None:
    entered = []
    product = Product(
        ("a", "b"), torch.randn(6, 3), None, 3, before=(lambda v: (entered.append(0), v)[1],)
    ).remembering()
    v, w = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.equal(product(v).a, product(v).a)
    assert len(entered) == 1
    assert torch.equal(product.only("b")(v).b, product.only("b")(v).b)
    assert len(entered) == 2
    assert not torch.equal(product(w).a, product(v).a)
    assert len(entered) == 3
    assert product.remembering()(v).names == ("a", "b")
    assert len(entered) == 4


# -- MaskSpec and Parameter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every_step", "shape"), [(True, (5, 2, 3)), (False, (2, 3))])
@pytest.mark.parametrize(("scaled", "values", "mean"), [(True, {0, 2}, 1), (False, {0, 1}, 0.5)])
def test_a_mask_is_drawn_in_training_and_its_expectation_stands_in_evaluation(
    every_step: bool, shape: tuple[int, ...], scaled: bool, values: set[int], mean: float
) -> None:
    torch.manual_seed(0)
    noise, like = MaskSpec("m", 0.5, "h", every_step, scaled), torch.zeros(2, 3, dtype=torch.float64)
    drawn = noise.draw(5, like, training=True)
    assert (drawn.shape, drawn.dtype, set(drawn.flatten().tolist())) == (shape, torch.float64, values)
    expected = noise.draw(5, like, training=False)
    assert (expected.shape, expected.dtype) == (shape, torch.float64)
    assert (expected == mean).all()


def test_a_parameter_s_letters_are_sizes() -> None:
    widths = Widths(input=7, hidden=6, projected=2, heads=3, own={"M": 11})
    assert Parameter("w", ("P", "H")).sizes(widths, 4, 4) == (2, 6)
    assert Parameter("w", ("P", "H")).sizes(Widths(7, 6), 4, 4) == (6, 6)
    assert Parameter("w", ("G",)).sizes(widths, 4, 3) == (24,)
    assert Parameter("w", ("G_ih", "I")).sizes(widths, 4, 3) == (18, 7)
    assert Parameter("w", ("M", "d")).sizes(widths, 4, 4) == (11, 2)
    assert Parameter("w", ("N", "1")).sizes(widths, 4, 4) == (3, 1)


# -- a cell is code -----------------------------------------------------------------------------------------------------------


def test_a_cell_is_pickled_by_name_and_copied_as_itself() -> None:
    for made in (lstm, leaky):
        assert pickle.loads(pickle.dumps(made)) is made
        assert copy.deepcopy(made) is made


def test_a_changed_cell_is_not_pickled() -> None:
    with pytest.raises(
        TypeError, match="the transformed cell 'lstm' cannot be pickled; pickle the layer that holds it"
    ):
        pickle.dumps(peephole(lstm))


@cell(gates="a", states="h")
def shadowed(x: Gates, s: State, U: Any) -> State:
    return State(h=x.a)


first_shadowed = shadowed
shadowed = cell(gates="a", states="h")(first_shadowed.step)


def test_a_cell_that_could_not_be_found_again_is_not_pickled() -> None:
    local = cell(gates="a", states="h")(lambda x, s, U: s)
    with pytest.raises(CellError, match=r"expected the module tests.cells.test_spec to hold a cell named '<lambda>'"):
        pickle.dumps(local)
    with pytest.raises(CellError, match=r"holds another cell named 'shadowed'; give this one a name of its own"):
        pickle.dumps(first_shadowed)
    assert pickle.loads(pickle.dumps(shadowed)) is shadowed


def test_a_cell_can_be_called_as_its_step() -> None:
    x = Gates(**{gate: torch.randn(2, 3) for gate in gru.gates})
    U = Product(gru.gates, torch.randn(9, 3), None, 3)
    s = State(h=torch.randn(2, 3))
    assert torch.equal(gru(x, s, U).h, gru.step(x, s, U).h)
    assert isinstance(gru, Cell)


@pytest.mark.parametrize(("name", "option"), [("norm_hh", "layer_norm"), ("zoneout_h", "zoneout")])
def test_an_option_does_not_take_the_name_of_a_parameter(name: str, option: str) -> None:
    namespace: dict[str, Any] = {"State": State, "tanh": torch.tanh}
    exec(f"def step(x, s, U, {name}):\n    return State(h=tanh(x.a + U(s.h).a + {name}))", namespace)
    own = cell(gates="a", states="h", parameters={name: "H"})(namespace["step"])
    arguments: dict[str, Any] = {option: True if option == "layer_norm" else 0.1}
    with pytest.raises(CellError, match=f"{option} adds '{name}'"):
        Recurrent(own, 2, 3, **arguments)


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (lambda x, s, U, decay: State(h=s.h.mul_(0.5) + x.a), "s.h"),
        (lambda x, s, U, decay: State(h=x.a.add_(s.h)), "x.a"),
        (lambda x, s, U, decay: State(h=x.a + decay.clamp_(0, 1) * s.h), "decay"),
    ],
)
def test_a_step_that_changes_what_it_is_given_is_told(step: Any, what: str) -> None:
    made = Cell("careless", step, ("a",), {"h": "H"}, (Parameter("decay", ("H",)),))
    with pytest.raises(CellError, match=f"changes {what} in place"):
        check(made)


def test_a_constant_for_each_unit_that_is_closed_over_is_told_where_it_belongs() -> None:
    tau = torch.linspace(0.1, 0.9, 20)

    @cell(gates="a", states="h")
    def closing(x: Any, s: Any, U: Any) -> State:
        return State(h=tau * s.h + x.a)

    with pytest.raises(CellError, match=r'parameters=\{"tau": "H"\}.*fixed="tau" where it is not to be learned'):
        check(closing)


def test_a_cell_can_be_checked_in_inference_mode() -> None:
    with torch.inference_mode():
        check(lstm)
