"""Sums over a block of rows for logistic regression: what whole data are added up from.

X (m, d) are features without the column of ones, s (m,) is +1 for the second class and −1 for the first,
W (d+1, r) are r weight vectors side by side with their bias last. Activations stand as (r, m): each
vector's own are beside each other, so that all of them are worked on in the processor's registers, however
few vectors there are. Sums, not means: blocks are added up, and divided by all rows once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

WORTH_COMPILING = 200_000_000
"""From so many activations in all, rows times vectors, the compiled loops pay for being loaded."""

WIDE = 64
"""Up to so many columns the products of any two are made once for all vectors."""


def losses_and_slopes(
    X: np.ndarray, s: np.ndarray, W: np.ndarray, compiled: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Σ softplus(−m) (r,) and Σ (σ(a) − t) x (d+1, r), with the margin m = s a (PRML eq. 4.90, 4.91)."""
    r = W.shape[1]
    a = np.ascontiguousarray(W[:-1].T) @ X.T
    losses, rest, slopes = np.empty(r), np.empty(r), np.empty((r, X.shape[1] + 1))
    if compiled:
        loops()[0](a, W[-1].copy(), s, losses, rest)
    else:
        m = s * (a + W[-1][:, None])
        e = np.exp(-np.abs(m))
        losses[:] = np.sum(np.maximum(-m, 0.0) + np.log1p(e), axis=1)
        a = -s * np.where(m >= 0, e, 1.0) / (1.0 + e)
        rest[:] = a.sum(axis=1)
    slopes[:, :-1], slopes[:, -1] = a @ X, rest
    return losses, slopes.T


def curvatures(X: np.ndarray, W: np.ndarray, compiled: bool) -> np.ndarray:
    """σ(1 − σ) of each row at each weight vector, (r, m)."""
    a: np.ndarray = np.ascontiguousarray(W[:-1].T) @ X.T
    if compiled:
        loops()[1](a, W[-1].copy())
        return a
    e = np.exp(-np.abs(a + W[-1][:, None]))
    bent: np.ndarray = e / (1.0 + e) ** 2
    return bent


