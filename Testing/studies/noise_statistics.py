"""Statistics of image noise: autocorrelation and variation in a volume of interest, slopes against counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

# A trend of few terms takes little of the noise: a few iterations put it back.
_ITERATIONS = 10
_LAST = (-3, -2, -1)

AXES = ("axial", "anterior-posterior", "left-right")


@dataclass(frozen=True, kw_only=True)
class NoiseTexture:
    """Noise in a box of an image that is smooth but for noise.

    `covariance`, (2 reach + 1)^3, is by offset (z, y, x).
    """

    mean: float
    covariance: np.ndarray

    @property
    def variation(self) -> float:
        """Coefficient of variation: the noise's standard deviation over the mean."""
        return float(np.sqrt(self.covariance[(self.covariance.shape[0] // 2,) * 3]) / self.mean)

    @property
    def correlation(self) -> dict[str, np.ndarray]:
        """Correlation at lags 1, 2, ... by direction; "transaxial" is the mean of the two transaxial ones."""
        lags = self.covariance.shape[0] // 2
        rho = self.covariance / self.covariance[lags, lags, lags]
        lines = {name: np.moveaxis(rho, axis, 0)[lags + 1 :, lags, lags] for axis, name in enumerate(AXES)}
        return lines | {"transaxial": (lines[AXES[1]] + lines[AXES[2]]) / 2}


def trend_basis(shape: Sequence[int], order: int) -> np.ndarray:
    """Return orthonormal columns (voxels, terms) spanning the polynomials of total degree <= `order`."""
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape]
    grid = np.meshgrid(*axes, indexing="ij")
    terms = [
        grid[0] ** i * grid[1] ** j * grid[2] ** k
        for i in range(order + 1)
        for j in range(order + 1 - i)
        for k in range(order + 1 - i - j)
    ]
    return np.linalg.qr(np.stack([term.ravel() for term in terms], axis=1))[0]


def noise_texture(box: np.ndarray, *, lags: int = 4, order: int = 2) -> NoiseTexture:
    """Measure the noise in `box` (z, y, x) after a polynomial trend of total degree `order` is taken out.

    Each lag is averaged over its own pairs of voxels. Taking out the trend also takes out the noise that
    looks like it, which pulls every covariance down; that bias is known in closed form for a stationary
    noise (`trend_bias`) and is put back by fixed-point iteration.

    Raises:
        ValueError: the box is not larger than twice the largest lag in each direction.
    """
    if min(box.shape) <= 2 * lags:
        raise ValueError(f"The box has {box.shape} voxels; {lags} lags need more than {2 * lags} a side.")
    basis = trend_basis(box.shape, order)
    values = box.ravel().astype(float)
    residual = (values - basis @ (basis.T @ values)).reshape(box.shape)
    measured = autocovariance(residual, lags)
    covariance = measured
    for _ in range(_ITERATIONS):
        covariance = measured + trend_bias(covariance, basis, box.shape)
    return NoiseTexture(mean=float(values.mean()), covariance=covariance)


def sampling_error(
    texture: NoiseTexture, shape: Sequence[int], *, order: int = 2, redraws: int = 100, seed: int = 0
) -> tuple[float, dict[str, np.ndarray]]:
    """Return the standard errors of the variation and of the correlations measured in one box of `shape`.

    A parametric bootstrap: Gaussian noise of the measured covariance is drawn anew and measured alike. (One
    box holds too few independent blocks for a block bootstrap: its 95 % intervals held the truth in 55 to
    90 % of synthetic boxes, these in 80 to 97 %.)
    """
    rng, lags = np.random.default_rng(seed), texture.covariance.shape[0] // 2
    size = [n + 2 * lags + 1 for n in shape]
    kernel = np.zeros(size)
    offsets = np.arange(-lags, lags + 1)
    kernel[np.ix_(*[offsets % n for n in size])] = texture.covariance
    # An estimated covariance need not be positive definite: what is negative in its spectrum is left out.
    amplitude = np.sqrt(np.fft.fftn(kernel).real.clip(min=0))
    drawn = []
    for _ in range(redraws):
        noise = np.fft.ifftn(amplitude * np.fft.fftn(rng.standard_normal(size))).real
        window = noise[tuple(slice(n) for n in shape)]
        drawn.append(noise_texture(texture.mean + window, lags=lags, order=order))
    correlations = {name: [one.correlation[name] for one in drawn] for name in drawn[0].correlation}
    error = {name: np.std(values, axis=0, ddof=1) for name, values in correlations.items()}
    return float(np.std([one.variation for one in drawn], ddof=1)), error


def autocovariance(residual: np.ndarray, reach: int) -> np.ndarray:
    """Return the mean product of all pairs at each offset of up to `reach` voxels, (2 reach + 1)^3."""
    return _correlate(residual, residual, reach) / _pairs(residual.shape, reach)


def trend_bias(covariance: np.ndarray, basis: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return what removing the trend takes from each covariance, in the mean.

    For noise n of covariance matrix C and residual e = (1 - P) n with the projection P = Q Q' on the trend,
    C - E[e e'] = PC + CP - PCP; its mean over the pairs at one offset is the bias there. `covariance` is
    C at offsets up to its reach, and zero beyond.
    """
    reach = covariance.shape[0] // 2
    columns = basis.T.reshape(-1, *shape)
    through = _convolve(columns, covariance)
    inner = basis.T @ through.reshape(len(columns), -1).T
    both = 2 * through - (basis @ inner).T.reshape(-1, *shape)
    lopsided = _correlate(columns, both, reach)
    # C and PCP are symmetric: the two offsets of a pair share what PC and CP add there.
    return (lopsided + lopsided[::-1, ::-1, ::-1]) / 2 / _pairs(shape, reach)


def log_log_slope(counts: Sequence[float], noise: Sequence[float]) -> float:
    """Return the least-squares slope of log noise against log counts; -0.5 for Poisson noise."""
    return float(np.polyfit(np.log(counts), np.log(noise), 1)[0])


class RunningMoments:
    """Mean and standard deviation of each voxel over realisations added one by one (Welford 1962)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: np.ndarray | float = 0.0
        self._squares: np.ndarray | float = 0.0

    def add(self, image: np.ndarray) -> None:
        """Add one realisation."""
        self._count += 1
        step = image - self._mean
        self._mean = self._mean + step / self._count
        self._squares = self._squares + step * (image - self._mean)

    @property
    def mean(self) -> np.ndarray:
        """Mean over realisations."""
        return self._mean

    @property
    def standard_deviation(self) -> np.ndarray:
        """Standard deviation across realisations, with n - 1 degrees of freedom; needs at least two."""
        return np.sqrt(self._squares / (self._count - 1))


def _correlate(first: np.ndarray, second: np.ndarray, reach: int) -> np.ndarray:
    """Return sum_i first[i] second[i + offset], offsets of up to `reach` voxels, summed over leading axes."""
    size = [n + reach for n in first.shape[-3:]]
    spectrum = np.conj(scipy.fft.rfftn(first, size, axes=_LAST)) * scipy.fft.rfftn(second, size, axes=_LAST)
    cyclic = scipy.fft.irfftn(spectrum.reshape(-1, *spectrum.shape[-3:]).sum(axis=0), size)
    offsets = np.arange(-reach, reach + 1)
    return cyclic[np.ix_(*[offsets % n for n in cyclic.shape])]


def _convolve(fields: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return `fields` (..., D, H, W) convolved with a symmetric `kernel` of odd size, zero outside."""
    reach = kernel.shape[0] // 2
    size = [n + 2 * reach for n in fields.shape[-3:]]
    spectrum = scipy.fft.rfftn(fields, size, axes=_LAST) * scipy.fft.rfftn(kernel, size)
    full = scipy.fft.irfftn(spectrum, size, axes=_LAST)
    return full[(..., *(slice(reach, reach + n) for n in fields.shape[-3:]))]


def _pairs(shape: Sequence[int], reach: int) -> np.ndarray:
    """Return the number of pairs of voxels at each offset."""
    lines = [n - np.abs(np.arange(-reach, reach + 1)) for n in shape]
    return np.einsum("i,j,k->ijk", *lines).astype(float)
