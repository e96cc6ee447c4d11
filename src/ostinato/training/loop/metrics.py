"""Write the measurements of a run to disk: a line of JSON and a point for TensorBoard."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from ostinato.data.sources.plain_file import open_plain
from ostinato.extras import needed
from ostinato.training.run.files import write_bytes
from ostinato.training.run.run_folder import RunFolder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Metrics:
    """Append to `metrics.jsonl` and to TensorBoard.

    Args:
        run: the folder of the run.
        step: the step that the run continues from.
        lines: how many lines there were at that step; later lines, from a session that was killed, are removed.
    """

    def __init__(self, run: RunFolder, step: int = 0, lines: int = 0):
        # Imported late: TensorBoard is slow to load, and only training needs it.
        with needed():
            from torch.utils.tensorboard import SummaryWriter

        if run.metrics_file.exists():
            with open_plain(run.metrics_file) as file:
                kept = [line for line in islice(file, lines) if line.endswith(b"\n")]
            write_bytes(run.metrics_file, b"".join(kept))
        self._file = run.metrics_file.open("a", encoding="utf-8")
        self._board: SummaryWriter = SummaryWriter(str(run.path / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float | str]) -> None:
        """Write one line: the step, then `values`; infinite values and NaN are left out, as JSON cannot express them.

        Raises:
            OSError: it cannot be written.
        """
        known = {name: value for name, value in values.items() if isinstance(value, str) or math.isfinite(value)}
        self._file.write(json.dumps({"step": step, **known}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, str):
                self._board.add_text(name, value, step)
            else:
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close both files. Errors are ignored: they were reported before, or concern lines that no checkpoint counts."""
        for each in (self._file, self._board):
            with contextlib.suppress(OSError):
                each.close()
