"""The peer's part of `benchmarks.forecast_peer`, run by a Python that has neuralforecast: GIVEN.npz FOUND.npz ASKED.

It imports nothing of this project. Forecasts of all origins are those of one fit on what lies before the test.
"""

import json
import logging
import sys
import warnings

import numpy as np
import pandas as pd


def main(given: str, found: str, asked: dict) -> None:
    from neuralforecast import NeuralForecast  # pyright: ignore[reportMissingImports]
    from neuralforecast.losses.pytorch import DistributionLoss, MQLoss  # pyright: ignore[reportMissingImports]
    from neuralforecast.models import LSTM, DeepAR  # pyright: ignore[reportMissingImports]

    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    content = np.load(given)
    values, origin, horizon, levels = content["values"], content["origin"], asked["horizon"], asked["levels"]
    times = pd.to_datetime(content["times"], unit="us")
    common = {
        "h": horizon,
        "input_size": asked["context"],
        "max_steps": 1_000_000,
        "scaler_type": "standard",
        "random_seed": asked["seed"] + 1,
        "max_time": {"seconds": asked["seconds"]},
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "enable_checkpointing": False,
        "accelerator": "cpu",
    }
    if asked["model"] == "DeepAR":
        loss = DistributionLoss("StudentT", quantiles=levels, return_params=False)
        model = DeepAR(loss=loss, valid_loss=MQLoss(quantiles=levels), **common)
    else:
        model = LSTM(loss=MQLoss(quantiles=levels), valid_loss=MQLoss(quantiles=levels), **common)
    frame = pd.DataFrame({"unique_id": "a", "ds": times, "y": np.nan_to_num(values, nan=float(np.nanmean(values)))})
    # From the first origin to the end of the last forecast, and nothing behind it.
    frame = frame.iloc[: int(origin[-1]) + horizon]
    strides = np.unique(np.diff(origin))
    stride = int(strides[0]) if len(strides) else horizon
    test, validation = len(frame) - int(origin[0]), int(origin[0]) - int(content["fitted"])
    forecasts = NeuralForecast(models=[model], freq=pd.infer_freq(times[:50]) or "h").cross_validation(
        frame, n_windows=None, val_size=validation, test_size=test, step_size=stride
    )
    names = [name for name in forecasts.columns if name not in ("unique_id", "ds", "cutoff", "y")]
    quantiles = np.full((len(origin), horizon, len(levels)), np.nan)
    columns = [_column(names, asked["model"], level) for level in levels]
    for row, (_, window) in enumerate(forecasts.groupby("cutoff", sort=True)):
        assert window["ds"].iloc[0] == times[int(origin[row])], (window["ds"].iloc[0], times[int(origin[row])])
        quantiles[row] = np.sort(window[columns].to_numpy(), axis=1)
    np.savez(found, quantiles=quantiles)


def _column(names, model: str, level: float) -> str:
    """The column of a quantile, by whichever of its names this version writes."""
    percent = round(100 * abs(2 * level - 1), 6)
    side = "lo" if level < 0.5 else "hi"
    wanted = [
        f"{model}_ql{level:g}",
        f"{model}-q{level:g}",
        f"{model}-{side}-{percent:.1f}",
        f"{model}-{side}-{percent:g}",
    ]
    wanted += [f"{model}-median"] if level == 0.5 else []
    for name in wanted:
        if name in names:
            return name
    raise KeyError(f"no column of the quantile {level}: {names}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
