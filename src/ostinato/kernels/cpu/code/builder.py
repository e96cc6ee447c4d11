"""Writes LLVM functions from Python: integers, addresses, loops and branches, so that the source of a kernel reads like a loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from llvmlite import ir

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()
Int = Any  # an i64 in the function, or a Python integer
Value = Any  # anything else in the function


class Code:
    """One function of a module: `void name(pointer or i64, ...)`, and the place where its next instruction goes.

    Variables that change are stack slots; LLVM makes registers of them.

    Args:
        module: the module in which the function is made.
        name: the symbol of the function.
        arguments: the names of its arguments; a name that begins with `*` is an address, any other a 64-bit integer.
        inline: whether the function is private and always inlined.
    """

    def __init__(self, module: ir.Module, name: str, arguments: str, *, inline: bool = False) -> None:
        names = arguments.split()
        types = [POINTER if n.startswith("*") else I64 for n in names]
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), types), name)
        if inline:
            self.function.linkage = "internal"
            self.function.attributes.add("alwaysinline")
        # Instructions written at `entry` run before all others.
        self.entry = ir.IRBuilder(self.function.append_basic_block("entry"))
        self._body = self.function.append_basic_block("body")
        self.builder = ir.IRBuilder(self._body)
        self.arg = SimpleNamespace()
        for text, value in zip(names, self.function.args, strict=True):
            value.name = text.lstrip("*")
            setattr(self.arg, value.name, value)

    def end(self) -> None:
        """Return, and finish the function."""
        if not self._returns:
            self.builder.ret_void()
        self.entry.branch(self._body)

    @property
    def _returns(self) -> bool:
        """Whether nothing can come after the last instruction."""
        block = self.builder.block
        return block is not None and block.is_terminated

    # integers

    def int(self, value: Int) -> Value:
        """The value as an i64."""
        return ir.Constant(I64, value) if isinstance(value, int) else value

    def add(self, *values: Int) -> Value:
        """The sum of the values."""
        total, constant = None, 0
        for v in values:
            if isinstance(v, int):
                constant += v
            else:
                total = v if total is None else self.builder.add(total, v)
        if total is None:
            return self.int(constant)
        return self.builder.add(total, self.int(constant)) if constant else total

    def sub(self, a: Int, b: Int) -> Value:
        """`a - b`."""
        return self.builder.sub(self.int(a), self.int(b))

    def mul(self, *values: Int) -> Value:
        """The product of the values."""
        total, constant = None, 1
        for v in values:
            if isinstance(v, int):
                constant *= v
            else:
                total = v if total is None else self.builder.mul(total, v)
        if total is None:
            return self.int(constant)
        return self.builder.mul(total, self.int(constant)) if constant != 1 else total

    def div(self, a: Int, b: Int) -> Value:
        """`a // b` of numbers that are not negative."""
        return self.builder.udiv(self.int(a), self.int(b))

    def ceil_div(self, a: Int, b: Int) -> Value:
        """`-(-a // b)` of numbers that are not negative."""
        return self.div(self.add(a, self.sub(b, 1)), b)

    def min(self, a: Int, b: Int) -> Value:
        """The smaller of the two."""
        a, b = self.int(a), self.int(b)
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def max(self, a: Int, b: Int) -> Value:
        """The larger of the two."""
        a, b = self.int(a), self.int(b)
        return self.builder.select(self.builder.icmp_signed(">", a, b), a, b)

    def is_(self, a: Int, relation: str, b: Int) -> Value:
        """A comparison, `relation` one of `< <= > >= == !=`."""
        return self.builder.icmp_signed(relation, self.int(a), self.int(b))

    def choose(self, condition: Value, a: Value, b: Value) -> Value:
        """`a if condition else b`, both computed."""
        return self.builder.select(
            condition, self.int(a) if isinstance(a, int) else a, self.int(b) if isinstance(b, int) else b
        )

    # memory

    def at(self, address: Value, *offsets: Int) -> Value:
        """The address that is `offsets` bytes, all together, behind this one."""
        offset = self.add(*offsets)
        return self.builder.gep(address, [offset], source_etype=I8)

    def load(self, address: Value, type: ir.Type = I64, align: int = 8) -> Value:
        """Load the value at an address."""
        return self.builder.load(address, align=align, typ=type)

    def store(self, value: Value, address: Value, align: int = 8) -> None:
        """Store a value at an address."""
        self.builder.store(self.int(value) if isinstance(value, int) else value, address, align=align)

    def prefetch(self, address: Value) -> None:
        """Prefetch the cache line at an address into the second cache; the address may be any number."""
        flags = (ir.Constant(I32, n) for n in (0, 2, 1))  # to read, keep in the second cache, data
        self.call("llvm.prefetch.p0", ir.VoidType(), address, *flags)

    def slot(self, type: ir.Type, initial: Value | None = None) -> Value:
        """Make a variable of this function; gives its address."""
        made = self.entry.alloca(type)
        if initial is not None:
            self.builder.store(initial, made)
        return made

    def room(self, type: ir.Type, count: int) -> Value:
        """Make `count` variables of this function, one behind the other; gives the address of the first."""
        made = self.entry.alloca(type, count)
        return self.entry.inttoptr(self.entry.ptrtoint(made, I64), POINTER)

    # calls

    def call(self, name: str, result: ir.Type, *values: Value) -> Value:
        """Call an intrinsic of LLVM or a function of this module by its name."""
        module = self.function.module
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, ir.FunctionType(result, [v.type for v in values]), name)
        return self.builder.call(function, values)

    def jump(self, address: Value, *values: Value) -> None:
        """Call the function at an address, an i64: `void (pointer or i64, ...)`."""
        self.ask(address, ir.VoidType(), *(self.int(v) for v in values))

    def ask(self, address: Value, result: ir.Type, *values: Value) -> Value:
        """Call the function at an address, which returns a `result`."""
        kind = ir.FunctionType(result, [v.type for v in values])
        # llvmlite must be told the type of what it calls, and an address has none.
        return self.builder.call(self.builder.inttoptr(address, kind.as_pointer()), values)

    # control

    @contextlib.contextmanager
    def loop(self, start: Int, stop: Int, step: Int = 1, down: bool = False) -> Iterator[Value]:
        """`for i in range(start, stop, step)`; with `down` the same numbers from the last to the first (step 1 only)."""
        index = self.slot(I64)
        first, last = self.int(start), self.int(stop)
        self.builder.store(self.sub(last, 1) if down else first, index)
        head, body, end = (self.function.append_basic_block(n) for n in ("head", "loop", "done"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        i = self.builder.load(index, typ=I64)
        self.builder.cbranch(self.is_(i, ">=", first) if down else self.is_(i, "<", last), body, end)
        self.builder.position_at_end(body)
        yield i
        self.builder.store(self.sub(i, 1) if down else self.add(i, step), index)
        self.builder.branch(head)
        self.builder.position_at_end(end)

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """`if condition:`."""
        body, end = self.function.append_basic_block("then"), self.function.append_basic_block("after")
        self.builder.cbranch(condition, body, end)
        self.builder.position_at_end(body)
        yield
        if not self._returns:
            self.builder.branch(end)
        self.builder.position_at_end(end)

    def cases(self, value: Int, numbers: Sequence[int]) -> Iterator[int]:
        """`match value:`; yields each number where the code of its case is to be written."""
        end = self.function.append_basic_block("matched")
        switch = self.builder.switch(self.int(value), end)
        for number in numbers:
            block = self.function.append_basic_block(f"case{number}")
            switch.add_case(ir.Constant(I64, number), block)
            self.builder.position_at_end(block)
            yield number
            self.builder.branch(end)
        self.builder.position_at_end(end)
