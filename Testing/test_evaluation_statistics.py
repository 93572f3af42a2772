"""Statistics of an evaluation: pooling, intervals, tests and agreement against closed forms and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation_cases import a_score
from scipy import stats

from AMDiffLib.evaluation.agreement import Pairs, agree, pairs_of, regression
from AMDiffLib.evaluation.case_pictures import ranked_cases
from AMDiffLib.evaluation.detection import SIZE_NAMES
from AMDiffLib.evaluation.groups import Figure, Group, by_subject, groups_of, with_best_filters
from AMDiffLib.evaluation.resampling import bootstrap_interval, ratio_of_means, wilcoxon_p
from AMDiffLib.evaluation.scores import Score
from AMDiffLib.evaluation.summary import evaluate_scores

EVERYTHING = Group(counts_percent=None, scanner=None)


def test_groups_are_every_level_and_scanner_apart_and_pooled():
    scores = [a_score(1, counts_percent=level, scanner=s) for level in (20.0, 5.0) for s in ("mct", "vision")]
    names = [group.name for group in groups_of(scores)]
    assert names[:3] == ["all counts, all scanners", "5 % counts, all scanners", "20 % counts, all scanners"]
    assert len(names) == len(set(names)) == 9
    assert [group.name for group in groups_of(scores[:1])] == ["20 % counts, all scanners"]


def test_a_subject_counts_once_however_many_levels_it_has():
    scores = [a_score(v, counts_percent=c) for v, c in ((0.1, 5.0), (0.3, 10.0), (math.nan, 20.0))]
    scores.append(a_score(0.8, subject="b"))
    evaluation = evaluate_scores(scores)
    pooled = evaluation.summary(EVERYTHING, "model", "nrmse_range", "liver", "high_count")
    assert (pooled.n, pooled.mean) == (2, pytest.approx(0.5))  # 0.2 of a, 0.8 of b
    assert pooled.sd == pytest.approx(math.sqrt(0.18))


def test_the_best_gaussian_is_chosen_for_each_level_and_named():
    scores = []
    for level, good in ((5.0, "gaussian_8mm"), (20.0, "gaussian_4mm")):
        for method in ("gaussian_4mm", "gaussian_8mm"):
            value = 0.1 if method == good else 0.2
            scores += [
                a_score(value + n, method=method, counts_percent=level, subject=str(n)) for n in (0, 1)
            ]
            scores.append(a_score(level, method=method, counts_percent=level, metric="mean_bias_percent"))
    kept, widths = with_best_filters(scores)
    assert widths == {
        ("gaussian_best", 5.0, "liver", "high_count"): 8.0,
        ("gaussian_best", 20.0, "liver", "high_count"): 4.0,
    }
    figures = by_subject(kept)
    best = Figure(method="gaussian_best", metric="nrmse_range", region="liver", reference="high_count")
    assert figures[best] == {"0": pytest.approx(0.1), "1": pytest.approx(1.1)}
    summary = evaluate_scores(scores).summary(
        EVERYTHING, "gaussian_best", "nrmse_range", "liver", "high_count"
    )
    assert summary.strengths == (8.0, 4.0)


def test_the_interval_of_a_mean_is_near_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == (
        pytest.approx(values.mean() - half, abs=0.03),
        pytest.approx(values.mean() + half, abs=0.03),
    )
    assert bootstrap_interval(values) == (low, high)
    assert all(map(math.isnan, bootstrap_interval([1.0, 2.0])))
    assert bootstrap_interval([3.0, 3.0, 3.0]) == (3.0, 3.0)


def test_the_interval_of_a_ratio_draws_both_methods_of_a_subject_together():
    theirs = np.random.default_rng(1).gamma(4.0, 1.0, 30)
    assert bootstrap_interval(0.5 * theirs, theirs, statistic=ratio_of_means) == (
        pytest.approx(0.5),
        pytest.approx(0.5),
    )


def test_p_is_scipys_and_five_pairs_have_none():
    random = np.random.default_rng(2)
    ours, theirs = random.normal(0.0, 1.0, 12), random.normal(0.8, 1.0, 12)
    assert wilcoxon_p(ours, theirs) == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)
    # All of six pairs in one direction: 2 of 2^6 orders are as extreme.
    assert wilcoxon_p(np.arange(6.0), np.arange(6.0) + np.arange(1, 7)) == pytest.approx(2 / 64)
    assert math.isnan(wilcoxon_p(np.arange(5.0), np.ones(5)))
    assert wilcoxon_p(np.ones(6), np.ones(6)) == 1.0


def test_comparisons_say_the_ratio_and_in_how_many_the_model_is_better():
    scores = []
    for n in range(8):
        subject = str(n)
        scores.append(a_score(0.1 + 0.01 * n, subject=subject))
        scores.append(a_score(0.2 + 0.02 * n if n else 0.05, subject=subject, method="gaussian_6mm"))
    found = [each for each in evaluate_scores(scores).comparisons if each.other == "gaussian_best"]
    (only,) = found
    ours, theirs = [0.1 + 0.01 * n for n in range(8)], [0.05, *(0.2 + 0.02 * n for n in range(1, 8))]
    assert (only.n, only.better) == (8, 7)
    assert only.ratio == pytest.approx(sum(ours) / sum(theirs))
    assert only.p == pytest.approx(stats.wilcoxon(ours, theirs).pvalue)


def lesion_counts(subject: str, true: int, found: int) -> list[Score]:
    """The rows of a case whose lesions are all of 1 to 5 mL."""
    rows = []
    for size in SIZE_NAMES:
        counts = (true, found) if size == "1 to 5 mL" else (0, 0)
        for metric, value in zip(("lesions_true", "lesions_found"), counts, strict=True):
            rows.append(a_score(value, subject=subject, metric=metric, region=size, reference="labels"))
    return rows


def test_sensitivity_is_over_lesions_and_its_interval_over_people_with_lesions():
    scores = [
        row
        for s, t, f in (("a", 4, 4), ("b", 4, 0), ("c", 2, 1), ("d", 0, 0))
        for row in lesion_counts(s, t, f)
    ]
    found = {each.size: each for each in evaluate_scores(scores).sensitivities}
    assert (found["1 to 5 mL"].true, found["1 to 5 mL"].found, found["1 to 5 mL"].share) == (10, 5, 0.5)
    low, high = found["1 to 5 mL"].interval
    assert low == 0.0  # b may be drawn three times
    assert high == 1.0
    assert math.isnan(found["5 mL or more"].share)
    assert found["all lesions"].true == 10


def test_regression_and_limits_of_agreement_by_hand():
    pairs = Pairs(
        true=np.array([1.0, 2, 3, 4]), found=np.array([1.0, 3, 2, 6]), subjects=("a", "b", "c", "d")
    )
    found = agree(pairs, group=EVERYTHING, metric="mtv_ml", region="lesion")
    # By hand: covariance 7, variances 5 and 14.
    assert (found.slope, found.intercept) == (pytest.approx(1.4), pytest.approx(-0.5))
    assert found.r_squared == pytest.approx(49 / 70)
    # Differences 0, 1, -1, 2: mean 0.5, sample variance 5/3.
    assert found.bias == 0.5
    assert found.upper_limit == pytest.approx(0.5 + 1.96 * math.sqrt(5 / 3))
    assert found.lower_limit == pytest.approx(0.5 - 1.96 * math.sqrt(5 / 3))


def test_r_squared_is_the_share_of_explained_variance():
    random = np.random.default_rng(4)
    true = random.gamma(2, 5, 50)
    found = 0.9 * true + random.normal(0, 2, 50)
    slope, intercept, r_squared = regression(true, found)
    design = np.stack([true, np.ones(50)], axis=1)
    (a, b), residual, *_ = np.linalg.lstsq(design, found, rcond=None)
    assert (slope, intercept) == (pytest.approx(a), pytest.approx(b))
    assert r_squared == pytest.approx(1 - residual[0] / ((found - found.mean()) ** 2).sum())
    assert all(map(math.isnan, regression(np.ones(5), np.arange(5.0))))


def test_the_interval_of_r_squared_draws_people_with_all_their_levels():
    random = np.random.default_rng(5)
    true = random.gamma(2, 5, 12)
    found = true + random.normal(0, 3, 12)
    once = Pairs(true=true, found=found, subjects=tuple("abcdefghijkl"))
    thrice = Pairs(true=np.tile(true, 3), found=np.tile(found, 3), subjects=once.subjects * 3)
    of = [agree(pairs, group=EVERYTHING, metric="mtv_ml", region="lesion") for pairs in (once, thrice)]
    # Three equal scans of a person say no more than one.
    assert of[1].r_squared_interval == pytest.approx(of[0].r_squared_interval)
    low, high = of[0].r_squared_interval
    assert low < of[0].r_squared < high


def test_tlg_is_compared_in_people_with_lesions():
    scores = []
    for subject, true, found in (("a", 10.0, 12.0), ("healthy", 0.0, 5.0), ("c", 4.0, 3.0)):
        common = {"subject": subject, "metric": "tlg_g", "region": "lesion", "reference": "labels"}
        scores.append(a_score(found, **common))
        scores.append(a_score(true, method="high_count", **common))
        scores.append(a_score(99.0, method="truth", **common))
    pairs = pairs_of(scores, "tlg_g", "lesion", "high_count")
    assert (pairs.true.tolist(), pairs.found.tolist(), pairs.subjects) == ([10, 4], [12, 3], ("a", "c"))


def test_the_best_median_and_worst_case_are_shown_by_the_dice_of_their_lesions():
    def overlap(value: float, subject: str) -> Score:
        return a_score(
            value, subject=subject, metric="dice", region="lesion of 0.5 mL or more", reference="labels"
        )

    scores = [overlap(v, s) for s, v in (("a", 0.2), ("b", 0.9), ("c", 0.6), ("d", 0.7), ("e", math.nan))]
    assert [(case.rank, case.subject) for case in ranked_cases(scores)] == [
        ("Best", "b"),
        ("Median", "d"),
        ("Worst", "a"),
    ]
    assert [case.rank for case in ranked_cases(scores[:2])] == ["Best", "Worst"]
    healthy = [a_score(v, subject=s, metric="nrmse_mean", region="body") for s, v in (("a", 0.4), ("b", 0.2))]
    assert [case.subject for case in ranked_cases(healthy)] == ["b", "a"]
