"""`ostinato evaluate RUN`."""

from __future__ import annotations

from collections.abc import Sequence


def main(words: Sequence[str]) -> int:
    """Prints how well the model of a run predicts a text."""
    from ostinato.cli.parser import Parser

    parser = Parser("ostinato evaluate", "Score a text with the language model of a run.")
    parser.add_argument("run", nargs="?", type=str | None, default=None, help="folder of the run; the latest in runs/")
    parser.add_argument(
        "--data", type=str | None, default=None, help="file, folder, glob or URL; the run's validation text"
    )
    parser.add_argument("--max_tokens", type=int | None, default=None, help="read about so many tokens, spread evenly")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:N or mps")
    given = parser.read(words)

    from ostinato.recipes.figures import evaluate_run
    from ostinato.recipes.runs import latest_run

    run = given.run or latest_run()
    name, figures = evaluate_run(run, given.data, max_tokens=given.max_tokens, device=given.device)
    print(f"{run} on {name}")
    print(f"{figures.tokens:,} tokens")
    print(f"{figures.nats_per_character:.4f} nats/char")
    print(f"{figures.bits_per_character:.4f} bits/char")
    print(f"{figures.perplexity_per_word:,.5g} perplexity/word")
    return 0
