"""A model that is looked at computes what it would have computed, and is as it was afterwards."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import ostinato
from ostinato import catalogue
from ostinato.data import CharVocabulary
from ostinato.data.batches.streams import Chunk
from ostinato.errors import OstinatoError
from ostinato.insight import InsightError, gradient_flow, saturation, trajectories
from ostinato.insight.gates import saturation_of
from ostinato.insight.layers import watched
from ostinato.models import LanguageModel
from tests.cells import language
from tests.insight.models import KINDS, Loop, Tagger, square_loss, tagger_loss

IDS = torch.arange(24).mul(5).remainder(7).view(8, 3)


def make(kind: str, ours: bool, **kwargs: Any) -> Any:
    torch_class, our_class, own = KINDS[kind]
    torch.manual_seed(3)
    return (our_class if ours else torch_class)(4, 5, dtype=torch.float64, **{**own, **kwargs})


def outputs_and_gradients(model: Any) -> list[torch.Tensor]:
    """With the same random numbers every time; the gradients are not left behind."""
    torch.manual_seed(11)
    loss = tagger_loss(model, IDS)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


def snapshot(model: Any) -> dict[str, Any]:
    return {
        name: {
            key: dict(value) if isinstance(value, dict) else value
            for key, value in module.__dict__.items()
            if key != "_flat_weight_refs"
        }
        for name, module in model.named_modules()
    }


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "torch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_bit_for_bit_as_it_was_after_being_looked_at(kind: str, ours: bool) -> None:
    layer = make(kind, ours, num_layers=2, bidirectional=True, dropout=0.3)
    model = Tagger(layer, 4, 4 if kind == "lstm_proj" else 10).double()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    expected = outputs_and_gradients(copy.deepcopy(model))
    before, weights = snapshot(model), {k: v.clone() for k, v in model.state_dict().items()}
    generator = torch.get_rng_state()
    gradient_flow(model, IDS, tagger_loss)
    saturation(model, IDS, tagger_loss)
    trajectories(model, IDS)
    assert torch.equal(torch.get_rng_state(), generator)
    after = snapshot(model)
    assert after.keys() == before.keys()
    for name, values in before.items():
        assert list(after[name]) == list(values)
        assert not values["_forward_hooks"]
        assert not after[name]["_forward_pre_hooks"]
        assert "forward" not in after[name]
        assert all(after[name][key] is value for key, value in values.items() if not isinstance(value, dict))
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert all(bool((p.grad == 0.5).all()) for p in model.parameters() if p.grad is not None)
    for got, value in zip(outputs_and_gradients(model), expected, strict=True):
        assert torch.equal(got, value)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_while_looked_at_are_those_of_the_reference_bit_for_bit(kind: str) -> None:
    model = Tagger(make(kind, True, num_layers=2, dropout=0.3), 4, 2 if kind == "lstm_proj" else 5).double()
    with ostinato.backend("reference"):
        expected = outputs_and_gradients(copy.deepcopy(model))
    with watched(model):
        got = outputs_and_gradients(model)
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "torch"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_within_the_pass_leaves_nothing_behind(kind: str, ours: bool) -> None:
    layer = make(kind, ours)

    def fails(model: Any, batch: Any) -> Any:
        model(batch)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trajectories(layer, torch.zeros(3, 2, 4, dtype=torch.float64), fails)
    assert "forward" not in layer.__dict__
    if ours:
        assert layer.cell.vendor == layer.base_cell.vendor


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_states_are_those_that_the_layer_gives(kind: str, batch_first: bool) -> None:
    layer = make(kind, True, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    lengths = [6, 1, 4]
    given = x.transpose(0, 1) if batch_first else x
    _, _, every = layer(given, lengths=lengths, return_states=True)
    runs = trajectories(layer, given, lambda model, batch: model(batch, lengths=lengths))
    assert [run.name for run in runs] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    for run in runs:
        assert run.valid.sum(0).tolist() == lengths
        for name in layer.cell.states:
            whole = every[name][run.layer]
            whole = whole.transpose(0, 1) if batch_first else whole
            expected = whole.chunk(2, -1)[int(run.is_reverse)]
            got = run.states(name).masked_fill(~run.valid[:, :, None], 0)
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "torch"])
def test_packed_rows_end_where_they_end(ours: bool) -> None:
    layer = make("lstm", ours, bidirectional=True)
    rows = [torch.randn(n, 4, dtype=torch.float64) for n in (2, 5, 3)]
    packed = pack_sequence(rows, enforce_sorted=False)
    forward, backward = trajectories(layer, packed)
    assert forward.valid.sum(0).tolist() == [5, 3, 2]
    for place, row in enumerate(packed.sorted_indices.tolist() if packed.sorted_indices is not None else []):
        alone = layer(rows[row])[0]
        n = len(rows[row])
        torch.testing.assert_close(forward.states("h")[:n, place], alone[:, :5], rtol=0, atol=1e-12)
        torch.testing.assert_close(backward.states("h")[:n, place], alone[:, 5:], rtol=0, atol=1e-12)
    assert isinstance(layer(packed)[0], PackedSequence)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("home", [torch.nn, ostinato], ids=["torch", "ours"])
def test_a_cell_in_a_loop_of_the_users_own_is_one_trajectory(name: str, home: Any) -> None:
    model = Loop(getattr(home, name)(4, 5).double())
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    (run,) = trajectories(model, x)
    assert (run.name, run.steps, run.rows) == ("cell", 6, 3)
    torch.testing.assert_close(run.states("h"), model(x)[0].detach(), rtol=0, atol=1e-12)


def test_steps_taken_again_give_what_they_gave_with_every_option() -> None:
    torch.manual_seed(0)
    layer = ostinato.LSTM(
        4, 5, dtype=torch.float64, zoneout=0.3, recurrent_dropout=0.2, variational_dropout=0.2, weight_dropout=0.4,
        layer_norm=True, peephole=True, checkpoint_segments=2, initial_state="noisy(0.1)",
    )  # fmt: skip

    def twice(model: Any, x: torch.Tensor) -> None:
        """In two calls, each with dropped weights of its own."""
        _, state = model(x[:3])
        model(x[3:], state)

    (run,) = trajectories(layer, torch.randn(7, 3, 4, dtype=torch.float64), twice)
    assert run.steps == 7
    assert len({id(product) for product in run.products}) == 2
    steps, rows = run.places()
    order = torch.randperm(len(steps))
    steps, rows = steps[order], rows[order]
    taken = run.take(steps, rows)
    expected = torch.cat([run.states("h"), run.states("c")], -1)[steps, rows]
    torch.testing.assert_close(taken(taken.start), expected, rtol=0, atol=1e-12)


def test_frozen_models_have_gradients_of_states_too() -> None:
    layer = make("gru", True).requires_grad_(False)
    flow = gradient_flow(layer, torch.randn(4, 2, 4, dtype=torch.float64), square_loss)
    assert all(norm > 0 for norm in flow.layers[0].gradients["h"])
    assert not any(p.requires_grad for p in layer.parameters())


def test_what_cannot_be_looked_into_is_told_in_one_line() -> None:
    layer, x = make("rnn", True), torch.zeros(3, 2, 4, dtype=torch.float64)
    loop = Loop(torch.nn.GRUCell(4, 5).double())

    class Own(torch.nn.LSTM):
        """A subclass may do anything."""

    cases: list[tuple[Any, str]] = [
        (lambda: trajectories(torch.nn.Linear(2, 2), x), "got none in Linear; build it with ostinato.LSTM"),
        (lambda: trajectories(Own(4, 5), x), "got only Own, a subclass of torch.nn's"),
        (lambda: trajectories(layer, x, lambda model, batch: None), "let the loss call the model"),
        (lambda: gradient_flow(layer, x), "RNN has no method loss"),
        (lambda: gradient_flow(layer, x, lambda model, batch: model(batch)[0]), r"got a tensor of shape \(3, 2, 5\)"),
        (lambda: gradient_flow(layer, x, lambda model, batch: 0.5), "got a float"),
        (lambda: gradient_flow(layer, x, lambda m, b: (m(b)[0].detach().sum(), 1)), "got one without"),
        (lambda: gradient_flow(layer, x, square_loss, probes=-1), "probes expected"),
        (lambda: trajectories(loop, x, lambda m, b: (m(b), m(b[:, :1]))), "got 2 and then 1"),
    ]
    for call, words in cases:
        with pytest.raises(InsightError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, OstinatoError)


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "torch"])
def test_a_compiled_model_is_looked_into_like_any_other(ours: bool) -> None:
    torch._dynamo.reset()
    model = Tagger(make("gru", ours), 4, 5).double().eval()
    compiled: Any = torch.compile(model, backend="eager")
    before = compiled(IDS)
    got, expected = (gradient_flow(m, IDS, tagger_loss) for m in (compiled, model))
    assert got == expected
    assert [flow.name for flow in got.layers] == ["recurrent.l0"]
    assert torch.equal(compiled(IDS), before)


def test_looking_in_two_threads_leaves_compilation_on() -> None:
    torch._dynamo.reset()  # which loads it
    first, second = (watched(Tagger(make("gru", True), 4, 5)) for _ in range(2))
    first.__enter__()  # as in threads: who came first leaves first
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    x = torch.zeros(2)
    run: Any = torch.compile(lambda x: x + torch.compiler.is_compiling(), backend="eager")
    assert torch.equal(run(x), x + 1)


@pytest.mark.parametrize("options", [{}, {"initial_state": "learned"}], ids=["zeros", "learned"])
def test_a_language_model_needs_no_loss_and_goes_on_over_resets(options: dict[str, Any]) -> None:
    vocabulary = CharVocabulary("\nabc")
    torch.manual_seed(0)
    model = LanguageModel(vocabulary, 3, 4, cell="gru", options=options).double()
    ids = torch.randint(len(vocabulary), (9, 2))
    resets = torch.zeros(8, 2, dtype=torch.bool)
    resets[5, 1] = True
    (flow,) = gradient_flow(model, Chunk(ids[:-1], ids[1:], resets)).layers
    assert len(flow.gradients["h"]) == 8
    # Beyond the reset one of the two rows is cut off: half the squares are gone.
    (alone,) = gradient_flow(model, Chunk(ids[:-1, :1], ids[1:, :1], resets[:, :1])).layers
    assert flow.gain[4] == pytest.approx(alone.gain[4] / 2**0.5, rel=1e-9)
    assert model.penalty.grad_fn is None


@pytest.mark.parametrize("name", [*catalogue.names(), "slstm of heads"])
def test_the_steps_of_every_named_cell_can_be_taken_again(name: str) -> None:
    """With extras of every place, and the input's product where the step has it."""
    key, _, heads = name.partition(" of ")
    layer = catalogue.make(key, 4, 6, dtype=torch.float64, **({"num_heads": 2} if heads else {}))
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    more = language.extras(layer, 5, 3)

    def loss(model: Any, batch: torch.Tensor) -> torch.Tensor:
        return model(batch, lengths=[5, 2, 4], **more)[0].sum()

    (run,) = trajectories(layer, x, loss)
    steps, rows = run.places()
    taken = run.take(steps, rows)
    want = torch.cat([v.detach().flatten(1) for v in run.after[0]], -1).new_empty(len(steps), run.size)
    for n, (t, b) in enumerate(zip(steps.tolist(), rows.tolist(), strict=True)):
        want[n] = torch.cat([v[b].detach().flatten() for v in run.after[t]])
    torch.testing.assert_close(taken(taken.start).detach(), want)
    assert saturation_of([run]) is not None


def test_threads_that_watch_one_model_wait_for_each_other() -> None:
    model, input = ostinato.LSTM(3, 4), torch.randn(5, 2, 3)
    before, begin, found, wrong = set(vars(model)), threading.Barrier(4), list[int](), list[Exception]()

    def look() -> None:
        begin.wait()
        try:
            found.extend(len(trajectories(model, input)[0].after) for _ in range(10))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert found == [5] * 40
    assert set(vars(model)) == before
