"""The files that a run of an experiment writes: a picture, a table and a page of text."""

from __future__ import annotations

import shlex
from pathlib import Path

from ostinato.errors import OstinatoError
from ostinato.insight import plots
from ostinato.lab.experiment import Experiment, ExperimentResult


def command(experiment: Experiment, folder: Path, seed: int, quick: bool) -> str:
    """The command that repeats a run."""
    words = ["ostinato", "lab", "run", experiment.name, "--output", str(folder), "--seed", str(seed)]
    return shlex.join([*words, "--quick"] if quick else words)


def make_folder(folder: Path) -> None:
    """Makes the folder before an experiment runs: a folder that cannot be made is an error at once, not after minutes.

    Raises:
        OstinatoError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OstinatoError(f"the folder {folder} cannot be made: {error.strerror}; choose another --output") from error


def write(experiment: Experiment, result: ExperimentResult, folder: Path, seed: int, quick: bool) -> list[Path]:
    """Writes NAME.png, NAME.svg, NAME.csv and NAME.md into `folder`, which is made where it does not exist.

    Returns:
        The paths, in that order.

    Raises:
        OstinatoError: the files cannot be written.
    """
    stem = folder / experiment.name
    table, page = folder / f"{experiment.name}.csv", folder / f"{experiment.name}.md"
    paths = [*plots.save(result.figure, stem), table, page]
    try:
        table.write_text(result.table.csv(), encoding="utf-8")
        page.write_text(_page(experiment, result, command(experiment, folder, seed, quick)), encoding="utf-8")
    except OSError as error:
        raise OstinatoError(
            f"the table cannot be written to {folder}: {error.strerror}; choose another folder"
        ) from error
    return paths


def outcome(result: ExperimentResult, quick: bool) -> str:
    """One line that says whether the claim was reproduced."""
    if result.reproduced:
        return "The claim is reproduced."
    return "The claim is not reproduced" + (", at the sizes of a quick run." if quick else ".")


def _page(experiment: Experiment, result: ExperimentResult, repeat: str) -> str:
    return "\n".join(
        [
            f"# {experiment.name}",
            "",
            f"Claim: {experiment.claim}",
            "",
            f"Source: {experiment.source}",
            "",
            f"![{experiment.claim}]({experiment.name}.png)",
            "",
            " ".join(result.sentences),
            "",
            outcome(result, repeat.endswith("--quick")),
            "",
            f"All numbers: [{experiment.name}.csv]({experiment.name}.csv). Again: `{repeat}`",
            "",
        ]
    )
