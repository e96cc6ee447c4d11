"""Sessions of a transcriber of one direction: they read steps or columns of a picture, and answer the text so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ostinato.data.recordings.online import OnlineFrames
from ostinato.models.transcribing.transcript_stream import TranscriptStream
from ostinato.serving.errors import BadRequestError
from ostinato.serving.kinds.kind import FIRST_ROWS, Kind
from ostinato.serving.kinds.steps import Measured, RecordedSteps
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job

_KEPT = 256  # how many of the last units of the text a session holds, in 3 KB


class Wanted(NamedTuple):
    """The requested answer.

    Attributes:
        end: whether the text is wanted as if the recording ended here.
    """

    end: bool


class TranscribeKind(Kind):
    """See `Kind`. A frame is read when all of its steps have arrived; written text is never changed."""

    task = "transcribe"
    reads: ClassVar[tuple[str, ...]] = ("values",)
    peeks: ClassVar[bool] = True

    def __init__(self, trained: Any) -> None:
        super().__init__(trained)
        self.recorded = RecordedSteps(self.known.scaling)
        self.frames = OnlineFrames(self.known.scaling, self.known.stack, self.known.stride)

    def bank(self) -> Bank:
        """Make rows of a `TranscriptStream`."""
        told = json.dumps(self.known.to_dict(), sort_keys=True).encode()
        beside = {
            **self.frames.fresh(FIRST_ROWS),
            "units": np.zeros((FIRST_ROWS, _KEPT), dtype=np.int32),  # the last units, after zeros
            "steps": np.zeros((FIRST_ROWS, _KEPT), dtype=np.int64),  # the steps read when each unit was written
            "written": np.zeros(FIRST_ROWS, dtype=np.int64),
        }
        stream = TranscriptStream(self.model, rows=FIRST_ROWS)
        return Bank(stream, beside, hashlib.blake2b(told, digest_size=16).hexdigest())

    def read(self, body: Mapping[str, Any], most: int) -> list[Measured]:
        """Read values and times."""
        return self.recorded.read(body, most)

    def asked(self, body: Mapping[str, Any]) -> Wanted:
        """Read whether the text is wanted as if the recording ended here."""
        end = body.get("end")
        if end is not None and not isinstance(end, bool):
            raise BadRequestError("end: expected true or false", param="end")
        return Wanted(bool(end))

    def numbers(self, asked: Wanted) -> int:
        """Return the count for the text."""
        return _KEPT // 4

    def step(self, bank: Bank, inputs: list[Measured], rows: np.ndarray) -> torch.Tensor:
        """Take a step; return the largest log p at each completed frame, (n,), or 0 for a row without one."""
        state, said = bank.beside, torch.zeros(len(rows))
        made = [
            self.frames.go_on(state, row, each.values, each.time)
            for row, each in zip(rows.tolist(), inputs, strict=True)
        ]
        whole = np.array([at for at, frame in enumerate(made) if frame is not None], dtype=np.int64)
        if not len(whole):
            return said
        its = rows[whole]
        frames = np.stack([frame for frame in made if frame is not None])
        said[torch.from_numpy(whole)] = bank.stream(torch.from_numpy(frames), its).amax(-1).float()
        for row, unit in zip(its.tolist(), bank.stream.written(its).tolist(), strict=True):
            if unit:
                for name, value in (("units", unit), ("steps", state["count"][row])):
                    kept = state[name][row]
                    kept[:-1] = kept[1:]
                    kept[-1] = value
                state["written"][row] += 1
        return said

    def say(self, bank: Bank, said: torch.Tensor | None, rows: np.ndarray, jobs: Sequence[Job]) -> list[Any]:
        """Return the end of the text, and what the steps of this request have added to it."""
        found: list[Any] = []
        for row, job in zip(rows.tolist(), jobs, strict=True):
            state, since = bank.beside, 1 if job.every else job.at
            units = state["units"][row].tolist()
            added = [
                u for u, at in zip(units, state["steps"][row], strict=True) if u and at > state["count"][row] - since
            ]
            rest = self._rest(bank, row) if job.asked.end and job.at >= len(job.inputs) else []
            units = [unit for unit in units if unit] + rest
            found.append(
                {
                    "text": self.known.said(units[-_KEPT:]),
                    "added": self.known.said([*added, *rest]),
                    "units": int(state["written"][row]) + len(rest),
                }
            )
        return found

    def _rest(self, bank: Bank, row: int) -> list[int]:
        """Return the units that the incomplete frames would write; the state of the session does not change."""
        rows = np.array([row])
        kept, found = bank.pack(rows), []
        for frame in self.frames.rest(bank.beside, row):
            bank.stream(torch.from_numpy(frame[None]), rows)
            if unit := int(bank.stream.written(rows)[0]):
                found.append(unit)
        bank.unpack(rows, kept)
        return found

    def told(self, said: Any, job: Job) -> dict[str, Any]:
        """Return the answer of `say` unchanged."""
        return said
