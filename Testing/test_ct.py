"""Attenuation and Hounsfield units."""

import pytest
import torch

from AMDiffLib.simulation.ct import attenuation_from_hounsfield, hounsfield


@pytest.mark.parametrize(
    ("tissue", "units", "attenuation", "within"),
    [
        ("air", -1000, 0.0, 1e-6),
        ("water", 0, 0.096, 1e-4),  # NIST XCOM: 0.0960 /cm
        ("adipose tissue", -100, 0.0895, 0.004),  # ICRU 44 at 0.95 g/mL: 0.0903 /cm
        ("cortical bone", 1500, 0.172, 0.006),  # ICRU 44 at 1.92 g/mL: 0.171 /cm
    ],
)
def test_tissues_attenuate_as_their_composition_says(tissue, units, attenuation, within):
    found = float(attenuation_from_hounsfield(torch.tensor(float(units))))

    assert found == pytest.approx(attenuation, abs=within), tissue


def test_the_way_back_is_exact():
    units = torch.linspace(-1000, 3000, 401)

    assert torch.allclose(hounsfield(attenuation_from_hounsfield(units)), units, atol=0.1)


def test_denser_is_always_more():
    attenuation = attenuation_from_hounsfield(torch.linspace(-1000, 3000, 40001))

    assert (attenuation.diff() > 0).all()
