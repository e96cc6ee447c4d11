"""The machine that code is made for; compiling a module of LLVM for it, and loading the result."""

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
        """The architecture, such as "x86_64" or "aarch64"."""
        return self.triple.partition("-")[0]

    @property
    def is_x86(self) -> bool:
        """Whether LLVM's intrinsics for x86 exist."""
        return self.architecture in ("x86_64", "i686", "i386")

    @cached_property
    def has_avx512(self) -> bool:
        """Whether it has vectors of 512 bits, masks, and AVX-512's instructions for shorter vectors."""
        return self.is_x86 and self.has("avx512f", "avx512dq", "avx512vl")

    @cached_property
    def has_avx2(self) -> bool:
        """Whether it has vectors of 256 bits with fused multiply-add."""
        return self.is_x86 and self.has("avx2", "fma")

    @property
    def vector_bytes(self) -> int:
        """The bytes of the widest vector register that is used: 64, 32 or 16."""
        return 64 if self.has_avx512 else 32 if self.has_avx2 else 16

    @property
    def registers(self) -> int:
        """The number of vector registers: 32 or 16."""
        return 32 if self.has_avx512 or self.architecture in ("aarch64", "arm64") else 16

    @property
    def has_masks(self) -> bool:
        """Whether masked loads and stores are instructions; if not, LLVM makes a branch for each lane."""
        return self.has_avx512 or self.has_avx2


@cache
def host() -> Target:
    """The processor that this process runs on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot ask every processor; the name alone says less, but nothing wrong
        features = ""
    target = Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)
    if target.has_avx512:
        # For some processors LLVM prefers 256 bits, and would split every vector of 512.
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
    # The code consists of vectors already, in loops unrolled as far as registers allow: these passes would only add code.
    tuning.loop_vectorization = False
    tuning.slp_vectorization = False
    tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, tuning)
    (builder.getModulePassManager() if shared else _few_passes()).run(parsed, builder)
    return parsed


def _few_passes() -> llvm.ModulePassManager:
    """The passes that make the code of a step fast: variables in registers, each value computed once, loops that test at their end.

    All passes of -O3 take more than twice the time and do not make the code of steps faster.
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
    """Compile a module to object code for a processor.

    Args:
        module: the module, as `Code` wrote it.
        target: the processor; the host by default.
        shared: whether the module is for all cells: it is made once for a machine, so every pass of LLVM is worth its time.

    Raises:
        RuntimeError: if the module is not valid LLVM, which is a bug in the code that wrote it.
    """
    machine = _machine(target or host())
    return machine.emit_object(_optimised(module, machine, shared))


def assembly(module: ir.Module, target: Target | None = None) -> str:
    """The assembly of what `compile` makes, for people to read."""
    machine = _machine(target or host())
    return machine.emit_assembly(_optimised(module, machine))


class Loaded:
    """Object code in memory that can be called as long as this object lives."""

    def __init__(self, engine: llvm.ExecutionEngine, addresses: dict[str, int]):
        self._engine = engine  # owns the memory of the code
        self._addresses = addresses

    def address(self, name: str) -> int:
        """The address of a function."""
        return self._addresses[name]


def load(object_code: bytes, names: Iterable[str]) -> Loaded:
    """Load object code for this machine into memory.

    Args:
        object_code: what `compile` gave.
        names: the names of the functions that will be called.

    Raises:
        KeyError: if the code lacks one of these functions.
    """
    host()  # initialises LLVM
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(host()))
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    addresses = {name: engine.get_function_address(name) for name in names}
    if missing := [name for name, address in addresses.items() if not address]:
        raise KeyError(f"object code expected to hold the functions {', '.join(addresses)}, lacks {', '.join(missing)}")
    return Loaded(engine, addresses)
