"""The machine that code is made for, and the way from LLVM's text to code that runs on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

from llvmlite import binding as llvm
from llvmlite import ir


@dataclass(frozen=True)
class Target:
    """A processor as the compiler sees it.

    Attributes:
        triple: LLVM's name of architecture, vendor and system, such as "x86_64-unknown-linux-gnu".
        cpu: LLVM's name of the processor, such as "skylake-avx512".
        features: LLVM's list of features, such as "+avx2,-sse4a".
    """

    triple: str
    cpu: str
    features: str

    def has(self, *features: str) -> bool:
        """Whether the processor has all of these features."""
        return set(features) <= {f[1:] for f in self.features.split(",") if f.startswith("+")}

    @property
    def architecture(self) -> str:
        """Such as "x86_64" or "aarch64"."""
        return self.triple.partition("-")[0]

    @property
    def is_x86(self) -> bool:
        """Whether x86's intrinsics exist."""
        return self.architecture in ("x86_64", "i686", "i386")

    @cached_property
    def has_avx512(self) -> bool:
        """Whether vectors of 512 bits, masks and AVX-512's forms of the shorter vectors are there."""
        return self.is_x86 and self.has("avx512f", "avx512dq", "avx512vl")

    @cached_property
    def has_avx2(self) -> bool:
        """Whether vectors of 256 bits with fused multiply-add are there."""
        return self.is_x86 and self.has("avx2", "fma")

    @property
    def vector_bytes(self) -> int:
        """Bytes of the widest vector register in use: 64, 32 or 16."""
        return 64 if self.has_avx512 else 32 if self.has_avx2 else 16

    @property
    def registers(self) -> int:
        """Vector registers: 32 or 16."""
        return 32 if self.has_avx512 or self.architecture in ("aarch64", "arm64") else 16

    @property
    def has_masks(self) -> bool:
        """Whether masked loads and stores are instructions; elsewhere LLVM makes a branch a lane of them."""
        return self.has_avx512 or self.has_avx2


@cache
def host() -> Target:
    """The processor that this process runs on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot ask every processor; the name alone then says less, but nothing wrong
        features = ""
    target = Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)
    if target.has_avx512:
        # Some processors are tuned for 256 bits, and LLVM would split every vector of 512.
        return Target(target.triple, target.cpu, f"{features},-prefer-256-bit")
    return target


def _machine(target: Target) -> llvm.TargetMachine:
    known = llvm.Target.from_triple(target.triple)
    return known.create_target_machine(
        target.cpu, target.features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )


def _optimised(module: ir.Module, machine: llvm.TargetMachine, shared: bool = False) -> llvm.ModuleRef:
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    # What is emitted is vectors, in loops of the length that registers allow: a second opinion only adds code.
    tuning.loop_vectorization = False
    tuning.slp_vectorization = False
    tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, tuning)
    (builder.getModulePassManager() if shared else _few_passes()).run(parsed, builder)
    return parsed


def _few_passes() -> llvm.ModulePassManager:
    """What makes code of a step fast: registers for variables, each value once, loops that test at their end.

    All passes of -O3 take more than twice the time, and code of steps is no faster for them.
    """
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    passes.add_loop_simplify_pass()
    passes.add_loop_rotate_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes


def compile(module: ir.Module, target: Target | None = None, *, shared: bool = False) -> bytes:
    """Object code of a module for a processor.

    Args:
        module: what `Code` wrote.
        target: the processor; the host unless told otherwise.
        shared: the module is made once a machine, for all cells: every pass of LLVM is worth its time.

    Raises:
        RuntimeError: the module is not valid LLVM: a bug of whoever made it.
    """
    machine = _machine(target or host())
    return machine.emit_object(_optimised(module, machine, shared))


def assembly(module: ir.Module, target: Target | None = None) -> str:
    """What `compile` makes, to be read."""
    machine = _machine(target or host())
    return machine.emit_assembly(_optimised(module, machine))


class Loaded:
    """Object code in memory, ready to be called, for as long as this object lives."""

    def __init__(self, engine: llvm.ExecutionEngine, addresses: dict[str, int]):
        self._engine = engine  # owns the memory of the code
        self._addresses = addresses

    def address(self, name: str) -> int:
        """Where the function of this name begins."""
        return self._addresses[name]


def load(object_code: bytes, names: Iterable[str]) -> Loaded:
    """Put object code of `compile` for this machine into memory.

    Args:
        object_code: as `compile` gave it.
        names: the functions that will be called.

    Raises:
        KeyError: there is no function of such a name in it.
    """
    host()  # initialises LLVM
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(host()))
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    addresses = {name: engine.get_function_address(name) for name in names}
    if missing := [name for name, address in addresses.items() if not address]:
        raise KeyError(f"object code expected to hold the functions {', '.join(addresses)}, lacks {', '.join(missing)}")
    return Loaded(engine, addresses)
