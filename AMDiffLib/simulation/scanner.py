"""Scanners as the simulator sees them: sensitivity, resolution, contamination, protocol, reconstruction.

What the model leaves out: every scanner is a stack of independent transaxial slices, as after single-slice
rebinning. Axial blur is that of the scanner's resolution and filters; the noise of neighbouring slices is
correlated by the filters alone, not by oblique lines of response. Sensitivity is one figure for the axial
field of view (no fall-off at its ends, no steps between beds), resolution one figure for the transaxial one.
Time of flight is a gain in counts, not a part of the system matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from AMDiffLib.simulation.projector import ScanGeometry

_MM_PER_PS = 0.299792458 / 2
_BODY_DIAMETER_MM = 300.0
# FWHM of a Gaussian of the same variance as a box, over the box's width.
_FWHM_OF_BOX = 2 * math.sqrt(2 * math.log(2) / 12)


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """How OSEM is run: `iterations` x `subsets`, and the post-filter's width.

    `axial_weights` (centre, neighbour) replace the Gaussian along z where the scanner filters so. `psf_mm` is
    the width of the resolution model, isotropic, 0 for none.
    """

    iterations: int
    subsets: int
    filter_mm: float
    axial_weights: tuple[float, float] | None = None
    psf_mm: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A PET scanner and its clinical protocol; lengths in mm, (z, y, x) where there are three.

    `sensitivity` is detected trues per decay without attenuation, averaged over the axial field of view.
    `resolution_mm` (axial, transaxial) is that of the images without filter; the reconstruction models it
    only where `psf_mm` > 0.
    `minutes` is how long each slice is in the field of view at 100 %. `randoms_to_trues` holds for a patient
    injected with `injected_mbq`, and is proportional to the injected activity. `levels_percent` are those of
    Table 1, in percent of `minutes`; the high-count image has `high_count_factor` times the counts of 100 %.
    Errors of the scatter and randoms estimates are standard deviations between patients.
    """

    name: str
    voxel_mm: tuple[float, float, float]
    angles: int
    bin_mm: float | None = None
    axial_field_mm: float
    sensitivity: float
    tof_ps: float | None
    resolution_mm: tuple[float, float]
    scatter_fraction: float
    scatter_axial_mm: float = 60.0
    randoms_to_trues: float
    injected_mbq: float
    injected_mbq_sd: float
    uptake_minutes: float
    minutes: float
    iterations: int
    subsets: int
    filter_mm: float
    axial_weights: tuple[float, float] | None = None
    psf_mm: float = 0.0
    levels_percent: tuple[float, ...]
    high_count_factor: float = 1.0
    scatter_scale_error: float = 0.05
    scatter_width_error: float = 0.15
    randoms_scale_error: float = 0.02
    randoms_width_error: float = 0.15

    @property
    def tof_gain(self) -> float:
        """Variance gain of time of flight, D / (1.6 dx) for a body of D = 300 mm (Conti 2009); 1 without."""
        if self.tof_ps is None:
            return 1.0
        return _BODY_DIAMETER_MM / (1.6 * self.tof_ps * _MM_PER_PS)

    @property
    def blur_mm(self) -> tuple[float, float]:
        """Axial and transaxial blur of the data: the resolution without what bins and slices add to it.

        Strips and slices of the scanner's own width blur by themselves, each as a box; on a coarser grid they
        blur more than the scanner does.
        """
        axial, transaxial = self.resolution_mm
        own_bin = self.bin_mm or self.voxel_mm[2]
        return (
            math.sqrt(max(axial**2 - (_FWHM_OF_BOX * self.voxel_mm[0]) ** 2, 0.0)),
            math.sqrt(max(transaxial**2 - (_FWHM_OF_BOX * own_bin) ** 2, 0.0)),
        )

    def reconstruction_on(self, spacing_mm: tuple[float, float, float]) -> Reconstruction:
        """Return the protocol's OSEM for a grid of `spacing_mm`, with two rules where it cannot be kept.

        Without time of flight, which the simulation lacks, OSEM needs more updates for the same contrast:
        iterations are multiplied by the gain, as each event's chord is longer by it. (Noise-free, at 4 mm
        and without this, the Vision leaves a liver 12 % and kidneys 25 % low; 8 iterations, 2 and 6 %.) On
        voxels coarser than the scanner's own, the filter is at least a voxel wide, so that the noise is
        band-limited on the coarse grid as it is on the fine one.
        """
        coarse = spacing_mm[2] > 1.05 * self.voxel_mm[2]
        return Reconstruction(
            iterations=math.ceil(self.iterations * self.tof_gain),
            subsets=self.subsets,
            filter_mm=max(self.filter_mm, spacing_mm[2]) if coarse else self.filter_mm,
            axial_weights=self.axial_weights,
            psf_mm=self.psf_mm,
        )

    def geometry(self, image_size: int, spacing_mm: tuple[float, float, float]) -> ScanGeometry:
        """Return image grid and sinogram for slices of `image_size` squared voxels of `spacing_mm`.

        Bins are as wide as the image's pixels unless the scanner names its own.
        """
        slice_mm, _, pixel_mm = spacing_mm
        bin_mm = self.bin_mm or pixel_mm
        return ScanGeometry(
            image_size=image_size,
            pixel_mm=pixel_mm,
            slice_mm=slice_mm,
            angles=self.angles,
            bins=math.ceil(image_size * pixel_mm / bin_mm),
            bin_mm=bin_mm,
        )


