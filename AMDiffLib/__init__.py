"""AMDiff: denoising and segmentation of low-count 18F-FDG PET, without a screen."""

__version__ = "0.1.0"
