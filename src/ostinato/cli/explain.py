"""`ostinato explain RUN DATA`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.errors import ConfigError, OstinatoError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser

_LINES, _PAGES, _PICTURES = (".jsonl", ".ndjson"), (".html", ".htm"), (".png", ".svg")


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser(
        "ostinato explain",
        "Show why the model of a run answers as it does: which steps, channels and words made the answer.",
    )
    found.add_argument("run", type=str, help="folder of the run")
    found.add_argument("data", type=str, help="data as `ostinato predict` takes them; for a language model, a text")
    found.add_argument(
        "--row", type=int | None, default=None, help="the number of the example, from 0; without it, the first ones"
    )
    found.add_argument(
        "--limit",
        type=int | None,
        default=None,
        help="how many examples at most; 3 by default, 50 with --check, 10 with --like",
    )
    found.add_argument(
        "--method",
        type=str,
        default="gradients",
        help="how to find out: gradients (integrated gradients), occlusion, or gates (from step to step through the gates)",
    )
    found.add_argument(
        "--target",
        type=str | None,
        default=None,
        help="what to ask about: a class (classify), a step or step:TAG (tag), a token (lm, translate, caption), a step to come "
        "(forecast)",
    )
    found.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="the file to write: .json, .jsonl, .html, or a picture of one example, .png or .svg; without it, the terminal",
    )
    found.add_argument(
        "--check",
        type=bool,
        default=False,
        help="measure how far answers fall without what is named, and without as much taken away at random",
    )
    found.add_argument(
        "--like",
        type=str | None,
        default=None,
        help="find where else the network was in the states of a range of steps, FIRST:END",
    )
    found.add_argument(
        "--among", type=str | None, default=None, help="the corpus that --like looks in; without it, DATA"
    )
    found.add_argument(
        "--measure", type=str, default="cosine", help="how --like compares states: cosine, or threshold as LSTMVis does"
    )
    found.add_argument(
        "--threshold", type=float, default=0.3, help="how far from 0 a unit is on, for the measure threshold"
    )
    found.add_argument(
        "--options", type=dict[str, Any], default={}, help="how the model answers, as for `ostinato predict`"
    )
    found.add_argument("--device", type=str, default="auto", help="where to compute: auto, cpu, cuda, cuda:N or mps")
    return found


def main(words: Sequence[str]) -> int:
    """Prints the reasons for answers, or writes them to a file."""
    given = parser().read(words)
    suffix = "" if given.output is None else Path(given.output).suffix.lower()
    known = (".json", *_LINES, *_PAGES, *_PICTURES)
    if given.output is not None and suffix not in known:
        raise ConfigError(
            f"--output {given.output}: expected a name that ends in {', '.join(known)}, got {suffix or 'none'}"
        )
    if given.output is not None and not Path(given.output).parent.is_dir():  # reported before the work
        raise OstinatoError(f"{given.output}: there is no folder {Path(given.output).parent}; choose another --output")
    if given.like is None and given.among is not None:
        raise ConfigError("--among: expected --like FIRST:END beside it, the range to look for")

    from ostinato.recipes import open_run

    trained = open_run(given.run).to(given.device).answer_with(given.options)
    if given.like is not None:
        return _alike(trained, given, suffix)

    from ostinato.insight.reasons.deletion import deletion
    from ostinato.recipes.reasons.asking import answered

    limit = given.limit if given.limit is not None else 50 if given.check else 1 if suffix in _PICTURES else 3
    rows = None if given.row is None else [given.row]
    pairs = list(answered(trained, given.data, given.method, target=given.target, rows=rows, limit=limit))
    _tell(trained.notes)
    found, checked = [each for _, each in pairs], deletion(pairs) if given.check else None
    if given.output is not None:
        _keep(given, suffix, found, checked)
    else:
        _print(found[: 3 if given.check and given.limit is None else None], checked)
    if not given.check:
        from ostinato.cli.closing import tell_next

        tell_next({"are these the reasons?": ["ostinato", "explain", given.run, given.data, "--check"]})
    return 0


def _keep(given: Any, suffix: str, found: Sequence[Any], checked: Any) -> None:
    """Writes the reasons to the file that `--output` names."""
    if suffix in _PICTURES:
        from ostinato.insight.plots import png, svg
        from ostinato.insight.reasons.pictures import picture_of

        if len(found) > 1:
            raise ConfigError(
                f"--output {given.output}: expected one example for a picture, got {len(found)}; say --row"
            )
        drawn = picture_of(found[0])
        _write(given.output, png(drawn) if suffix == ".png" else svg(drawn).encode())
    elif suffix in _PAGES:
        from ostinato.insight.reasons.pages import page

        _write(given.output, page(found, checked, title=f"Why: {Path(given.run).resolve().name}").encode())
    elif suffix in _LINES:
        lines = [each.to_dict() for each in found] + ([{"check": checked.to_dict()}] if checked is not None else [])
        _write(given.output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    else:
        whole: dict[str, Any] = {"examples": [each.to_dict() for each in found]}
        whole |= {} if checked is None else {"check": checked.to_dict()}
        _write(given.output, (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode())


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"ostinato: {note}", file=sys.stderr)


def _print(found: Sequence[Any], checked: Any) -> None:
    from ostinato.insight.reasons.words import shown
    from ostinato.training.loop.console import standard_output

    console = standard_output()
    for at, each in enumerate(found):
        console.print(*([""] if at else []), shown(each), sep="\n", soft_wrap=each.joiner is None)
    if checked is not None:
        console.print("", str(checked), sep="\n", markup=False)


def _alike(trained: Any, given: Any, suffix: str) -> int:
    import dataclasses

    from rich.text import Text

    from ostinato.recipes.reasons.places import alike
    from ostinato.training.loop.console import standard_output

    first, colon, end = given.like.partition(":")
    if not (first.isdigit() and end.isdigit() and colon):
        raise ConfigError(f"--like {given.like}: expected two numbers, FIRST:END, such as 3:7")
    if suffix not in ("", ".json", *_LINES):
        raise ConfigError(f"--output {given.output}: expected .json or .jsonl for places")
    found = alike(
        trained,
        given.data,
        int(first),
        int(end),
        row=given.row or 0,
        among=given.among,
        count=given.limit or 10,
        measure=given.measure,
        threshold=given.threshold,
    )
    lines = [dataclasses.asdict(each) for each in found]
    if given.output is not None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        _write(
            given.output,
            (json.dumps(lines, ensure_ascii=False, indent=1) + "\n" if suffix == ".json" else text).encode(),
        )
        return 0
    console = standard_output()
    for each in found:
        line = Text(f"{each.score:.3f}  {each.example}:{each.start}-{each.end}  ").append(_flat(each.before), "dim")
        line.append("[").append(_flat(each.text), "bold")
        line.append("]").append(_flat(each.after), "dim")
        console.print(line, soft_wrap=True)
    return 0


def _flat(text: str) -> str:
    return "".join(c if c.isprintable() else "\\n" if c == "\n" else " " for c in text)


def _write(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise OstinatoError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
