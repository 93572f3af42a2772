"""From observations to the constants of a calibration; the method is that of `quantification.intervals`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.calibration.observations import Observation
from AMDiffLib.errors import BadInput
from AMDiffLib.quantification.calibration import EVERY_SIZE, ErrorModel, tails
from AMDiffLib.quantification.intervals import QUANTITIES, calibrated_name

CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

LEAST_OBSERVATIONS, LEAST_SUBJECTS = 20, 4
"""Fewer make no quantity's error model: the ends of a 90 % interval are the 5 % tails."""
LEAST_IN_GROUP, LEAST_SUBJECTS_IN_GROUP = 40, 8
"""A size class or an organ has quantiles of its own from so many on; else those of all are used."""

_DEGREES_OF_FREEDOM = 4.0
_LOCATION_PRIOR_SD, _SCALE_PRIOR_SD = 0.5, 0.5
"""Spread of the slopes of location and ln(scale) that is expected before anything is seen: it keeps few
observations from steep lines."""


@dataclass(frozen=True, kw_only=True)
class _Errors:
    """One quantity's logarithmic errors: `design` rows are 1 and the logarithms of the features."""

    error: np.ndarray
    design: np.ndarray
    weight: np.ndarray
    subject: np.ndarray
    group: np.ndarray


def fit_error_models(observations: Sequence[Observation]) -> dict[str, dict[str, ErrorModel]]:
    """Return the error models by reference and quantity; a quantity with too few observations has none.

    Raises:
        BadInput: no quantity has enough.
    """
    references = sorted(set.intersection(*(set(o.true) for o in observations))) if observations else []
    models: dict[str, dict[str, ErrorModel]] = {}
    for reference in references:
        models[reference] = {}
        for kind, quantities in QUANTITIES.items():
            of_kind = [o for o in observations if o.kind == kind]
            if len(of_kind) < LEAST_OBSERVATIONS or len({o.subject for o in of_kind}) < LEAST_SUBJECTS:
                continue
            for quantity in quantities:
                errors = _errors_of(of_kind, quantity, reference)
                models[reference][calibrated_name(kind, quantity)] = fit_error_model(errors)
    if not any(models.values()):
        raise BadInput(
            f"There are {len(observations)} observations; intervals need at least {LEAST_OBSERVATIONS} of "
            f"{LEAST_SUBJECTS} people of some kind (lesions that were found, organs). Add people."
        )
    return models


def log_error(observation: Observation, quantity: str, reference: str) -> float:
    """Return ln(true / measured)."""
    return math.log(observation.true[reference][quantity] / observation.measured[quantity])


def _errors_of(observations: Sequence[Observation], quantity: str, reference: str) -> _Errors:
    subject = np.array([o.subject for o in observations])
    _, place, count = np.unique(subject, return_inverse=True, return_counts=True)
    # Lesions of one person resemble each other: ten of them tell less than one each of ten people, but more
    # than a single one.
    weight = 1.0 / np.sqrt(count[place])
    return _Errors(
        error=np.array([log_error(o, quantity, reference) for o in observations]),
        design=np.array([(1.0, *o.features.logarithms()) for o in observations]),
        weight=weight / weight.mean(),
        subject=subject,
        group=np.array([o.group for o in observations]),
    )


def fit_error_model(errors: _Errors) -> ErrorModel:
    """Fit location and scale, then take the quantiles of what each person's errors are without them."""
    everyone = np.ones(errors.error.shape, bool)
    location, log_scale = _fitted(errors, everyone)
    standardised = np.empty_like(errors.error)
    for subject in np.unique(errors.subject):
        own = errors.subject == subject
        seen = errors.design[~own]
        # As in use: a line is not followed to where nothing is known.
        design = np.clip(errors.design[own], seen.min(axis=0), seen.max(axis=0))
        others_location, others_log_scale = _fitted(errors, ~own)
        residual = errors.error[own] - design @ others_location
        standardised[own] = residual / np.exp(design @ others_log_scale)
    groups = {EVERY_SIZE: everyone}
    for group in np.unique(errors.group):
        inside = errors.group == group
        enough = inside.sum() >= LEAST_IN_GROUP
        if enough and len(np.unique(errors.subject[inside])) >= LEAST_SUBJECTS_IN_GROUP:
            groups[str(group)] = inside
    return ErrorModel(
        location=tuple(location.tolist()),
        log_scale=tuple(log_scale.tolist()),
        lowest=tuple(errors.design[:, 1:].min(axis=0).tolist()),
        highest=tuple(errors.design[:, 1:].max(axis=0).tolist()),
        quantiles={
            group: conformal_quantiles(standardised[inside], errors.weight[inside])
            for group, inside in groups.items()
        },
    )


