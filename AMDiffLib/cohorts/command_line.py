"""The command line of AMDiffLib.prepare_cohort."""

from __future__ import annotations

import argparse
from pathlib import Path

from AMDiffLib import options

DESCRIPTION = """\
Turn a cohort as people have it into a manifest for AMDiffLib.train and AMDiffLib.evaluate, and check it.

  autopet    patient/study/SUV.nii.gz and SEG.nii.gz
  udpet      dose-reduction folders: "Full_dose", "1-10 dose", "... DRF_10", as DICOM series or image files
  nnunet     imagesTr, labelsTr and dataset.json
  merge      several manifests, such as of simulated cohorts, or chosen cases of one, into one
  split      a manifest into parts, nobody being in two
  check      what a manifest holds, and which case is wrong and why

autopet, udpet and nnunet read PET as SUV by body weight, bring all images of a subject to one grid, check
them, and write NRRD volumes and manifest.json. An examination that cannot be taken is named with the reason,
and the others are; the same command goes on where it was interrupted. Subjects are named after their folders.

A denoiser learns from pairs. The layouts autopet and nnunet hold one count level, to which fewer counts
cannot be added afterwards: --low-count gives images of the same acquisition with fewer counts, such as from
shorter list-mode data. Without them no manifest is made; AMDiffLib.simulate --label-map makes pairs from
their anatomy instead.
"""
EXIT_CODES = """
exit codes:
  0  done; check: nothing is wrong
  1  internal          an error that nobody foresaw; the log on stderr says more
  2  bad_input         wrong arguments or files; check: a case is wrong
  3  out_of_memory     not enough memory for an examination
  5  missing_package   a Python package is not installed
  7  cancelled         stopped by a signal; what is finished stays
  8  some_failed       some examinations could not be taken; cases.csv says which and why
  9  cannot_write      the disk is full, or the folder cannot be written
"""


def parser() -> argparse.ArgumentParser:
    """The command line; the help of the whole shows that of each part."""
    p = argparse.ArgumentParser(
        prog="python -m AMDiffLib.prepare_cohort",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = p.add_subparsers(dest="part", required=True, metavar="PART")

    autopet = parts.add_parser(
        "autopet", description="Folders as autoPET has them: patient/study/SUV.nii.gz."
    )
    _add_low_count(
        autopet, "holding patient/study/SUV.nii.gz, patient/study.nii.gz or DICOM in patient/study"
    )
    _add_conversion(autopet)

    udpet = parts.add_parser("udpet", description="Dose-reduction folders as the UDPET challenge has them.")
    _add_conversion(udpet)

    nnunet = parts.add_parser("nnunet", description="The raw layout of an nnU-Net data set.")
    _add_low_count(nnunet, "holding CASE.nii.gz, or the number of a channel of the data set such as 10=0001")
    nnunet.add_argument(
        "--pet-channel", type=options.not_negative, metavar="N", help="default: the channel named PET or SUV"
    )
    nnunet.add_argument(
        "--lesion-label", metavar="NAME", help="default: the labels named tumor, lesion or metastasis"
    )
    _add_conversion(nnunet)

    merge = parts.add_parser("merge", description="Merge manifests, and choose cases; images are not copied.")
    merge.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST")
    merge.add_argument("--output", type=Path, required=True, metavar="FILE", help="the manifest to write")
    merge.add_argument("--subjects", type=_names, default=(), metavar="NAMES", help="by comma (default: all)")
    merge.add_argument("--scanners", type=_names, default=(), metavar="NAMES", help="by comma (default: all)")
    merge.add_argument(
        "--levels", type=_levels, default=(), metavar="PERCENT", help="by comma (default: all)"
    )

    split = parts.add_parser("split", description="Divide the people of a manifest at random into parts.")
    split.add_argument("manifest", type=Path, metavar="MANIFEST")
    split.add_argument("--output", type=Path, required=True, metavar="DIR", help="receives NAME.json a part")
    split.add_argument(
        "--parts",
        type=_parts,
        default={"train": 0.7, "validation": 0.15, "test": 0.15},
        metavar="NAME=SHARE,...",
        help="default: train=0.7,validation=0.15,test=0.15; each scanner's people are divided alike",
    )
    split.add_argument("--seed", type=options.not_negative, default=0, help="default: %(default)s")

    check = parts.add_parser("check", description="Print what a manifest holds, and check every voxel of it.")
    check.add_argument("manifest", type=Path, metavar="MANIFEST")
    check.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="MANIFEST",
        help="of people who must not be in this one, such as those trained on; may be given several times",
    )
    check.add_argument(
        "--voxel-mm", type=_millimetres, metavar="MM", help="default: that of the first subject"
    )
    check.add_argument("--table", type=Path, metavar="FILE", help="write the table as CSV, too")
    _add_limits(check)

    for part in parts.choices.values():
        part.formatter_class = argparse.RawDescriptionHelpFormatter
        options.add_progress_option(part)
    p.epilog = "\n".join([part.format_help() for part in parts.choices.values()] + [EXIT_CODES])
    return p


