"""The translator against plain loops over rows and steps, against the notes' own model, and against every target written down."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models import BeamSettings, ScheduledSampling, Seq2Seq
from ostinato.training import chunks

BEGIN, END, V = 5, 6, 7


@dataclass(frozen=True)
class PairsOfBatch(Batch):
    """What a reader of pairs gives."""

    target_lengths: torch.Tensor | None = None


def pairs(source, target, lengths=None, target_lengths=None):
    return PairsOfBatch(source, target, lengths, torch.arange(source.shape[1]), 1, 1, 1.0, target_lengths)


def small(seed=0, double=True, **arguments):
    """In evaluation mode, with weights away from the small values at which every mistake looks small."""
    torch.manual_seed(seed)
    arguments = {"begin": BEGIN, "end": END, "embedding_size": 6, "hidden_size": 8, "cell": "gru", **arguments}
    model = Seq2Seq(V, V, **arguments)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return (model.double() if double else model).eval()


def some_pairs(seed=0):
    torch.manual_seed(seed)
    lengths, target_lengths = torch.tensor([4, 1, 0, 3, 2]), torch.tensor([2, 3, 1, 0, 3])
    return pairs(torch.randint(5, (4, 5)), torch.randint(5, (3, 5)), lengths, target_lengths)


CASES = [
    {},
    {"cell": "lstm", "num_layers": 2, "attention": "additive", "attention_units": 5},
    {"cell": "rnn", "attention": "scaled", "bidirectional": False, "bridge": "copy"},
    {"attention": "dot"},
    {"attention": None},
    {"cell": "mingru", "attention": None, "bridge": "none"},
    {"coverage": True},
    {"tied": "two-way", "cell": "lstm"},
    {"tied": "three-way", "readout_size": 6},
]


def row_by_row(model, batch):
    """The mean over all tokens, each row alone, each step alone, everything read from `log_softmax`."""
    nats, count = torch.zeros((), dtype=torch.float64), 0
    for b in range(batch.input.shape[1]):
        source = batch.input[: batch.lengths[b], b : b + 1]
        target = [*batch.target[: batch.target_lengths[b], b].tolist(), END]
        state, last = model.encode(source), BEGIN
        for token in target:
            log_p, state = model.decoder.step(state, torch.tensor([last]))
            nats, count, last = nats - log_p[0, token], count + 1, token
    return nats / count


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_steps_of_all_rows_at_once_are_one_step_of_one_row_at_a_time(case, input_feeding):
    model, batch = small(**case, input_feeding=input_feeding), some_pairs()
    loss, state = model.loss(batch)
    torch.testing.assert_close(loss, row_by_row(model, batch))
    assert state is None


def test_training_computes_the_loss_in_one_recurrence():
    """The default: the decoder's layers are called once, with all steps."""
    model, batch = small().train(), some_pairs()
    shapes = []
    model.decoder.recurrent.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    model.loss(batch)[0].backward()
    assert shapes == [(4, 5, 6)]


@given(
    case=st.sampled_from([*CASES, {"input_feeding": True}]),
    extra=st.integers(0, 3),
    more=st.integers(0, 3),
    junk=st.sampled_from([-100, 0, 4, 10**6]),
)
@settings(max_examples=30, deadline=None)
def test_more_padding_changes_nothing(case, extra, more, junk):
    model, batch = small(**case, label_smoothing=0.1).train(), some_pairs()

    def longer(tokens, lengths, steps):
        padded = torch.cat((tokens, torch.zeros(steps, tokens.shape[1], dtype=torch.int64)))
        padded[torch.arange(len(padded))[:, None] >= lengths] = junk
        return padded

    padded = pairs(
        longer(batch.input, batch.lengths, extra),
        longer(batch.target, batch.target_lengths, more),
        batch.lengths,
        batch.target_lengths,
    )
    results = []
    for each in (batch, padded):
        loss, _ = model.loss(each)
        results.append((loss, torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)))
    torch.testing.assert_close(results[0], results[1])
    model.eval()
    found = [model.translate(each.input, each.lengths, max_length=5) for each in (batch, padded)]
    assert [[h.tokens for h in row] for row in found[0]] == [[h.tokens for h in row] for row in found[1]]


