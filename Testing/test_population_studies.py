"""The study of organ means and lesion sizes judges known phantoms and distributions rightly."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "studies"))

from lesion_sizes import TABLE_1, lesion_table, log_normal_quantiles
from organ_reference import ROWS, read_reference
from organ_uptake import organ_means

from AMDiffLib.simulation.phantom import Phantom


@pytest.fixture
def a_phantom() -> Phantom:
    """Two blocks: liver of SUV 2 with a lesion of 9 and a rim of 1, and heart of two parts, 3 and 5."""
    names = ("", "liver", "heart myocardium", "heart blood")
    structures = torch.zeros((8, 8, 20), dtype=torch.uint8)
    structures[1:7, 1:7, 1:9] = 1
    structures[1:7, 1:7, 11:15] = 2
    structures[1:7, 1:7, 15:19] = 3
    suv = torch.zeros(structures.shape)
    suv[1:7, 1:7, 1:9] = 1.0
    suv[2:6, 2:6, 2:8] = 2.0
    suv[3, 3, 3] = 9.0
    suv[1:7, 1:7, 11:15] = 3.0
    suv[1:7, 1:7, 15:19] = 5.0
    lesions = torch.zeros_like(structures)
    lesions[3, 3, 3] = 1
    return Phantom(
        suv=suv,
        attenuation=torch.zeros_like(suv),
        organs=torch.zeros_like(structures),
        lesions=lesions,
        structures=structures,
        structure_names=names,
        spacing_mm=(2.0, 2.0, 2.0),
        weight_kg=70.0,
    )


def test_an_organ_mean_leaves_out_border_and_lesions(a_phantom):
    assert organ_means(a_phantom, a_phantom.suv)["liver"] == pytest.approx(2.0)


def test_parts_of_an_organ_are_put_together_without_a_border_between_them(a_phantom):
    # Six inner layers: three of 3 and three of 5.
    assert organ_means(a_phantom, a_phantom.suv)["heart"] == pytest.approx(4.0)


def test_organs_that_are_not_there_have_no_mean(a_phantom):
    assert set(organ_means(a_phantom, a_phantom.suv)) == {"liver", "heart"}


def test_rows_of_a_paired_organ_are_averaged_by_volume(tmp_path):
    lines = ["structure,suv_mean,suv_p05,suv_p95,volume_ml"]
    patterns = {pattern for patterns in ROWS.values() for pattern in patterns}
    lines += [f"{pattern.replace('*', 'x').replace('?', '1')},1,1,1,1" for pattern in sorted(patterns)]
    lines += ["hip_left,2,1,3,30", "hip_right,4,3,5,10"]
    file = tmp_path / "reference.csv"
    file.write_text("\n".join(line for line in lines if not line.startswith("hip_x")))
    hip = read_reference(file)["hip"]
    assert (hip.mean, hip.low, hip.high) == pytest.approx((2.5, 1.5, 3.5))


def test_a_reference_without_an_organ_is_refused(tmp_path):
    file = tmp_path / "reference.csv"
    file.write_text("structure,suv_mean,suv_p05,suv_p95,volume_ml\nliver,2,1,3,1400\n")
    with pytest.raises(ValueError, match="no row for"):
        read_reference(file)


def test_quantiles_are_those_of_a_log_normal_sample_of_that_mean_and_sd():
    sample = np.random.default_rng(0).lognormal(0.0, 1.0, 400_000)
    found = log_normal_quantiles(np.exp(0.5), np.sqrt((np.e - 1) * np.e), (0.05, 0.5, 0.95))
    assert found == pytest.approx(np.quantile(sample, (0.05, 0.5, 0.95)), rel=0.02)


def test_the_lesion_table_sets_simulated_volumes_beside_each_data_set():
    lines = lesion_table([0.5, 1.0, 8.0], subjects=2).splitlines()
    assert len(lines) == 3 + len(TABLE_1)
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[:6] == ["simulated", "2", "3.17", "4.19", "0.5", "8"]
