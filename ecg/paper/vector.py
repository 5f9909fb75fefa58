"""Eight floats at a time in numba code.

The compiler turns long loops into vector instructions, not the loops of eight turns that the trace kernel
is made of. `Float8` is a value inside compiled functions only. Its operators + - * and the functions below
take it or a number, which then stands for eight equal ones. Compiled code that uses this module is cached
by its own file: touch that file after a change here.
"""

import operator
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

LANES = 8
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_LOOSE = ("nnan", "nsz", "contract", "reassoc")


class Float8(types.Type):
    """Eight float32."""

    def __init__(self):
        super().__init__("Float8")


FLOAT8 = Float8()


@register_model(Float8)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _indices(numbers) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INT, LANES), list(numbers))


def _wide(context, builder, value, kind):
    """A value as eight lanes."""
    if isinstance(kind, Float8):
        return value
    narrow = context.cast(builder, value, kind, types.float32)
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), narrow, _INT(0))
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), _indices([0] * LANES))


def _call(builder, name: str, *values, result=_VECTOR):
    kind = ir.FunctionType(result, [value.type for value in values])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, values, fastmath=_LOOSE)


def _lanewise(emit: Callable, arguments: int, result=FLOAT8):
    """An intrinsic of so many arguments, each made eight wide; `emit(builder, *values)` writes its code."""
    def describe(kinds):
        def generate(context, builder, signature, values):
            wide = (_wide(context, builder, *pair) for pair in zip(values, signature.args, strict=True))
            return emit(builder, *wide)
        return result(*kinds), generate

    if arguments == 1:
        @intrinsic
        def one(typing, a):
            return describe((a,))
        return one
    if arguments == 2:
        @intrinsic
        def two(typing, a, b):
            return describe((a, b))
        return two

    @intrinsic
    def four(typing, a, b, c, d):
        return describe((a, b, c, d))
    return four


def _less(builder, a, b):
    return builder.fcmp_ordered("<", a, b, flags=_LOOSE)


def _reduce(name: str, *start):
    return lambda builder, a: _call(builder, f"llvm.vector.reduce.{name}.v8f32", *start, a, result=_FLOAT)


_add = _lanewise(lambda builder, a, b: builder.fadd(a, b, flags=_LOOSE), 2)
_sub = _lanewise(lambda builder, a, b: builder.fsub(a, b, flags=_LOOSE), 2)
_mul = _lanewise(lambda builder, a, b: builder.fmul(a, b, flags=_LOOSE), 2)
splat = _lanewise(lambda builder, a: a, 1)
lower = _lanewise(lambda builder, a, b: builder.select(_less(builder, a, b), a, b), 2)
higher = _lanewise(lambda builder, a, b: builder.select(_less(builder, a, b), b, a), 2)
magnitude = _lanewise(lambda builder, a: _call(builder, "llvm.fabs.v8f32", a), 1)
root = _lanewise(lambda builder, a: _call(builder, "llvm.sqrt.v8f32", a), 1)
where_less = _lanewise(lambda builder, a, b, c, d: builder.select(_less(builder, a, b), c, d), 4)
"""c where a < b, else d."""
ramp = _lanewise(lambda builder, start, step: builder.fadd(
    start, builder.fmul(step, ir.Constant(_VECTOR, [float(i) for i in range(LANES)])), flags=_LOOSE), 2)
"""start, start + step, start + 2 step, ..."""
following = _lanewise(lambda builder, a, b: builder.shuffle_vector(a, b, _indices(range(1, LANES + 1))), 2)
"""The last seven lanes of a and the first of b."""
total = _lanewise(_reduce("fadd", ir.Constant(_FLOAT, 0.0)), 1, types.float32)
lowest = _lanewise(_reduce("fmin"), 1, types.float32)
highest = _lanewise(_reduce("fmax"), 1, types.float32)


@intrinsic
def lane(typing, a, number):
    """One of the eight, by its number."""
    def generate(context, builder, signature, values):
        return builder.extract_element(values[0], builder.trunc(values[1], _INT))
    return types.float32(FLOAT8, types.intp), generate


for _operator, _function in ((operator.add, _add), (operator.sub, _sub), (operator.mul, _mul)):
    def _overload(function):
        def choose(a, b):
            if isinstance(a, Float8) or isinstance(b, Float8):
                return lambda a, b: function(a, b)
        return choose
    overload(_operator)(_overload(_function))
