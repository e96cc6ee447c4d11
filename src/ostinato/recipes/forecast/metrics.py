"""How good forecasts are: proper scores of distributions, and coverage of intervals. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import torch

INTERVALS = (50, 80, 90, 95)  # percent


def crps_of_samples(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The continuous ranked probability score of draws: E|X - y| - E|X - X'| / 2.

    Source: Gneiting & Raftery 2007, Journal of the American Statistical Association 102, equation 21. The second mean is over
    different draws ("fair"; Ferro 2014), so that few draws are not worse than many on average.

    Args:
        samples: (..., S), S at least 2.
        truth: (...), NaN for missing values.

    Returns:
        (...), in the unit of the values; if all draws are equal it is the absolute error. NaN for missing values.
    """
    S = samples.shape[-1]
    ordered = np.sort(samples, -1)
    # For sorted numbers, the sum over all pairs of |x_i - x_j| is the sum of 2 (2 i - S + 1) x_i.
    weights = 2.0 * np.arange(S) - S + 1.0
    spread = (ordered * weights).sum(-1) / (S * (S - 1))
    return np.abs(samples - truth[..., None]).mean(-1) - spread


def crps_of_gaussian(mean: np.ndarray, deviation: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The CRPS of N(mean, deviation²): s (z (2 Φ(z) - 1) + 2 φ(z) - 1 / √π); |truth - mean| if the deviation s is 0.

    Source: Gneiting & Raftery 2007, section 4.2.
    """
    apart = truth - mean
    z = apart / np.where(deviation > 0, deviation, 1.0)
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    score = deviation * (z * (2.0 * gaussian_cdf(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi))
    return np.where(deviation > 0, score, np.abs(apart))


def gaussian_cdf(z: np.ndarray) -> np.ndarray:
    """Φ, the distribution function of the standard normal distribution."""
    return torch.special.ndtr(torch.from_numpy(np.asarray(z, dtype=np.float64))).numpy()


def gaussian_quantile(level: float) -> float:
    """Φ⁻¹, the quantile of the standard normal distribution."""
    return float(torch.special.ndtri(torch.tensor(level, dtype=torch.float64)))


def quantile_loss(quantiles: np.ndarray, levels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Twice the pinball loss, averaged over levels; over all levels between 0 and 1 its mean would be the CRPS.

    Args:
        quantiles: (..., K).
        levels: (K,).
        truth: (...).
    """
    error = truth[..., None] - quantiles
    return 2.0 * np.maximum(levels * error, (levels - 1.0) * error).mean(-1)


def sample_quantile(samples: np.ndarray, levels: float | tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Quantiles of draws, (levels, ...) or (...): the k-th of S sorted draws is the quantile k / (S + 1).

    So another draw of the same distribution, whatever it is, is below a quantile as often as its level says; NumPy's
    own definition (k - 1) / (S - 1) makes an interval of 90 % one of 89.1 % with 200 draws. Source: Hyndman & Fan 1996,
    The American Statistician 50, 361-365, definition 6.

    Args:
        samples: (..., S).
        levels: from 0 to 1; beyond the outermost draws they give these draws.
    """
    return np.quantile(samples, levels, axis=-1, method="weibull")


def place_in_draws(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The place of the truth among draws, from 0 to 1 (PIT): uniform over their S + 1 gaps if it is one more draw.

    Among draws that equal it, it is in the middle; NaN for missing values.

    Args:
        samples: (..., S).
        truth: (...).
    """
    S = samples.shape[-1]
    below, up_to = (samples < truth[..., None]).sum(-1), (samples <= truth[..., None]).sum(-1)
    return np.where(np.isnan(truth), np.nan, (0.5 * (below + up_to) + 0.5) / (S + 1.0))


def edges(percent: int) -> tuple[float, float]:
    """The levels of the ends of a central interval: 90 gives 0.05 and 0.95."""
    beside = 0.5 - percent / 200.0
    return beside, 1.0 - beside


def smape(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The symmetric absolute percentage error |f - y| / ((|f| + |y|) / 2), from 0 to 2; 0 where both are 0 (M4 competition)."""
    size = 0.5 * (np.abs(forecast) + np.abs(truth))
    return np.where(
        size > 0, np.abs(forecast - truth) / np.where(size > 0, size, 1.0), np.where(np.isnan(truth), np.nan, 0.0)
    )


def seasonal_scale(values: np.ndarray, season: int) -> float:
    """The mean of |x_t - x_{t-m}| over training, by which MASE divides (Hyndman & Koehler 2006, equation 6).

    If that is 0 or unknown, the mean of |x_t - x_{t-1}|; if that is too, NaN.
    """
    for lag in (season, 1):
        apart = np.abs(values[lag:] - values[:-lag])
        apart = apart[~np.isnan(apart)]
        if len(apart) and apart.mean() > 0:
            return float(apart.mean())
    return float("nan")
