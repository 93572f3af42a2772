"""Drawing a denoised image: ancestral sampling as published, or a few steps from the low-count image.

Both work on whole volumes: `predict_x0(x_t, t)` returns the predicted clean image for a volume, and whether
it does so in tiles is its own affair. `noise(step)` returns the standard normal field of the whole grid.
Images are on the normalised intensity scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from AMDiffLib.diffusion.schedule import NoiseSchedule

PredictX0 = Callable[[Tensor, int], Tensor]
Noise = Callable[[int], Tensor]
OnStep = Callable[[int, int], None]  # (steps done, steps in all)


def ancestral(
    predict_x0: PredictX0,
    x_start: Tensor,
    schedule: NoiseSchedule,
    noise: Noise,
    on_step: OnStep | None = None,
) -> Tensor:
    """Return I^0 after T steps of Eq. (4) from `x_start`, pure noise; the last step adds none.

    `noise(0)` is left for x_start: step i = 1..T-1 takes `noise(i)`.
    """
    x_t = x_start
    total = schedule.timesteps
    for done, t in enumerate(range(total, 0, -1), start=1):
        x_t = schedule.posterior_mean(predict_x0(x_t, t), x_t, t)
        if t > 1:
            x_t = x_t + float(schedule.posterior_variance(t)) ** 0.5 * noise(done).to(x_t)
        if on_step is not None:
            on_step(done, total)
    return x_t


def few_step(
    predict_x0: PredictX0,
    low_count_normalised: Tensor,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    noise: Noise,
    on_step: OnStep | None = None,
) -> Tensor:
    """Return the last predicted clean image along `timesteps`, which fall strictly within T..1.

    The first x_t is the low-count image carried forward to timesteps[0] with `noise(0)`, Eq. (1): at that
    level the added noise hides how it differs from a high-count image. The steps between are deterministic
    (DDIM, eta 0).

    Raises ValueError when `timesteps` is empty or does not fall.
    """
    if not timesteps or any(later >= earlier for earlier, later in pairwise(timesteps)):
        raise ValueError(f"the sampling timesteps are {list(timesteps)}; they must fall from step to step")
    x_t = schedule.q_sample(low_count_normalised, timesteps[0], noise(0).to(low_count_normalised))
    for index, t in enumerate(timesteps):
        x0 = predict_x0(x_t, t)
        if index + 1 < len(timesteps):
            x_t = schedule.q_sample(x0, timesteps[index + 1], schedule.epsilon_from_x0(x_t, t, x0))
        if on_step is not None:
            on_step(index + 1, len(timesteps))
    return x0
