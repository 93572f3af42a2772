"""Two ways to grade uptake against the patient's own liver: the Deauville score and PERCIST.

Sources: Barrington et al., Role of imaging in the staging and response assessment of lymphoma, J Clin Oncol
2014;32:3048 (Deauville, in the Lugano classification); Wahl et al., From RECIST to PERCIST, J Nucl Med
2009;50 Suppl 1:122S.
"""

from __future__ import annotations

MARKEDLY_ABOVE_LIVER = 2.0
"""Score 5 begins "2x to 3x" above the liver's maximum: the lower bound, so that nothing marked is missed."""


def deauville_score(
    suv_max: float | None, *, blood_pool_max: float | None, liver_max: float | None
) -> int | None:
    """Return the Deauville score of a lesion, 2 to 5; None without references.

    2: not above the blood pool, 3: not above the liver, 4: above the liver, 5: above 2 x liver; all are
    SUVmax. Where the blood pool is not below the liver, the liver takes its place. Score 1, no uptake, is
    that of a patient without lesions.
    """
    if suv_max is None or blood_pool_max is None or liver_max is None:
        return None
    if suv_max > MARKEDLY_ABOVE_LIVER * liver_max:
        return 5
    if suv_max > liver_max:
        return 4
    if blood_pool_max >= liver_max:
        return 3 if suv_max == liver_max else 2
    return 3 if suv_max > blood_pool_max else 2


def patient_deauville(scores: list[int | None]) -> int | None:
    """Return the highest score of the accepted lesions, 1 without any; None where one has none."""
    if None in scores:
        return None
    return max(scores, default=1)


def percist_threshold(liver_sul_mean: float | None, liver_sul_sd: float | None) -> float | None:
    """Return the SULpeak from which a lesion is measurable: 1.5 x liver mean + 2 SD; None without liver."""
    if liver_sul_mean is None or liver_sul_sd is None:
        return None
    return 1.5 * liver_sul_mean + 2.0 * liver_sul_sd