# Voxels, dose, protocol, iterations x subsets and filter are those of Table 1 of the AMDiff paper, unless
# said otherwise. Sensitivities are NEMA NU 2 figures for a 70 cm line, times 70 cm over the axial field of
# view where that is shorter. Resolutions average the NEMA figures at 1 and 10 cm. Randoms are our estimate:
# randoms over trues at the peak of the NEMA noise-equivalent count rate (trues there from the sensitivity,
# 0.17 of them unattenuated, a quarter lost to dead time), in proportion to the activity concentration, times
# 1.7 for a patient's greater attenuation; they are good to about a factor of 1.5.
_MCT = Scanner(
    name="mct",  # Siemens Biograph mCT (Flow): Jakoby 2011 (sensitivity, TOF), Rausch 2015 (the rest)
    voxel_mm=(2.03, 2.04, 2.04),
    angles=168,
    axial_field_mm=221.0,
    sensitivity=9.7e-3 * 70 / 22.1,
    tof_ps=527.5,
    resolution_mm=(5.1, 4.6),
    scatter_fraction=0.335,
    randoms_to_trues=0.4,  # 185 kcps at 29 kBq/mL
    injected_mbq=256.3,
    injected_mbq_sd=16.2,
    uptake_minutes=60,
    minutes=5,
    iterations=2,
    subsets=21,
    filter_mm=5.0,
    levels_percent=(5, 10, 20, 40, 100),
    high_count_factor=4.0,  # ours: a cleaner reference than the 100 % that the paper trains on
)
_VISION = Scanner(
    name="vision",  # Siemens Biograph Vision 600: van Sluis 2019
    voxel_mm=(1.65, 1.65, 1.65),
    angles=160,
    axial_field_mm=263.0,
    sensitivity=16.4e-3 * 70 / 26.3,
    tof_ps=210,
    resolution_mm=(3.9, 3.9),
    scatter_fraction=0.37,
    randoms_to_trues=0.5,  # 306 kcps at 33 kBq/mL
    injected_mbq=332.1,
    injected_mbq_sd=28.0,
    uptake_minutes=60,
    minutes=1.2,  # one whole-body pass takes 5 min: 26.3 cm out of about 110 cm at a time
    iterations=2,
    subsets=5,
    filter_mm=2.0,
    levels_percent=(100,),
    high_count_factor=6.0,  # the passes from 60 to 90 min
)
_UEXPLORER = Scanner(
    name="uexplorer",  # United Imaging uExplorer: Spencer 2021
    voxel_mm=(2.89, 1.67, 1.67),
    angles=160,
    axial_field_mm=1940.0,
    sensitivity=147e-3,  # 170 cm line, the length of a person; 174 cps/kBq for 70 cm
    tof_ps=505,
    resolution_mm=(3.3, 3.2),
    scatter_fraction=0.36,
    randoms_to_trues=0.8,  # 1,524 kcps at 17.3 kBq/mL
    injected_mbq=300.6,
    injected_mbq_sd=9.0,
    uptake_minutes=120,
    minutes=20,
    iterations=4,
    subsets=20,
    filter_mm=0.0,
    levels_percent=(2.5, 6.25, 12.5, 100),
)
# Biograph Vision Quadra, not in Table 1. Prenosil 2022 (J Nucl Med 63:476) with a ring difference of 85, as
# clinical images are made. Protocol of Alberts 2021 (Eur J Nucl Med Mol Imaging 48:2395): 3 MBq/kg, 10 min,
# resolution modelled, 4 iterations x 5 subsets, 440 x 440 x 1.65 mm, 2 mm filter.
_QUADRA = Scanner(
    name="quadra",
    voxel_mm=(1.65, 1.65, 1.65),
    angles=160,
    axial_field_mm=1060.0,
    sensitivity=83e-3,
    tof_ps=228,
    resolution_mm=(3.8, 3.35),
    scatter_fraction=0.36,
    randoms_to_trues=0.35,  # 1,613 kcps at 27.5 kBq/mL
    injected_mbq=225.0,
    injected_mbq_sd=40.0,
    uptake_minutes=60,
    minutes=10,
    iterations=4,
    subsets=5,
    filter_mm=2.0,
    psf_mm=3.5,
    levels_percent=(5, 10, 20, 100),
)
# GE Discovery ST with its septa in (CollimatorType RING), 2D. Mawlawi 2004 (J Nucl Med 45:1734): 6.1 (5.2) mm
# at 1 cm, 6.7 (6.1) mm at 10 cm transaxially (axially), scatter 19 %, sensitivity 1.93 cps/kBq, 420 crystals
# on 88.6 cm, hence 210 angles and bins of half a crystal's pitch. Injected activity: Vallieres 2015 (Phys Med
# Biol 60:5471), the study that the DICOM series comes from; bed time and voxels are those of the series. Its
# header holds neither iterations nor filters: 2 x 30 with 6 mm across and weights 1:4:1 along z are what the
# maker's 2D whole-body protocol of that time is known for, not what is known of this series.
_DISCOVERY_ST = Scanner(
    name="discovery-st",
    voxel_mm=(3.27, 4.6875, 4.6875),
    angles=210,
    bin_mm=math.pi * 886 / 420 / 2,
    axial_field_mm=157.0,
    sensitivity=1.93e-3 * 70 / 15.7,
    tof_ps=None,
    resolution_mm=(5.65, 6.4),
    scatter_fraction=0.19,
    scatter_axial_mm=15.0,  # septa stop what scatters far out of its plane
    randoms_to_trues=0.2,  # 84 kcps at 49 kBq/mL
    injected_mbq=420.0,
    injected_mbq_sd=90.0,
    uptake_minutes=60,
    minutes=4,
    iterations=2,
    subsets=30,
    filter_mm=6.0,
    axial_weights=(4.0, 1.0),
    levels_percent=(5, 10, 20, 100),
    scatter_scale_error=0.10,  # convolution subtraction does not know the patient
)

SCANNERS = {scanner.name: scanner for scanner in (_MCT, _VISION, _UEXPLORER, _QUADRA, _DISCOVERY_ST)}
