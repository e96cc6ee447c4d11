"""Giving jobs to workers, whoever starts them: a worker that dies is replaced, and its job goes to another."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ostinato.recipes.engines.work import Done

MOST_DEATHS = 3  # of workers with the same job; after these the job fails, as it would kill the next worker too

Job = TypeVar("Job")


class WorkerDiedError(Exception):
    """A worker is gone, and its job is not done."""


class Crew(Protocol):
    """An engine that starts workers and gives them jobs: Ray, or processes of this machine."""

    def hire(self) -> Any:
        """Starts a new worker."""
        ...

    def give(self, worker: Any, job: Any, /) -> Hashable:
        """Starts a job on a worker, and returns a handle of the job."""
        ...

    def wait(self, given: Sequence[Any], /) -> Iterable[Any]:
        """Waits, and returns the handles of jobs that are over, at least one; a dead worker's job is over too."""
        ...

    def result(self, given: Any, /) -> Done:
        """The result of a job that is over.

        Raises:
            WorkerDiedError: the job's worker has died.
        """
        ...


class Team:
    """Workers that are kept from one list of jobs to the next.

    Args:
        crew: the engine that starts them.
        most: how many there are at once.
        say: tells a user that a worker has died.
    """

    def __init__(self, crew: Crew, most: int, say: Callable[[str], None]):
        self._crew, self._most, self._say = crew, most, say
        self._free: list[Any] = []

    def each(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Done]]:
        """Gives every job once with its result, in the order in which jobs end."""
        todo, deaths = deque(jobs), Counter[int]()
        busy: dict[Hashable, tuple[Any, Job]] = {}
        while todo or busy:
            while todo and len(busy) < self._most:
                worker = self._free.pop() if self._free else self._crew.hire()
                job = todo.popleft()
                busy[self._crew.give(worker, job)] = worker, job
            for over in self._crew.wait(list(busy)):
                worker, job = busy.pop(over)
                try:
                    done = self._crew.result(over)
                except WorkerDiedError as error:
                    deaths[id(job)] += 1
                    if deaths[id(job)] < MOST_DEATHS:
                        self._say(f"a worker is gone ({error}); another one takes {job}")
                        todo.appendleft(job)
                    else:
                        yield job, Done(error=f"{job}: {MOST_DEATHS} workers have died of it ({error})")
                    continue
                self._free.append(worker)
                yield job, done
