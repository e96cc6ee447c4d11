"""Packs weights into the order in which the products read them, and packs them again when a parameter has changed."""

from __future__ import annotations

import ctypes
import functools
import itertools
import weakref
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from torch.utils.weak import WeakIdKeyDictionary

from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.checksum import Checksum, Checksums
from ostinato.kernels.cpu.threads.cores import FEW_BYTES, threads_for
from ostinato.kernels.cpu.threads.openmp import InTurn, run
from ostinato.locks import lock
from ostinato.types import Tensor

_version, _address, _time = attrgetter("_version"), Tensor.data_ptr, attrgetter("time")
_job = attrgetter("job")


@dataclass(frozen=True)
class Packing:
    """How the panels of a weight are made: which of its rows, and in which order.

    Attributes:
        gates: the blocks of `units` rows that are used, in the order that they have in a unit block.
        units: the number of rows of a block.
        transposed: pack for a product with the transposed weight.
        paired: pack in bfloat16, in the layout that `tiles` needs; the functions must have `pair_share`.
        heads: for each head `(first block, blocks)` of units; the panels of the heads follow each other. Units of other heads in
            these blocks are packed as zeros. None for a whole matrix.
    """

    gates: tuple[int, ...]
    units: int
    transposed: bool
    paired: bool = False
    heads: tuple[tuple[int, int], ...] | None = None


