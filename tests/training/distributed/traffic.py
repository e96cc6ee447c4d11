"""What two processes of a run send each other in two steps, as torch's profiler sees it at the door of gloo."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostinato.data import Streams, Tokens
from ostinato.data.tokens.vocabulary import CharVocabulary
from ostinato.models import LanguageModel
from ostinato.training import Processes, Progress, TrainingSettings, fit, make_fabric
from ostinato.training.loop.evaluation import Evaluation

CASES = [("ddp", 1), ("ddp", 3), ("fsdp", 1), ("fsdp", 3)]
FROM, UPTO = 4, 6  # steps; the first ones of DDP find out in which order gradients come
_BYTES = {"float": 4, "double": 8}


def model() -> LanguageModel:
    """Of even widths, so that shares are of one size."""
    torch.manual_seed(0)
    return LanguageModel(CharVocabulary("".join(map(chr, range(33, 84)))), 16, 32)


def process(rank: int, port: int, folder: str) -> None:
    """Writes the messages of the first process: for each case of `CASES` the collective and the bytes of all that it was given."""
    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0}
    os.environ |= {name: str(value) for name, value in places.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    found = [_messages(strategy, accumulate, Path(folder) / str(at)) for at, (strategy, accumulate) in enumerate(CASES)]
    if rank == 0:
        (Path(folder) / "messages.json").write_text(json.dumps(found))


def _messages(strategy: str, accumulate: int, folder: Path) -> list[tuple[str, int]]:
    processes = Processes(make_fabric("cpu", "32-true", strategy=strategy))
    tokens = Tokens(np.arange(9000, dtype=np.uint8) % 50, np.zeros(1, np.int64), 9000, 1)
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True)

    def watch(step: int) -> dict[str, float]:
        if step == FROM:
            profile.start()
        elif step == UPTO:
            profile.stop()
        return {}

    fit(
        model(),
        Streams(tokens, 8, 10).share(processes.rank, processes.world),
        run=folder,
        settings=TrainingSettings(
            batch_size=8, chunk_length=10, max_steps=UPTO + 1, accumulate=accumulate, evaluate_every=100
        ),
        evaluator=lambda module, *, should_stop, total: Evaluation(1.0, 1),
        processes=processes,
        progress=Progress(quiet=True),
        on_step=watch,
    )
    # Events as Python's objects have no dtypes before torch 2.12; the trace has them.
    trace = folder / f"trace{processes.rank}.json"
    profile.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    sent = sorted((event for event in events if event["name"].startswith("gloo:")), key=lambda event: event["ts"])
    return [(event["name"], _size(event["args"])) for event in sent]


def _size(called: dict[str, Any]) -> int:
    """The bytes of the first argument."""
    return _BYTES[called["Input type"][0]] * int(np.prod(called["Input Dims"][0]))