def conformal_quantiles(z: np.ndarray, weight: np.ndarray) -> dict[float, float]:
    """Return the two tail quantiles of every confidence in `CONFIDENCES`, probability -> z.

    Of n values a new one exceeds the k-th smallest with a probability of 1 - k / (n + 1), so that the upper
    quantile is the value of rank (n + 1) p, interpolated between ranks; the lower one is its mirror image. n
    is Kish's effective number, (sum w)^2 / sum w^2; for ranks above n, the most extreme value stands.
    """
    found = {}
    for confidence in CONFIDENCES:
        low, high = tails(confidence)
        found[round(low, 4)] = -_upper_quantile(-z, weight, high)
        found[round(high, 4)] = _upper_quantile(z, weight, high)
    return dict(sorted(found.items()))


def _upper_quantile(z: np.ndarray, weight: np.ndarray, probability: float) -> float:
    number = weight.sum() ** 2 / (weight**2).sum()
    order = np.argsort(z)
    ranks = number * np.cumsum(weight[order]) / weight.sum()
    return float(np.interp((number + 1.0) * probability, ranks, z[order]))


def _fitted(errors: _Errors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return location and log-scale coefficients: the largest Student t likelihood with a prior on slopes."""
    from scipy.optimize import minimize

    design, error, weight = errors.design[rows], errors.error[rows], errors.weight[rows]
    # Centred, so that the prior on the slopes leaves the level alone.
    centre = np.average(design[:, 1:], axis=0, weights=weight)
    centred = np.column_stack([design[:, 0], design[:, 1:] - centre])
    middle = float(np.median(error))
    spread = max(1.4826 * float(np.median(np.abs(error - middle))), 1e-3)
    half = (_DEGREES_OF_FREEDOM + 1.0) / 2.0

    terms = centred.shape[1]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        location, log_scale = parameters[:terms], parameters[terms:]
        scale = np.exp(centred @ log_scale)
        z = (error - centred @ location) / scale
        likelihood = weight @ (np.log(scale) + half * np.log1p(z**2 / _DEGREES_OF_FREEDOM))
        pull = half * 2.0 * z / (_DEGREES_OF_FREEDOM + z**2)
        by_location = -(weight * pull / scale) @ centred
        by_scale = (weight * (1.0 - pull * z)) @ centred
        location_slopes = location[1:] / _LOCATION_PRIOR_SD
        scale_slopes = log_scale[1:] / _SCALE_PRIOR_SD
        by_location[1:] += location_slopes / _LOCATION_PRIOR_SD
        by_scale[1:] += scale_slopes / _SCALE_PRIOR_SD
        prior = 0.5 * (location_slopes @ location_slopes + scale_slopes @ scale_slopes)
        return float(likelihood + prior), np.concatenate([by_location, by_scale])

    start = np.zeros(2 * terms)
    start[0], start[terms] = middle, math.log(spread)
    parameters = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return _uncentred(parameters[:terms], centre), _uncentred(parameters[terms:], centre)


def _uncentred(coefficients: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.concatenate([[coefficients[0] - coefficients[1:] @ centre], coefficients[1:]])


def counts_of(observations: Sequence[Observation]) -> dict[str, dict[str, int]]:
    """Return how many observations and people each group has, for the record."""
    people: dict[str, set[str]] = defaultdict(set)
    number: dict[str, int] = defaultdict(int)
    for observation in observations:
        name = f"{observation.kind}: {observation.group}"
        people[name].add(observation.subject)
        number[name] += 1
    return {name: {"observations": number[name], "subjects": len(people[name])} for name in sorted(number)}