def test_label_smoothing_is_in_training_alone():
    model, batch = small(label_smoothing=0.3), some_pairs()
    pure, _ = model.loss(batch)
    smoothed, _ = model.train().loss(batch)
    logits = model.eval()(batch.input, batch.target, batch.lengths, batch.target_lengths).logits
    uniform, count = 0.0, 0
    for b, n in enumerate(batch.target_lengths.tolist()):
        uniform = uniform - torch.log_softmax(logits[: n + 1, b], -1).mean(-1).sum()
        count += n + 1
    torch.testing.assert_close(smoothed, 0.7 * pure + 0.3 * uniform / count)


def test_the_notes_model_made_right_is_this_one():
    """002's EncoderLSTM, DecoderLSTM and Seq2Seq with torch.nn's layers, each step of the decoder by itself."""
    torch.manual_seed(0)
    E, H, L = 6, 8, 2
    model = Seq2Seq(
        V, V, begin=BEGIN, end=END, embedding_size=E, hidden_size=H, num_layers=L, cell="lstm", bidirectional=False,
        bridge="copy", attention=None,
    )  # fmt: skip
    encoder, decoder = torch.nn.LSTM(E, H, L), torch.nn.LSTM(E, H, L)
    encoder.load_state_dict(model.encoder.state_dict())
    decoder.load_state_dict(model.decoder.recurrent.state_dict())
    source, target = torch.randint(5, (4, 3)), torch.randint(5, (6, 3))
    _, (h, c) = encoder(F.embedding(source, model.embedding.weight))
    outputs, x = [], torch.full((3,), BEGIN)
    for token in (*target, None):
        out, (h, c) = decoder(F.embedding(x, model.decoder.embedding.weight).unsqueeze(0), (h, c))
        outputs.append(F.linear(out[0], model.decoder.output.weight, model.decoder.output.bias))
        x = token
    torch.testing.assert_close(model(source, target).logits, torch.stack(outputs))


# --- options of training ---


def test_scheduled_sampling_reads_the_models_own_tokens():
    """With nothing true left the loss is that of free running; with everything true it is that of teacher forcing."""
    batch = some_pairs()
    model = small(scheduled_sampling=ScheduledSampling("linear", k=1.0, draw=False)).train()
    first, _ = model.loss(batch)  # epsilon is 1
    torch.testing.assert_close(first, small().loss(batch)[0])
    assert int(model.updates) == 1
    free, _ = model.loss(batch)  # epsilon is 0
    state = model.encode(batch.input, batch.lengths)
    tokens, nats = torch.full((5,), BEGIN), torch.zeros((), dtype=torch.float64)
    for t in range(4):
        log_p, state = model.decoder.step(state, tokens)
        tokens = log_p.argmax(1)
        for b, n in enumerate(batch.target_lengths.tolist()):
            if t <= n:
                nats = nats - log_p[b, END if t == n else batch.target[t, b]]
    torch.testing.assert_close(free, nats / (batch.target_lengths.sum() + 5))
    torch.testing.assert_close(model.eval().loss(batch)[0], first)


def test_scheduled_sampling_goes_on_where_a_run_is_resumed():
    model = small(scheduled_sampling=ScheduledSampling("linear", k=10.0)).train()
    for _ in range(3):
        model.loss(some_pairs())
    again = small(scheduled_sampling=ScheduledSampling("linear", k=10.0))
    again.load_state_dict(model.state_dict())
    assert int(again.updates) == 3
    model.eval().loss(some_pairs())
    assert int(model.updates) == 3


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduledSampling("linear", k=10.0, floor=0.25), [1.0, 0.9, 0.5, 0.25]),
        (ScheduledSampling("exponential", k=4.0), [1.0, 0.75, 0.75**5, 0.75**100]),
        (ScheduledSampling("inverse sigmoid", k=3.0), [0.75, *(3 / (3 + math.exp(i / 3)) for i in (1, 5, 100))]),
    ],
)
def test_schedules(schedule, expected):
    assert [schedule.true_share(i) for i in (0, 1, 5, 100)] == pytest.approx(expected)
    assert schedule.true_share(10**9) >= 0.0


def test_scheduled_samples_follow_their_share():
    model = small(scheduled_sampling=ScheduledSampling("linear", k=4.0))
    model.train().updates += 1
    choose = model._chooser()
    torch.manual_seed(0)
    true = torch.full((4000,), 3)
    read = choose(true, torch.zeros(4000, model.decoder.readout_size, dtype=torch.float64))
    p = float(torch.softmax(model.decoder.output.bias.detach(), 0)[3])
    assert float((read == 3).double().mean()) == pytest.approx(0.75 + 0.25 * p, abs=0.03)


