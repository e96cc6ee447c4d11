"""Small runs of this release and what they answer, kept for later releases to read: `python -m tests.releases.make`.

Run it once for a release, when its version is set; what it writes beside this file is committed and never made again.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

import ostinato
from ostinato.cli.main import main

HERE = Path(__file__).parent
KEPT = ("config.yaml", "knowledge.json", "model.safetensors", "vocabulary.json")
SMALL = ("--training.max_steps", "60", "--training.learning_rate", "0.02", "--model.hidden_size", "6")
RUNS: dict[str, tuple[str, ...]] = {
    "lm": ("lm", "--training.batch_size", "4", "--training.chunk_length", "16"),
    "classify_texts": ("classify",),
    "classify_recordings": ("classify",),
    "tag_words": ("tag", "--model.embedding_size", "6"),
    "tag_recordings": ("tag",),
    "translate": ("translate", "--reading.tokens", "word"),
    "caption": ("caption", "--model.features", "6"),
    "transcribe": ("transcribe",),
    "forecast": ("forecast", "--reading.horizon", "6", "--reading.context", "24", "--reading.known", "[price]"),
}


def data(name: str, folder: Path) -> Path:
    """Writes the data of a run, which are asked later too."""
    draw = random.Random(name)
    if name == "lm":
        return _write(folder / "data.txt", ["the cat sat on the mat. " * 200])
    if name == "classify_texts":
        rows = [
            (" ".join(draw.choices(["a", "film", "so", "fine", "dull"], k=5)), draw.choice(["yes", "no"]))
            for _ in range(80)
        ]
        return _write(folder / "data.csv", ["text,label", *(f"{text},{label}" for text, label in rows)])
    if name.endswith("recordings"):
        rows = [
            f"{i},{t},{draw.gauss(0, 1):.3f},{'' if t == 7 else round(101325 + draw.gauss(i % 2, 0.3), 2)},{'ab'[i % 2]}"
            for i in range(40)
            for t in range(16)
        ]
        return _write(folder / "data.csv", ["id,time,acc,pressure,label", *rows])
    if name == "transcribe":
        said = ["".join(draw.choices("ab", k=draw.randint(1, 4))) for _ in range(40)]
        lines = [
            {
                "id": str(at),
                "values": [[float(letter == "a"), draw.gauss(0, 0.1)] for letter in text for _ in range(6)],
                "text": text,
            }
            for at, text in enumerate(said)
        ]
        return _write(folder / "data.jsonl", [json.dumps(line) for line in lines])
    if name == "tag_words":
        return _write(folder / "data.conll", ["The\tDET\ncat\tNOUN\nsat\tVERB\n\nA\tDET\ndog\tNOUN\nran\tVERB\n"] * 20)
    if name == "translate":
        words = [draw.choices("abcd", k=draw.randint(2, 4)) for _ in range(80)]
        return _write(folder / "data.tsv", [" ".join(word) + "\t" + " ".join(reversed(word)) for word in words])
    if name == "caption":
        for number in range(30):
            Image.new("L", (8, 8), 80 * (number % 3)).save(folder / f"{number}.png")
        lines = [{"image": f"{i}.png", "caption": f"a {['black', 'grey', 'pale'][i % 3]} cloud"} for i in range(30)]
        return _write(folder / "data.jsonl", [json.dumps(line) for line in lines])
    rows = [f"{shop},{t},{1 + t % 3},{10 + 5 * (t % 7) + draw.gauss(0, 0.5):.3f}" for shop in "xy" for t in range(120)]
    rows += [f"{shop},{t},{1 + t % 3}," for shop in "xy" for t in range(120, 126)]  # prices of the steps that are asked
    return _write(folder / "data.csv", ["id,time,price,sold", *rows])


def answers(run: Path, file: Path) -> Any:
    """What a run says about its own data: the first answers, or of a language model the nats of a text."""
    trained = ostinato.load(run)
    if run.name == "lm":
        return trained.score("the cat sat on a hat").nats
    return json.loads(json.dumps(list(trained.predict(data=str(file)))[:3]))


def _write(file: Path, lines: list[str]) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _make() -> int:
    release = HERE / ostinato.__version__.replace(".", "_")
    with tempfile.TemporaryDirectory() as scratch:
        for name, (task, *flags) in RUNS.items():
            folder, run = release / name, Path(scratch) / name
            folder.mkdir(parents=True)
            file = data(name, folder)
            if main(["train", task, "--data", str(file), "--run", str(run), *SMALL, *flags]):
                return 1
            for kept in KEPT:
                if (run / kept).exists():
                    shutil.copy(run / kept, folder / kept)
            config = (folder / "config.yaml").read_text(encoding="utf-8")
            for place, told in ((folder, "."), (run, name)):  # where it was made is nobody's business
                config = config.replace(str(place), told)
            (folder / "config.yaml").write_text(config, encoding="utf-8")
            (folder / "answers.json").write_text(json.dumps(answers(folder, file), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_make())
