"""`python -m benchmarks.forecast_peer ETTh1.csv --values OT --python PEER/bin/python`: DeepAR of neuralforecast beside ours.

Both learn from the first 70 % of the table, may look at the next 10 %, and forecast from the same origins of the last 20 %, each
trained for as many seconds. Both are judged by quantiles of the levels 0.05, 0.10, ..., 0.95: the mean over the levels of twice the
pinball loss, which approaches the CRPS.

neuralforecast needs packages that this project does not; give the Python of an environment that has it (`pip install
neuralforecast`), whose part is `benchmarks/forecast_peer_deepar.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ostinato.recipes import load, train
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.judge import LEVELS, ForecastJudge
from ostinato.recipes.forecast.metrics import quantile_loss
from ostinato.recipes.forecast.settings import ForecastReadingSettings, ForecastSettings, UpdateSettings

PEER = Path(__file__).parent / "forecast_peer_deepar.py"


def ours(data: str, values: str, horizon: int, stride: int, seconds: float, seed: int, folder: Path) -> Any:
    """Our judge of the test, and the part."""
    settings = ForecastSettings(
        data=data,
        run=str(folder / f"ours-{Path(data).stem}-{values}-{seed}"),
        seed=seed,
        quiet=True,
        reading=ForecastReadingSettings(values=[values], horizon=horizon, stride=stride),
        training=UpdateSettings(
            batch_size=64,
            learning_rate=3e-3,
            evaluate_first=True,
            evaluate_every=50,
            averaging="ema",
            ema_decay=0.98,
            max_time_s=seconds,
        ),
    )
    result = train(settings)
    trained = load(result.run.path)
    part = trained.task.read(trained.settings).test
    _, judge = trained.evaluate(part, name="test")
    assert isinstance(judge, ForecastJudge)
    return judge, part


def peers(
    part: ForecastPart, seconds: float, seed: int, model: str, python: str, folder: Path
) -> dict[str, np.ndarray]:
    """Quantiles (N, horizon, L) of the peer, for the same origins."""
    (track,) = part.tracks
    given, found = folder / "given.npz", folder / "found.npz"
    np.savez(
        given,
        values=track.filled,
        times=track.times.astype("datetime64[us]").astype(np.int64),
        origin=part.origin,
        fitted=part.fitted[0],
    )
    asked = {
        "horizon": part.horizon,
        "context": part.context,
        "levels": LEVELS.tolist(),
        "seconds": seconds,
        "seed": seed,
        "model": model,
    }
    subprocess.run([python, str(PEER), str(given), str(found), json.dumps(asked)], check=True)
    return dict(np.load(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="tables, such as ETTh1.csv ETTh2.csv")
    parser.add_argument("--values", nargs="+", default=["OT"], help="columns, each a series of its own")
    parser.add_argument("--python", required=True, help="of an environment with neuralforecast")
    parser.add_argument("--models", nargs="+", default=["DeepAR"], choices=("DeepAR", "LSTM"))
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, each")
    parser.add_argument("--horizon", type=int, default=24)
    parser.add_argument("--stride", type=int, default=24, help="steps from origin to origin")
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    table = Table(
        "data", "", "seed", "MAE", "CRPS", "in 90 %", "seconds", title=f"{asked.horizon} steps, {asked.seconds:g} s"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for data in asked.data:
            for values in asked.values:
                for seed in range(asked.seeds):
                    began = time.perf_counter()
                    judge, part = ours(data, values, asked.horizon, asked.stride, asked.seconds, seed, folder)
                    title = f"{Path(data).stem} {values}"
                    figures = judge.figures()
                    row = [figures["mae"], figures["quantile_loss"], figures["coverage_90"]]
                    cells = [*(f"{v:.4f}" for v in row[:2]), f"{row[2]:.1%}", f"{time.perf_counter() - began:.0f}"]
                    table.add_row(title, "ostinato", str(seed), *cells)
                    there = ~np.isnan(judge.truth)
                    for model in asked.models:
                        began = time.perf_counter()
                        quantiles = peers(part, asked.seconds, seed, model, asked.python, folder)["quantiles"]
                        loss = quantile_loss(quantiles, LEVELS, judge.truth)[there].mean()
                        apart = np.abs(judge.truth - quantiles[..., len(LEVELS) // 2])[there].mean()
                        inside = (quantiles[..., 0] <= judge.truth) & (judge.truth <= quantiles[..., -1])
                        cells = [f"{apart:.4f}", f"{loss:.4f}", f"{inside[there].mean():.1%}"]
                        table.add_row("", model, str(seed), *cells, f"{time.perf_counter() - began:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
