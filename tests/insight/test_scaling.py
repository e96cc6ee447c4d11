"""The arithmetic of scaling against exchanges that are made by hand, message by message."""

from dataclasses import replace

import numpy as np
import pytest

from ostinato.insight.scaling import (
    Link,
    Workload,
    all_reduce_bytes,
    amdahl,
    critical_steps,
    fastest_processes,
    messages_of,
    predicted_step,
)

LINK = Link(latency_s=3e-5, bytes_per_s=2e9)
SMALL = Workload(1000, fixed_s=0.004, row_s=0.001, update_s=0.003, items=7, tensors=5)


class Network:
    """Processes that send each other floats; it keeps the time of the slowest in each round, and what each has sent."""

    def __init__(self, processes: int, link: Link):
        self.link, self.sent, self.time_s = link, [0] * processes, 0.0

    def round(self, messages: dict[int, np.ndarray]) -> None:
        """All send at once; `messages` is what each sends."""
        for sender, content in messages.items():
            self.sent[sender] += content.nbytes
        most = max(content.nbytes for content in messages.values())
        self.time_s += self.link.latency_s + most / self.link.bytes_per_s


def ring(parts: list[np.ndarray], network: Network, *, scatter: bool = True, gather: bool = True) -> list[np.ndarray]:
    """All-reduce by a ring, of as many equal blocks as processes."""
    count = len(parts)
    blocks = [np.split(part.copy(), count) for part in parts]
    for turn in range(count - 1) if scatter else ():
        messages = {p: blocks[p][(p - turn) % count].copy() for p in range(count)}
        network.round(messages)
        for p, content in messages.items():
            blocks[(p + 1) % count][(p - turn) % count] += content
    for turn in range(count - 1) if gather else ():
        messages = {p: blocks[p][(p + 1 - turn) % count].copy() for p in range(count)}
        network.round(messages)
        for p, content in messages.items():
            blocks[(p + 1) % count][(p + 1 - turn) % count] = content
    return [np.concatenate(each) for each in blocks]


def halving(parts: list[np.ndarray], network: Network) -> list[np.ndarray]:
    """All-reduce by recursive halving, then doubling, of a power of two of processes."""
    count, whole = len(parts), [part.copy() for part in parts]
    spans = [(0, len(parts[0]))] * count
    distance, undo = count // 2, []
    while distance:
        undo.append(list(spans))
        messages, kept = {}, {}
        for p in range(count):
            low, high = spans[p]
            middle = (low + high) // 2
            keeps_low = p & distance == 0
            kept[p] = (low, middle) if keeps_low else (middle, high)
            messages[p] = whole[p][middle:high].copy() if keeps_low else whole[p][low:middle].copy()
        network.round(messages)
        for p in range(count):
            spans[p] = kept[p]
            whole[p][slice(*kept[p])] += messages[p ^ distance]
        distance //= 2
    distance = 1
    while distance < count:
        messages = {p: whole[p][slice(*spans[p])].copy() for p in range(count)}
        network.round(messages)
        before = list(spans)
        for p in range(count):
            whole[p][slice(*before[p ^ distance])] = messages[p ^ distance]
        spans = undo.pop()
        distance *= 2
    return whole


@pytest.mark.parametrize("processes", [2, 3, 4, 7, 8])
def test_a_ring_that_is_gone_round_by_hand_takes_what_is_predicted(processes):
    parts = list(np.random.default_rng(0).integers(0, 9, (processes, 12 * processes)).astype(np.float32))
    network = Network(processes, LINK)
    for found in ring(parts, network):
        np.testing.assert_array_equal(found, sum(parts))
    size = parts[0].nbytes
    assert network.sent == [all_reduce_bytes(size, processes)] * processes
    assert network.time_s == pytest.approx(LINK.all_reduce_s(size, processes))
    for half, seconds in (({"gather": False}, LINK.reduce_scatter_s), ({"scatter": False}, LINK.all_gather_s)):
        network = Network(processes, LINK)
        ring(parts, network, **half)
        assert network.time_s == pytest.approx(seconds(size, processes))


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_halving_and_doubling_by_hand_takes_what_is_predicted(processes):
    link = replace(LINK, algorithm="halving")
    parts = list(np.random.default_rng(0).integers(0, 9, (processes, 6 * processes)).astype(np.float32))
    network = Network(processes, link)
    for found in halving(parts, network):
        np.testing.assert_array_equal(found, sum(parts))
    assert network.sent == [all_reduce_bytes(parts[0].nbytes, processes)] * processes
    assert network.time_s == pytest.approx(link.all_reduce_s(parts[0].nbytes, processes))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("gloo", [False, True])
