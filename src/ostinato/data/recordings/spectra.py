"""Sound as spectra: a frame of log-mel energies or of mel cepstra every few milliseconds.

A frame is a window of samples, weighted by a Hann window. Its power spectrum is summed in bands as wide as those of the
ear, and the sums are converted to decibels; a cosine transform of these gives cepstra. The definitions are those of
librosa 0.11 (`feature.melspectrogram` with its defaults, `power_to_db` with `top_db=None`, `feature.mfcc`).

They are implemented here in NumPy, because librosa needs numba, which pins the LLVM that our own compiler uses, and the
wheels of torchaudio need the CUDA build of torch.
"""

from __future__ import annotations

import numpy as np

from ostinato.errors import ConfigError

_LEAST_POWER = 1e-10
_LINEAR_HZ, _LINEAR_MELS = 1000.0, 15.0  # below, all mels have the same width, 200 / 3 Hz
_LOG_STEP = np.log(6.4) / 27.0
_FRAMES_AT_ONCE = 4096


def frame_sizes(rate: float, window_ms: float, hop_ms: float) -> tuple[int, int]:
    """Return the samples of a window, and the samples from one window to the next.

    Raises:
        ConfigError: at this sampling rate one of them is less than a sample.
    """
    sizes = round(rate * window_ms / 1000), round(rate * hop_ms / 1000)
    for name, size, given in zip(("window_ms", "hop_ms"), sizes, (window_ms, hop_ms), strict=True):
        if size < 1:
            raise ConfigError(
                f"recording.{name}: expected a sample at least, at {rate:g} Hz {1000 / rate:g}, got {given:g}"
            )
    return sizes


def mels(hertz: np.ndarray) -> np.ndarray:
    """Convert hertz to Slaney's mel scale: linear to 1000 Hz, logarithmic above (Auditory Toolbox, 1998)."""
    above = _LINEAR_MELS + np.log(np.maximum(hertz, 1e-9) / _LINEAR_HZ) / _LOG_STEP
    return np.where(hertz < _LINEAR_HZ, hertz * _LINEAR_MELS / _LINEAR_HZ, above)


def hertz(mels: np.ndarray) -> np.ndarray:
    """Convert Slaney's mel scale to hertz; the inverse of `mels`."""
    above = _LINEAR_HZ * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    return np.where(mels < _LINEAR_MELS, mels * _LINEAR_HZ / _LINEAR_MELS, above)


def mel_filters(rate: float, size: int, bands: int) -> np.ndarray:
    """Make triangular filters for the power spectrum, each with area 1 in hertz, (bands, size // 2 + 1) float64.

    Args:
        rate: samples a second.
        size: samples of the Fourier transform.
        bands: the number of bands from 0 Hz to half the rate.

    Raises:
        ConfigError: a band contains no frequency of the spectrum.
    """
    frequencies = np.arange(size // 2 + 1) * rate / size
    corners = hertz(np.linspace(0.0, float(mels(np.array(rate / 2))), bands + 2))
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    found = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    empty = int((found.sum(1) == 0).sum())
    if empty:
        raise ConfigError(
            f"recording.bands: {empty} of {bands} bands are narrower than a spectrum of {size} samples at {rate:g} Hz tells apart; "
            "expected fewer bands, or a longer recording.window_ms"
        )
    return found


def log_mel(samples: np.ndarray, rate: float, *, window_ms: float, hop_ms: float, bands: int) -> np.ndarray:
    """Compute log-mel energies in decibels, (1 + N // hop, bands) float32; the centre of frame k is sample k hop.

    Args:
        samples: (N,), N at least 1; zeros are assumed before the first and after the last.
        rate: samples a second.
        window_ms: the length of a frame.
        hop_ms: the time from one frame to the next.
        bands: bands of the mel scale.

    Raises:
        ConfigError: window, hop or bands do not fit the rate.
    """
    window, hop = frame_sizes(rate, window_ms, hop_ms)
    size = 1 << (window - 1).bit_length()
    filters = mel_filters(rate, size, bands).T
    weights = np.zeros(size)
    begin = (size - window) // 2
    weights[begin : begin + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    padded = np.pad(samples.astype(np.float64), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(samples) + 1 : hop]
    found = np.empty((len(frames), bands), dtype=np.float32)
    for at in range(0, len(frames), _FRAMES_AT_ONCE):
        spectra = np.fft.rfft(frames[at : at + _FRAMES_AT_ONCE] * weights)
        power = (spectra.real**2 + spectra.imag**2) @ filters
        found[at : at + _FRAMES_AT_ONCE] = 10.0 * np.log10(np.maximum(power, _LEAST_POWER))
    return found


def cepstra(decibels: np.ndarray, number: int) -> np.ndarray:
    """Compute MFCC, the first coefficients of the orthonormal cosine transform (type II) of log-mel energies.

    Args:
        decibels: (T, bands).
        number: the number of coefficients, at most as many as bands.

    Returns:
        (T, number) float32.

    Raises:
        ConfigError: `number` is larger than the number of bands.
    """
    bands = decibels.shape[1]
    if number > bands:
        raise ConfigError(f"recording.coefficients: expected at most {bands}, as many as bands, got {number}")
    angles = np.outer(np.arange(0.5, bands), np.arange(number)) * (np.pi / bands)
    basis = np.cos(angles) * np.sqrt(2.0 / bands)
    basis[:, 0] *= np.sqrt(0.5)
    return (decibels.astype(np.float64) @ basis).astype(np.float32)
