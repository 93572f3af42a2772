"""Command-line options that several commands have in common."""

from __future__ import annotations

import argparse

from AMDiffLib.inference.config import DEFAULT_TILE
from AMDiffLib.inference.weights import DEFAULT_MODEL


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which model runs, how, and on what: --model, --steps, --seed, --tile, --device, --threads."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|FOLDER",
        help="an installed model, or a folder with model.safetensors and config.json (default: %(default)s)",
    )
    parser.add_argument(
        "--steps", type=positive, metavar="N", help="network evaluations a voxel (default: the model's)"
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, metavar="N", help="seed of the noise (default: %(default)s)"
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        default=DEFAULT_TILE,
        metavar="N",
        help="side of the tiles in voxels, a multiple of 16, at least 32; smaller needs less memory "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: the NVIDIA GPU if it can be used, else the CPU (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="CPU threads (default: one for each core)"
    )


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """--progress, as every long command has it."""
    parser.add_argument(
        "--progress",
        choices=("text", "json"),
        default="text",
        help="text: a progress bar; json: one JSON object a line on stdout (default: %(default)s)",
    )


def add_scan_options(parser: argparse.ArgumentParser) -> None:
    """What the input does not say of itself: --units, --series-uid."""
    parser.add_argument(
        "--units", metavar="UNITS", help="units of an NRRD, NIfTI or MetaImage: SUVbw; DICOM says its own"
    )
    parser.add_argument(
        "--series-uid", metavar="UID", help="which series, where the folder holds several PET series"
    )


def add_stop_option(parser: argparse.ArgumentParser) -> None:
    """--stop-when-stdin-closes, for commands that another program starts."""
    parser.add_argument(
        "--stop-when-stdin-closes",
        action="store_true",
        help="stop when the program at the other end of stdin closes it or ends",
    )


def add_dicom_option(parser: argparse._ActionsContainer, note: str = "") -> None:
    """--dicom: which DICOM objects to write; `note` is added to its help."""
    parser.add_argument(
        "--dicom",
        metavar="LIST",
        type=_dicom_objects,
        default=frozenset(),
        help="DICOM objects, separated by commas: seg, sr, pet; sr refers to the others and brings them"
        + note,
    )


def set_threads(threads: int | None) -> None:
    """Use that many CPU threads in torch and ITK; None leaves the choice to them."""
    if threads is None:
        return
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _dicom_objects(text: str) -> frozenset[str]:
    names = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    if unknown := sorted(names - {"seg", "sr", "pet"}):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of seg, sr, pet")
    return names


def positive(text: str) -> int:
    """An integer above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def not_negative(text: str) -> int:
    """An integer of at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _tile(text: str) -> int:
    number = int(text)
    if number < 32 or number % 16:
        raise argparse.ArgumentTypeError(f"{number} is not a multiple of 16 of at least 32")
    return number
