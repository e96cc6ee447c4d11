import numpy as np
import pytest
import torch

from ostinato.insight import plot_attention
from ostinato.insight.layers import InsightError


def test_the_matrix_and_the_tokens_are_in_the_picture():
    weights = torch.tensor([[0.1, 0.9, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    made = plot_attention(weights, ["le", "chat\n", "$a$"], ["the", "cat"], title="t")
    axes = made.axes[0]
    image = axes.get_images()[0]
    np.testing.assert_allclose(np.asarray(image.get_array()), weights.detach())
    assert image.get_clim() == (0.0, 1.0)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["le", "chat⏎", r"\$a\$"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["the", "cat"]
    assert "share" in made.axes[1].get_ylabel()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.zeros(3, 2), r"expected the shape \(target, source\) = \(2, 3\), got \(3, 2\); transpose"),
        (torch.full((2, 3), 2.0), "shares from 0 to 1"),
        (torch.full((2, 3), torch.nan), "shares from 0 to 1"),
    ],
)
def test_what_is_no_attention_is_refused(weights, message):
    with pytest.raises(InsightError, match=message):
        plot_attention(weights, list("abc"), list("de"))


def test_too_many_tokens_and_none_are_refused():
    with pytest.raises(InsightError, match="1 to 60 tokens"):
        plot_attention(np.zeros((1, 61)), ["a"] * 61, ["b"])
    with pytest.raises(InsightError, match="1 to 60 tokens"):
        plot_attention(np.zeros((0, 1)), ["a"], [])
