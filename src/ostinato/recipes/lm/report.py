"""What a person sees when a run of a language model is done, or evaluated."""

from __future__ import annotations

import re
import shlex
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostinato.recipes.lm.figures import Figures
from ostinato.recipes.lm.result import LanguageModelResult
from ostinato.recipes.trained import Scores
from ostinato.training.loop.console import say_labelled, standard_output

NETWORK = "network (this run)"
USEFUL = (
    1e5  # a perplexity above it, as of words in a model of characters that has learnt little, tells nobody anything
)


def resume_command(result: LanguageModelResult) -> str:
    """The command that goes on with a run."""
    return shlex.join(["ostinato", "train", "lm", "--run", str(result.run), "--resume"])


def show(result: LanguageModelResult, console: Console | None = None) -> None:
    """Prints the comparison, a sample and what can be done next."""
    console = console or standard_output()
    if result.network is None:
        return
    console.print(f"\n[bold]The model writes[/bold]\n{escape(_printable(result.sample))}\n")
    parts = {"validation": (result.network, result.baselines)}
    if result.test is not None:
        parts["test"] = (result.test, result.test_baselines)
    for part, (network, simpler) in parts.items():
        _show_part(part, {NETWORK: network, **simpler}, console)
    run = shlex.quote(str(result.run))
    say_labelled(console, "ended            ", result.outcome.told())
    console.print(f"run folder       {run}", soft_wrap=True, markup=False)
    console.print(f"let it write     ostinato generate {run}{_prompt(result.sample)}", soft_wrap=True, markup=False)
    console.print(f"score a text     ostinato evaluate {run} --data FILE", soft_wrap=True, markup=False)
    console.print(f"look inside      ostinato inspect {run}", soft_wrap=True, markup=False)
    console.print(f"train on         {resume_command(result)} --training.max_time_s 600", soft_wrap=True, markup=False)


def _prompt(sample: str) -> str:
    """A prompt for the command line: the sample's first word, whose letters the model knows because it wrote them."""
    found = re.search(r"\w{2,12}", sample)
    return "" if found is None else f" --prompt {shlex.quote(found[0])}"


def show_scores(task: Any, run: str, scores: Scores, console: Console | None = None) -> None:
    """Prints how well a run predicts a text, a unit a line."""
    console = console or standard_output()
    found = scores.figures
    console.print(f"{run} on {scores.data}", soft_wrap=True, markup=False)
    lines = [
        f"{scores.count:,} tokens",
        f"{found['nats_per_character']:.4f} nats/char",
        f"{found['bits_per_character']:.4f} bits/char",
        f"{found['perplexity_per_token']:,.5g} perplexity/token",
    ]
    if found["perplexity_per_word"] < USEFUL:
        lines.append(f"{found['perplexity_per_word']:,.5g} perplexity/word")
    for line in lines:
        console.print(line)


def _show_part(part: str, lines: dict[str, Figures], console: Console) -> None:
    """Prints how good each model is on a part of the data, and which is best."""
    table = Table(title=f"{part} text", title_justify="left")
    table.add_column("model")
    columns = ["bits/char", "perplexity/token", "perplexity/word"]
    if max(line.perplexity_per_word for line in lines.values()) >= USEFUL:
        del columns[2]
    for column in columns:
        table.add_column(column, justify="right")
    best = min(lines, key=lambda name: lines[name].bits_per_character)
    for name, line in lines.items():
        table.add_row(name, *_cells(line)[: len(columns)], style="bold green" if name == best else None)
    console.print(table)
    if len(lines) > 1:
        console.print(f"best on the {part} text: {best}")
    if best != NETWORK:
        behind = lines[NETWORK].bits_per_character - lines[best].bits_per_character
        console.print(
            f"the network is worse there, by {behind:.3f} bits/char: train longer, or see what `ostinato inspect` finds"
        )
    console.print()


def _cells(line: Figures) -> tuple[str, str, str]:
    return f"{line.bits_per_character:.3f}", f"{line.perplexity_per_token:,.4g}", f"{line.perplexity_per_word:,.4g}"


def _printable(text: str) -> str:
    """Replaces control characters, which would act on a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
