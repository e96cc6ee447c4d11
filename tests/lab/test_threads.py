import torch

from ostinato.lab.threads import one_thread


def test_threads_are_as_many_as_before():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
