"""Constants of a calibration whose intervals are known in closed form, and the map that goes with them."""

from __future__ import annotations

import math

import numpy as np

from AMDiffLib.quantification.calibration import Calibration, ErrorModel
from AMDiffLib.quantification.intervals import QUANTITIES, calibrated_name

HALF_WIDTH = 0.2
LOW, HIGH = math.exp(-HALF_WIDTH), math.exp(HALF_WIDTH)
"""Every interval is from measured x LOW to measured x HIGH."""
VOLUMES_ML = (0.5, 50.0)
"""The smallest and the largest region that the constants were found with."""


def a_calibration(*, bias: float = 0.0) -> Calibration:
    """Return constants whose intervals know neither size nor map; `bias` shifts their logarithm."""
    model = ErrorModel(
        location=(bias, 0.0, 0.0, 0.0),
        log_scale=(math.log(HALF_WIDTH), 0.0, 0.0, 0.0),
        lowest=(math.log(VOLUMES_ML[0]), -20.0, -20.0),
        highest=(math.log(VOLUMES_ML[1]), 20.0, 20.0),
        quantiles={"all": {0.05: -1.0, 0.95: 1.0}},
    )
    names = [calibrated_name(kind, quantity) for kind, of_kind in QUANTITIES.items() for quantity in of_kind]
    return Calibration(
        model_sha256="0" * 64,
        reference="high_count",
        references={"high_count": dict.fromkeys(names, model)},
        cohort={"subjects": ["sim-1", "sim-2", "sim-3"]},
    )


def an_sd_map(denoised: np.ndarray) -> np.ndarray:
    """Return a standard deviation of a tenth of the SUV."""
    return (0.1 * np.maximum(denoised, 0.0)).astype(np.float32)
