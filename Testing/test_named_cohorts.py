"""Cohorts by name: no person twice, levels that the scanner can give, and options that count beside them."""

from __future__ import annotations

import pytest

from AMDiffLib.simulate import _levels, _options
from AMDiffLib.simulation.named_cohorts import NAMED_COHORTS
from AMDiffLib.simulation.scanner import SCANNERS


def test_no_two_cohorts_share_a_seed_nor_one_with_the_shipped_weights():
    seeds = [cohort.seed for cohort in NAMED_COHORTS.values()]
    assert len(set(seeds)) == len(seeds)
    assert not {0, 1, 1000, 2000, 3000} & set(seeds)


@pytest.mark.parametrize("name", NAMED_COHORTS)
def test_every_level_is_one_that_the_scanner_can_give(name):
    cohort = NAMED_COHORTS[name]
    levels = _levels(cohort.levels, (cohort.scanner,))
    assert set(levels) <= {2.5, 5, 6.25, 10, 12.5, 20, 25, 40, 50, 100}
    assert cohort.vary == name.endswith("train")
    assert cohort.scanner in SCANNERS


def test_the_sizes_are_those_of_the_papers_table_1():
    sizes = {name: cohort.subjects for name, cohort in NAMED_COHORTS.items() if cohort.scanner != "quadra"}
    assert sizes == {
        "A-train": 175,
        "A-validation": 20,
        "A-test": 29,
        "B-test": 10,
        "C-train": 3,
        "C-validation": 2,
        "C-test": 5,
    }


def test_options_given_beside_a_name_count():
    options = _options(["--cohort", "quadra-test", "--output", "out"])
    assert (options.scanner, options.subjects, options.levels, options.seed) == (
        "quadra",
        10,
        "5,10,25,50",
        4302,
    )
    fewer = _options(["--cohort", "A-train", "--subjects", "4", "--output", "out"])
    assert (fewer.subjects, fewer.seed, fewer.vary) == (4, 4000, True)
    assert _options(["--output", "out"]).scanner == "mct"