def newton_sums(
    Z: np.ndarray, s: np.ndarray, v: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a step of Newton's method takes, with one exponential: Z (m, d+1) has its column of ones.

    At v (d+1,): the loss (1,), gradient (d+1,) and Hessian (d+1, d+1), summed; the largest |Z ``step``| (1,)
    and the smallest σ(−m) (1,).
    """
    m = s * (Z @ v)
    e = np.exp(-np.abs(m))
    q = 1.0 / (1.0 + e)
    multipliers = np.where(m >= 0, e, 1.0) * q
    rooted = Z * (np.sqrt(e) * q)[:, None]
    return (
        np.sum(np.maximum(-m, 0.0) + np.log1p(e))[None],
        (-s * multipliers) @ Z,
        rooted.T @ rooted,  # of which BLAS works out one half
        np.max(np.abs(Z @ step))[None],
        np.min(multipliers)[None],
    )


def with_ones(X: np.ndarray) -> np.ndarray:
    """(m, d+1), the last column ones."""
    return np.column_stack([X, np.ones(len(X))])


def hessians(X1: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """X1ᵀ diag(c) X1 for each row c of ``curvature`` (r, m), PRML eq. 4.97 times n; (r, d+1, d+1).

    X1 (m, d+1) has its column of ones.
    """
    d, r = X1.shape[1], len(curvature)
    if d > WIDE or r < 4:
        return np.array([(X1 * c[:, None]).T @ X1 for c in curvature]).reshape(r, d, d)
    # The products of any two columns once, each pair once.
    products = np.empty((len(X1), d * (d + 1) // 2))
    place = 0
    for j in range(d):
        np.multiply(X1[:, j:], X1[:, j : j + 1], out=products[:, place : place + d - j])
        place += d - j
    half = curvature @ products
    found = np.empty((r, d, d))
    upper = np.triu_indices(d)
    found[:, upper[0], upper[1]] = half
    found[:, upper[1], upper[0]] = half
    return found


# ------------------------------------------------------------------------------------- compiled


def _residuals(a: Any, bias: Any, s: Any, losses: Any, residuals: Any) -> None:
    """Activations without bias (r, m) become residuals σ(a) − t; sums of losses and residuals (r,) beside.

    e⁻ˣ as Cody and Waite have it, 2^k times a polynomial, right to 3e-16. The losses log(1 + e) are the
    logarithm of a product of up to 512 of them, which is below 2^512 and rounded by 2^-53 a factor: of a
    mean loss from 1/32 on that leaves fourteen digits. Where the mean is lower, each is worked out from its
    residual, with u = σ(−m): log1p(e) = 2 artanh(v/(2 − v)), v the lesser of u and 1 − u, so that nothing
    of a small loss is lost. Sums stand in 64 places, so that they need no order that the processor would
    have to wait for.
    """
    r, m = a.shape
    loss, product, residual = np.empty(64), np.empty(64), np.empty(64)
    for lane in range(r):
        b, logs = bias[lane], 0.0
        for j in range(64):
            loss[j] = 0.0
            product[j] = 1.0
            residual[j] = 0.0
        for first in range(0, m, 64):
            here, signs = a[lane, first : first + 64], s[first : first + 64]
            for j in range(len(here)):
                sign = signs[j]
                margin = sign * (here[j] + b)
                x = abs(margin)
                x = x if x < 708.0 else 708.0
                k = x * -1.4426950408889634 + 6755399441055744.0
                power = _double((_whole(k) + 1023) << 52)
                k = k - 6755399441055744.0
                f = (-x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
                p = 2.09146793765839351e-9
                p = p * f + 2.5105206373957011116e-8
                p = p * f + 2.7557273661348636219e-7
                p = p * f + 2.7557255425746434282e-6
                p = p * f + 2.4801587325533363819e-5
                p = p * f + 1.9841269874800491981e-4
                p = p * f + 1.3888888888883752417e-3
                p = p * f + 8.333333333326140884e-3
                p = p * f + 4.1666666666666669752e-2
                p = p * f + 1.6666666666666670986e-1
                p = p * f + 0.5
                e = (p * f * f + f + 1.0) * power if abs(margin) < 708.0 else 0.0
                product[j] *= 1.0 + e
                # Of a margin that is not a number the loss is none.
                loss[j] += 0.0 if margin >= 0.0 else -margin
                y = -sign * ((e if margin >= 0.0 else 1.0) / (1.0 + e))
                here[j] = y
                residual[j] += y
            if first & 32704 == 32704:  # 512 factors
                for j in range(64):
                    logs += np.log(product[j])
                    product[j] = 1.0
        total, rest = 0.0, 0.0
        for j in range(64):
            total += loss[j]
            logs += np.log(product[j])
            rest += residual[j]
        if total + logs < 0.03125 * m:
            logs = 0.0
            for j in range(64):
                loss[j] = 0.0
            for first in range(0, m, 64):
                here, signs = a[lane, first : first + 64], s[first : first + 64]
                for j in range(len(here)):
                    u = abs(here[j])
                    v = u if u <= 0.5 else 1.0 - u
                    w = v / (2.0 - v)
                    q = w * w
                    g = 8.5220817813906990645e-2
                    g = g * q + 4.1622532559304102879e-2
                    g = g * q + 6.0550843640346088273e-2
                    g = g * q + 6.6501870163373121685e-2
                    g = g * q + 7.6933070211520038808e-2
                    g = g * q + 9.0908704162524022551e-2
                    g = g * q + 1.1111112040373836587e-1
                    g = g * q + 1.4285714272727057267e-1
                    g = g * q + 2.0000000000092873734e-1
                    g = g * q + 3.3333333333333074797e-1
                    g = g * q + 1.0
                    loss[j] += 2.0 * w * g
            for j in range(64):
                logs += loss[j]
        losses[lane] = total + logs
        residuals[lane] = rest


def _curvatures(a: Any, bias: Any) -> None:
    """Activations without bias (r, m) become σ(1 − σ); e⁻ˣ as in ``_residuals``.

    It is written out here again: a function whose machine code is kept may call no other compiled one
    (``machine_code.keep``).
    """
    r, m = a.shape
    for lane in range(r):
        b, here = bias[lane], a[lane]
        for i in range(m):
            x = abs(here[i] + b)
            x = x if x < 708.0 else 708.0
            k = x * -1.4426950408889634 + 6755399441055744.0
            power = _double((_whole(k) + 1023) << 52)
            k = k - 6755399441055744.0
            f = (-x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
            p = 2.09146793765839351e-9
            p = p * f + 2.5105206373957011116e-8
            p = p * f + 2.7557273661348636219e-7
            p = p * f + 2.7557255425746434282e-6
            p = p * f + 2.4801587325533363819e-5
            p = p * f + 1.9841269874800491981e-4
            p = p * f + 1.3888888888883752417e-3
            p = p * f + 8.333333333326140884e-3
            p = p * f + 4.1666666666666669752e-2
            p = p * f + 1.6666666666666670986e-1
            p = p * f + 0.5
            e = (p * f * f + f + 1.0) * power if x < 708.0 else 0.0
            here[i] = e / ((1.0 + e) * (1.0 + e))


@cache
def loops() -> tuple[Any, Any]:
    """``_residuals`` and ``_curvatures`` compiled, once in a process.

    They give up Python's lock, so that several threads work at once. Products may be fused with sums;
    sums keep their order, in which the polynomials are right.
    """
    global _whole, _double
    import numba
    from numba.core import types
    from numba.extending import intrinsic

    def cast(to: Any) -> Any:
        def convert(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

        return lambda _, value: (to(value), convert)

    _whole, _double = intrinsic(cast(types.int64)), intrinsic(cast(types.float64))
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
    return numba.njit(**options)(_residuals), numba.njit(**options)(_curvatures)


_whole: Any = None
_double: Any = None
