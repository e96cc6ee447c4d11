"""Chooses the way in which a layer's loops run, by a model of bytes, operations and barriers.

The constants are from data sheets and the literature, and have not been measured here. The time of a step of a part is the longest
of three (moving bytes through the second cache, multiplying in the tensor cores, moving bytes from and to memory), and for each of
its ticks a latency and a barrier, or a launch.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product

import torch

from ostinato.kernels.compiler.graph import walk
from ostinato.kernels.gpu.code.blocks import Blocks, power
from ostinato.kernels.gpu.code.memory import Memory
from ostinato.kernels.gpu.code.module import is_interpreted
from ostinato.kernels.gpu.code.phases import phases
from ostinato.kernels.gpu.code.product import ProductText, of_stage
from ostinato.kernels.gpu.run.sizes import LayerSizes
from ostinato.kernels.gpu.run.ways import Way

MOST_TILES = 16  # of weights that stay, as each is unrolled
MOST_MULTIPLIED = 512  # products of numbers by a thread in a tile
MOST_SUMS = 2048  # numbers that a warp adds up: two registers of a thread for each 64


@dataclass(frozen=True)
class Device:
    """What the model knows of a GPU.

    Attributes:
        name: the name, for messages.
        processors: the number of its multiprocessors.
        shared: the bytes of shared memory that a program may have.
        cache: the bytes a second of the second cache, for all processors together.
        memory: the bytes a second of its memory.
        clock: the cycles a second.
    """

    name: str
    processors: int
    shared: int
    cache: float
    memory: float
    clock: float


# By compute capability; for each the largest GPU that is in wide use.
DEVICES = {
    "sm_80": Device("A100", 108, 163 << 10, 4.0e12, 1.5e12, 1.4e9),
    "sm_86": Device("A10", 72, 99 << 10, 2.0e12, 0.6e12, 1.7e9),
    "sm_89": Device("L4", 58, 99 << 10, 2.0e12, 0.3e12, 2.0e9),
    "sm_90": Device("H100", 132, 227 << 10, 5.5e12, 3.0e12, 1.7e9),
}
_CHAIN, _ISSUE = (
    18,
    8,
)  # cycles of a product of tiles: until its sum can be used; until a quarter of a processor can start the next
_ROUND = 120  # cycles of a tile: what enters goes through shared memory, with two barriers within a program
_SHARED = 128  # bytes a cycle of one processor, through shared memory
_LANES = 128  # operations on a number a cycle of one processor
# Seconds of a tick: what enters comes from the second cache through shared memory; barriers within a program.
_LATENCY = 1.1e-6
_MEETING, _LAUNCH = 1.0e-6, 2.5e-6  # seconds of a barrier with a flag for each program; of a kernel's launch in a graph


@functools.cache
def device_of(device: torch.device) -> Device:
    """The description of a CUDA device."""
    known = torch.cuda.get_device_properties(device)
    like = DEVICES.get(f"sm_{known.major}{known.minor}", DEVICES["sm_90" if known.major >= 9 else "sm_80"])
    shared = getattr(known, "shared_memory_per_block_optin", like.shared)
    return Device(known.name, known.multi_processor_count, shared, like.cache, like.memory, like.clock)


@dataclass(frozen=True)
class Cost:
    """The cost of a part, by the model.

    Attributes:
        seconds: the seconds of a step.
        programs: the programs of the grid.
        shared: the bytes of shared memory of a program.
    """

    seconds: float
    programs: int
    shared: int


class Model:
    """The costs of a layer on a device.

    Args:
        sizes: the sizes of the layer.
        rows: `B`.
        dtype: the dtype of what enters products.
        device: the device to run on.
    """

    def __init__(self, sizes: LayerSizes, rows: int, dtype: torch.dtype, device: Device) -> None:
        self._sizes, self._rows, self._bytes, self._device = sizes, rows, dtype.itemsize, device
        self._dtype = dtype

    def cost(self, part: str, blocks: Blocks, in_one: bool) -> Cost:
        """The cost of a part, "training" or "backward", with these tiles; `in_one`: whether a sequence is one launch."""
        device, plan = self._device, self._sizes.plan
        schedule = getattr(plan, part)
        memory = Memory(plan, schedule, is_forward=part != "backward", with_lengths=False, low=())
        along, groups = -(-self._sizes.widest // blocks.units), -(-self._rows // blocks.rows)
        programs = along * groups
        waves = -(-programs // device.processors)
        products = [p for at in range(len(schedule.stages)) for p in of_stage(memory, at, self._sizes.widths, blocks)]
        weights = sum(self._tiles(p) for p in products)
        entered = sum(blocks.rows * p.total * self._bytes for p in products)
        cache = programs * (entered + (0 if blocks.resident else weights)) / device.cache
        cycles = sum(self._cycles(p, blocks) for p in products)
        through = (weights + entered) / _SHARED
        stores = [store.node for stage in schedule.stages for store in stage.stores]
        operations = sum(1 for _ in walk(stores))
        pointwise = operations * blocks.rows * blocks.units / _LANES
        compute = waves * (max(cycles, through) + pointwise) / device.clock
        moved = self._rows * self._sizes.widths["H"] * self._bytes * sum(1 for _ in self._moved(part)) / device.memory
        ticks = len(phases(schedule)) - 1
        meets = ticks > 0 and along > 1
        each = _LATENCY + (0.0 if not meets else _MEETING if in_one else _LAUNCH)
        return Cost(
            max(cache, compute, moved) + max(1, ticks) * each, programs, self._shared(products, blocks, weights)
        )

    def _moved(self, part: str) -> Iterator[object]:
        """The values that are read from memory or written to it, with one number for each unit."""
        schedule = getattr(self._sizes.plan, part)
        for stage in schedule.stages:
            yield from stage.stores
        yield from (
            node for node, (kind, _) in schedule.found.items() if kind in ("x", "saved", "state", "new", "mask")
        )

    def _tiles(self, product: ProductText) -> int:
        """The bytes of a program's part of a matrix, padded to tiles."""
        return len(product.starts) * product.depth * product.tile_columns * self._bytes

    def _cycles(self, product: ProductText, blocks: Blocks) -> float:
        """The cycles of a product for one program: in the tensor cores or, for full float32, in the ordinary lanes."""
        if self._bytes > 2:
            return product.total * blocks.rows * product.tile_columns / _LANES
        tiles = -(-blocks.rows // 16) * -(-product.tile_columns // 8)
        each = product.total / 16 / blocks.warps * max(_CHAIN, tiles * _ISSUE * blocks.warps / 4)
        return each + len(product.starts) * _ROUND

    def _shared(self, products: list[ProductText], blocks: Blocks, weights: int) -> int:
        """The bytes of shared memory: the weights that stay, or a tile of them, and what enters; as measured with `ahead`."""
        if not products:
            return 0
        enters = blocks.rows * blocks.depth * self._bytes
        if blocks.resident:
            return weights + enters
        tile = max(p.tile_columns for p in products) * blocks.depth * self._bytes
        return (tile + enters) * max(1, blocks.stages - 1)

    def fits(self, part: str, blocks: Blocks, in_one: bool) -> bool:
        """Whether the device has room for a part with these tiles."""
        cost = self.cost(part, blocks, in_one)
        plan = self._sizes.plan
        memory = Memory(plan, getattr(plan, part), is_forward=part != "backward", with_lengths=False, low=())
        stages = range(len(memory.schedule.stages))
        products = [p for at in stages for p in of_stage(memory, at, self._sizes.widths, blocks)]
        if any(blocks.rows * p.tile_columns > MOST_SUMS for p in products):
            return False
        if blocks.resident and sum(len(p.starts) for p in products) > MOST_TILES:
            return False
        if (
            self._bytes > 2
        ):  # without tensor cores each thread multiplies number by number, and every product is an instruction
            each = [blocks.rows * p.tile_columns * blocks.depth // (32 * blocks.warps) for p in products]
            unrolled = sum(n * len(p.starts) for n, p in zip(each, products, strict=True)) if blocks.resident else 0
            if max(each, default=0) > MOST_MULTIPLIED or unrolled > 4 * MOST_MULTIPLIED:
                return False
        return cost.shared <= self._device.shared and (not in_one or cost.programs <= self._device.processors)

    def candidates(self, resident: bool) -> Iterator[Blocks]:
        """The tiles to choose from."""
        widest = power(self._sizes.widest)
        rows = [n for n in (16, 32, 64) if n == 16 or n < 2 * self._rows]
        units = [n for n in (4, 8, 16, 32, 64) if n <= 8 or n < 2 * widest]
        pieces = max((p.pieces for p in self._sizes.plan.program.products), default=1)
        for r, u, warps in product(rows, units, (4, 8)):
            if r * u > 1024 or (u < 8 and pieces < 8):
                continue
            for k in (16, 32, 64, 128):
                if k == 16 or k * warps < 2 * power(self._deepest):
                    yield Blocks(r, u, k, warps, resident, warps)

    @property
    def _deepest(self) -> int:
        widths = self._sizes.widths
        products = self._sizes.plan.program.products
        return max((p.pieces * widths[p.space] for p in products), default=16)

    def best(self, part: str, kind: str) -> tuple[float, Blocks] | None:
        """The quickest tiles of a part for one kind of way, with the seconds of a step; None if no tiles fit."""
        in_one = kind == "persistent"
        found = [
            (self.cost(part, blocks, in_one).seconds, n, blocks)
            for resident in ((True, False) if in_one else (False,))
            for n, blocks in enumerate(self.candidates(resident))
            if self.fits(part, blocks, in_one)
        ]
        if not found:
            return None
        seconds, _, blocks = min(found, key=lambda each: each[:2])
        return seconds, blocks

    def ways(self) -> dict[str, tuple[float, Way]]:
        """The best way of each kind that fits, with the seconds of a step of both passes together."""
        found: dict[str, tuple[float, Way]] = {}
        for kind in ("persistent", "steps"):
            forward, backward = (self.best(part, kind) for part in ("training", "backward"))
            if forward is not None and backward is not None:
                found[kind] = forward[0] + backward[0], Way(kind, forward[1], backward[1])
        return found


def way_on(
    sizes: LayerSizes,
    rows: int,
    dtype: torch.dtype,
    device: Device,
    kind: str = "auto",
    failed: Collection[str] = (),
) -> Way | str:
    """The way for a layer and a batch on a device, or why there is none.

    Args:
        sizes: the sizes of the layer.
        rows: `B`.
        dtype: the dtype of what enters products.
        device: the device to run on.
        kind: "persistent", "steps", or "auto" for the quicker one.
        failed: kinds that have been tried and do not work.
    """
    ways = {name: found for name, found in Model(sizes, rows, dtype, device).ways().items() if name not in failed}
    if kind in ways:
        return ways[kind][1]
    if kind == "auto" and ways:
        return min(ways.values(), key=lambda each: each[0])[1]
    what = "no tiles fit" if kind == "auto" else f"the way {kind!r} does not fit"
    return (
        f"{what} {device.name} for {sizes.hidden} units and {rows} rows: {device.shared >> 10} KB of shared memory a program, and "
        f"{device.processors} programs that run at the same time"
    )


def choose(
    sizes: LayerSizes, rows: int, dtype: torch.dtype, device: torch.device, wanted: str | Way, failed: Collection[str]
) -> Way | str:
    """The way for a call, or why there is none; arguments as for `way_on`."""
    if isinstance(wanted, Way):
        return wanted
    if is_interpreted():  # one program for all units, so that a sequence can be one launch
        whole = Blocks(min(32, power(rows)), power(sizes.widest), 64, 2)
        return Way("persistent", whole, whole)
    return way_on(sizes, rows, dtype, device_of(device), wanted, failed)
