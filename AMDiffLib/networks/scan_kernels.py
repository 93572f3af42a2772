"""The selective scan compiled for CPUs by numba: the recurrence itself, one pass over the sequence.

State and scratch of a block of channels stay in the processor's cache and its vector units take the channels
side by side. The forward pass keeps the state only before every `CHUNK` steps; the backward pass goes through
the chunks from the last to the first and computes the states inside each again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload, register_jitable

CHUNK = 32

_INT32, _FLOAT32 = ir.IntType(32), ir.FloatType()
_LOG2_E = np.float32(1.0 / math.log(2.0))
_LN_2_HIGH = np.float32(0.693359375)  # of few bits, so that its multiples are exact
_LN_2_LOW = np.float32(math.log(2.0) - 0.693359375)
_TO_INTEGER = np.float32(1.5 * 2**23)  # added, it leaves the nearest integer in the last bits
_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)  # beyond, the result is no normal float32
_E2, _E3, _E4, _E5, _E6, _E7 = (np.float32(1.0 / math.factorial(n)) for n in range(2, 8))
_L3, _L5, _L7, _L9, _L11, _L13 = (np.float32(1.0 / n) for n in range(3, 14, 2))
_ONE, _TWO = np.float32(1.0), np.float32(2.0)


def _compiled(fastmath: set[str]) -> Callable[[Callable], Callable]:
    def decorate(function: Callable) -> Callable:
        options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder to keep the code in: it is compiled in each process
            return numba.njit(**options)(function)

    return decorate


@intrinsic
def _bits(typing, x):
    """The bits of a float32 as int32."""
    return numba.int32(numba.float32), lambda _, builder, __, values: builder.bitcast(values[0], _INT32)


@intrinsic
def _from_bits(typing, x):
    """The float32 of these int32 bits."""
    return numba.float32(numba.int32), lambda _, builder, __, values: builder.bitcast(values[0], _FLOAT32)


def exponential(x):
    """Return e^x; in float32 by 2^k times the Taylor series to the seventh power: relative error < 1e-7."""
    return np.exp(x)


@register_jitable
def _exponential_single(x):
    x = min(max(x, _LOWEST), _HIGHEST)
    shifted = x * _LOG2_E + _TO_INTEGER
    k = shifted - _TO_INTEGER
    r = (x - k * _LN_2_HIGH) - k * _LN_2_LOW
    series = _ONE + r * (_ONE + r * (_E2 + r * (_E3 + r * (_E4 + r * (_E5 + r * (_E6 + r * _E7))))))
    # The integer's last bits, shifted, are added to the exponent of the series.
    return _from_bits(np.int32((_bits(shifted) << 23) + _bits(series)))


@overload(exponential)
def _exponential(x):
    if x == numba.float32:
        return lambda x: _exponential_single(x)
    return lambda x: np.exp(x)


def log_one_plus(x):
    """Return ln(1 + x) for x in [0, 1]; in float32 by the series of 2 artanh(x / (2 + x)): error < 3e-7."""
    return np.log1p(x)


@overload(log_one_plus)
def _log_one_plus(x):
    if x == numba.float32:

        def single(x):
            s = x / (_TWO + x)
            p = s * s
            series = _L3 + p * (_L5 + p * (_L7 + p * (_L9 + p * (_L11 + p * _L13))))
            return _TWO * s * (_ONE + p * series)

        return single
    return lambda x: np.log1p(x)


@register_jitable
def _softplus(x, zero):
    return max(x, zero) + log_one_plus(exponential(-abs(x)))


@register_jitable
def _sigmoid(x, one):
    return one / (one + exponential(-x))


# Numba asks whether a sum of indices is negative, and by default whether a divisor is 0: either would keep
# LLVM from vectorising.
@_compiled(fastmath={"contract"})
def forward(u, delta, A, B, C, D, z, delta_bias, k, y, starts):
    """Scan block `k` of the channels of one sequence into `y` (L, blocks, width).

    u, delta, z: (L, blocks, width); A: (N, blocks, width), negative; B, C: (L, N); D, delta_bias: (blocks,
    width). `starts` (chunks, N, blocks, width) receives the state before each chunk; with no chunks, none is
    kept.
    """
    zero, one = u.dtype.type(0), u.dtype.type(1)
    length, _, width = u.shape
    states = A.shape[0]
    state = np.zeros((states, width), u.dtype)
    step, gain, total = np.empty(width, u.dtype), np.empty(width, u.dtype), np.empty(width, u.dtype)
    for t in range(length):
        if starts.shape[0] and t % CHUNK == 0:
            for n in range(states):
                for c in range(width):
                    starts[t // CHUNK, n, k, c] = state[n, c]
        for c in range(width):
            step[c] = _softplus(delta[t, k, c] + delta_bias[k, c], zero)
            gain[c] = step[c] * u[t, k, c]
            total[c] = D[k, c] * u[t, k, c]
        for n in range(states):
            b, weight = B[t, n], C[t, n]
            for c in range(width):
                h = exponential(step[c] * A[n, k, c]) * state[n, c] + gain[c] * b
                state[n, c] = h
                total[c] += weight * h
        for c in range(width):
            gate = z[t, k, c]
            y[t, k, c] = total[c] * gate * _sigmoid(gate, one)


@_compiled(fastmath={"contract", "reassoc"})
def backward(
    u, delta, A, B, C, D, z, delta_bias, k, starts, grad_y,
    grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias,
):  # fmt: skip
    """Add the gradients of block `k` of the channels of one sequence; arguments as in `forward`.

    grad_u, grad_delta and grad_z are written; grad_A, grad_B, grad_C, grad_D and grad_bias are added to.
    """
    zero, one = u.dtype.type(0), u.dtype.type(1)
    length, _, width = u.shape
    states = A.shape[0]
    history = np.empty((CHUNK + 1, states, width), u.dtype)
    decays = np.empty((CHUNK, states, width), u.dtype)
    steps, outputs = np.empty((CHUNK, width), u.dtype), np.empty((CHUNK, width), u.dtype)
    adjoint, of_A = np.zeros((states, width), u.dtype), np.empty((states, width), u.dtype)
    gain, of_scan = np.empty(width, u.dtype), np.empty(width, u.dtype)
    of_gain, of_step = np.empty(width, u.dtype), np.empty(width, u.dtype)
    for chunk in range((length - 1) // CHUNK, -1, -1):
        first = chunk * CHUNK
        count = min(CHUNK, length - first)
        for n in range(states):
            for c in range(width):
                history[0, n, c] = starts[chunk, n, k, c]
        for q in range(count):
            t = first + q
            for c in range(width):
                steps[q, c] = _softplus(delta[t, k, c] + delta_bias[k, c], zero)
                gain[c] = steps[q, c] * u[t, k, c]
                outputs[q, c] = D[k, c] * u[t, k, c]
            for n in range(states):
                b, weight = B[t, n], C[t, n]
                for c in range(width):
                    decay = exponential(steps[q, c] * A[n, k, c])
                    h = decay * history[q, n, c] + gain[c] * b
                    decays[q, n, c] = decay
                    history[q + 1, n, c] = h
                    outputs[q, c] += weight * h

        # Sums over a chunk first: over a long sequence single precision would lose the small ones.
        of_A[:] = zero
        for q in range(count - 1, -1, -1):
            t = first + q
            for c in range(width):
                gate, above = z[t, k, c], grad_y[t, k, c]
                passed = _sigmoid(gate, one)
                grad_z[t, k, c] = above * outputs[q, c] * passed * (one + gate * (one - passed))
                of_scan[c] = above * gate * passed
                grad_D[k, c] += of_scan[c] * u[t, k, c]
                gain[c] = steps[q, c] * u[t, k, c]
                of_gain[c] = zero
                of_step[c] = zero
            for n in range(states):
                b, weight = B[t, n], C[t, n]
                of_b, of_c = zero, zero
                for c in range(width):
                    of_state = adjoint[n, c] + weight * of_scan[c]
                    of_c += history[q + 1, n, c] * of_scan[c]
                    of_b += of_state * gain[c]
                    of_gain[c] += of_state * b
                    before = of_state * decays[q, n, c]
                    adjoint[n, c] = before
                    of_exponent = before * history[q, n, c]
                    of_step[c] += of_exponent * A[n, k, c]
                    of_A[n, c] += of_exponent * steps[q, c]
                grad_B[t, n] += of_b
                grad_C[t, n] += of_c
            for c in range(width):
                grad_u[t, k, c] = of_scan[c] * D[k, c] + of_gain[c] * steps[q, c]
                raised = of_step[c] + of_gain[c] * u[t, k, c]
                grad_delta[t, k, c] = raised * _sigmoid(delta[t, k, c] + delta_bias[k, c], one)
                grad_bias[k, c] += grad_delta[t, k, c]
        for n in range(states):
            for c in range(width):
                grad_A[n, k, c] += of_A[n, c]
