"""Several series at once, against torch's own distribution."""

import numpy as np
import pytest
import torch
from torch.distributions import LowRankMultivariateNormal
from torch.nn import functional as F

from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.low_rank import LowRank
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers

D = torch.float64


def law(raw):
    width = F.softplus(raw[..., 1] + np.log(np.expm1(0.3))) + 1e-3
    return LowRankMultivariateNormal(raw[..., 0], raw[..., 2:], width.square())


def test_the_joint_loss_is_that_of_torch():
    draw = torch.Generator().manual_seed(0)
    head = LowRank(3)
    raw, change = (torch.randn(shape, generator=draw, dtype=D) for shape in ((5, 6, 5), (5, 6)))
    group = torch.tensor([7, 2, 7, 2, 2, 9])
    counted = torch.ones(5, 6, dtype=torch.bool)
    found = head.joint_loss(raw, change, counted, group)
    total = sum(law(raw[:, rows]).log_prob(change[:, rows]).sum() for rows in ([0, 2], [1, 3, 4], [5]))
    torch.testing.assert_close(found, -total / 30)
    # What is missing is left out: the others are distributed as without it.
    counted[2, 3] = counted[4, 0] = False
    found = head.joint_loss(raw, change, counted, group)
    total = torch.zeros((), dtype=D)
    for t in range(5):
        for rows in ([0, 2], [1, 3, 4], [5]):
            there = [row for row in rows if counted[t, row]]
            total += law(raw[t, there]).log_prob(change[t, there]).sum()
    torch.testing.assert_close(found, -total / 28)


def test_draws_have_the_covariance_of_torch():
    raw = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=D)
    head, count = LowRank(3), 20_000
    uniform = uniform_numbers(1, count, 0, 4 + 3)[0].double()
    drawn = torch.stack(
        [head.sample(raw[at].expand(count, -1), torch.cat([uniform[at : at + 1], uniform[4:]])) for at in range(4)], 1
    )
    torch.testing.assert_close(drawn.mean(0), raw[:, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), law(raw).covariance_matrix, atol=0.1, rtol=0.05)
    torch.testing.assert_close(head.width(raw), law(raw).variance.sqrt())


def waves(steps, draw):
    """Two series that go apart: what one wins the other loses, but for a little."""
    shared, own = draw.normal(size=(steps, 1)), 0.2 * draw.normal(size=(steps, 2))
    return (shared * np.array([1.0, -1.0]) + own).astype(np.float32)


@pytest.mark.parametrize("head", ["low-rank", "gaussian"])
def test_sums_are_calibrated_where_independent_heads_are_not(head):
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    model = Forecaster(head=head, baseline="season_mean", hidden_size=8, num_series=2, unknown_rate=0.0, start=None)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)

    def batch(count, steps=30):
        values = np.concatenate([waves(steps, draw) for _ in range(count)], 1)
        return SeriesBatch(
            torch.from_numpy(values),
            None,
            None,
            torch.arange(2 * count),
            past=torch.full((2 * count,), 20),
            series=torch.tensor([1, 2] * count),
            group=torch.arange(count).repeat_interleave(2),
            channel=torch.tensor([0, 1] * count),
        )

    for _ in range(120):
        optimizer.zero_grad()
        model.loss(batch(16))[0].backward()
        optimizer.step()
    model.eval()
    test = batch(200)
    with torch.no_grad():
        paths = model.sample(test, None, 3, uniform_numbers(3, 200, 0, model.draws))
    paths, truth = paths.reshape(3, 200, 2, -1).sum(2), test.input[20:23].reshape(3, 200, 2).sum(2)
    low, high = paths.quantile(0.05, -1), paths.quantile(0.95, -1)
    inside = float(((low <= truth) & (truth <= high)).float().mean())
    width = float((high - low).mean())
    if head == "low-rank":
        assert 0.84 <= inside <= 0.96
        assert width == pytest.approx(2 * 1.645 * 0.2 * np.sqrt(2), rel=0.35)
    else:
        assert inside > 0.98  # as if both went the same way
        assert width > 4
