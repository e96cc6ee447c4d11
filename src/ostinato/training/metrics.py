"""What a run measures, on disk: a line of JSON and a point for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ostinato.training.files import write_text
from ostinato.training.run_folder import RunFolder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Metrics:
    """Appends to `metrics.jsonl` and to TensorBoard.

    Args:
        run: the folder.
        step: the step that the run goes on from; later lines of a session that was killed are removed.
    """

    def __init__(self, run: RunFolder, step: int = 0):
        # Imported late: TensorBoard is slow to load, and only training needs it.
        from torch.utils.tensorboard import SummaryWriter

        if run.metrics_file.exists():
            lines = run.metrics_file.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(run.metrics_file, "".join(line for line in lines if _step(line) <= step))
        self._file = run.metrics_file.open("a", encoding="utf-8")
        self._board: SummaryWriter = SummaryWriter(str(run.path / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float | str]) -> None:
        """Writes one line: the step, then `values`."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, str):
                self._board.add_text(name, value, step)
            else:
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Closes both."""
        self._file.close()
        self._board.close()


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")  # the torn last line of a killed process
