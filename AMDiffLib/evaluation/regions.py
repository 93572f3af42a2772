"""Image errors of many regions in one pass: a subject's regions are the same at every count level.

The figures are those of `metrics.nrmse`, `metrics.nmae` and `metrics.mean_bias_percent`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.metrics import DATA_RANGE_SUV, NAN, clipped

WHOLE, BODY, LESION = "whole", "body", "lesion"


@dataclass(frozen=True, kw_only=True)
class RegionErrors:
    """Of one image in one region against one reference; NaN where the region is empty or has no range."""

    nrmse_range: float
    nrmse_mean: float
    nmae: float
    mean_bias_percent: float
    psnr_db: float


class ComparedRegions:
    """Regions of one reference image, (z, y, x) g/mL; `masks` maps names to (z, y, x) bool."""

    def __init__(self, reference: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
        self._reference = reference.astype(np.float32)
        self._indices = {
            name: None if mask.all() else np.flatnonzero(mask).astype(np.int32)
            for name, mask in masks.items()
        }
        self._facts = {}
        for name in masks:
            values = self._inside(self._reference, name)
            if values.size:
                self._facts[name] = (values.size, float(np.ptp(values)), float(values.mean(dtype=np.float64)))

    def errors(self, image: np.ndarray, names: Collection[str] | None = None) -> dict[str, RegionErrors]:
        """Compare `image` with the reference in the regions named (None: in every one)."""
        difference = image.astype(np.float32) - self._reference
        shown = clipped(image).astype(np.float32) - clipped(self._reference)
        found = {}
        for name in self._indices if names is None else names:
            if name not in self._facts:
                found[name] = RegionErrors(
                    nrmse_range=NAN, nrmse_mean=NAN, nmae=NAN, mean_bias_percent=NAN, psnr_db=NAN
                )
                continue
            size, span, mean = self._facts[name]
            inside = self._inside(difference, name)
            rmse = np.sqrt(np.square(inside).sum(dtype=np.float64) / size)
            absolute = np.abs(inside).sum(dtype=np.float64) / size
            squared = np.square(self._inside(shown, name)).sum(dtype=np.float64) / size
            found[name] = RegionErrors(
                nrmse_range=float(rmse / span) if span > 0 else NAN,
                nrmse_mean=float(rmse / mean) if mean > 0 else NAN,
                nmae=float(absolute / mean) if mean > 0 else NAN,
                mean_bias_percent=100.0 * float(inside.sum(dtype=np.float64)) / size / mean
                if mean > 0
                else NAN,
                psnr_db=float(10.0 * np.log10(DATA_RANGE_SUV**2 / squared)) if squared > 0 else float("inf"),
            )
        return found

    def mean_of(self, values: np.ndarray, name: str) -> float:
        """Mean of a (z, y, x) map over a region; NaN where it is empty."""
        inside = self._inside(values, name)
        return float(inside.mean(dtype=np.float64)) if inside.size else NAN

    def _inside(self, image: np.ndarray, name: str) -> np.ndarray:
        indices = self._indices[name]
        return image.ravel() if indices is None else image.ravel()[indices]