def _add_low_count(p: argparse.ArgumentParser, which: str) -> None:
    p.add_argument(
        "--low-count",
        type=_level_and_place,
        action="append",
        default=[],
        metavar="PERCENT=FOLDER",
        help=f"images of that share of the counts: a folder {which}; once for each level",
    )


def _add_conversion(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", type=Path, metavar="FOLDER", help="of the cohort")
    p.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the new cohort; created"
    )
    p.add_argument(
        "--organs",
        type=Path,
        metavar="FOLDER",
        help="TotalSegmentator's output: CASE/ with a mask a class, or CASE.nii.gz with all, CASE being the "
        "examination's place in the cohort",
    )
    p.add_argument(
        "--label-names",
        metavar="FILE|TASK",
        help="what the values of such a CASE.nii.gz mean, where it does not say: total, total_v1, amdiff (2 "
        "liver .. 8 aorta) or a JSON file of names by value",
    )
    p.add_argument(
        "--lesions", type=Path, metavar="FOLDER", help="CASE.nii.gz: masks, where the cohort has none"
    )
    p.add_argument(
        "--unlabelled",
        type=_label_kinds,
        default=frozenset(),
        metavar="organs,lesions",
        help="take examinations without these labels, too; they train the denoiser alone",
    )
    p.add_argument("--units", metavar="UNITS", help="of NIfTI, NRRD and MetaImage: SUVbw; DICOM says its own")
    p.add_argument("--scanner", metavar="NAME", help="needed where files do not say it; DICOM does")
    p.add_argument(
        "--levels", type=_levels, metavar="PERCENT", help="levels to take, by comma (default: all)"
    )
    p.add_argument(
        "--voxel-mm", type=_millimetres, default=4.0, metavar="MM", help="side of the voxels (default: 4)"
    )
    _add_limits(p)


def _add_limits(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--mean-limit",
        type=_percent,
        default=10.0,
        metavar="PERCENT",
        help="largest difference of a low-count mean from the high-count mean in the body (default: 10)",
    )


def _number(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def _percent(text: str) -> float:
    number = _number(text)
    if not 0 < number < 1000:
        raise argparse.ArgumentTypeError(f"{text} is not a percentage above 0")
    return number


def _millimetres(text: str) -> float:
    number = _number(text)
    if not 1.0 <= number <= 8.0:
        raise argparse.ArgumentTypeError(f"{text} is not a size from 1 to 8 mm")
    return number


def _levels(text: str) -> tuple[float, ...]:
    return tuple(_percent(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _label_kinds(text: str) -> frozenset[str]:
    names = frozenset(_names(text))
    if unknown := sorted(names - {"organs", "lesions"}):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is neither organs nor lesions")
    return names


def _level_and_place(text: str) -> tuple[float, str]:
    percent, separator, place = text.partition("=")
    if not (separator and place):
        raise argparse.ArgumentTypeError(f"'{text}' is not PERCENT=FOLDER, such as 10=low_dose/tenth")
    return _percent(percent), place


def _parts(text: str) -> dict[str, float]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip().isidentifier() and separator for name, separator, _ in pairs):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=SHARE,... such as train=0.8,test=0.2")
    parts = {name.strip(): _number(share) for name, _, share in pairs}
    if len(parts) < len(pairs) or any(share <= 0 for share in parts.values()):
        raise argparse.ArgumentTypeError(f"'{text}': give each name once, and shares above 0")
    return parts
