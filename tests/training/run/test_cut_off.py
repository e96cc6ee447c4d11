from contextlib import ExitStack

import pytest

from ostinato.errors import RunError
from ostinato.training import RunFolder


def test_one_who_was_cut_off_writes_nothing_more(tmp_path):
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    with first.locked(name="a"):
        first.create({})
        with first.writing():
            first.checkpoints.write(1, {"step": 1})
        with pytest.raises(RunError, match="another run"), second.locked(resume=True, name="b"):
            pass
        with second.locked(resume=True, name="a"):
            for step in (2, 3):
                with second.writing():
                    second.checkpoints.write(step, {"step": step}, keep=9)
            for write in (first.checkpoints.write, lambda step, state: first.write_model({})):
                with pytest.raises(RunError, match=r"another process has gone on with .* in the place of this one"):
                    write(1, {"step": 0})
            with pytest.raises(RunError, match="another process has gone on"), first.writing():
                pass
            assert second.checkpoints.steps() == [1, 2, 3]
            assert second.checkpoints.read().state == {"step": 3}


def test_one_who_was_cut_off_before_its_run_began_leaves_the_lock_of_the_other(tmp_path):
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    with ExitStack() as other:
        with first.locked(name="a"):
            other.enter_context(second.locked(name="a"))
        second.create({})
        with pytest.raises(RunError, match="is at work"), RunFolder(tmp_path / "run").locked(resume=True):
            pass
