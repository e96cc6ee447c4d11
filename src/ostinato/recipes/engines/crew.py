"""Workers that jobs are given to, whoever starts them: a worker that dies is replaced, and what it had goes to another."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ostinato.recipes.engines.work import Done

MOST_DEATHS = 3  # of workers that have a job; a fourth would die of it too

Job = TypeVar("Job")


class WorkerDiedError(Exception):
    """A worker is gone, and what it was given is not done."""


class Crew(Protocol):
    """What starts workers and carries jobs to them: Ray, or processes of this machine."""

    def hire(self) -> Any:
        """A new worker."""
        ...

    def give(self, worker: Any, job: Any, /) -> Hashable:
        """Has a worker begin with a job; what stands for it."""
        ...

    def wait(self, given: Sequence[Any], /) -> Iterable[Any]:
        """Those that are over, at least one; those whose worker has died are."""
        ...

    def result(self, given: Any, /) -> Done:
        """What came of a job that is over.

        Raises:
            WorkerDiedError: its worker has died.
        """
        ...


class Team:
    """Workers that stay from one list of jobs to the next.

    Args:
        crew: who starts them.
        most: how many there are at once.
        say: tells a user that one has died.
    """

    def __init__(self, crew: Crew, most: int, say: Callable[[str], None]):
        self._crew, self._most, self._say = crew, most, say
        self._free: list[Any] = []

    def each(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Done]]:
        """Every job once with what came of it, in the order in which they end."""
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
