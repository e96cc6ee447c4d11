"""What is computed when, what is kept, and what is computed again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import pytest
import torch

from ostinato import catalogue, cells
from ostinato.cells import Cell, State, cell, options
from ostinato.cells.catalogue.grud import gru_d
from ostinato.kernels.compiler import schedule as scheduling
from ostinato.kernels.compiler.graph import REDUCTIONS, Node, walk
from ostinato.kernels.compiler.plan import Plan, plan
from ostinato.kernels.compiler.schedule import Schedule
from ostinato.kernels.compiler.trace import trace
from tests.kernels.cpu.random_cells import random_cell

EVERY = {
    "rnn_tanh": cells.rnn_tanh,
    "lstm": cells.lstm,
    "gru": cells.gru,
    "gru_reset_before": cells.gru_reset_before,
    "rhn_3": cells.rhn(3),
    "min_lstm": cells.min_lstm,
    "projected": options.projection(options.peephole(cells.lstm)),
    "norm": options.layer_norm(cells.lstm),
    "rhn_norm": options.layer_norm(cells.rhn(2)),
    "zoneout": options.zoneout(cells.lstm, {"h": 0.1, "c": 0.1}),
    **{f"random_{seed}": random_cell(seed) for seed in range(24)},
}


def planned(cell: Cell) -> Plan:
    return plan(trace(cell, True, "P" in cell.states.values()))


@pytest.fixture(scope="module", params=EVERY)
def each(request: pytest.FixtureRequest) -> Plan:
    return planned(EVERY[request.param])


def stored(schedule: Schedule, kind: str) -> list[Any]:
    return [store.to[1] for stage in schedule.stages for store in stage.stores if store.to[0] == kind]


def parts(of: Plan) -> list[Schedule]:
    return [of.inference, of.training, of.backward]


# What must hold for any cell


def test_a_value_is_loaded_in_no_earlier_stage_than_it_is_there(each: Plan) -> None:
    """Everything that a stage computes follows from what lies in memory by then; only then is it computed again."""
    leaves = {"x", "u", "state", "mask", "parameter", "dstate", "dv"}
    for schedule in parts(each):
        for at, stage in enumerate(schedule.stages):
            roots = [store.node for store in stage.stores] + [n.args[0] for some in stage.sums for n in some]

            def loaded(n: Node, schedule: Schedule = schedule, at: int = at) -> bool:
                return n in schedule.found and schedule.made[n] <= at

            for node in walk(roots, loaded):
                assert loaded(node) or node.op not in (leaves | REDUCTIONS)


def test_every_product_is_done_once_and_after_what_enters_it(each: Plan) -> None:
    program = each.program
    for schedule in (each.training, each.backward):
        done = [k for stage in schedule.stages for k in stage.products]
        assert len(done) == len(set(done))
    assert sorted(k for stage in each.backward.stages for k in stage.products) == list(range(len(program.products)))
    for schedule in (each.inference, each.training):
        written = {
            store.to[1]: at
            for at, stage in enumerate(schedule.stages)
            for store in stage.stores
            if store.to[0] == "enters"
        }
        assert set(written) == {k for k, p in enumerate(program.products) if p.enters.op != "state"}
        for at, stage in enumerate(schedule.stages):
            assert all(written.get(k, -1) < at for k in stage.products)


def test_gradients_of_a_product_are_there_before_it_multiplies_them(each: Plan) -> None:
    written = {
        (store.space, store.to[1]): at
        for at, stage in enumerate(each.backward.stages)
        for store in stage.stores
        if store.to[0] == "gradient"
    }
    for at, stage in enumerate(each.backward.stages):
        for k in stage.products:
            slots = each.du[k]
            assert all(written[slots.space, slots.first + n] < at for n in range(len(slots.order)))
    assert all((each.dx.space, each.dx.first + n) in written for n in range(len(each.dx.order)))


def test_a_product_is_added_to_a_gradient_that_was_written_before(each: Plan) -> None:
    carried = {
        store.to[1]: at
        for at, stage in enumerate(each.backward.stages)
        for store in stage.stores
        if store.to[0] == "carry"
    }
    when = {k: at for at, stage in enumerate(each.backward.stages) for k in stage.products}
    for k, (name, has_rest) in each.accumulated.items():
        assert (name in carried) is has_rest
        assert not has_rest or carried[name] < when[k]
    alone = {name for name, has_rest in each.accumulated.values() if not has_rest}
    assert carried.keys() | alone == set(each.program.states)


def test_slots_are_all_written_and_none_twice(each: Plan) -> None:
    for space in each.program.spaces:
        saved = [
            s.to[1]
            for stage in each.training.stages
            for s in stage.stores
            if s.to[0] == "saved" and s.node.space == space
        ]
        assert len(saved) == len(set(saved))
        gradients = [
            s.to[1]
            for stage in each.backward.stages
            for s in stage.stores
            if s.to[0] == "gradient" and s.space == space
        ]
        assert len(gradients) == len(set(gradients))
        # Each gradient has a slot, whether anything was saved there or not, and they come first.
        assert sorted(gradients) == list(range(len(gradients)))
        assert each.slots[space] == len({*saved, *gradients}) <= len(saved) + len(gradients)
        parameters = [
            s.to[1]
            for stage in each.backward.stages
            for s in stage.stores
            if s.to[0] == "parameter" and s.space == space
        ]
        assert sorted(parameters) == list(range(len(each.parameters[space])))
    assert len(each.training.rows) == each.rows


def test_no_gradient_lies_over_what_is_still_to_be_read(each: Plan) -> None:
    """Every stage that loads a saved value comes no later than the stage that writes a gradient in its place."""
    over: dict[tuple[str, Any], int] = {}
    for at, stage in enumerate(each.backward.stages):
        over |= {(s.space, s.to[1]): at for s in stage.stores if s.to[0] == "gradient"}
    schedule = each.backward

    def loaded(node: Node, at: int) -> bool:
        return node in schedule.found and schedule.made[node] <= at

    for at, stage in enumerate(schedule.stages):
        roots = [store.node for store in stage.stores] + [n.args[0] for some in stage.sums for n in some]
        for node in walk(roots, partial(loaded, at=at)):
            if loaded(node, at) and schedule.found[node][0] == "saved":
                assert over.get((node.space, schedule.found[node][1]), at) >= at


# What is known of some cells


def test_the_lstm_saves_its_four_gates_and_writes_their_gradients_over_them() -> None:
    found = planned(cells.lstm)
    assert stored(found.training, "saved") == [0, 1, 2, 3]
    assert stored(found.inference, "saved") == []
    assert (found.dx.first, found.dx.order) == (0, (0, 1, 2, 3))
    assert found.du[0] == found.dx
    assert found.slots == {"H": 4}
    assert found.accumulated == {0: ("h", False)}
    assert [stage.products for stage in found.training.stages] == [[], [0]]


def test_both_biases_share_their_gradient() -> None:
    found = planned(cells.lstm)
    assert len(found.parameters["H"]) == 4
    assert all(found.parameter_slots["bias_ih", n] == found.parameter_slots["bias_hh", n] == ("H", n) for n in range(4))


def test_the_gru_keeps_four_vectors_for_four_gradients() -> None:
    """Three gates, and what U gives the candidate; x and U have two gradients of three in common."""
    found = planned(cells.gru)
    assert len(stored(found.training, "saved")) == 4
    assert found.slots["H"] == 4
    assert (found.dx.first, found.dx.order) == (0, (2, 0, 1))
    assert (found.du[0].first, found.du[0].order) == (1, (0, 1, 2))
    assert found.accumulated == {0: ("h", True)}


@pytest.mark.parametrize("cell", [cells.rnn_tanh, cells.rnn_relu, cells.rnn_sigmoid], ids=lambda c: c.name)
def test_a_plain_rnn_saves_nothing_as_its_derivative_follows_from_its_output(cell: Cell) -> None:
    found = planned(cell)
    assert stored(found.training, "saved") == []
    assert found.slots == {"H": 1}


def test_a_product_after_another_has_a_stage_of_its_own() -> None:
    assert [s.products for s in planned(cells.gru_reset_before).training.stages] == [[], [0], [1]]
    rhn = planned(cells.rhn(3))
    assert [s.products for s in rhn.training.stages] == [[], [0], [1], [2]]
    assert [s.products for s in rhn.backward.stages] == [[], [2], [1], [0]]


def test_without_a_product_a_step_is_one_stage() -> None:
    found = planned(cells.min_gru)
    assert all(len(part.stages) == 1 for part in parts(found))
    assert found.du == ()


def test_means_and_variances_are_passes_of_one_stage_while_they_need_no_other_units() -> None:
    """The product's mean and variance, then, in the stage of the new cell state, that state's."""
    found = planned(options.layer_norm(cells.lstm))
    wide = [[len(sums) for sums in stage.sums] for stage in found.inference.stages]
    assert wide[0] == []
    assert wide[1][:2] == [4, 4]
    assert wide[-1][-2:] == [1, 1]
    assert found.rows == sum(len(sums) for stage in found.training.stages for sums in stage.sums)


def test_a_costly_value_of_an_earlier_stage_is_kept_for_a_later_one() -> None:
    found = planned(cells.gru_reset_before)
    assert found.inference.scratch == {"H": 1}
    assert found.training.scratch == {"H": 0}  # there it is saved anyway


def test_a_projection_has_slots_of_its_own_width() -> None:
    found = planned(options.projection(cells.lstm))
    assert found.slots == {"H": 4, "P": 1}
    assert [slots.space for slots in found.du] == ["H", "P"]


def test_w_x_is_not_multiplied_where_no_gate_reads_it_and_extras_are_multiplied_once_for_all_steps() -> None:
    found = planned(gru_d)
    assert found.dx.order == ()
    assert not any(node.op == "x" for part in parts(found) for node in part.found)
    assert {found.program.products[k].matrix: name for k, name in found.behind.items()} == {
        "decay_hidden": "dt",
        "weight_mask": "mask",
    }


def test_of_gates_that_a_step_asks_for_one_by_one_the_others_have_no_gradient() -> None:
    @cell(gates="a b c", states="h")
    def some(x: Any, s: State, U: Any, W: Any) -> State:
        return State(h=torch.tanh(W.only("c")(x).c + U(s.h).a) + W.only("a")(x).a)

    found = planned(some)
    assert sorted(found.dx.order) == [0, 2]
    assert found.slots == {"H": 2, "I": 0}


@pytest.mark.parametrize(
    ("made", "slots"),
    [
        (cells.gru_reset_before, 3),
        (cells.rhn(4), 8),
        (gru_d, 5),
        (catalogue.cell("lem"), 4),
        (catalogue.cell("mut2"), 3),
    ],
    ids=lambda made: getattr(made, "name", ""),
)
def test_a_product_after_another_needs_no_room_beside_what_is_saved(made: Cell, slots: int) -> None:
    """What a later stage needs is handed on, so that gradients may lie where it was."""
    found = planned(made)
    assert found.slots["H"] == slots
    assert len(stored(found.training, "saved")) <= slots


def deep(depth: int) -> Cell:
    """A step of many stages, each of many operations."""

    @cell(gates="a b", states="h")
    def step(x: Any, s: State, U: Any) -> State:
        h = s.h
        for _ in range(depth):
            u = U(h)
            v = torch.tanh(x.a + u.a)
            for n in range(depth):
                v = torch.tanh(v * torch.sigmoid(u.b + n) + 0.1 * v)
            h = v - v.mean(-1, keepdim=True)
        return State(h=h)

    return step


def test_what_is_handed_on_is_found_without_counting_all_loads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counting anew for each value would choose, in a time that grows with the step, not with its square."""
    found = scheduling._shortcuts  # pyright: ignore[reportPrivateUsage]
    asked, sizes = [0], [0]

    def counted(
        roots: list[Node], early: list[Node], handed: Collection[Node], loaded: Callable[[Node], bool]
    ) -> set[Node]:
        def asking(node: Node) -> bool:
            asked[0] += 1
            return loaded(node)

        chosen: set[Node] = set()

        def is_there(node: Node) -> bool:
            return loaded(node) or node in handed or node in chosen

        def loads() -> int:
            there = [n for n in walk(roots, is_there) if is_there(n) and n.space not in scheduling.SINGLE]
            return sum(2 if n.op == "dstate" else 1 for n in there if n.op not in ("parameter", "const", "unit"))

        sizes[0] += len(list(walk(roots, is_there))) + len(early)
        before = loads()
        for node in reversed(early):
            if not is_there(node):
                chosen.add(node)
                if (after := loads()) < before:
                    before = after
                else:
                    chosen.discard(node)
        assert found(roots, early, handed, asking) == chosen
        return chosen

    monkeypatch.setattr(scheduling, "_shortcuts", counted)
    plan(trace(deep(3), True, False))
    plan(trace(catalogue.cell("grud"), True, False))
    assert asked[0] < 5 * sizes[0]