def test_a_diverged_model_that_reads_its_own_words_has_a_loss_of_nan():
    model = small(scheduled_sampling=ScheduledSampling("linear", k=1.0)).train()
    model.updates.fill_(5)
    with torch.no_grad():
        model.decoder.output.bias[0] = math.nan
    assert math.isnan(float(model.loss(some_pairs())[0].detach()))


def test_the_coverage_penalty_is_told_apart():
    model, batch = small(coverage=True, coverage_weight=2.0).train(), some_pairs()
    with_it, _ = model.loss(batch)
    pure, _ = small(coverage=True).loss(batch)
    torch.testing.assert_close(with_it - model.penalty, pure)
    weights = model(batch.input, batch.target, batch.lengths, batch.target_lengths).weights.detach()
    again, count = 0.0, 0
    for b, n in enumerate(batch.target_lengths.tolist()):
        for t in range(n + 1):
            again += float(torch.minimum(weights[t, b], weights[:t, b].sum(0)).sum())
            count += 1
    assert float(model.penalty) == pytest.approx(2.0 * again / count)


@pytest.mark.parametrize("tied", ["none", "two-way", "three-way"])
def test_tied_weights_are_one_parameter(tied):
    model = small(tied=tied)
    assert (model.decoder.output.weight is model.decoder.embedding.weight) == (tied != "none")
    assert (model.embedding.weight is model.decoder.embedding.weight) == (tied == "three-way")


@pytest.mark.parametrize("tied", ["none", "two-way", "three-way"])
def test_tied_embeddings_are_read_as_large_as_others_begin(tied):
    """Those of nn.Embedding begin with a mean square of 1, output weights with one of 1 / (3 E)."""
    torch.manual_seed(0)
    model = Seq2Seq(400, 400, begin=0, end=1, embedding_size=64, hidden_size=8, tied=tied).eval()
    read = []
    model.encoder.register_forward_pre_hook(lambda module, given: read.append(given[0]))
    model.decoder.recurrent.register_forward_pre_hook(lambda module, given: read.append(given[0]))
    model(torch.randint(400, (20, 30)), torch.randint(400, (20, 30)))
    source, target = (float(x.detach().square().mean()) for x in read)
    assert target == pytest.approx(1.0 if tied == "none" else 1 / 3, rel=0.1)
    assert source == pytest.approx(1 / 3 if tied == "three-way" else 1.0, rel=0.1)


def test_a_batch_goes_through_the_windows_of_training():
    model, batch = small().train(), some_pairs()
    (loss,) = [window.loss(model) for window in chunks([batch])]
    torch.testing.assert_close(loss, model.loss(batch)[0])


# --- sequences out ---


@pytest.mark.parametrize("case", [{}, {"input_feeding": True, "coverage": True}, {"attention": None, "cell": "lstm"}])
def test_a_beam_with_room_for_everything_finds_the_best_of_all_targets(case):
    model = small(**case)
    source, lengths = torch.randint(5, (3, 2)), torch.tensor([3, 2])
    settings = BeamSettings(500, length_penalty=0.7, n_best=4)
    found = model.translate(source, lengths, max_length=3, beam=settings)
    for b in range(2):
        scores = {}
        for n in range(4):
            for tokens in itertools.product(range(5), repeat=n):
                target = torch.tensor(tokens, dtype=torch.int64).view(n, 1)
                with torch.no_grad():
                    logits = model(source[: lengths[b], b : b + 1], target).logits[:, 0]
                log_p = torch.log_softmax(logits, -1)[range(n + 1), [*tokens, END]].sum()
                scores[tokens] = float(log_p) / ((5 + n + 1) / 6) ** 0.7
        best = sorted(scores, key=lambda tokens: -scores[tokens])[:4]
        assert [h.tokens for h in found[b]] == best
        assert [h.score for h in found[b]] == pytest.approx([scores[tokens] for tokens in best], rel=1e-5)


