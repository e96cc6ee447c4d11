"""The thread that steps the sessions of a model, all that are ready together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ostinato.errors import OstinatoError
from ostinato.serving.errors import FailedError, ServingError, UnavailableError
from ostinato.serving.generating import Piece
from ostinato.serving.kinds.kind import Kind
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Copy, Job
from ostinato.serving.stepping.sampling import draw

_LOG = logging.getLogger("ostinato.serving")
_MOVED = 256  # rows that are moved at once
_COPY_STEPS, _COPY_SECONDS = 32, 0.1  # a text whose pieces wait for the store is copied after so many steps or seconds
_FAILED = "the service failed; the session is at the step before, try again"


class _Call:
    __slots__ = ("done", "work")

    def __init__(self, work: Callable[[Bank], Any], done: Callable[[tuple[Any, BaseException | None]], None]) -> None:
        self.work, self.done = work, done


class _Fresh:
    __slots__ = ("row", "state")

    def __init__(self, row: int, state: bytes | None) -> None:
        self.row, self.state = row, state


class _Copies:
    __slots__ = ("jobs",)

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs


class Stepper:
    """The stepping thread: it takes jobs from the event loop and returns their results, those of a batch at once.

    A row has one job at a time: give it the next one only after `Job.done`. Calls are made between two steps, in the
    order in which they were given, before all jobs that were given after them.

    Args:
        name: the name of the thread.
        kind: the kind of task.
        bank: the rows; from now on only the thread may use them.
        max_batch: the most rows that step together.
        max_wait: seconds that a first step waits for others to join it.
        on_batch: called on the event loop with the rows and seconds of each step.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        bank: Bank,
        *,
        max_batch: int = 64,
        max_wait: float = 0.0,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self.kind, self.bank = kind, bank
        self._max_batch, self._max_wait, self._on_batch = max_batch, max_wait, on_batch
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._outbox: list[Any] = []
        self._gives_up = False
        self._thread = threading.Thread(target=self._run, name=f"ostinato-step-{name}", daemon=True)
        self._thread.start()

    # on the event loop

    def submit(self, job: Job) -> None:
        """Give a job to the thread; its `done` is called at its end."""
        self._put(job)

    def fresh(self, row: int, state: bytes | None = None) -> None:
        """Set a row, before later items, to the initial state or to one packed by a bank with the same signature."""
        self._put(_Fresh(row, state))

    def call(self, work: Callable[[Bank], Any]) -> asyncio.Future[Any]:
        """Call a function with the bank between two steps."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(found: tuple[Any, BaseException | None]) -> None:
            if future.done():  # the caller was cancelled
                return
            result, error = found
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._put(_Call(work, done))
        return future

    def give_up(self) -> None:
        """End all jobs before their next step: jobs that read are undone with an error, jobs that write end here."""
        self._gives_up = True
        self.wake()

    def wake(self) -> None:
        """Let the thread check its jobs, because one need not wait any more."""
        self._inbox.put([])

    def copy(self, jobs: list[Job]) -> None:
        """Copy the states of jobs that have not ended, and call their `Job.copied` before their `done`."""
        self._put(_Copies(jobs))

    def take_over(self, kind: Kind, bank: Bank) -> asyncio.Future[None]:
        """Continue with the same states in another bank with the same signature, for new weights."""

        def move(old: Bank) -> None:
            if bank.rows < old.rows:
                bank.grow(old.rows)
            for at in range(0, old.rows, _MOVED):
                rows = np.arange(at, min(at + _MOVED, old.rows))
                bank.unpack(rows, old.pack(rows))
            self.kind, self.bank = kind, bank

        return self.call(move)

    async def stop(self) -> None:
        """End the thread after it has done everything that it was given."""
        self._flush()
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _put(self, item: Any) -> None:
        # Items from one turn of the event loop are given together, so that they step together.
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(item)

    def _flush(self) -> None:
        if self._outbox:
            self._inbox.put(self._outbox)
            self._outbox = []

    def _deliver(self, events: list[tuple[Callable[[Any], None], Any]]) -> None:
        for tell, what in events:
            try:
                tell(what)
            except Exception:
                _LOG.exception("what waits for a result failed")

    # in the thread

    def _run(self) -> None:
        torch.set_grad_enabled(False)
        active: list[Job] = []
        goes_on = True
        while goes_on or active:
            events: list[tuple[Callable[[Any], None], Any]] = []
            items, ends = self._take(block=not active or (not self._gives_up and all(job.waits for job in active)))
            goes_on = goes_on and not ends
            try:
                self._accept(items, active, events)
                ready: list[Job] = []
                waiting: list[Job] = []
                for job in active:
                    (waiting if job.waits and not self._gives_up else ready).append(job)
                if ready:
                    batch, rest = ready[: self._max_batch], ready[self._max_batch :]
                    active = waiting + rest + self._stepped(batch, events)
            except Exception as error:  # whatever it is, no request may wait for ever
                _LOG.exception("the stepping thread failed")
                told = {id(what) for _, what in events if isinstance(what, Job)}
                for job in [*active, *(item for item in items if isinstance(item, Job))]:
                    if id(job) not in told:
                        told.add(id(job))
                        self._fail(job, error, events)
                active = []
            if events:
                with contextlib.suppress(RuntimeError):  # the loop is closed, so no request waits
                    self._loop.call_soon_threadsafe(self._deliver, events)

    def _take(self, *, block: bool) -> tuple[list[Any], bool]:
        """Return the items that have arrived, and whether they are the last."""
        items: list[Any] = []
        if block:
            first = self._inbox.get()
            if first is None:
                return items, True
            items.extend(first)
            until = time.monotonic() + self._max_wait
            while self._max_wait and len(items) < self._max_batch and (left := until - time.monotonic()) > 0:
                try:
                    more = self._inbox.get(timeout=left)
                except queue.Empty:
                    break
                if more is None:
                    return items, True
                items.extend(more)
        while not self._inbox.empty():
            more = self._inbox.get()
            if more is None:
                return items, True
            items.extend(more)
        return items, False

    def _accept(self, items: list[Any], active: list[Job], events: list[Any]) -> None:
        fresh: list[_Fresh] = []
        joining: list[Job] = []
        for item in items:
            if isinstance(item, Job):
                joining.append(item)
            elif isinstance(item, _Fresh):
                fresh.append(item)
            elif isinstance(item, _Copies):
                going = set(map(id, active))
                self._copy([job for job in item.jobs if id(job) in going], events)
            else:
                self._reset(fresh)
                events.append((item.done, self._called(item.work)))
        self._reset(fresh)
        if not joining:
            return
        several = [job for job in joining if len(job.inputs) > 1]  # packing a state costs a fifth of a step
        try:
            for job, packed in zip(several, self._pack(several), strict=True):
                job.undo = packed
            still = [job for job in joining if not job.inputs]
            if still:
                self._still(still, events)
            active.extend(job for job in joining if job.at < len(job.inputs))
        except Exception as error:
            _LOG.exception("sessions could not be stepped")
            for job in joining:
                self._fail(job, error, events)

    def _reset(self, fresh: list[_Fresh]) -> None:
        if not fresh:
            return
        states = {each.row: each.state for each in fresh}  # the last one of each row
        fresh.clear()
        anew = [row for row, state in states.items() if state is None]
        kept = {row: state for row, state in states.items() if state is not None}
        try:
            if anew:
                self.bank.reset(np.array(anew, dtype=np.int64))
            if kept:
                self.bank.unpack(np.array(list(kept), dtype=np.int64), list(kept.values()))
        except Exception:
            _LOG.exception("states could not be put into rows")

    def _called(self, work: Callable[[Bank], Any]) -> tuple[Any, BaseException | None]:
        try:
            return work(self.bank), None
        except Exception as error:
            return None, error

    def _pack(self, jobs: list[Job]) -> list[bytes]:
        return self.bank.pack(np.array([job.row for job in jobs], dtype=np.int64)) if jobs else []

    def _still(self, jobs: list[Job], events: list[Any]) -> None:
        """Answer, or begin to write, for jobs without inputs."""
        rows = np.array([job.row for job in jobs], dtype=np.int64)
        self._after(jobs, rows, self.kind.peek(self.bank, rows), events)

    def _stepped(self, batch: list[Job], events: list[Any]) -> list[Job]:
        """Take one step of a batch; return the jobs that continue."""
        if self._gives_up or any(job.cancelled and job.writing is not None for job in batch):
            batch = [job for job in batch if not self._left(job, events)]
            if not batch:
                return []
        began = time.perf_counter()
        rows = np.array([job.row for job in batch], dtype=np.int64)
        try:
            said = self.kind.step(self.bank, [job.inputs[job.at] for job in batch], rows)
        except Exception as error:
            if isinstance(error, OstinatoError) and len(batch) > 1:  # one job is wrong; no row has taken a step
                return [going for job in batch for going in self._stepped([job], events)]
            return self._failed(batch, error, events)
        try:
            for job in batch:
                job.at += 1
            going = self._after(batch, rows, said, events)
        except Exception as error:
            return self._failed(batch, error, events)
        if self._on_batch is not None:
            events.append((self._observed, (len(batch), time.perf_counter() - began)))
        return going

    def _failed(self, batch: list[Job], error: Exception, events: list[Any]) -> list[Job]:
        if not isinstance(error, OstinatoError):
            _LOG.error("a step failed", exc_info=error)
        for job in batch:
            self._fail(job, error, events)
        return []

    def _observed(self, found: tuple[int, float]) -> None:
        if self._on_batch is not None:
            self._on_batch(*found)

    def _after(self, batch: list[Job], rows: np.ndarray, said: torch.Tensor | None, events: list[Any]) -> list[Job]:
        """Do what follows a step: answer, draw tokens, end jobs; return the jobs that continue."""
        saying: list[int] = []
        drawing: list[int] = []
        showing: list[int] = []
        for at, job in enumerate(batch):
            writing = job.writing
            if writing is None:
                if (job.every or job.at >= len(job.inputs)) and job.asked is not None:
                    saying.append(at)
            else:
                if writing.pending is not None:
                    showing.append(at)
                if job.at >= len(job.inputs):
                    if writing.finish is None:
                        drawing.append(at)
                    elif job.asked is not None:
                        saying.append(at)
        if saying:
            self._say(batch, rows, said, saying)
        if showing:
            self._show(batch, rows, showing, events)
        if drawing:
            assert said is not None
            self._draw(batch, said, drawing, events)
        going: list[Job] = []
        ended: list[Job] = []
        for job in batch:
            (ended if job.error is not None or job.at >= len(job.inputs) else going).append(job)
        now = time.monotonic()
        due = [job for job in going if job.copies and job.undo is None and not job.copying and job.at > job.copied_at]
        due = [
            each for each in due if each.at - each.copied_at >= _COPY_STEPS or now - each.copied_time >= _COPY_SECONDS
        ]
        if due:
            self._copy(due, events)
        if ended:
            self._end(ended, events)
        return going

    def _copy(self, jobs: list[Job], events: list[Any]) -> None:
        """Copy the current states of jobs; for a job that may still be undone, the state before it."""
        jobs = [job for job in jobs if job.undo is not None or job.at > job.copied_at]
        behind = [job for job in jobs if job.undo is None]
        states = dict(zip(map(id, behind), self._pack(behind), strict=True))
        now = time.monotonic()
        for job in jobs:
            at = 0 if job.undo is not None else job.at
            job.copying, job.copied_at, job.copied_time = job.copies, at, now
            if job.copied is not None:
                events.append((job.copied, Copy(at, states.get(id(job)) or job.undo or b"")))

    def _say(self, batch: list[Job], rows: np.ndarray, said: torch.Tensor | None, saying: list[int]) -> None:
        jobs = batch
        if len(saying) < len(batch):
            jobs, rows = [batch[at] for at in saying], rows[saying]
            said = None if said is None else said[torch.tensor(saying)]
        for job, told in zip(jobs, self.kind.say(self.bank, said, rows, jobs), strict=True):
            if isinstance(told, BaseException):
                job.error = told
            else:
                job.said.append(told)

    def _draw(self, batch: list[Job], said: torch.Tensor, drawing: list[int], events: list[Any]) -> None:
        if len(drawing) < len(batch):
            batch, said = [batch[at] for at in drawing], said[torch.tensor(drawing)]
        writings: list[Any] = [job.writing for job in batch]
        drawn = draw(said, writings, [job.writing.first + job.at for job in batch if job.writing is not None])
        piece_of = self.kind.piece
        for at, (job, writing, token) in enumerate(zip(batch, writings, drawn.tokens, strict=True)):
            if drawn.broken[at]:
                job.error = FailedError("the model gave scores of the next token that are no numbers")
                continue
            how, job.undo = writing.how, None
            if not writing.written:
                job.copied_at = job.at  # the next copy is due after the first token
                self.kind.began(self.bank, job)
            piece = Piece(writing.push(token), token)
            if how.logprobs is not None and drawn.logprobs is not None:
                piece.logprob = drawn.logprobs[at]
                if how.logprobs and drawn.top is not None:
                    found = list(zip(drawn.top[0][at], drawn.top[1][at], strict=True))[: how.logprobs]
                    piece.top_logprobs = [(id, piece_of(id), p) for id, p in found]
            if writing.unit is not None:
                writing.pending = piece
            else:
                events.append((writing.tell, piece))
            if writing.finish is None or writing.reads_last or writing.unit is not None:
                job.inputs.append(token)

    def _show(self, batch: list[Job], rows: np.ndarray, showing: list[int], events: list[Any]) -> None:
        """Complete pieces by the value of a unit, which is known after the written token was read."""
        states = self.bank.stream.layers._states_of(rows[showing])
        for n, at in enumerate(showing):
            writing: Any = batch[at].writing
            layer, name, unit = writing.unit
            piece, writing.pending = writing.pending, None
            piece.unit = float(shown(name, float(states[layer][name][n, unit])))
            events.append((writing.tell, piece))

    def _end(self, ended: list[Job], events: list[Any]) -> None:
        for job in ended:
            if job.error is not None:
                self._undo(job)
        packing = [job for job in ended if job.packs]
        for job, packed in zip(packing, self._pack(packing), strict=True):
            job.packed = packed
        events.extend((job.done, job) for job in ended)

    def _left(self, job: Job, events: list[Any]) -> bool:
        """End a cancelled text, or any job if the service gives up; tell whether the job was ended."""
        if not (self._gives_up or (job.cancelled and job.writing is not None)):
            return False
        if job.writing is not None:
            job.writing.finish = "cancelled"
        job.error = UnavailableError("the service ends; the session is at the step before, try again", retry_after=1.0)
        self._end([job], events)
        return True

    def _undo(self, job: Job) -> None:
        if job.undo is not None:
            self.bank.unpack(np.array([job.row], dtype=np.int64), [job.undo])
            job.at, job.undo = 0, None

    def _fail(self, job: Job, error: Exception, events: list[Any]) -> None:
        if isinstance(error, ServingError):
            job.error = error
        else:
            job.error = FailedError(str(error) if isinstance(error, OstinatoError) else _FAILED)
        with contextlib.suppress(Exception):
            self._undo(job)
        if job.packs:
            with contextlib.suppress(Exception):
                job.packed = self._pack([job])[0]
        events.append((job.done, job))


def shown(name: str, values: Any) -> Any:
    """Map the states of units to [-1, 1]: h is clipped; other states, which may grow, are mapped by tanh."""
    return np.clip(values, -1.0, 1.0) if name == "h" else np.tanh(values)
