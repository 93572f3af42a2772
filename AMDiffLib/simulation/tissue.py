"""Labels of the paper's organs and attenuation of tissue at 511 keV, 1/cm."""

from __future__ import annotations

LIVER, LUNG, BONE, MUSCLE, KIDNEY, SPLEEN, AORTA = range(2, 9)

WATER_ATTENUATION = 0.096
FAT_ATTENUATION = 0.090
LUNG_ATTENUATION = 0.030
BONE_ATTENUATION = 0.125
