"""What each column of the measurements means."""

from __future__ import annotations

NOTICE = "For research. Not for diagnosis: the denoised image is synthetic."

LOW_COUNT = "low_count_"
"""Before a column's name: the same quantity in the low-count input; without it, in the denoised volume."""

UPTAKE = {
    "suv_max_g_per_ml": "largest SUVbw of a voxel",
    "suv_mean_g_per_ml": "mean SUVbw of the voxels",
    "suv_peak_g_per_ml": "largest mean SUVbw in a 1 mL sphere (radius 6.2 mm) centred on any voxel of the "
    "lesion, voxels cut by its surface counted by the share inside",
    "suv_sd_g_per_ml": "standard deviation of SUVbw over the voxels of a reference region",
    "tlg_g": "total lesion glycolysis: SUVmean x MTV",
    "mtv_suv_4_ml": "volume at SUV >= 4.0: voxels connected (by faces or edges) to such a voxel of the "
    "lesion, at most 10 mm outside it, not in another lesion",
    "tlg_suv_4_g": "total lesion glycolysis of that volume",
    "mtv_41_percent_ml": "volume at 41 % or more of the lesion's SUVmax, contoured in the same way; where "
    "the surroundings reach 41 % it takes in as much of them as lies within the 10 mm",
    "tlg_41_percent_g": "total lesion glycolysis of that volume",
    "suv_max_to_liver_ratio": "SUVmax of the lesion / SUVmean of the liver reference",
    "suv_max_to_blood_pool_ratio": "SUVmax of the lesion / SUVmean of the blood pool reference (aorta)",
    "deauville_score": "from SUVmax: 2 not above the blood pool reference, 3 not above the liver "
    "reference, 4 above it, 5 above 2 x it; of the total: the highest, 1 without accepted lesions",
    "sul_peak_g_per_ml": "SUVpeak x lean body mass (Janmahasatian 2005) / body weight",
    "percist_measurable": "whether SULpeak reaches the PERCIST threshold",
    "percist_threshold_sul_g_per_ml": "1.5 x mean + 2 x standard deviation of SUL in the liver reference",
}
"""Quantities that differ between the low-count input and the denoised volume."""

_WHAT = {
    "kind": "lesion, total (accepted lesions together), organ, or reference (healthy tissue compared with)",
    "name": "name of the segment or region that was measured",
    "label": "lesion number, or the organ's label value",
    "status": "accepted, or rejected by the reader and left out of the total",
    "rejected_as": "what the reader says a rejected lesion is",
    "location": "organ that holds most of the lesion, or the nearest organ; unknown where none was found",
    "location_distance_mm": "0 inside that organ, else shortest distance between voxel centres",
    "location_inside_percent": "share of the lesion's voxels inside that organ",
    "lesion_count": "number of accepted lesions",
    "rejected_count": "number of rejected lesions",
}
_VOLUMES = {
    "mtv_ml": "metabolic tumour volume: volume of the lesion's voxels",
    "volume_ml": "volume of the organ's or region's voxels; voxels of lesions are left out of all organ "
    "values",
}
_PLACE = {
    "centroid_l_mm": "mean voxel position, towards the patient's left (LPS)",
    "centroid_p_mm": "mean voxel position, towards posterior (LPS)",
    "centroid_s_mm": "mean voxel position, towards superior (LPS)",
    "centroid_i": "mean voxel index along the first axis (fastest in memory), from 0",
    "centroid_j": "mean voxel index along the second axis, from 0",
    "centroid_k": "mean voxel index along the third axis (slices), from 0",
}

INTERVALS = {
    "suv_max": ("suv_max_low_g_per_ml", "suv_max_high_g_per_ml"),
    "suv_mean": ("suv_mean_low_g_per_ml", "suv_mean_high_g_per_ml"),
    "suv_peak": ("suv_peak_low_g_per_ml", "suv_peak_high_g_per_ml"),
    "mtv_ml": ("mtv_low_ml", "mtv_high_ml"),
    "tlg_g": ("tlg_low_g", "tlg_high_g"),
}
"""The columns of an interval's two ends, by the attribute of a measurement that it belongs to."""

_INTERVAL_TITLES = {
    "suv_max": "SUVmax",
    "suv_mean": "SUVmean",
    "suv_peak": "SUVpeak",
    "mtv_ml": "metabolic tumour volume",
    "tlg_g": "total lesion glycolysis",
}
_INTERVALS = {
    column: f"{end} end of the 90 % interval of the true {_INTERVAL_TITLES[quantity]}: that of the true "
    "lesions which a marked one touches, or of the organ, in the reference image that report.json names; "
    "calibrated on simulated people; says nothing of false positives; may exclude the measured value where "
    "that is biased"
    for quantity, columns in INTERVALS.items()
    for column, end in zip(columns, ("lower", "upper"), strict=True)
}

_COUNTS = {
    "count_z": "mean of the lesion and 4 mm around it, denoised less low-count, in standard errors of the "
    "counting: above 0 the denoised volume shows more than was counted",
    "count_check": "what is wrong with that: not supported by the counts; empty where nothing is",
}

COLUMNS = {
    **_WHAT,
    **{name: f"{text}; in the denoised volume (synthetic)" for name, text in UPTAKE.items()},
    **_VOLUMES,
    **_INTERVALS,
    **_COUNTS,
    **{LOW_COUNT + name: f"{text}; in the low-count input" for name, text in UPTAKE.items()},
    **_PLACE,
    "notice": "what the table may be used for",
}
"""Every column in the order of the table, with its definition."""
