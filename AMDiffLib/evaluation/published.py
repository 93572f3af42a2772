"""What Xia et al. report of AMDiff: Medical Image Analysis 107B:103831 (2026), Tables 2-4 and Fig. 7.

Forty-four patients and scanners of their own: other data, other lesions, other noise. Beside figures of
another cohort they say what is usual, not who is better; NRMSE by range, above all, depends on the range.
"""

from __future__ import annotations

SOURCE = "Xia et al., Med. Image Anal. 107B:103831 (2026), averaged over all test cases; other data"

NRMSE_BY_RANGE = {
    "whole": (0.147, 0.097),
    "lesion": (0.185, 0.149),
    "liver": (0.091, 0.039),
    "lung": (0.130, 0.056),
    "bone": (0.139, 0.109),
    "muscle": (0.152, 0.089),
    "kidney": (0.156, 0.101),
    "spleen": (0.110, 0.050),
    "aorta": (0.119, 0.054),
}
"""Table 4, mean and standard deviation by region."""

DICE = {
    "lesion": (0.520, 0.216),
    "liver": (0.860, 0.066),
    "lung": (0.894, 0.056),
    "bone": (0.641, 0.047),
    "muscle": (0.768, 0.048),
    "kidney": (0.666, 0.167),
    "spleen": (0.658, 0.253),
    "aorta": (0.742, 0.133),
}
"""Table 4, mean and standard deviation by class."""

R_SQUARED = {
    ("mtv_ml", "lesion"): 0.81,
    ("tlg_g", "lesion"): 0.88,
    ("suv_mean", "liver"): 0.98,
    ("suv_mean", "aorta"): 0.98,
}
"""Fig. 7."""

TLG_BIAS_PERCENT = (-21.60, 47.26)
"""Mean and standard deviation below 20 % counts."""
