"""The messages of a step, counted where gloo is given them, against what the model on paper says."""

import json
import socket
from collections import Counter

import pytest
from torch import multiprocessing as mp

from ostinato.insight.scaling import Link, Workload, messages_of, predicted_step
from tests.training.distributed import traffic


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traffic")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(traffic.process, (port, str(folder)), nprocs=2)
    found = json.loads((folder / "messages.json").read_text())
    return dict(zip(traffic.CASES, found, strict=True))


@pytest.mark.parametrize(("strategy", "accumulate"), traffic.CASES)
def test_two_processes_send_what_the_page_predicts_and_nothing_else(sent, strategy, accumulate):
    parameters = list(traffic.model().parameters())
    workload = Workload(sum(each.numel() for each in parameters), 0.1, 0.1, tensors=len(parameters))
    expected = Counter()
    for kind, size, _ in messages_of(workload, strategy, accumulate):
        if kind == "all_gather":
            size //= 2  # gloo is given the share
        # and has no reduce-scatter of its own
        expected[f"gloo:{'all_reduce' if kind == 'reduce_scatter' else kind}", size] += traffic.UPTO - traffic.FROM
    assert Counter(map(tuple, sent[strategy, accumulate])) == expected
    # Of two processes each sends what it is given in an all-reduce (2 (P - 1) / P = 1), and its share in an all-gather.
    bytes_of_a_step = sum(size for _, size in sent[strategy, accumulate]) / (traffic.UPTO - traffic.FROM)
    gloo = Link(1e-6, 1e9, reduces_scatter=False)
    assert predicted_step(workload, gloo, 2, 4, strategy, accumulate=accumulate).sent_bytes == bytes_of_a_step
