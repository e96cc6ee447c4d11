"""The network: its loss, what has none, and its stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ostinato
from ostinato.data.batches.batches import TargetBatch
from ostinato.data.tokens.vocabulary import CharVocabulary
from ostinato.errors import ConfigError, StateError
from ostinato.models import LanguageModel, Transcriber
from ostinato.models.transcribing.alignment import greedy_paths
from ostinato.models.transcribing.language_scorer import LanguageScorer
from ostinato.models.transcribing.prefix_beam import PrefixBeam, prefix_beam_search
from ostinato.models.transcribing.transcriber import UNKNOWN, text_loss
from tests.models.transcribing.paths import random_log_probs, texts_of_all_paths


def batch(lengths=(6, 4, 5), ends=(3, 0, 1), seed=0, width=3):
    torch.manual_seed(seed)
    input = torch.randn(max(lengths), len(lengths), width)
    target = torch.tensor([[1, 2, 3], [1, 1, 1], [2, 3, 1]])[:, : len(lengths)]
    return TargetBatch(
        input, target, torch.tensor(lengths), torch.arange(len(lengths)), target_lengths=torch.tensor(ends)
    )


def test_the_loss_is_the_sum_over_all_paths_divided_by_units_and_ends():
    model, given = Transcriber(3, 4, hidden_size=5), batch()
    log_probs = model(given.input, given.lengths)
    nats = 0.0
    for row, (length, end) in enumerate(zip((6, 4, 5), (3, 0, 1), strict=True)):
        p = texts_of_all_paths(log_probs[:length, row].detach().double().numpy())
        nats -= np.log(p[tuple(given.target[:end, row].tolist())])
    loss, state = model.loss(given)
    assert loss.item() == pytest.approx(nats / (4 + 1 + 2), rel=1e-5)
    assert state is None


def test_texts_that_no_path_gives_and_texts_that_nobody_knows_have_no_part():
    """Row 0 has 1 1 2, four frames at least, in three; row 1 is not known."""
    model = Transcriber(3, 4, hidden_size=5)
    given = batch(lengths=(3, 4, 5), ends=(3, UNKNOWN, 1))
    loss, _ = model.loss(given)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    alone = TargetBatch(
        given.input[:, 2:], given.target[:, 2:], torch.tensor([5]), torch.arange(1), target_lengths=torch.tensor([1])
    )
    assert loss.item() == pytest.approx(model.loss(alone)[0].item(), rel=1e-5)
    nothing = batch(ends=(UNKNOWN,) * 3)
    assert model.loss(nothing)[0].item() == 0.0


def test_what_lies_past_a_rows_end_changes_nothing():
    model, given = Transcriber(3, 4, hidden_size=5), batch()
    other = given.input.clone()
    other[4:, 1] = 100.0
    assert text_loss(model(other, given.lengths), given).item() == pytest.approx(model.loss(given)[0].item())


@pytest.mark.parametrize("cell", ["lstm", "gru", "janet"])
def test_a_stream_says_the_same_frame_by_frame_and_its_text_grows(cell):
    torch.manual_seed(0)
    model = Transcriber(3, 4, cell=cell, hidden_size=6, num_layers=2, bidirectional=False).eval()
    with torch.no_grad():
        model.output.weight *= 40
        model.recurrent.weight_ih_l0 *= 4
    frames = 3 * torch.randn(100, 3)
    whole = model(frames[:, None]).detach()
    stream = model.stream()
    said, written, grown = [], [], []
    for at, frame in enumerate(frames):
        said.append(stream(frame))
        if unit := int(stream.written()):
            written.append(unit)
        grown.append(written == greedy_paths(whole[: at + 1])[0])
    torch.testing.assert_close(torch.stack(said), whole[:, 0], rtol=1e-4, atol=1e-4)
    assert all(grown)
    assert len(written) > 5


def test_rows_of_a_stream_go_their_own_way_and_are_kept():
    model = Transcriber(2, 3, hidden_size=4, bidirectional=False).eval()
    stream = ostinato.Stream(model, rows=3)
    frames = torch.randn(6, 3, 2)
    for frame in frames:
        stream(frame)
    kept = stream.state_bytes(1)
    stream(frames[0, :1], [1])
    after = stream.written(1)
    stream.from_bytes(kept, 0)
    stream(frames[0, :1], [0])
    assert torch.equal(stream.written(0), after)
    stream.reset([1])
    assert int(stream.written(1)) == 0
    with pytest.raises(StateError):
        stream.from_bytes(b"nothing")


def test_both_directions_cannot_be_streamed():
    with pytest.raises(ConfigError, match="direction"):
        Transcriber(2, 3, hidden_size=4).stream()


@pytest.mark.parametrize("wrong", [{"input_size": 0}, {"num_units": 1}, {"dropout": 1.0}, {"input_dropout": -0.1}])
def test_sizes_and_rates_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        Transcriber(**{"input_size": 2, "num_units": 3, **wrong})


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_language_model_scores_every_prefix_as_a_whole_text(cell):
    torch.manual_seed(0)
    model = LanguageModel(CharVocabulary("\nab"), 5, 6, cell=cell).eval()
    log_probs = random_log_probs(5, 2, 3, seed=1)
    tokens = [1, 2, 3]  # a line's end, a, b
    how = PrefixBeam(width=60, n_best=60, weight=0.7, bonus=0.2)
    for row, found in enumerate(prefix_beam_search(log_probs, how=how, scorer=LanguageScorer(model, tokens))):
        for text, p in texts_of_all_paths(log_probs[:, row]).items():
            written = "\n" + "".join("\nab"[unit] for unit in text) + "\n"
            wanted = np.log(p) - 0.7 * model.score(written).nats + 0.2 * len(text)
            score = next(each.score for each in found if each.units == text)
            assert score == pytest.approx(wanted, abs=1e-4)