def test_a_step_is_the_sum_of_its_messages_and_of_its_computing(strategy, gloo):
    link, processes, rows = replace(LINK, reduces_scatter=not gloo), 4, 10
    step = predicted_step(SMALL, link, processes, rows, strategy, slowdown=1.5)
    sent, seconds = 0, 0.0

    def go(size: int, **half: bool) -> None:
        nonlocal sent, seconds
        network = Network(processes, link)
        ring([np.zeros(size // 4, np.float32)] * processes, network, **half)
        sent, seconds = sent + network.sent[0], seconds + network.time_s

    if strategy == "ddp":
        go(4000)
    else:
        go(4000, scatter=False)
        go(4000, gather=gloo)
        # The norms' 20 bytes are no multiple of 4 blocks of floats: by the formula.
        sent, seconds = sent + all_reduce_bytes(20, 4), seconds + link.all_reduce_s(20, 4)
    go(32)
    update_s = 1.5 * 0.003 / (4 if strategy == "fsdp" else 1)
    assert step.sent_bytes == pytest.approx(sent)
    assert step.total_s == pytest.approx(seconds + 1.5 * (0.001 + 10 * 0.001) + update_s)
    assert step.items == 4 * 10 * 7
    assert step.items_per_s == pytest.approx(280 / step.total_s)
    assert step.efficiency == pytest.approx(0.014 / step.total_s)


def test_one_process_sends_nothing_and_takes_its_line():
    step = predicted_step(SMALL, LINK, 1, 10)
    assert (step.sent_bytes, step.exchange_s, step.numbers_s, step.efficiency) == (0.0, 0.0, 0.0, 1.0)
    assert step.total_s == pytest.approx(0.004 + 10 * 0.001)


def test_accumulating_divides_waiting_by_the_batches():
    one, four = (predicted_step(SMALL, LINK, 8, 10, accumulate=count) for count in (1, 4))
    assert four.exchange_s == one.exchange_s
    assert four.compute_s == pytest.approx(4 * one.compute_s)
    assert four.items == 4 * one.items
    assert four.items_per_s > one.items_per_s
    # A step tells the loss of each batch.
    assert messages_of(SMALL, accumulate=4)[-1] == ("all_reduce", 7 * 8, True)
    # With FSDP the weights come for each batch, the gradient goes once.
    assert [kind for kind, _, is_number in messages_of(SMALL, "fsdp", 4) if not is_number] == [
        *["all_gather"] * 4,
        "reduce_scatter",
    ]


def test_half_the_bytes_are_half_the_bandwidths_time():
    slow = Link(0.0, 1e6)
    whole, half = (predicted_step(replace(SMALL, gradient_bytes=size), slow, 8, 10) for size in (4, 2))
    assert half.exchange_s == pytest.approx(whole.exchange_s / 2)


def test_the_fastest_number_of_processes_is_where_time_turns():
    found = fastest_processes(SMALL, LINK, 256)
    assert 1 < found < 256
    # By calculus: rows t_b / P + 4 P α has its minimum where P² = rows t_b / 4 α; the rest hardly depends on P.
    assert found == pytest.approx((256 * 0.001 / (4 * 3e-5)) ** 0.5, abs=1)
    assert fastest_processes(SMALL, Link(1.0, 1e9), 256) == 1
    assert fastest_processes(SMALL, Link(0.0, 1e15), 256) == 256
    assert fastest_processes(SMALL, Link(0.0, 1e15), 256, most=8) == 8


def test_amdahl_and_the_critical_batch_at_their_ends():
    assert [amdahl(0.0, 8), amdahl(1.0, 8), amdahl(0.5, 2)] == [8.0, 1.0, pytest.approx(1 / 0.75)]
    assert amdahl(0.01, 10**9) == pytest.approx(100.0)
    # Simulated: of 100 units of work 10 are serial.
    assert amdahl(0.1, 6) == pytest.approx(100 / (10 + 90 / 6))
    # At the critical batch twice the updates; McCandlish et al. 2018: (S / S_min - 1) (E / E_min - 1) = 1, with E = S B.
    assert critical_steps(500, 500) == 2.0
    for batch in (10, 500, 9000):
        steps = critical_steps(batch, 500)
        assert (steps - 1) * (steps * batch / 500 - 1) == pytest.approx(1.0)


def test_what_is_out_of_range_is_told():
    with pytest.raises(ValueError, match=r"a bandwidth above 0, got 1\.0 and 0"):
        Link(1.0, 0)
    with pytest.raises(ValueError, match="update_s from 0 to fixed_s"):
        Workload(10, fixed_s=0.1, row_s=0.1, update_s=0.2)
    with pytest.raises(ValueError, match="rows above 0, got 2, 1 and 0"):
        predicted_step(SMALL, LINK, 2, 0)
