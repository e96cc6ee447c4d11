"""Workers of this process, which an engine's are judged by."""

from collections import deque

from ostinato.recipes.engines.crew import Team, WorkerDiedError
from ostinato.recipes.engines.work import Worker


class Here:
    """A crew whose workers do what they are given at once.

    Args:
        make: a worker, of a work.
        deaths: numbers of the calls at which a worker dies in place of answering.
    """

    def __init__(self, make=Worker, deaths=()):
        self.make, self.deaths = make, set(deaths)
        self.hired = self.calls = 0
        self.said = []
        self.order = deque()

    def team(self, work, most=2):
        self.work = work
        return Team(self, most, self.said.append)

    def hire(self):
        self.hired += 1
        return self.make(self.work)

    def give(self, worker, job):
        self.calls += 1
        self.order.append((self.calls, worker, job))
        return self.calls, worker, job

    def wait(self, given):
        return [given[-1]]  # the last first: nobody may count on their order

    def result(self, given):
        number, worker, job = given
        if number in self.deaths:
            raise WorkerDiedError("killed")
        return worker.do(job)
