"""Eight float64 side by side as one value of numba's loops, and the functions that loops need of them.

What numba compiles by itself is vectorized where LLVM's loop vectorizer sees that it may be; a recursion over
samples that many rates share it does not. So the eight are a type of their own here: LLVM makes of it
what the processor has, two registers with AVX2, one with AVX-512, four with SSE2 or Neon. ``+ − × ÷``
work on eights and on an eight with a number, and may be fused.

Functions whose machine code is kept may call no other compiled one (``system.machine_code.keep``): all
here become part of the loop that uses them.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import create_struct_proxy
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_jitable, register_model

WIDTH = 8

_part_of_loops: Any = intrinsic  # its type would have the loops give the compiler's arguments too

_EIGHT = ir.VectorType(ir.DoubleType(), WIDTH)
_BITS = ir.VectorType(ir.IntType(64), WIDTH)
_FLAGS = ("contract", "nsz", "arcp")  # reassoc would fold the rounding to a whole number away


class Eight(types.Type):
    """The type of eight numbers in numba's eyes."""

    def __init__(self) -> None:
        super().__init__(name="Eight")


EIGHT = Eight()


@register_model(Eight)
class EightModel(models.PrimitiveModel):
    """A vector of LLVM's."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _EIGHT)


def _constant(value: float) -> Any:
    return ir.Constant(_EIGHT, [value] * WIDTH)


def _whole(value: int) -> Any:
    return ir.Constant(_BITS, [value] * WIDTH)


def _all(builder: Any, number: Any) -> Any:
    """A number eight times."""
    one = builder.insert_element(
        ir.Constant(_EIGHT, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
    )
    places = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(_EIGHT, ir.Undefined), places)


def _operator(python: Any, instruction: str) -> None:
    kinds = (EIGHT, EIGHT), (EIGHT, types.float64), (types.float64, EIGHT)

    @infer_global(python)
    class Operator(ConcreteTemplate):
        cases = [signature(EIGHT, *kind) for kind in kinds]

    def lower(_: Any, builder: Any, sig: Any, values: Any) -> Any:
        both = [
            value if kind is EIGHT else _all(builder, value)
            for kind, value in zip(sig.args, values, strict=True)
        ]
        return getattr(builder, instruction)(*both, flags=_FLAGS)

    for kind in kinds:
        lower_builtin(python, *kind)(lower)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = create_struct_proxy(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _EIGHT.as_pointer())


@_part_of_loops
def eight_at(_: Any, array: Any, index: Any) -> Any:
    """Eight numbers of a flat array from ``index`` on."""

    def make(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.load(_place(context, builder, sig.args[0], *values), align=8)

    return EIGHT(array, types.intp), make


@_part_of_loops
def put_eight(_: Any, array: Any, index: Any, eight: Any) -> Any:
    """They become numbers of a flat array from ``index`` on."""

    def make(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        builder.store(values[2], _place(context, builder, sig.args[0], *values[:2]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, EIGHT), make


@_part_of_loops
def eight(_: Any, number: Any) -> Any:
    """A number eight times."""
    return EIGHT(types.float64), lambda _, builder, __, values: _all(builder, values[0])


@_part_of_loops
def magnitude(_: Any, x: Any) -> Any:
    """|x|."""

    def make(_: Any, builder: Any, __: Any, values: Any) -> Any:
        bits = builder.and_(builder.bitcast(values[0], _BITS), _whole((1 << 63) - 1))
        return builder.bitcast(bits, _EIGHT)

    return EIGHT(EIGHT), make


@_part_of_loops
def where_less(_: Any, p: Any, q: Any, x: Any, y: Any) -> Any:
    """x where p < q, else y: there also where one is not a number."""

    def make(_: Any, builder: Any, __: Any, values: Any) -> Any:
        p, q, x, y = values
        return builder.select(builder.fcmp_ordered("<", p, q), x, y)

    return EIGHT(EIGHT, EIGHT, EIGHT, EIGHT), make


@_part_of_loops
def two_to(_: Any, k: Any) -> Any:
    """2^k of whole numbers k in −1022 … 1023 to which ``ROUND`` has been added."""

    def make(_: Any, builder: Any, __: Any, values: Any) -> Any:
        bits = builder.add(builder.bitcast(values[0], _BITS), _whole(1023))
        return builder.bitcast(builder.shl(bits, _whole(52)), _EIGHT)

    return EIGHT(EIGHT), make


ROUND = 6755399441055744.0
"""1.5 · 2^52: a number to which it is added is rounded to a whole one, in the lowest bits of the sum."""


@register_jitable(inline="always")
def exp_minus(x: Any) -> Any:
    """e⁻ˣ of x ≥ 0, right to 3e-16; 0 from 708 on, and of what is not a number.

    2^k times a polynomial, as Cody and Waite have it (Software Manual for the Elementary Functions, 1980),
    in Estrin's order, which waits for a third of what Horner's does.
    """
    far = eight(708.0)
    k = where_less(x, far, x, far) * -1.4426950408889634 + ROUND
    power = two_to(k)
    k = k - ROUND
    f = (where_less(x, far, x, far) * -1.0 - k * 6.93147180369123816490e-01) - (
        k * 1.90821492927058770002e-10
    )
    f2 = f * f
    f4 = f2 * f2
    low = (f * 1.6666666666666670986e-1 + 0.5) + f2 * (
        f * 8.333333333326140884e-3 + 4.1666666666666669752e-2
    )
    middle = (f * 1.9841269874800491981e-4 + 1.3888888888883752417e-3) + f2 * (
        f * 2.7557255425746434282e-6 + 2.4801587325533363819e-5
    )
    high = (f * 2.5105206373957011116e-8 + 2.7557273661348636219e-7) + (f2 * 2.09146793765839351e-9)
    p = low + f4 * (middle + f4 * high)
    return where_less(x, far, (p * f2 + f + 1.0) * power, eight(0.0))
