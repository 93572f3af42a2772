"""People whose measurements err by a known law, to fit and to judge intervals with."""

from __future__ import annotations

import math

import numpy as np

from AMDiffLib.calibration.observations import Observation
from AMDiffLib.quantification.calibration import Features
from AMDiffLib.quantification.intervals import LESION, QUANTITIES, size_class


def observed_people(seed: int, people: int, *, first: int = 0) -> list[Observation]:
    """Lesions of `people` at 5, 10 and 20 % counts.

    The errors are of heavy tails (Student t, 4 degrees of freedom), grow with the relative SD, shrink with
    the volume, are biased for small lesions, and go together within a person.
    """
    random = np.random.default_rng(seed)
    found = []
    for person in range(first, first + people):
        shift = random.normal(0.0, 0.05)
        for _ in range(1 + random.poisson(4)):
            volume_ml = math.exp(random.normal(0.7, 1.5))
            for level, noise in ((5.0, 0.20), (10.0, 0.14), (20.0, 0.10)):
                relative_sd = noise * math.exp(random.normal(0.0, 0.2))
                scale = 1.5 * relative_sd * volume_ml**-0.25
                measured = dict(
                    zip(QUANTITIES[LESION], (5.0, 4.0, 4.5, volume_ml, 4.0 * volume_ml), strict=True)
                )
                true = {
                    quantity: value
                    * math.exp(0.3 - 0.1 * math.log(volume_ml) + shift + scale * random.standard_t(4))
                    for quantity, value in measured.items()
                }
                found.append(
                    Observation(
                        subject=f"person-{person}",
                        counts_percent=level,
                        kind=LESION,
                        group=size_class(volume_ml),
                        features=Features(volume_ml=volume_ml, relative_sd=relative_sd, rim=0.3),
                        measured=measured,
                        true={"high_count": true},
                        true_ml=true["mtv_ml"],
                    )
                )
    return found
