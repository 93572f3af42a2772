"""The selective scan in Triton: a program takes a block of channels, with all their states, through a chunk.

The chunks of a sequence run side by side. Forward: `chunk_ends` runs each from a zero state, `carry` hands
the states from chunk to chunk, `outputs` runs each again from its right state. Backward: `chunk_fronts` and
`carry` do so in reverse for the adjoint of the state, `gradients` computes the states again, then runs back.
A and the states lie (N, channels) in memory as in the registers, so that no step rearranges them. Of the
states, one in `KEPT` steps goes to memory. `REAL` is the type computed in.
"""

# Without `from __future__ import annotations`: Triton reads `tl.constexpr` from the annotation.
import triton
import triton.language as tl

# Sizes that change from call to call; specialised on, each new one could mean compiling again.
_SIZES = ["length", "channels", "states", "chunks", "steps"]


@triton.jit
def _softplus(x, REAL: tl.constexpr):
    """ln(1 + e^x); ln(1 + e) as 2 artanh(e / (2 + e)) by its series, exact for small e as well."""
    e = tl.exp(-tl.abs(x))
    s = e / (2.0 + e)
    p = s * s
    terms: tl.constexpr = 17 if REAL == tl.float64 else 7  # noqa: SIM300 (the order that Triton compares in)
    series = tl.full(x.shape, 1.0 / (2 * terms + 1), REAL)
    for k in tl.static_range(terms):
        series = series * p + 1.0 / (2 * (terms - k) - 1)
    return tl.maximum(x, 0.0) + 2.0 * s * series


