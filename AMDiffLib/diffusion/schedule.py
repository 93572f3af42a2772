"""The forward diffusion: a cosine schedule over timesteps 1..T and the closed forms that follow from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LARGEST_BETA = 0.999


class NoiseSchedule(nn.Module):
    """Cosine schedule of Nichol and Dhariwal (2021) over t = 1..T as in the paper; t = 0 is the clean image.

    alpha_bar(t) = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2), with every beta limited to 0.999.
    The tables are float64 and indexed by t; results come in the dtype and on the device of the image given.
    All images are (B, ...), `t` is an int or an int64 tensor (B,).
    """

    def __init__(self, timesteps: int = 250, cosine_offset: float = 0.008) -> None:
        super().__init__()
        self.timesteps = timesteps
        position = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        f = torch.cos((position + cosine_offset) / (1.0 + cosine_offset) * (math.pi / 2)) ** 2
        beta = torch.zeros_like(f)
        beta[1:] = (1.0 - f[1:] / f[:-1]).clamp(max=LARGEST_BETA)
        alpha = 1.0 - beta
        alpha_bar = torch.cumprod(alpha, dim=0)
        for name, table in (("beta", beta), ("alpha", alpha), ("alpha_bar", alpha_bar)):
            self.register_buffer(name, table, persistent=False)

    def _apply(self, fn, recurse: bool = True):
        # The tables keep their float64 when the model is cast; only their device follows.
        tables = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, table in tables.items():
            self._buffers[name] = table.to(self._buffers[name].device)
        return self

    def q_sample(self, x0: Tensor, t: int | Tensor, noise: Tensor) -> Tensor:
        """Return I^t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise, Eq. (1)."""
        signal, sigma = self._signal_and_sigma(x0, t)
        return signal * x0 + sigma * noise

    def x0_from_epsilon(self, x_t: Tensor, t: int | Tensor, epsilon: Tensor) -> Tensor:
        """Return the clean image that Eq. (1) gives for `x_t` and its noise."""
        signal, sigma = self._signal_and_sigma(x_t, t)
        return (x_t - sigma * epsilon) / signal

    def epsilon_from_x0(self, x_t: Tensor, t: int | Tensor, x0: Tensor) -> Tensor:
        """Return the noise that Eq. (1) gives for `x_t` and its clean image."""
        signal, sigma = self._signal_and_sigma(x_t, t)
        return (x_t - signal * x0) / sigma

    def v_from_x0(self, x0: Tensor, t: int | Tensor, noise: Tensor) -> Tensor:
        """Return v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0 (Salimans and Ho, 2022)."""
        signal, sigma = self._signal_and_sigma(x0, t)
        return signal * noise - sigma * x0

    def x0_from_v(self, x_t: Tensor, t: int | Tensor, v: Tensor) -> Tensor:
        """Return the clean image for `x_t` and its v."""
        signal, sigma = self._signal_and_sigma(x_t, t)
        return signal * x_t - sigma * v

    def posterior_mean(self, x0: Tensor, x_t: Tensor, t: int | Tensor) -> Tensor:
        """Return the mean of q(x_{t-1} | x_t, x0); with x0 from epsilon it is the bracket of Eq. (4)."""
        t = self._index(t)
        remaining = 1.0 - self.alpha_bar[t]
        of_x0 = self.alpha_bar[t - 1].sqrt() * self.beta[t] / remaining
        of_x_t = self.alpha[t].sqrt() * (1.0 - self.alpha_bar[t - 1]) / remaining
        return self._like(of_x0, x0) * x0 + self._like(of_x_t, x_t) * x_t

    def posterior_variance(self, t: int | Tensor) -> Tensor:
        """Return sigma_t^2 of Eq. (4), the variance of q(x_{t-1} | x_t, x0), in float64; 0 at t = 1."""
        t = self._index(t)
        return self.beta[t] * (1.0 - self.alpha_bar[t - 1]) / (1.0 - self.alpha_bar[t])

    def snr(self, t: int | Tensor) -> Tensor:
        """Return alpha_bar / (1 - alpha_bar) in float64."""
        alpha_bar = self.alpha_bar[self._index(t)]
        return alpha_bar / (1.0 - alpha_bar)

    def _index(self, t: int | Tensor) -> Tensor:
        t = torch.as_tensor(t, device=self.alpha_bar.device)
        if not t.is_cuda and (int(t.min()) < 1 or int(t.max()) > self.timesteps):
            raise ValueError(f"timestep {t.tolist()} is outside 1..{self.timesteps}")
        return t

    def _signal_and_sigma(self, image: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        alpha_bar = self.alpha_bar[self._index(t)]
        return self._like(alpha_bar.sqrt(), image), self._like((1.0 - alpha_bar).sqrt(), image)

    @staticmethod
    def _like(values: Tensor, image: Tensor) -> Tensor:
        values = values.to(image.device, image.dtype)
        return values.reshape(-1, *([1] * (image.ndim - 1))) if values.ndim else values