@pytest.mark.parametrize("case", [{}, {"input_feeding": True, "coverage": True}, {"cell": "lstm", "num_layers": 2}])
def test_many_sources_are_translated_as_each_alone(case):
    model = small(**case)
    lengths = torch.tensor([6, 0, 2, 5, 1, 3])
    source, limits = torch.randint(5, (6, 6)), [7, 3, 0, 9, 4, 12]
    settings = BeamSettings(3, coverage_penalty=0.2, n_best=2)
    together = model.translate(source, lengths, max_length=limits, beam=settings)
    written = model.write(source, lengths, max_length=limits)
    for b, n in enumerate(lengths.tolist()):
        alone = model.translate(source[:n, b : b + 1], max_length=limits[b], beam=settings)[0]
        assert [h.tokens for h in together[b]] == [h.tokens for h in alone]
        assert [h.score for h in together[b]] == pytest.approx([h.score for h in alone], rel=1e-5)
        assert written[b].tokens == model.write(source[:n, b : b + 1], max_length=limits[b])[0].tokens
        assert all(BEGIN not in h.tokens and len(h.tokens) <= limits[b] for h in together[b])


def test_positions_point_into_the_source():
    model = small()
    source, lengths = torch.randint(5, (6, 3)), torch.tensor([6, 2, 4])
    for b, (best,) in enumerate(model.translate(source, lengths, max_length=8)):
        target = torch.tensor(best.tokens, dtype=torch.int64).view(-1, 1)
        looked = model(source[: lengths[b], b : b + 1], target).weights[:-1, 0].argmax(1)
        assert (best.positions or ()) == tuple(looked.tolist())


def test_translating_leaves_the_mode_and_no_gradient():
    model = small(dropout=0.5).train()
    source = torch.randint(5, (3, 2))
    assert model.translate(source, max_length=4)[0][0].tokens == model.translate(source, max_length=4)[0][0].tokens
    assert model.training
    drawn = [model.write(source, max_length=6, temperature=1.0, seed=4) for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("case", [{}, {"input_feeding": True}])
def test_it_learns_to_turn_sequences_round_and_goes_on_to_longer_ones(case):
    torch.manual_seed(0)
    model = Seq2Seq(6, 8, begin=6, end=7, embedding_size=16, hidden_size=32, cell="gru", **case)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(300):
        lengths = torch.randint(0, 5, (32,))
        source = torch.randint(6, (4, 32))
        target = source.gather(0, (lengths - 1 - torch.arange(4)[:, None]).clamp_min(0))
        optimizer.zero_grad()
        model.loss(pairs(source, target, lengths, lengths))[0].backward()
        optimizer.step()
    source, lengths = torch.randint(6, (4, 50)), torch.randint(0, 5, (50,))
    found = model.translate(source, lengths)
    right = sum(found[b][0].tokens == tuple(source[:n, b].flip(0).tolist()) for b, n in enumerate(lengths.tolist()))
    assert right >= 45
    assert len(model.translate(torch.randint(6, (9, 1)))[0][0].tokens) <= 28  # longer than any before


def test_nothing_at_all_can_be_read_and_written():
    model = small()
    empty = torch.zeros(0, 2, dtype=torch.int64)
    loss, _ = model.loss(pairs(empty, empty, torch.tensor([0, 0]), torch.tensor([0, 0])))
    assert bool(torch.isfinite(loss))
    assert len(model.translate(empty, max_length=2)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"begin": 7}, "begin: expected a token from 0 to 6"),
        ({"hidden_size": 7}, "an even number for two directions"),
        ({"tied": "four-way"}, "tied: expected none, two-way or three-way"),
        ({"tied": "two-way", "readout_size": 5}, "readout_size equal to embedding_size"),
        ({"attention": "dot", "hidden_size": 8, "cell": "lstm", "options": {"proj_size": 3}}, "one width"),
        ({"attention": None, "coverage": True}, "coverage: expected attention"),
        ({"attention": None, "coverage_weight": 1.0}, "coverage_weight"),
        ({"num_layers": 0}, "num_layers: expected at least 1"),
        ({"dropout": 1.0}, "dropout: expected a rate"),
        ({"bridge": "plank"}, "bridge: expected one of linear, copy, none"),
        ({"options": {"zoneuot": 0.1}}, "zoneout"),
    ],
)
def test_errors_say_what_was_expected(arguments, message):
    with pytest.raises(ConfigError, match=message):
        small(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"decay": "cosine"}, {"k": 0.5}, {"decay": "exponential", "k": 1.0}, {"floor": 1.5}, {"k": math.nan}]
)
def test_a_schedule_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(ConfigError, match="scheduled_sampling"):
        ScheduledSampling(**arguments)
