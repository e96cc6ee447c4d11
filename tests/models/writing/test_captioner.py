"""The captioner against plain loops over images, captions and steps."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.models import BeamSettings
from ostinato.models.writing.captioner import CaptionBatch, Captioner
from ostinato.models.writing.first_states import VectorFirstState
from ostinato.models.writing.image_encoder import ConvolutionalEncoder, ImageShape, RowEncoder
from ostinato.nn import LSTM

BEGIN, END, V = 4, 5, 6
SHAPE = ImageShape(2, 6, 5)


def small(seed=0, **arguments):
    """In float64 and evaluation mode, with weights away from the small values at which every mistake looks small."""
    torch.manual_seed(seed)
    arguments = {"begin": BEGIN, "end": END, "features": 4, "embedding_size": 5, "hidden_size": 7, **arguments}
    model = Captioner(SHAPE, V, **arguments).double()
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return model.eval()


def batch(images, target, lengths=None, owners=None):
    return CaptionBatch(images, target, None, torch.arange(len(images)), target_lengths=lengths, owners=owners)


def some(seed=0):
    """Three images; of the first two captions, of the second none, of the last one, which is empty."""
    torch.manual_seed(seed)
    images = torch.randn(3, *SHAPE, dtype=torch.float64)
    return batch(images, torch.randint(4, (3, 3)), torch.tensor([3, 1, 0]), torch.tensor([0, 0, 2]))


CASES = [
    {},
    {"encoder": "rows", "cell": "gru"},
    {"num_layers": 2, "attention": "additive", "input_feeding": True},
    {"attention": None, "cell": "rhn"},
    {"coverage": True, "tied": True},
]


@pytest.mark.parametrize("arguments", CASES)
def test_the_loss_is_that_of_a_loop_over_captions_and_steps(arguments):
    model, given = small(**arguments), some()
    assert given.owners is not None
    assert given.target_lengths is not None
    total, count = 0.0, 0
    for p, (owner, length) in enumerate(zip(given.owners.tolist(), given.target_lengths.tolist(), strict=True)):
        state = model.encode(given.input[owner : owner + 1])
        read = torch.tensor([BEGIN])
        for wanted in [*given.target[:length, p].tolist(), END]:
            log_p, state = model.decoder.step(state, read)
            total, count, read = total - log_p[0, wanted].item(), count + 1, torch.tensor([wanted])
    assert model.loss(given)[0].item() == pytest.approx(total / count, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(more=st.integers(0, 4), filling=st.integers(-(2**40), 2**40), encoder=st.sampled_from(["convolution", "rows"]))
def test_padding_changes_neither_loss_nor_gradient(more, filling, encoder):
    model, given_ = small(encoder=encoder), some()
    assert given_.target_lengths is not None
    valid = torch.arange(3).unsqueeze(1) < given_.target_lengths
    target = torch.cat((given_.target.where(valid, filling), torch.full((more, 3), filling)))
    found = []
    for each in (given_, dataclasses.replace(given_, target=target)):
        model.zero_grad()
        loss = model.loss(each)[0]
        loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_an_image_beside_others_is_said_the_same_of():
    model, images = small(), some().input
    together = model.caption(images, max_length=5)
    for row in range(3):
        (alone,) = model.caption(images[row : row + 1], max_length=5)
        assert alone[0].tokens == together[row][0].tokens
        assert alone[0].log_probability == pytest.approx(together[row][0].log_probability, rel=1e-9)


def probability(model, image, tokens):
    target = torch.tensor(tokens, dtype=torch.int64).view(-1, 1)
    log_p = model(image, target).logits[:, 0].log_softmax(1)
    return log_p[range(len(tokens) + 1), [*tokens, END]].sum().item()


def test_a_wide_beam_finds_what_a_look_at_every_caption_finds():
    model, image = small(seed=3), some().input[:1]
    words = range(4)
    every = [tokens for n in range(4) for tokens in itertools.product(words, repeat=n)]
    by_probability = sorted(every, key=lambda tokens: -probability(model, image, tokens))
    settings_ = BeamSettings(beam_size=len(every), n_best=5, length_penalty=0.0)
    (found,) = model.caption(image, max_length=3, beam=settings_)
    assert [each.tokens for each in found] == by_probability[:5]
    assert found[0].log_probability == pytest.approx(probability(model, image, found[0].tokens), rel=1e-9)


def test_a_beam_of_one_is_greedy_and_a_seed_draws_the_same():
    model, images = small(), some().input
    greedy = model.write(images, max_length=6)
    beam = model.caption(images, max_length=6, beam=BeamSettings(beam_size=1))
    assert [each.tokens for each in greedy] == [best.tokens for (best,) in beam]
    drawn = [model.write(images, max_length=6, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_forbidden_tokens_and_begin_are_never_written_and_writing_can_be_stopped():
    model, images = small(), torch.randn(20, *SHAPE, dtype=torch.float64)
    for each in model.write(images, max_length=8, temperature=3.0, seed=0, forbidden=(0, 2)):
        assert set(each.tokens) <= {1, 3}
    assert not any(each.is_finished for each in model.write(images, max_length=8, should_stop=lambda: True))


@pytest.mark.parametrize("argument", ["begin", "end", "device", "settings", "temperatur"])
def test_what_the_model_says_itself_cannot_be_given(argument):
    given_: dict[str, Any] = {argument: 3}
    with pytest.raises(TypeError, match=argument):
        small().write(some().input, **given_)


def test_the_models_mode_is_put_back_and_nothing_keeps_a_gradient():
    model = small(dropout=0.5).train()
    first, again = (model.write(some().input, max_length=4) for _ in range(2))
    assert first == again
    assert model.training


def test_label_smoothing_acts_in_training_only():
    given_ = some()
    plain, smooth = small(), small(label_smoothing=0.3)
    assert smooth.loss(given_)[0].item() == plain.loss(given_)[0].item()
    output = torch.tensor([[*given_.target[:, 0].tolist(), END]])
    logits = plain(given_.input[:1], given_.target[:, :1]).logits[:, 0]
    one = batch(given_.input[:1], given_.target[:, :1])
    expected = F.cross_entropy(logits, output[0], label_smoothing=0.3).item()
    assert smooth.train().loss(one)[0].item() == pytest.approx(expected, rel=1e-9)


def test_images_without_captions_have_no_loss():
    nothing = batch(some().input, torch.zeros(1, 0, dtype=torch.int64), None, torch.zeros(0, dtype=torch.int64))
    model = small().train()
    loss = model.loss(nothing)[0]
    loss.backward()  # a batch of such may come in training, in one of several processes
    assert loss.item() == 0.0
    assert all(weight.grad is not None and not weight.grad.any() for weight in model.parameters())


def test_a_shape_may_be_a_plain_tuple_and_other_images_are_refused():
    model = Captioner((1, 8, 8), 5, begin=0, end=1, features=8, hidden_size=8)
    assert len(model.caption(torch.zeros(2, 1, 8, 8))) == 2
    for images, got in (
        (torch.zeros(2, 1, 9, 8), r"float32 \(2, 1, 9, 8\)"),
        (torch.zeros(1, 8, 8), r"float32 \(1, 8, 8\)"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"uint8 \(2, 1, 8, 8\)"),
    ):
        with pytest.raises(
            ConfigError, match=rf"images: expected floating point numbers \(B, 1, 8, 8\), got torch.{got}"
        ):
            model.caption(images)


@pytest.mark.parametrize(("height", "width", "stages", "places"), [(8, 8, None, (4, 4)), (28, 20, None, (7, 5))])
def test_stages_halve_an_image_until_eight_places_a_side_are_left(height, width, stages, places):
    encoder = ConvolutionalEncoder(ImageShape(3, height, width), 16, stages)
    assert encoder.places == places
    assert encoder(torch.randn(2, 3, height, width)).shape == (math.prod(places), 2, 16)


def test_a_place_is_where_it_is():
    encoder = ConvolutionalEncoder(ImageShape(1, 8, 8), 4, 1).double()
    for part in (encoder.whole.weight, encoder.whole.bias):  # which reaches every place
        torch.nn.init.zeros_(part)
    images = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    convolutions = [layer for layer in encoder.layers if isinstance(layer, torch.nn.Conv2d)]
    encoder.layers = torch.nn.Sequential(*convolutions, torch.nn.MaxPool2d(2))
    encoder(images)[4 + 2].sum().backward()  # row 1, column 2
    assert images.grad is not None
    seen = images.grad[0, 0].ne(0).nonzero()
    assert (seen.amin(0) >= torch.tensor([0, 2])).all()
    assert (seen.amax(0) <= torch.tensor([5, 7])).all()


def test_rows_are_read_by_a_recurrence():
    torch.manual_seed(0)
    encoder = RowEncoder(ImageShape(2, 3, 4), 6)
    images = torch.randn(5, 2, 3, 4)
    expected = torch.nn.LSTM(8, 3, bidirectional=True)
    expected.load_state_dict(encoder.recurrent.state_dict())
    rows = torch.stack([images[:, :, row].reshape(5, 8) for row in range(3)])
    torch.testing.assert_close(encoder(images), expected(rows)[0], rtol=1e-5, atol=1e-5)


def test_first_states_fit_layers_of_all_kinds():
    first = VectorFirstState(3, LSTM(2, 5, num_layers=2))
    v = torch.randn(4, 3)
    h, c = first(v)
    assert h.shape == c.shape == (2, 4, 5)
    torch.testing.assert_close(c[1], first.layers["c"][1](v))  # pyright: ignore[reportIndexIssue]
    torch.testing.assert_close(h[0], first.layers["h"][0](v).tanh())  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder": "transformer"}, "encoder: expected one of convolution, rows, got transformer"),
        ({"features": 0}, "features: expected at least 1, got 0"),
        ({"stages": 4}, "stages: expected fewer than 4 for images of 6 x 5"),
        ({"encoder": "rows", "features": 5}, "features: expected an even number"),
        ({"encoder": "rows", "stages": 1}, "stages: expected none for an encoder of rows"),
        ({"begin": 6}, "begin: expected a token from 0 to 5, got 6"),
        ({"hidden_size": 0}, "hidden_size: expected at least 1, got 0"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        small(**arguments)
