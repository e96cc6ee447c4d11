from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from llvmlite import binding as llvm
from llvmlite import ir

from ostinato.kernels.cpu.code import target
from ostinato.kernels.cpu.code.lanes import Lanes
from ostinato.kernels.cpu.code.vector import emit
from tests.kernels.cpu.compiled import module_of

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-apple-darwin"
AVX512 = "+avx512f,+avx512dq,+avx512vl,+avx2,+fma"


def module_that_adds(amount: int) -> ir.Module:
    module, i64 = ir.Module(), ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(i64, [i64]), "add")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.add(function.args[0], i64(amount)))
    return module


def call(loaded: target.Loaded, argument: int) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("add"))(argument)


@pytest.mark.parametrize(
    ("triple", "features", "vector_bytes", "registers", "has_masks"),
    [
        (X86, AVX512, 64, 32, True),
        (X86, "+avx512f,-avx512dq,-avx512vl,+avx2,+fma", 32, 16, True),
        (X86, "+avx2,-fma,+sse2", 16, 16, False),
        (X86, "", 16, 16, False),
        (ARM, "+neon,+fp-armv8", 16, 32, False),
    ],
)
def test_what_a_processor_has(triple: str, features: str, vector_bytes: int, registers: int, has_masks: bool) -> None:
    described = target.Target(triple, "generic", features)
    assert (described.vector_bytes, described.registers, described.has_masks) == (vector_bytes, registers, has_masks)
    assert described.is_x86 == (triple == X86)


def test_the_host_is_this_machine_and_asked_for_once() -> None:
    assert target.host() is target.host()
    assert target.host().triple == llvm.get_process_triple()
    assert target.host().cpu == llvm.get_host_cpu_name()


@pytest.mark.parametrize("features", [AVX512, "+avx2,+fma"])
def test_vectors_of_512_bits_are_used_where_they_are_there(features: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        def flatten(self) -> str:
            return features

    monkeypatch.setattr(llvm, "get_host_cpu_features", Found)
    monkeypatch.setattr(llvm, "get_process_triple", lambda: X86)
    found = target.host.__wrapped__()
    assert found.features.endswith(",-prefer-256-bit") == (features != "+avx2,+fma")


def test_a_processor_that_llvm_cannot_ask_has_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("unsupported")

    monkeypatch.setattr(llvm, "get_host_cpu_features", refuse)
    assert target.host.__wrapped__().features == ""
    assert target.host.__wrapped__().vector_bytes == 16


def test_code_runs_as_long_as_it_is_held() -> None:
    loaded = [target.load(target.compile(module_that_adds(amount)), ["add"]) for amount in range(5)]
    gc.collect()
    assert [call(one, 100) for one in loaded] == [100, 101, 102, 103, 104]


def test_object_code_of_one_process_runs_in_another() -> None:
    # With constants in it, which lie outside of the function.
    lanes = Lanes(4)
    code = target.compile(module_of(lanes, 1, lambda builder, x: emit(builder, lanes, "tanh", [x])))
    program = """if True:
        import ctypes, sys
        from ostinato.kernels.cpu.code import target
        loaded = target.load(sys.stdin.buffer.read(), ["run"])
        run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loaded.address("run"))
        x, y = (ctypes.c_float * 4)(0, 0.5, 1, 50), (ctypes.c_float * 4)()
        run(1, x, y)
        print(*(round(v, 6) for v in y))
    """
    done = subprocess.run([sys.executable, "-c", program], input=code, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["0.0", "0.462117", "0.761594", "1.0"]


def test_threads_compile_at_once() -> None:
    def one(amount: int) -> int:
        return call(target.load(target.compile(module_that_adds(amount)), ["add"]), 1)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(20))) == list(range(1, 21))


def test_compiling_twice_gives_the_same_bytes() -> None:
    assert target.compile(module_that_adds(3)) == target.compile(module_that_adds(3))


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="lacks subtract"):
        target.load(target.compile(module_that_adds(1)), ["add", "subtract"])


def test_a_module_that_is_wrong_is_refused() -> None:
    module = ir.Module()
    ir.Function(module, ir.FunctionType(ir.VoidType(), []), "unfinished").append_basic_block()
    with pytest.raises(RuntimeError):
        target.compile(module)


def test_what_was_compiled_can_be_read() -> None:
    assert "add:" in target.assembly(module_that_adds(7))
