"""Put every fault into real jobs and write what came of it: `python Testing/faults.py`.

Takes some minutes on one core. Small disks are mounted where the user may; what could not be tried says so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "AMDiff"), str(REPOSITORY / "Testing")]

from fault_bench import Bench, Verdict  # noqa: E402
from fault_cases import all_faults  # noqa: E402
from model_damage import damage_report  # noqa: E402

HEAD = """# Faults and what they leave

Written by `python Testing/faults.py`. Every row is a real job of a small scan and a model of random weights
that was stopped at the named point (SIGSTOP), met the fault there, and went on if it could. After each, the
scan and the model are compared byte by byte with before, the output folder must be empty or hold whole
results (byte for byte those of a job without a fault, but for times in the report), no process of the job's
group may be left, and the reason must be named.

| Fault | What the user sees | What remains | Passed |
| --- | --- | --- | --- |
"""


def main() -> int:
    """Run all, print and write the table; 1 where something did not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "Testing" / "FAULTS.md")
    parser.add_argument("--damages", type=int, default=400, help="damaged model files (default 400)")
    arguments = parser.parse_args()
    rows: list[str] = []
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = damage_report(folder / "damaged", count=arguments.damages, seed=0)
        print(text)
        for fault in _faults(folder):
            verdict = fault()
            failed += bool(verdict.wrong)
            rows.append(_row(verdict, folder))
            print(rows[-1], flush=True)
            # After each row: an interrupted run has said what it found.
            arguments.output.write_text(HEAD + "\n".join(rows) + f"\n\n{text}\n", encoding="utf-8")
    print(f"{len(rows)} faults, {failed} failed")
    return 1 if failed else 0


def _faults(folder: Path):
    (folder / "jobs").mkdir()
    bench = Bench(folder / "jobs")
    try:
        yield from all_faults(bench)
    finally:
        bench.close()
    try:
        from fault_scenes import SceneBench, scene_faults
    except ModuleNotFoundError as error:
        print(f"without Slicer's libraries ({error.name}): the faults beside a scene are left out")
        return
    (folder / "scene").mkdir()
    yield from scene_faults(SceneBench(folder / "scene"))


def _row(verdict: Verdict, folder: Path) -> str:
    passed = "; ".join(verdict.wrong) or "yes"
    seen = verdict.seen.replace(str(folder), "...").replace("|", "/").replace("\n", " ")
    return f"| {verdict.fault} | {seen} | {verdict.remains} | {passed} |"


if __name__ == "__main__":
    sys.exit(main())
