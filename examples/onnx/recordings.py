"""What a network reads of a recording, as its training scaled it."""

import numpy as np


def steps_of(how, values, times=None):
    """Values and their changes, each at a scale of its own; what is missing; uneven times: (steps read, numbers of each) float32.

    `values` are (steps, channels), NaN where one is missing; `times` (steps,), which matter where training had uneven ones.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != len(how["channels"]):
        raise SystemExit(
            f"expected (steps, {len(how['channels'])}) numbers: {', '.join(how['channels'])}; got {values.shape}"
        )
    scaled = (values - np.array(how["means"])) / np.array(how["deviations"])
    missing = np.isnan(scaled)
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(scaled))[:, None]), axis=0)
    filled = np.where(last < 0, 0.0, np.take_along_axis(scaled, last.clip(0), axis=0))
    told = [filled, np.diff(filled, axis=0, prepend=filled[:1]) / np.array(how["changes"]), ~missing[:, how["gaps"]]]
    if how["step"] is not None:
        between = np.full(len(values), how["step"])
        if times is not None:
            between[1:] = np.diff(times)
        told.append(np.log(np.maximum(between, 1e-12) / how["step"]).clip(-5.0, 5.0)[:, None])
    every = np.concatenate(told, axis=1).astype(np.float32)
    short = -len(every) % how["stack"]
    return np.pad(every, ((0, short), (0, 0))).reshape(-1, how["stack"] * every.shape[1])
