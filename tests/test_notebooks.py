"""The notebooks of `examples/` run from top to bottom, and show what they say; they are committed without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
# In a process of its own: what a kernel's client warns of is not ours.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def shown(cell: dict[str, Any], kind: str) -> str:
    return "".join("".join(output.get("data", {}).get(kind, "")) for output in cell["outputs"])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code"
    )


def test_train_predict_look_shows_itself(tmp_path: Path) -> None:
    (notebook,) = NOTEBOOKS
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(notebook), str(tmp_path / "out.ipynb")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in json.loads((tmp_path / "out.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    run, answer, answers, labels, scores, flow, explained, diagnosis = cells
    assert "Trained: classify" in shown(run, "text/plain")
    assert "accuracy" in shown(run, "text/html")
    assert shown(answer, "text/html").count("%</td>") == 8  # a bar for each of the likeliest
    assert shown(answers, "text/html").count("<tr>") == 7
    said, true = eval(shown(labels, "text/plain"))
    assert sum(one == str(other) for one, other in zip(said, true, strict=True)) >= 4
    assert "majority" in shown(scores, "text/html") or "macro f1" in shown(scores, "text/html")
    assert "<svg" in shown(flow, "text/html")
    assert "compiled" in shown(explained, "text/html")
    assert "checks" in shown(diagnosis, "text/html")
    assert shown(diagnosis, "text/plain").startswith(("nothing found", "fault", "warning"))
    assert not any(output["output_type"] in ("error", "stream") for cell in cells for output in cell["outputs"])
    assert all("ostinato" in shown(cell, "text/html") for cell in cells if cell is not labels)
