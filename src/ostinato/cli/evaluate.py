"""`ostinato evaluate RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.recipes.adaptation import CacheSettings, DynamicSettings


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
    parser.add_argument(
        "--cache", type=int | None, default=None, help="steps of a continuous cache (Grave et al. 2017)"
    )
    parser.add_argument("--theta", type=float | None, default=None, help="how much likeness counts in the cache; 1")
    parser.add_argument("--share", type=float | None, default=None, help="share of the cache in the probability; 0.1")
    parser.add_argument(
        "--dynamic",
        type=Literal["sgd", "rms"] | None,
        default=None,
        help="let the model learn from what it has read (Krause et al. 2018), by this rule",
    )
    parser.add_argument("--learning_rate", type=float | None, default=None, help="of it; 5e-5 for rms, 0.1 for sgd")
    parser.add_argument(
        "--decay", type=float | None, default=None, help="how fast it goes back to the run's weights; 0.002"
    )
    parser.add_argument("--segment", type=int | None, default=None, help="tokens from step to step of learning; 5")
    given = parser.read(words)
    adaptation = _adaptation(given)

    from ostinato.recipes.figures import evaluate_run
    from ostinato.recipes.runs import latest_run

    run = given.run or latest_run()
    name, figures = evaluate_run(
        run, given.data, max_tokens=given.max_tokens, device=given.device, adaptation=adaptation
    )
    print(f"{run} on {name}")
    print(f"{figures.tokens:,} tokens")
    print(f"{figures.nats_per_character:.4f} nats/char")
    print(f"{figures.bits_per_character:.4f} bits/char")
    print(f"{figures.perplexity_per_token:,.5g} perplexity/token")
    print(f"{figures.perplexity_per_word:,.5g} perplexity/word")
    return 0


def _adaptation(given: Any) -> CacheSettings | DynamicSettings | None:
    """What the flags say; those of the one beside the other are a mistake."""
    flags = {"cache": ("theta", "share"), "dynamic": ("learning_rate", "decay", "segment")}
    for name, details in flags.items():
        if stray := [flag for flag in details if given[name] is None and given[flag] is not None]:
            raise ConfigError(f"--{stray[0]} belongs to --{name}; give both, or leave it out")
    if given.cache is not None and given.dynamic is not None:
        raise ConfigError("--cache and --dynamic: expected one of them; evaluate twice to compare")

    from ostinato.recipes.adaptation import CacheSettings, DynamicSettings

    if given.cache is not None:
        return CacheSettings(given.cache, **_set(theta=given.theta, share=given.share))
    if given.dynamic is not None:
        values = _set(learning_rate=given.learning_rate, decay=given.decay, segment=given.segment)
        return DynamicSettings(given.dynamic, **values)
    return None


def _set(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
