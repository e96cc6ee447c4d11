import numpy as np
import pytest
import torch

from ostinato.models.text.sampling import probabilities
from ostinato.serving.generating import Generating
from ostinato.serving.stepping.sampling import draw, uniform
from ostinato.serving.stepping.writing import Held, Writing


def writing(seed=0, **how):
    return Writing(Generating(**how), seed, None, lambda _: None, reads_last=False)


def test_numbers_are_uniform_and_seeds_and_steps_have_nothing_to_do_with_each_other():
    u = np.stack([uniform(np.full(2000, seed, np.uint64), np.arange(2000)) for seed in range(50)])

    assert ((u >= 0) & (u < 1)).all()
    assert abs(u.mean() - 0.5) < 0.005
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    expected = u.size / 20
    assert ((counts - expected) ** 2 / expected).sum() < 45  # chi², 19 degrees of freedom: 0.1 % are above 43.8
    assert abs(np.corrcoef(u[0, :-1], u[0, 1:])[0, 1]) < 0.1
    assert np.abs(np.corrcoef(u)[np.triu_indices(50, 1)]).max() < 0.12
    assert len(np.unique(u)) == u.size


def test_a_first_number_is_what_splitmix64_gives():
    """Java's SplittableRandom, written a second time."""

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    golden = 0x9E3779B97F4A7C15
    for seed, count in ((0, 0), (1, 7), (2**64 - 1, 3)):
        state = (mix((seed + golden) % 2**64) + (count + 1) * golden) % 2**64
        expected = (mix(state) >> 11) * 2.0**-53
        assert uniform(np.array([seed], np.uint64), np.array([count]))[0] == expected


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.5},
        {"top_k": 3},
        {"top_p": 0.6},
        {"top_k": 5, "top_p": 0.8, "temperature": 1.5},
        {"temperature": 0.0},
    ],
)
def test_tokens_are_drawn_as_probabilities_say(how):
    torch.manual_seed(0)
    logits = torch.randn(8) * 2
    p = probabilities(logits, how.get("temperature", 1.0), how.get("top_k"), how.get("top_p")).numpy()
    n = 20_000
    drawn = draw(logits.expand(n, 8), [writing(seed=4, **how)] * n, range(n))
    share = np.bincount(drawn.tokens, minlength=8) / n

    assert np.abs(share - p).max() < 0.015
    assert (share[p == 0] == 0).all()
    below = p.cumsum()
    u = uniform(np.full(n, 4, np.uint64), np.arange(n))
    assert (
        np.mean(np.searchsorted(below / below[-1], u, side="right") == drawn.tokens) == 1
        or how.get("top_k")
        or how.get("top_p")
    )


def test_what_a_row_draws_does_not_depend_on_its_companions():
    torch.manual_seed(1)
    logits = torch.randn(6, 50)
    hows = [
        {},
        {"temperature": 0.0},
        {"top_k": 4},
        {"top_p": 0.5, "logprobs": 3},
        {"temperature": 3.0},
        {"logprobs": 0},
    ]
    writings = [writing(seed=n, **how) for n, how in enumerate(hows)]
    together = draw(logits, writings, range(6))

    for n in range(6):
        alone = draw(logits[n : n + 1], [writings[n]], [n])
        assert alone.tokens == [together.tokens[n]]
        if writings[n].how.logprobs is not None:
            assert alone.logprobs == [together.logprobs[n]]
    log_p = torch.log_softmax(logits.double(), 1)
    assert together.logprobs[3] == float(log_p[3, together.tokens[3]])
    assert together.top[1][3] == log_p[3].topk(3).values.tolist()


def test_scores_that_are_no_numbers_are_told_for_their_row_alone():
    logits = torch.randn(4, 5)
    logits[1, 2], logits[2] = torch.nan, -torch.inf
    logits[3, 1:] = -torch.inf
    drawn = draw(logits, [writing(seed=n) for n in range(4)], range(4))

    assert drawn.broken.tolist() == [False, True, True, False]
    assert drawn.tokens[3] == 0


@pytest.mark.parametrize("cuts", [1, 2, 3, 7])
def test_stop_texts_are_found_wherever_pieces_are_cut(cuts):
    text, stops = "one two three stopper four", ("stop", "four", "stone")
    held, said, stopped = Held(stops), "", False
    for at in range(0, len(text), cuts):
        piece, stopped = held.push(text[at : at + cuts])
        said += piece
        if stopped:
            break

    assert stopped
    assert said == "one two three "


def test_text_that_only_looked_like_a_stop_text_is_told():
    held = Held(("abcd",))
    assert held.push("xabc") == ("x", False)
    assert held.push("e") == ("abce", False)
    assert held.push("ab") == ("", False)
    assert held.rest() == "ab"
