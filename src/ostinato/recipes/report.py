"""What a person sees when a run is done."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostinato.recipes.figures import Figures
from ostinato.recipes.language_model import Result
from ostinato.training.console import standard_output


def resume_command(result: Result) -> str:
    """The command that goes on with a run."""
    return shlex.join(["ostinato", "train", "lm", "--run", str(result.run), "--resume"])


def show(result: Result, console: Console | None = None) -> None:
    """Prints the comparison, a sample and what can be done next."""
    console = console or standard_output()
    if result.network is None:
        return
    table = Table(title="validation text", title_justify="left")
    table.add_column("model")
    for column in ("bits/char", "nats/char", "perplexity/word"):
        table.add_column(column, justify="right")
    lines = {"network (this run)": result.network, **result.baselines}
    lowest = min(line.bits_per_character for line in lines.values())
    for name, line in lines.items():
        table.add_row(name, *_cells(line), style="bold green" if line.bits_per_character == lowest else None)
    console.print(f"\n[bold]The model writes[/bold]\n{escape(_printable(result.sample))}\n")
    console.print(table)
    run = shlex.quote(str(result.run))
    console.print(f"best of all: the {min(lines, key=lambda name: lines[name].bits_per_character)}\n")
    console.print(f"run folder       {run}")
    console.print(f"let it write     ostinato generate {run} --prompt 'def '", soft_wrap=True)
    console.print(f"score a text     ostinato evaluate {run} --data FILE", soft_wrap=True)
    console.print(f"train on         {resume_command(result)} --training.max_time_s 600", soft_wrap=True)


def _cells(line: Figures) -> tuple[str, str, str]:
    return f"{line.bits_per_character:.3f}", f"{line.nats_per_character:.3f}", f"{line.perplexity_per_word:,.4g}"


def _printable(text: str) -> str:
    """Without the control characters that would act on a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
