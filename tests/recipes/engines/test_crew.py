from ostinato.recipes.engines.work import Done

from .here import Here


class Echo:
    def __init__(self, work):
        pass

    def do(self, job):
        return Done(found=job)


def test_every_job_is_done_once_though_workers_die():
    crew = Here(Echo, deaths=(2, 5))
    found = [(job, done.found) for job, done in crew.team(None).each("abcdef")]
    assert sorted(found) == [(each, each) for each in "abcdef"]
    assert crew.calls == 8
    assert crew.hired == 4  # two, and one for each that died
    assert len(crew.said) == 2
    assert "a worker is gone (killed)" in crew.said[0]


def test_a_job_of_which_every_worker_dies_is_given_up_and_the_others_are_done():
    class Deadly(Here):
        def result(self, given):
            self.deaths = {given[0]} if given[2] == "b" else ()
            return super().result(given)

    found = dict(Deadly(Echo).team(None).each("abc"))
    assert (found["a"].found, found["c"].found) == ("a", "c")
    assert found["b"].error == "b: 3 workers have died of it (killed)"


def test_workers_stay_for_the_next_jobs():
    crew = Here(Echo)
    team = crew.team(None, most=3)
    assert len(list(team.each(range(2)))) == 2
    assert len(list(team.each(range(9)))) == 9
    assert crew.hired == 3
