"""Reading long sequences in overlapping windows, so that the memory of a recurrence in two directions stays bounded."""

from __future__ import annotations

from collections.abc import Callable

import torch

_STEPS_AT_ONCE = 32_768


def in_windows(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    lengths: torch.Tensor | None,
    window: int,
) -> torch.Tensor:
    """What `function` gives for a sequence, in windows; each step is taken from the window that sees most around it.

    A window has `window` steps, of which the first and the last quarter are context, but at the ends of the row. Rows that fit into
    one window are given to `function` as a whole.

    Args:
        function: from (S, R, E) and lengths (R,) to (S, R, N), row by row.
        x: (T, B, E).
        lengths: (B,) int64 from 0 to T; None for all.
        window: steps of a window; at least 4.

    Returns:
        (T, B, N), 0 past a row's end.
    """
    T, B, _ = x.shape
    if lengths is None:
        lengths = torch.full((B,), T, device=x.device)
    context = window // 4
    core = window - 2 * context
    spans = [  # row, first step that is read, first and end of those that count, end of those that are read
        (row, max(0, begin - context), begin, min(begin + core, length), min(begin + core + context, length))
        if length > window
        else (row, 0, 0, length, length)
        for row, length in enumerate(lengths.tolist())
        for begin in range(0, length if length > window else 1, core)
    ]
    result: torch.Tensor | None = None
    at_once = max(1, _STEPS_AT_ONCE // window)
    for start in range(0, len(spans), at_once):
        group = spans[start : start + at_once]
        rows, first, _, _, last = (torch.tensor(each, device=x.device) for each in zip(*group, strict=True))
        steps = torch.arange(max(1, int((last - first).max())), device=x.device).unsqueeze(1)
        found = function(x[(first + steps).clamp_max(T - 1), rows], last - first)
        if result is None:
            result = found.new_zeros(T, B, found.shape[2])
        for column, (row, read, begin, end, _) in enumerate(group):
            result[begin:end, row] = found[begin - read : end - read, column]
    assert result is not None  # B is at least 1
    return result
