"""Manifests made of manifests: several merged into one, some cases chosen, people divided into parts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from AMDiffLib.cohorts.cohort_files import write_manifest
from AMDiffLib.errors import BadInput
from AMDiffLib.training.manifest import IMAGES, manifest_entries

_FILES = (*IMAGES, "truth", "ct", "nac")
Entry = dict[str, Any]


def merged_entries(manifests: Sequence[Path]) -> list[Entry]:
    """Return the entries of several manifests, their files as absolute paths.

    Raises BadInput where a manifest is none, or two give the same subject's name to different images.
    """
    entries: list[Entry] = []
    home: dict[str, tuple[Path, Path]] = {}
    for manifest in manifests:
        for entry in manifest_entries(manifest):
            entry = {
                key: str((manifest.parent / value).resolve()) if key in _FILES and value else value
                for key, value in entry.items()
            }
            subject, image = str(entry.get("subject")), Path(entry.get("high_count") or "")
            other, first = home.setdefault(subject, (image, manifest))
            if other != image:
                raise BadInput(
                    f"{first} and {manifest} both have a subject '{subject}', but not the same images. Give "
                    "each person a name of their own (--seed of AMDiffLib.simulate, or the folders' names)."
                )
            entries.append(entry)
    return entries


def chosen_entries(
    entries: Iterable[Entry],
    *,
    subjects: Sequence[str] = (),
    scanners: Sequence[str] = (),
    levels: Sequence[float] = (),
) -> list[Entry]:
    """Return the entries of these subjects, scanners and levels; an empty choice takes all.

    Raises BadInput where a name or level is not there, or nothing is left.
    """
    entries = list(entries)
    wanted = {"subject": subjects, "scanner": scanners, "counts_percent": levels}
    for key, values in wanted.items():
        there = {entry.get(key) for entry in entries}
        if missing := [f"{value}" for value in values if value not in there]:
            known = ", ".join(sorted(f"{value}" for value in there))
            raise BadInput(f"No case has the {key} {', '.join(missing)}. There are: {known}.")
    chosen = [
        entry
        for entry in entries
        if all(not values or entry.get(key) in values for key, values in wanted.items())
    ]
    if not chosen:
        raise BadInput("No case is of all that was chosen. Choose less.")
    return chosen


def divided(entries: Sequence[Entry], parts: Mapping[str, float], *, seed: int) -> dict[str, list[Entry]]:
    """Divide entries into parts by person, at random, each scanner's people in about the same shares.

    Nobody is in two parts: neither a patient who was examined twice, nor the levels of a subject. Every part
    receives somebody.

    Args:
        entries: of a manifest.
        parts: share of each part, by name; they are taken relative to their sum.
        seed: the same seed divides the same people in the same way.

    Raises:
        BadInput: a share is not above 0, or there are fewer people than parts.
    """
    if not parts or any(not (math.isfinite(share) and share > 0) for share in parts.values()):
        raise BadInput(f"The shares {dict(parts)} should all be above 0.")
    scanner_of: dict[str, str] = {}
    for entry in entries:
        scanner_of.setdefault(_person(entry), str(entry.get("scanner")))
    if len(scanner_of) < len(parts):
        raise BadInput(
            f"The manifest has too few people ({len(scanner_of)}) for {len(parts)} parts; each needs one."
        )
    people = sorted(scanner_of)
    people = [people[index] for index in np.random.default_rng(seed).permutation(len(people))]
    people.sort(key=lambda person: scanner_of[person])
    total = sum(parts.values())
    shares = {name: share / total for name, share in parts.items()}
    members = _dealt(people, shares)
    return {name: [entry for entry in entries if _person(entry) in members[name]] for name in parts}


def write_entries(path: Path, entries: Sequence[Entry], *, source: str) -> None:
    """Write a manifest of entries with absolute paths; they become relative to it where possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    relative = [
        {
            key: _relative(value, path.parent) if key in _FILES and value else value
            for key, value in entry.items()
        }
        for entry in entries
    ]
    write_manifest(path, relative, source=source)


def _dealt(people: Sequence[str], shares: Mapping[str, float]) -> dict[str, set[str]]:
    """Deal people one by one to the part that lacks most of its share."""
    members: dict[str, set[str]] = {name: set() for name in shares}
    for number, person in enumerate(people, start=1):
        left = len(people) - number + 1
        empty = [name for name in shares if not members[name]]
        among = empty if len(empty) >= left else list(shares)
        name = max(among, key=lambda part: shares[part] * number - len(members[part]))
        members[name].add(person)
    return members


def _person(entry: Entry) -> str:
    return str(entry.get("patient") or entry.get("subject"))


def _relative(file: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:  # another drive, on Windows
        return file
