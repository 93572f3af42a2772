"""Scans: expected counts, background, Poisson noise, thinning; and the presets behind them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from cylinder import ATTENUATION, RADIUS_MM, SUV, a_cylinder

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation import acquisition
from AMDiffLib.simulation.acquisition import acquire, counted, counts_per_projected_suv
from AMDiffLib.simulation.background import NO_ERRORS, BackgroundErrors
from AMDiffLib.simulation.scanner import SCANNERS

LEVELS = (100.0, 20.0, 5.0)
MCT = SCANNERS["mct"]
NO_BACKGROUND = replace(MCT, scatter_fraction=0.0, randoms_to_trues=0.0)


@pytest.fixture(scope="module")
def scan():
    return acquire(a_cylinder(), MCT, levels_percent=LEVELS, seed=3, errors=NO_ERRORS)


def test_expected_trues_are_decays_times_sensitivity():
    # 1 SUV in one voxel of 4 mm: the dose decayed over 60 min and, on average, over 5 min of scan; divided
    # by the weight; 0.064 mL; 9.7 cps/kBq over 22.1 of 70 cm; 300 s; time of flight: 300 / (1.6 * 79.1).
    decay = 2 ** (-60 / 109.77) * (1 - 2 ** (-5 / 109.77)) / (math.log(2) * 5 / 109.77)
    becquerel = 256e6 * decay / 70e3 * 0.064
    events = becquerel * 9.7e-3 * 70 / 22.1 * 300 * 300 / (1.6 * 527.5e-12 * 299792458e3 / 2)
    geometry = MCT.geometry(144, (4.0, 4.0, 4.0))
    per_bin = counts_per_projected_suv(MCT, geometry, injected_mbq=256, weight_kg=70)
    # A voxel's strip integrals sum, at each angle, to its area over the bin's width: 4 mm.
    assert per_bin * geometry.angles * 4.0 == pytest.approx(events, rel=1e-9)


def test_trues_through_the_centre_are_attenuated_chords():
    measurement = acquire(
        a_cylinder(), NO_BACKGROUND, levels_percent=(100,), seed=0, injected_mbq=256, errors=NO_ERRORS
    )
    middle = measurement.expected.reshape(MCT.angles, 48, 12)[:, 23:25, 4:8]
    per_bin = counts_per_projected_suv(MCT, measurement.geometry, injected_mbq=256, weight_kg=70)
    expected = per_bin * SUV * 2 * RADIUS_MM * math.exp(-ATTENUATION * 2 * RADIUS_MM / 10)
    assert middle.numpy() == pytest.approx(expected, rel=0.01)


def test_the_reconstruction_knows_attenuation_on_its_own_grid_only():
    measurement = acquire(
        a_cylinder(), NO_BACKGROUND, levels_percent=(100,), seed=0, injected_mbq=256, errors=NO_ERRORS
    )
    survival = measurement.sensitivity / measurement.unattenuated
    centre = survival.reshape(MCT.angles, 48, 12)[:, 23:25]
    assert centre.numpy() == pytest.approx(math.exp(-ATTENUATION * 2 * RADIUS_MM / 10), rel=0.01)


def test_lower_levels_are_contained_in_higher_ones(scan):
    for higher, lower in pairwise(LEVELS):
        assert bool((scan.counts[lower] <= scan.counts[higher]).all())
        share = scan.effective_counts(lower) / scan.effective_counts(higher)
        assert share == pytest.approx(lower / higher, rel=0.01)


def test_thinned_counts_stay_poisson(scan):
    deviation = scan.counts[5.0] - 0.05 * scan.expected
    chosen = scan.expected > 20
    assert float((deviation[chosen] ** 2 / (0.05 * scan.expected[chosen])).mean()) == pytest.approx(
        1.0, abs=0.02
    )


def test_time_of_flight_is_a_gain_in_counts(scan):
    assert scan.prompts(100.0) == pytest.approx(scan.effective_counts(100.0) / MCT.tof_gain, abs=1)


def test_scatter_and_randoms_have_their_shares():
    scanner = replace(MCT, scatter_fraction=0.4, randoms_to_trues=0.5)
    phantom = a_cylinder()
    arguments = {"levels_percent": (100,), "seed": 0, "errors": NO_ERRORS}
    trues = float(acquire(phantom, NO_BACKGROUND, **arguments).expected.sum())
    measurement = acquire(phantom, scanner, **arguments)
    assert float(measurement.scatter.sum()) / trues == pytest.approx(0.4 / 0.6, rel=1e-4)
    lines = measurement.geometry.rows
    assert float(measurement.randoms.sum()) * lines / trues == pytest.approx(0.5, rel=1e-4)
    assert float(measurement.expected.sum()) / trues == pytest.approx(1 + 0.4 / 0.6 + 0.5, rel=1e-4)
    # Twice the activity brings twice the randoms for each true.
    doubled = acquire(phantom, scanner, injected_mbq=2 * scanner.injected_mbq, **arguments)
    assert float(doubled.randoms.sum()) * lines / trues == pytest.approx(4 * 0.5, rel=1e-4)


def test_background_estimates_err_in_amount_and_in_shape(scan):
    errors = BackgroundErrors(scatter_scale=1.1, scatter_width=1.3, randoms_scale=0.9)
    wrong = acquire(a_cylinder(), MCT, levels_percent=LEVELS, seed=3, errors=errors)
    assert torch.equal(wrong.expected, scan.expected)
    assert float(wrong.scatter.sum() / scan.scatter.sum()) == pytest.approx(1.1, rel=1e-4)
    assert float(wrong.randoms.sum() / scan.randoms.sum()) == pytest.approx(0.9, rel=1e-4)
    centre, rim = (wrong.scatter.reshape(MCT.angles, 48, 12)[:, column].mean() for column in (24, 2))
    own_centre, own_rim = (scan.scatter.reshape(MCT.angles, 48, 12)[:, column].mean() for column in (24, 2))
    assert float(rim / centre) > 1.02 * float(own_rim / own_centre)


def test_a_seed_gives_the_same_scan_and_another_realisation_shares_its_mean(scan):
    again = acquire(a_cylinder(), MCT, levels_percent=LEVELS, seed=3, errors=NO_ERRORS)
    assert torch.equal(again.counts[5.0], scan.counts[5.0])
    other = counted(scan, levels_percent=LEVELS, seed=4)
    assert torch.equal(other.expected, scan.expected)
    assert not torch.equal(other.counts[5.0], scan.counts[5.0])


def test_slices_do_not_depend_on_how_many_go_through_at_once(monkeypatch, scan):
    monkeypatch.setattr(acquisition, "_SLICES_AT_ONCE", 5)
    again = acquire(a_cylinder(), MCT, levels_percent=LEVELS, seed=3, errors=NO_ERRORS)
    assert again.expected.numpy() == pytest.approx(scan.expected.numpy(), rel=1e-5)


def test_a_grid_that_cannot_be_halved_is_refused():
    with pytest.raises(BadInput, match="23 x 96 x 96"):
        acquire(a_cylinder(slices=23), MCT, levels_percent=(100,), seed=0)


def test_presets_follow_table_1():
    # name: iterations, subsets, filter, voxel (z, y, x), MBq
    table = {
        "mct": (2, 21, 5.0, (2.03, 2.04, 2.04), 256.3),
        "vision": (2, 5, 2.0, (1.65, 1.65, 1.65), 332.1),
        "uexplorer": (4, 20, 0.0, (2.89, 1.67, 1.67), 300.6),
    }
    for name, (iterations, subsets, filter_mm, voxel_mm, injected) in table.items():
        scanner = SCANNERS[name]
        assert (scanner.iterations, scanner.subsets, scanner.filter_mm) == (iterations, subsets, filter_mm)
        assert (scanner.voxel_mm, scanner.injected_mbq) == (voxel_mm, injected)
    for scanner in SCANNERS.values():
        assert scanner.angles % scanner.subsets == 0


def test_the_two_rules_where_a_protocol_cannot_be_kept():
    vision, uexplorer = SCANNERS["vision"], SCANNERS["uexplorer"]
    native, coarse = vision.reconstruction_on(vision.voxel_mm), vision.reconstruction_on((4.0, 4.0, 4.0))
    # 2 x 5 with a gain of 5.96: twelve times 5.
    assert (native.iterations, native.subsets, native.filter_mm) == (12, 5, 2.0)
    assert coarse.filter_mm == 4.0
    assert uexplorer.reconstruction_on(uexplorer.voxel_mm).filter_mm == 0.0
    assert MCT.reconstruction_on((4.0, 4.0, 4.0)).filter_mm == 5.0
    without_tof = SCANNERS["discovery-st"]
    assert without_tof.reconstruction_on(without_tof.voxel_mm).iterations == without_tof.iterations


def test_a_point_has_the_resolution_of_the_scanner():
    # On the scanner's own grid: the blur, a strip of 2.04 mm and a slice of 2.03 mm make 4.6 and 5.1 mm.
    axial, transaxial = MCT.blur_mm
    assert transaxial**2 + 8 * math.log(2) * 2.04**2 / 12 == pytest.approx(4.6**2, rel=1e-9)
    assert axial**2 + 8 * math.log(2) * 2.03**2 / 12 == pytest.approx(5.1**2, rel=1e-9)


def test_gain_of_time_of_flight_follows_the_timing_resolution():
    # Conti 2009: D / (1.6 dx); 210 ps is 31.5 mm.
    assert SCANNERS["vision"].tof_gain == pytest.approx(300 / (1.6 * 31.48), rel=1e-3)
    assert SCANNERS["discovery-st"].tof_gain == 1.0