@triton.jit
def _sigmoid(x):
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def _place(channels, states, chunks, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr):
    """Return which sequence and chunk this program has; its channels d (BLOCK_D,) and states n (BLOCK_N,),
    and which of them exist; the place of (n, d) in A or a state, (N, channels), and whether it exists."""
    program = tl.program_id(0)
    blocks = tl.cdiv(channels, BLOCK_D)
    d = (program % blocks) * BLOCK_D + tl.arange(0, BLOCK_D)
    chunk = (program // blocks) % chunks
    # In 64 bits, as all that is multiplied with it: tensors of more than 2^31 elements.
    sequence = (program // blocks // chunks).to(tl.int64)
    n = tl.arange(0, BLOCK_N)
    has_d, has_n = d < channels, n < states
    place, there = n[:, None] * channels + d[None, :], has_n[:, None] & has_d[None, :]
    return sequence, chunk, d, n, has_d, has_n, place, there


@triton.jit(do_not_specialize=_SIZES)
def chunk_ends(
    u, delta, A, B, delta_bias, ends, totals, length, channels, states, chunks, steps,
    REAL: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write the state each chunk ends in from a zero state, and the sum of its delta.

    u, delta: (batch, L, channels); A: (N, channels); B: (batch, L, N); ends: (batch, chunks, N, channels);
    totals: (batch, chunks, channels). Chunks are `steps` long, the last what is left.
    """
    sequence, chunk, d, n, has_d, has_n, place, there = _place(channels, states, chunks, BLOCK_D, BLOCK_N)
    bias = tl.load(delta_bias + d, mask=has_d, other=0.0).to(REAL)
    a = tl.load(A + place, mask=there, other=0.0).to(REAL)
    state = tl.zeros([BLOCK_N, BLOCK_D], REAL)
    total = tl.zeros([BLOCK_D], REAL)
    first = sequence * length + chunk * steps
    for t in range(tl.minimum(steps, length - chunk * steps)):
        row = first + t
        at, at_n = row * channels + d, row * states + n
        step = _softplus(tl.load(delta + at, mask=has_d, other=0.0).to(REAL) + bias, REAL)
        gain = step * tl.load(u + at, mask=has_d, other=0.0).to(REAL)
        b = tl.load(B + at_n, mask=has_n, other=0.0).to(REAL)
        state = tl.exp(step[None, :] * a) * state + gain[None, :] * b[:, None]
        total += step
    chunk_row = sequence * chunks + chunk
    tl.store(ends + chunk_row * states * channels + place, state, mask=there)
    tl.store(totals + chunk_row * channels + d, total, mask=has_d)


@triton.jit(do_not_specialize=_SIZES)
def carry(
    carried, totals, A, channels, states, chunks,
    REVERSE: tl.constexpr, REAL: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Replace what each chunk alone hands on by what it receives from all before it (REVERSE: behind it).

    carried: (batch, chunks, N, channels), the ends (fronts) of the chunks; totals, A: as in `chunk_ends`.
    """
    sequence, _, d, _, has_d, _, place, there = _place(channels, states, 1, BLOCK_D, BLOCK_N)
    a = tl.load(A + place, mask=there, other=0.0).to(REAL)
    received = tl.zeros([BLOCK_N, BLOCK_D], REAL)
    for k in range(chunks):
        chunk = sequence * chunks + (chunks - 1 - k if REVERSE else k)
        handed = carried + chunk * states * channels + place
        alone = tl.load(handed, mask=there, other=0.0)
        tl.store(handed, received, mask=there)
        total = tl.load(totals + chunk * channels + d, mask=has_d, other=0.0).to(REAL)
        received = tl.exp(total[None, :] * a) * received + alone


@triton.jit(do_not_specialize=_SIZES)
def outputs(
    u, delta, A, B, C, D, z, delta_bias, carried, y, kept, length, channels, states, chunks, steps,
    KEEP: tl.constexpr, KEPT: tl.constexpr,
    REAL: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write y (batch, L, channels), each chunk from its state in `carried`.

    With KEEP, `kept` (batch, ceil(L / KEPT), N, channels) receives the state before every KEPT steps; `steps`
    is a multiple of KEPT.
    """
    sequence, chunk, d, n, has_d, has_n, place, there = _place(channels, states, chunks, BLOCK_D, BLOCK_N)
    bias = tl.load(delta_bias + d, mask=has_d, other=0.0).to(REAL)
    skip = tl.load(D + d, mask=has_d, other=0.0).to(REAL)
    a = tl.load(A + place, mask=there, other=0.0).to(REAL)
    chunk_row = sequence * chunks + chunk
    state = tl.load(carried + chunk_row * states * channels + place, mask=there, other=0.0)
    count = tl.minimum(steps, length - chunk * steps)
    first = sequence * length + chunk * steps
    first_kept = sequence * tl.cdiv(length, KEPT) + chunk * (steps // KEPT)
    for part in range(tl.cdiv(count, KEPT)):
        if KEEP:
            tl.store(kept + (first_kept + part) * states * channels + place, state, mask=there)
        for t in range(part * KEPT, tl.minimum(count, part * KEPT + KEPT)):
            row = first + t
            at, at_n = row * channels + d, row * states + n
            x = tl.load(u + at, mask=has_d, other=0.0).to(REAL)
            step = _softplus(tl.load(delta + at, mask=has_d, other=0.0).to(REAL) + bias, REAL)
            b = tl.load(B + at_n, mask=has_n, other=0.0).to(REAL)
            c = tl.load(C + at_n, mask=has_n, other=0.0).to(REAL)
            gate = tl.load(z + at, mask=has_d, other=0.0).to(REAL)
            state = tl.exp(step[None, :] * a) * state + (step * x)[None, :] * b[:, None]
            total = tl.sum(state * c[:, None], axis=0) + skip * x
            tl.store(y + at, total * gate * _sigmoid(gate), mask=has_d)


@triton.jit(do_not_specialize=_SIZES)
def chunk_fronts(
    delta, A, C, z, delta_bias, grad_y, fronts, length, channels, states, chunks, steps,
    REAL: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write the adjoint (batch, chunks, N, channels) of the state before each chunk, of that chunk alone."""
    sequence, chunk, d, n, has_d, has_n, place, there = _place(channels, states, chunks, BLOCK_D, BLOCK_N)
    bias = tl.load(delta_bias + d, mask=has_d, other=0.0).to(REAL)
    a = tl.load(A + place, mask=there, other=0.0).to(REAL)
    adjoint = tl.zeros([BLOCK_N, BLOCK_D], REAL)
    count = tl.minimum(steps, length - chunk * steps)
    last = sequence * length + chunk * steps + count - 1
    for t in range(count):
        row = last - t
        at, at_n = row * channels + d, row * states + n
        step = _softplus(tl.load(delta + at, mask=has_d, other=0.0).to(REAL) + bias, REAL)
        gate = tl.load(z + at, mask=has_d, other=0.0).to(REAL)
        of_scan = tl.load(grad_y + at, mask=has_d, other=0.0).to(REAL) * gate * _sigmoid(gate)
        c = tl.load(C + at_n, mask=has_n, other=0.0).to(REAL)
        adjoint = (adjoint + c[:, None] * of_scan[None, :]) * tl.exp(step[None, :] * a)
    tl.store(fronts + (sequence * chunks + chunk) * states * channels + place, adjoint, mask=there)


@triton.jit(do_not_specialize=_SIZES)
def gradients(
    u, delta, A, B, C, D, z, delta_bias, grad_y, carried, kept, scratch,
    grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias,
    length, channels, states, chunks, steps,
    KEPT: tl.constexpr, REAL: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write the gradients; of what several programs share, each its part, to be summed over the first axis.

    carried: the adjoint that the chunks after each hand to its last state. scratch: (programs, KEPT, BLOCK_N,
    BLOCK_D). grad_u, grad_delta, grad_z: (batch, L, channels); grad_A: (batch chunks, N, channels); grad_D,
    grad_bias: (batch chunks, channels); grad_B, grad_C: (blocks of channels, batch, L, N).
    """
    sequence, chunk, d, n, has_d, has_n, place, there = _place(channels, states, chunks, BLOCK_D, BLOCK_N)
    bias = tl.load(delta_bias + d, mask=has_d, other=0.0).to(REAL)
    skip = tl.load(D + d, mask=has_d, other=0.0).to(REAL)
    a = tl.load(A + place, mask=there, other=0.0).to(REAL)
    chunk_row = sequence * chunks + chunk
    adjoint = tl.load(carried + chunk_row * states * channels + place, mask=there, other=0.0)
    count = tl.minimum(steps, length - chunk * steps)
    first = sequence * length + chunk * steps
    first_kept = sequence * tl.cdiv(length, KEPT) + chunk * (steps // KEPT)
    program = tl.program_id(0)
    own = scratch + program.to(tl.int64) * (KEPT * BLOCK_N * BLOCK_D)
    own += tl.arange(0, BLOCK_N)[:, None] * BLOCK_D + tl.arange(0, BLOCK_D)[None, :]
    # Each block of channels has its own grad_B and grad_C.
    sequences = tl.num_programs(0) // (tl.cdiv(channels, BLOCK_D) * chunks)
    shift = (program % tl.cdiv(channels, BLOCK_D)).to(tl.int64) * sequences * length
    of_A = tl.zeros([BLOCK_N, BLOCK_D], REAL)
    of_D = tl.zeros([BLOCK_D], REAL)
    of_bias = tl.zeros([BLOCK_D], REAL)
    parts = tl.cdiv(count, KEPT)
    for k in range(parts):
        part = parts - 1 - k
        after = tl.load(kept + (first_kept + part) * states * channels + place, mask=there, other=0.0)
        inside = tl.minimum(KEPT, count - part * KEPT)
        tl.debug_barrier()  # what the part before had in the scratch has been read
        for q in range(inside):
            row = first + part * KEPT + q
            at, at_n = row * channels + d, row * states + n
            step = _softplus(tl.load(delta + at, mask=has_d, other=0.0).to(REAL) + bias, REAL)
            gain = step * tl.load(u + at, mask=has_d, other=0.0).to(REAL)
            b = tl.load(B + at_n, mask=has_n, other=0.0).to(REAL)
            tl.store(own + q * (BLOCK_N * BLOCK_D), after)
            after = tl.exp(step[None, :] * a) * after + gain[None, :] * b[:, None]
        tl.debug_barrier()  # all has been written
        # Sums over a part first: over a long sequence single precision would lose the small ones.
        of_A_here = tl.zeros([BLOCK_N, BLOCK_D], REAL)
        for k_q in range(inside):
            q = inside - 1 - k_q
            row = first + part * KEPT + q
            at, at_n = row * channels + d, row * states + n
            x = tl.load(u + at, mask=has_d, other=0.0).to(REAL)
            raw_step = tl.load(delta + at, mask=has_d, other=0.0).to(REAL) + bias
            step = _softplus(raw_step, REAL)
            b = tl.load(B + at_n, mask=has_n, other=0.0).to(REAL)
            c = tl.load(C + at_n, mask=has_n, other=0.0).to(REAL)
            gate = tl.load(z + at, mask=has_d, other=0.0).to(REAL)
            above = tl.load(grad_y + at, mask=has_d, other=0.0).to(REAL)
            before = tl.load(own + q * (BLOCK_N * BLOCK_D))
            passed = _sigmoid(gate)
            output = tl.sum(after * c[:, None], axis=0) + skip * x
            of_z = above * output * passed * (1.0 + gate * (1.0 - passed))
            of_scan = above * gate * passed
            of_D += of_scan * x
            adjoint += c[:, None] * of_scan[None, :]
            of_c = tl.sum(after * of_scan[None, :], axis=1)
            of_b = tl.sum(adjoint * (step * x)[None, :], axis=1)
            of_gain = tl.sum(adjoint * b[:, None], axis=0)
            adjoint = adjoint * tl.exp(step[None, :] * a)  # now of the state before the step
            of_exponent = adjoint * before
            of_A_here += of_exponent * step[None, :]
            of_step = tl.sum(of_exponent * a, axis=0) + of_gain * x
            of_delta = of_step * _sigmoid(raw_step)
            of_bias += of_delta
            tl.store(grad_u + at, of_scan * skip + of_gain * step, mask=has_d)
            tl.store(grad_delta + at, of_delta, mask=has_d)
            tl.store(grad_z + at, of_z, mask=has_d)
            tl.store(grad_B + (shift + row) * states + n, of_b, mask=has_n)
            tl.store(grad_C + (shift + row) * states + n, of_c, mask=has_n)
            after = before
        of_A += of_A_here
    tl.store(grad_A + chunk_row * states * channels + place, of_A, mask=there)
    tl.store(grad_D + chunk_row * channels + d, of_D, mask=has_d)
    tl.store(grad_bias + chunk_row * channels + d, of_bias, mask=has_d)
