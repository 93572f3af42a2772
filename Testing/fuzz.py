"""Feed thousands of damaged DICOM, NRRD, NIfTI and MetaImage headers to the reading, and some to the command.

    python Testing/fuzz.py --count 6000 --seed 1 --processes 36

Every input must end in a named error (bad_input) or in a volume that holds what its header says (see
fuzz_oracle and fuzz_images), within the time limit, with no word of the patient's identity. Prints what was
tried and what became of it; exit code 1 if anything failed. The same seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TESTING = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTING), str(TESTING.parent)]

import fuzz_dicom  # noqa: E402
import fuzz_images  # noqa: E402
from fuzz_oracle import judge_series  # noqa: E402

from AMDiffLib.errors import AMDiffError, BadInput  # noqa: E402
from AMDiffLib.image.reading import read_pet  # noqa: E402
from AMDiffLib.image.volume import PetVolume  # noqa: E402

TIME_LIMIT_S = 20
MEMORY_LIMIT = 6 << 30
REAL_SERIES = TESTING.parent.parent / "shared" / "pet-data" / "sts001-ge-fdg" / "FDG_PET" / "image"
IDENTITY = [part for value in fuzz_dicom.IDENTITY.values() for part in value.split("^")]


class TooSlow(BaseException):
    """The reading took longer than the time limit."""


@dataclass
class Tally:
    """How many inputs of each kind were refused and read, and every failure in words."""

    refused: collections.Counter = field(default_factory=collections.Counter)
    read: collections.Counter = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """All inputs."""
        return sum(self.refused.values()) + sum(self.read.values())


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow inside after `seconds`; code that never returns to Python ends the process."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


def read(path: Path, units: str | None) -> PetVolume | BadInput | str:
    """Read an input; return the volume, the named error, or what went wrong."""
    try:
        with time_limit(TIME_LIMIT_S):
            found: PetVolume | BadInput = read_pet(path, units=units)
    except BadInput as error:
        found = error
    except TooSlow:
        return f"longer than {TIME_LIMIT_S} s"
    except AMDiffError as error:
        return f"{error.kind} instead of bad_input"
    except Exception as error:
        frame = error.__traceback__
        while frame.tb_next:
            frame = frame.tb_next
        place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
        return f"{type(error).__name__} at {place}: {str(error)[:120]}"
    said = str(found) if isinstance(found, BadInput) else json.dumps([found.source, list(found.warnings)])
    if leaked := [word for word in IDENTITY if word in said]:
        return f"says the patient's {leaked}"
    return found


def fuzz_series(count: int, seed: int, tally: Tally) -> None:
    """Mutate DICOM series: the real one in both encodings where it is at hand, else a built one."""
    bases = [(REAL_SERIES, False), (REAL_SERIES, True)] if REAL_SERIES.is_dir() else [(None, True)]
    with tempfile.TemporaryDirectory() as folder:
        for number, (source, explicit) in enumerate(bases):
            base = Path(folder) / f"base-{number}"
            fuzz_dicom.write_base(base, source, explicit=explicit)
            plain = read(base, None)
            assert isinstance(plain, PetVolume), plain
            name = f"DICOM {'explicit' if explicit else 'implicit'} VR"
            for index in range(count // len(bases)):
                rng = random.Random(f"{seed}-{name}-{index}")
                case = Path(folder) / "case"
                shutil.copytree(base, case)
                done = fuzz_dicom.mutate(case, rng)
                found = read(case, None)
                wrong = judge_series(case, found, plain.warnings) if isinstance(found, PetVolume) else None
                _note(tally, name, f"seed {seed} {index}: {done}", found, wrong)
                shutil.rmtree(case)


def fuzz_images_of_all_kinds(count: int, seed: int, tally: Tally) -> None:
    """Mutate the headers of single-file and detached images."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in fuzz_images.KINDS:
            base = Path(folder) / "base"
            path, values = fuzz_images.write_base(base, kind)
            plain = read(path, "SUVbw")
            assert isinstance(plain, PetVolume), plain
            content = path.read_bytes()
            for index in range(count // len(fuzz_images.KINDS)):
                rng = random.Random(f"{seed}-{kind}-{index}")
                done = fuzz_images.mutate(path, rng)
                found = read(path, "SUVbw")
                wrong = None
                if isinstance(found, PetVolume):
                    wrong = fuzz_images.judge_image(path, found, values, plain.warnings)
                _note(tally, kind, f"seed {seed} {index}: {done}", found, wrong)
                path.write_bytes(content)
            shutil.rmtree(base)


def _note(tally: Tally, kind: str, done: str, found: PetVolume | BadInput | str, wrong: str | None) -> None:
    (tally.read if isinstance(found, PetVolume) else tally.refused)[kind] += 1
    if isinstance(found, str) or wrong:
        tally.failures.append(f"{kind}, {done} -> {wrong or found}")


def fuzz_processes(count: int, seed: int, tally: Tally) -> None:
    """Give mutated inputs to whole commands as processes: `describe`, and every third `denoise_segment`."""
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            rng = random.Random(f"{seed}-process-{index}")
            case = Path(folder) / "case"
            if index % 2:
                fuzz_dicom.write_base(case, REAL_SERIES if REAL_SERIES.is_dir() else None, explicit=True)
                done, target, units = fuzz_dicom.mutate(case, rng), case, []
            else:
                target, _ = fuzz_images.write_base(case, rng.choice(fuzz_images.KINDS))
                done, units = fuzz_images.mutate(target, rng), ["--units", "SUVbw"]
            command = [sys.executable, "-m"]
            output = Path(folder) / "out"
            if index % 3:
                command += ["AMDiffLib.describe", str(target), "--json", *units]
            else:
                command += ["AMDiffLib.denoise_segment", str(target), "--output-dir", str(output), *units]
                command += ["--progress", "json", "--device", "cpu", "--threads", "1", "--tile", "32"]
            wrong, refused = _run(command, output)
            (tally.refused if refused else tally.read)[command[2].removeprefix("AMDiffLib.")] += 1
            if wrong:
                tally.failures.append(f"process, seed {seed} {index}: {done} -> {wrong}")
            shutil.rmtree(case)
            shutil.rmtree(output, ignore_errors=True)


def _run(command: list[str], output: Path) -> tuple[str | None, bool]:
    """Run a command; return what went wrong, and whether it refused the input."""
    try:
        done = subprocess.run(
            command, cwd=TESTING.parent, capture_output=True, text=True, timeout=180, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return "longer than 180 s", False
    said = done.stdout + done.stderr
    if "Traceback" in said or done.returncode not in (0, 2):
        return f"exit code {done.returncode}: {said[-300:]}", False
    last = json.loads(done.stdout.splitlines()[-1])
    refused = done.returncode != 0 or bool(last.get("scan", {}).get("problem"))
    if leaked := [word for word in IDENTITY if word in said]:
        return f"says the patient's {leaked}", refused
    if last.get("type") != ("done" if done.returncode == 0 else "error"):
        return f"the last line is {last.get('type')} with exit code {done.returncode}", refused
    if done.returncode and output.exists():
        return "a result folder of a refused input", refused
    return None, refused


def main(argv: list[str] | None = None) -> int:
    """Run the fuzzers and print the table; 1 if anything failed."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--count", type=int, default=6000, help="mutated inputs, half DICOM (default: %(default)s)"
    )
    p.add_argument("--processes", type=int, default=36, help="of the whole commands (default: %(default)s)")
    p.add_argument("--seed", type=int, default=1)
    arguments = p.parse_args(argv)
    # A header that makes the reading ask for more memory than the file can need must not get it.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, resource.RLIM_INFINITY))
    tally = Tally()
    fuzz_series(arguments.count // 2, arguments.seed, tally)
    fuzz_images_of_all_kinds(arguments.count - arguments.count // 2, arguments.seed, tally)
    fuzz_processes(arguments.processes, arguments.seed, tally)
    for kind in sorted({*tally.refused, *tally.read}):
        print(f"{kind:22} refused {tally.refused[kind]:5}   read {tally.read[kind]:5}")
    print(f"{tally.tried} mutated inputs, {len(tally.failures)} failures")
    for failure in tally.failures:
        print("  " + failure)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
