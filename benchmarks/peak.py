"""What the machine can do at most, measured: multiply-adds in a second, and bytes copied in a second.

The kernel is our own. A library's matrix product would measure that library: the best reach half of the peak at the sizes
of a recurrence.
"""

from __future__ import annotations

import ctypes
import platform
import threading
import time
from dataclasses import dataclass

import torch
from llvmlite import binding as llvm
from llvmlite import ir

_I64, _F32 = ir.IntType(64), ir.FloatType()
_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_float, ctypes.c_float, ctypes.c_void_p)


@dataclass(frozen=True)
class Vectors:
    """The machine's vectors of float32.

    Attributes:
        lanes: numbers in a vector.
        chains: sums that are kept in registers: enough to hide the latency of a multiply-add, few enough not to spill.
    """

    lanes: int
    chains: int

    @classmethod
    def of_this_machine(cls) -> Vectors:
        """By the features that LLVM finds."""
        if platform.machine().lower() in ("aarch64", "arm64"):
            return cls(4, 24)
        features = llvm.get_host_cpu_features()
        if features.get("avx512f"):
            return cls(16, 24)
        return cls(8, 12) if features.get("avx2") else cls(4, 12)


@dataclass(frozen=True)
class Peak:
    """The machine's limits.

    Attributes:
        threads: how many "all" are: torch's.
        one_thread_gflops: float32 multiplications and additions, 1e9 a second, of one thread.
        all_threads_gflops: of all threads together.
        copy_gbytes: 1e9 bytes a second, read and written, of a copy far larger than the caches a core has, by all threads.
    """

    threads: int
    one_thread_gflops: float
    all_threads_gflops: float
    copy_gbytes: float


class MultiplyAdd:
    """The kernel of the peak, so many rounds of it that one call takes about `sample_s` seconds."""

    def __init__(self, sample_s: float = 0.02) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._vectors = Vectors.of_this_machine()
        # The engine owns the machine code: it must outlive the calls.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(source(self._vectors)), _target_machine())
        self._engine.finalize_object()
        self._kernel = _FUNCTION(self._engine.get_function_address("multiply_add"))
        self._rounds = 1 << 16
        self._rounds = max(self._rounds, int(self._rounds * sample_s / self.seconds(1)))

    def flops(self, threads: int) -> float:
        """Multiplications and additions of a call."""
        return 2.0 * self._vectors.lanes * self._vectors.chains * self._rounds * threads

    def seconds(self, threads: int) -> float:
        """Of a call on so many threads."""
        return _seconds(self._kernel, self._vectors, self._rounds, threads)


def measure_peak(sample_s: float = 0.02, samples: int = 15, copied_bytes: int = 1 << 29) -> Peak:
    """The best of `samples` measurements each, of about `sample_s` seconds: what the machine can do when nothing disturbs it.

    Shares of the peak are of that which is measured between the subjects of a case; see `rows.measure_case`.
    """
    kernel, threads = MultiplyAdd(sample_s), torch.get_num_threads()
    best = {1: 0.0, threads: 0.0}
    for _ in range(samples):
        for n in best:
            best[n] = max(best[n], kernel.flops(n) / kernel.seconds(n) / 1e9)
    return Peak(threads, best[1], best[threads], _copy_gbytes(copied_bytes))


def _target_machine() -> llvm.TargetMachine:
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)


def source(vectors: Vectors) -> str:
    """LLVM code of `multiply_add(rounds, scale, shift, sums)`: in each round every chain becomes `chain * scale + shift`."""
    vector = ir.VectorType(_F32, vectors.lanes)
    module = ir.Module("peak")
    kernel = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64, _F32, _F32, ir.PointerType()]), "multiply_add")
    # Fused where the machine can, a multiplication and an addition where it cannot.
    fma = ir.Function(module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{vectors.lanes}f32")
    rounds, scale, shift, sums = kernel.args
    entry, loop, end = (kernel.append_basic_block(name) for name in ("entry", "loop", "end"))
    b = ir.IRBuilder(entry)
    zeros, first_lane = ir.Constant(vector, None), ir.Constant(ir.VectorType(ir.IntType(32), vectors.lanes), None)
    factor, addend = (
        b.shuffle_vector(b.insert_element(zeros, value, ir.Constant(_I64, 0)), zeros, first_lane)
        for value in (scale, shift)
    )
    b.branch(loop)
    b.position_at_end(loop)
    turn = b.phi(_I64)
    chains = [b.phi(vector) for _ in range(vectors.chains)]
    after = [b.call(fma, [chain, factor, addend]) for chain in chains]
    following = b.add(turn, ir.Constant(_I64, 1))
    b.cbranch(b.icmp_signed("<", following, rounds), loop, end)
    turn.add_incoming(ir.Constant(_I64, 0), entry)
    turn.add_incoming(following, loop)
    for n, (chain, value) in enumerate(zip(chains, after, strict=True)):
        chain.add_incoming(
            ir.Constant(vector, [float(n)] * vectors.lanes), entry
        )  # all different: none can be left out
        chain.add_incoming(value, loop)
    b.position_at_end(end)
    total = after[0]
    for value in after[1:]:
        total = b.fadd(total, value)
    b.store(total, sums, align=4)
    b.ret_void()
    return str(module)


def _seconds(kernel: ctypes._CFunctionType, vectors: Vectors, rounds: int, threads: int) -> float:
    """From the start of the first thread to the end of the last; ctypes lets go of the GIL."""
    gate = threading.Barrier(threads)
    spans: list[tuple[float, float]] = []

    def run() -> None:
        sums = (ctypes.c_float * vectors.lanes)()
        gate.wait()
        start = time.perf_counter()
        kernel(rounds, 0.5, 1.0, ctypes.addressof(sums))
        spans.append((start, time.perf_counter()))

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(end for _, end in spans) - min(start for start, _ in spans)


def _copy_gbytes(copied_bytes: int) -> float:
    read, written = torch.ones(copied_bytes, dtype=torch.uint8), torch.zeros(copied_bytes, dtype=torch.uint8)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        written.copy_(read)
        seconds.append(time.perf_counter() - start)
    return 2 * copied_bytes / min(seconds) / 1e9