@functools.lru_cache(maxsize=256)
def _row_places(packing: Packing, lanes: int, row: int) -> list[np.ndarray]:
    """For each place `(block, gate, lane)` the offset of its row in the weight, in bytes, or -1 if no unit belongs there.

    Gives one array for a whole matrix, or one for each head.
    """
    parts = packing.heads or ((0, -(-packing.units // lanes)),)
    each, found = packing.units // len(parts), []
    for n, (first, blocks) in enumerate(parts):
        unit = (np.arange(blocks * lanes) + first * lanes).reshape(blocks, 1, lanes)
        gate = np.array(packing.gates).reshape(1, -1, 1)
        is_there = (unit >= n * each) & (unit < (n + 1) * each)
        found.append(np.where(is_there, (gate * packing.units + unit) * row, -1).reshape(-1))
    return found


class PackingJob:
    """Packs a weight that stays at one address, as often as it changes.

    Attributes:
        source: the address of the weight.
        address: the address of the panels.
        steps: loops of machine code, each with the address of its fields.
    """

    def __init__(self, weight: Tensor, packing: Packing, shape: Shape, functions: Mapping[str, int]) -> None:
        self.source = weight.data_ptr()
        parts = _row_places(packing, shape.lanes, weight.shape[1] * shape.bytes)
        size = parts[0].size
        depth, columns = (size, weight.shape[1]) if packing.transposed else (weight.shape[1], size)
        count = -(-columns // shape.panel)
        whole = pool.take(len(parts), count, depth, shape.panel, dtype=weight.dtype)
        self.panels, self.address = whole.squeeze(0), whole.data_ptr()
        self._region, self._bytes, self._count = functions["region"], weight.numel() * weight.itemsize, count
        loop = functions["pack_share" if packing.transposed else "pack_transposed_share"]
        self.steps: list[tuple[int, int]] = []
        self._held: list[object] = []
        for places, panels in zip(parts, whole, strict=True):
            sources = np.where(places < 0, 0, self.source + places)
            fields = (ctypes.c_int64 * 4)(panels.data_ptr(), sources.ctypes.data, depth, columns)
            self.steps.append((loop, ctypes.addressof(fields)))
            self._held += [sources, fields]
        if packing.paired:
            pairs = (ctypes.c_int64 * 3)(self.address, count, depth)
            self.steps.append((functions["pair_share"], ctypes.addressof(pairs)))
            self._held.append(pairs)

    def run(self) -> None:
        """Pack what the weight holds now."""
        threads = min(self._count, threads_for(2 * self._bytes))  # all bytes are read and written
        for loop, fields in self.steps:
            run(self._region, loop, fields, threads)


class Panels:
    """A weight packed for one product, and packed again if it has changed.

    A write through `.data` does not change the version, so a checksum of the bits is compared as well. It is first taken when a
    weight is used a second time without a change, so training, where every step changes the weights, does not pay for it. A weight
    that has changed is packed into the same memory, which nobody may be reading meanwhile.

    Args:
        weight: `(R, K)`, contiguous.
        packing: which rows of it, and how.
        shape: the shape of the vectors.
        functions: addresses of the functions that all cells share.

    Attributes:
        time: a number that changes whenever the weight is packed.
        job: the job that packed it last.
    """

    def __init__(self, weight: Tensor, packing: Packing, shape: Shape, functions: Mapping[str, int]) -> None:
        self._packing, self._shape, self._functions = packing, shape, functions
        self.job: PackingJob | None = None
        self._seen: tuple[object, ...] = ()
        self._checksum: Checksum | None = None
        self._sums: bytes | None = None
        self._lock = lock()
        self._count = itertools.count(1)
        self.time = 0

    def packed(self, weight: Tensor) -> PackingJob:
        """The panels of the weight as it is now; the caller holds them while they are read."""
        # Tensors made in inference mode have no version; for them only the checksum shows a change.
        seen = 0 if weight.is_inference() else weight._version, weight.data_ptr(), weight.shape
        job, checksum = self.job, self._checksum
        if (
            job is None
            or checksum is None
            or self._sums is None
            or seen != self._seen
            or checksum.taken() != self._sums
        ):
            return self._packed_now(weight, seen)
        return job

    def _packed_now(self, weight: Tensor, seen: tuple[object, ...]) -> PackingJob:
        with self._lock:
            job, sums = self.job, None
            if seen == self._seen:
                # Taken before packing: a change in between then shows at the next look.
                self._checksum = self._checksum or Checksum(weight, self._functions)
                sums = self._checksum.taken()
            if job is None or seen[1:] != self._seen[1:]:
                self._checksum, job = None, None
            # In bfloat16, packing first writes other numbers into the memory. Another thread may be reading it, so take new memory.
            if job is None or self._packing.paired:
                job = PackingJob(weight, self._packing, self._shape, self._functions)
            job.run()
            self.job, self._seen, self._sums = job, seen, sums
            self.time = next(self._count)
        return job

    def told(self) -> int:
        """Note that `Packed` packs the weight itself: the next call of `packed` will pack it again. Gives the new time."""
        self._sums, self.time = None, next(self._count)
        return self.time


class KnownWeights:
    """Recognises tensors without keeping them alive, as they may be temporary results of the caller's graph."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        # As soon as one of them is freed, another tensor may get its id.
        self.ids = ids = list(map(id, tensors))
        self._references = [weakref.ref(v, lambda _: ids.clear()) for v in tensors]

    def are(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors."""
        return list(map(id, tensors)) == self.ids


def seen(tensors: Sequence[Tensor]) -> list[object]:
    """Numbers (ids, addresses, versions) that differ if a tensor was replaced, was moved, or was written to through torch."""
    found: list[object] = [*map(id, tensors), *map(_address, tensors)]
    try:
        found += map(_version, tensors)
    except RuntimeError:  # tensors made in inference mode have no version; only the checksum shows a change
        del found[2 * len(tensors) :]
    return found


class _State(NamedTuple):
    """What `Packed` knows after a call; one object, which is replaced as a whole, as other threads may be calling."""

    known: KnownWeights
    seen: Sequence[object]
    panels: list[Panels]
    times: list[int]
    checksums: Checksums | None
    sums: bytes | None
    jobs: list[PackingJob]
    sources: list[int]  # the addresses of the weights that the jobs pack
    at_once: InTurn | None  # all jobs in one call, if they are small


class Packed:
    """The weights of a call, each packed for a product; before each call all are checked for changes together.

    Args:
        packings: the packing of each weight.
        shape: the shape of the vectors.
        functions: addresses of the functions that all cells share.
        keeps: whether it may hold the packed weights.
    """

    def __init__(self, packings: Sequence[Packing], shape: Shape, functions: Mapping[str, int], keeps: bool) -> None:
        self._packings, self._shape, self._functions, self._keeps = packings, shape, functions, keeps
        self._state = _State(KnownWeights([]), [], [], [], None, None, [], [], None)

    def jobs(self, weights: Sequence[Tensor], now: Sequence[object]) -> list[PackingJob]:
        """The panels of the weights as they are now; the caller holds them while they are read.

        Args:
            weights: all weights, contiguous.
            now: what `seen` gives for them, or for a larger list of tensors with them in it.
        """
        state = self._state
        if (
            now == state.seen
            and state.known.are(weights)
            and state.checksums is not None
            # Other calls may share these panels, and may have packed other bits since.
            and list(map(_time, state.panels)) == state.times
            and state.checksums.taken() == state.sums
        ):
            return state.jobs
        return self._anew(weights, now)

    def _anew(self, weights: Sequence[Tensor], now: Sequence[object]) -> list[PackingJob]:
        state, checksums, sums = self._state, None, None
        is_known = state.known.are(weights)
        if is_known and now == state.seen and sum(v.nbytes for v in weights) <= FEW_BYTES:
            # As in `Panels`: from the second use on, and taken before packing, so that a change in between shows at the next look.
            # Large weights are checked one by one, each on several threads.
            checksums = state.checksums or Checksums(weights, self._functions)
            sums = checksums.taken()
        if (
            is_known
            and state.at_once is not None
            # These jobs are still the ones that pack these weights, at the addresses that they have now.
            and list(map(_job, state.panels)) == state.jobs
            and list(map(_address, weights)) == state.sources
        ):
            times = [each.told() for each in state.panels]
            state.at_once()
            known, _, panels, _, _, _, jobs, sources, at_once = state
            self._state = _State(known, now, panels, times, checksums, sums, jobs, sources, at_once)
            return jobs
        known, panels = state.known, state.panels
        if not is_known:
            pairs = zip(weights, self._packings, strict=True)
            panels = [panels_of(weight, packing, self._shape, self._functions) for weight, packing in pairs]
            known = KnownWeights(weights)
        jobs = [each.packed(weight) for each, weight in zip(panels, weights, strict=True)]
        if self._keeps:
            times, at_once = list(map(_time, panels)), None
            if sum(v.nbytes for v in weights) <= FEW_BYTES and not any(each.paired for each in self._packings):
                at_once = InTurn(self._functions, [step for job in jobs for step in job.steps])
            sources = list(map(_address, weights))
            self._state = _State(known, now, panels, times, checksums, sums, jobs, sources, at_once)
        return jobs


_panels: MutableMapping[Tensor, dict[tuple[Packing, Shape], Panels]] = WeakIdKeyDictionary()


def panels_of(weight: Tensor, packing: Packing, shape: Shape, functions: Mapping[str, int]) -> Panels:
    """The panels of a weight, which are freed with it."""
    kept = _panels.setdefault(weight, {})
    found = kept.get((packing, shape))
    if found is None:
        found = kept.setdefault((packing, shape), Panels(weight, packing, shape, functions))
    return found
