"""Does torch.compile, which fuses normalisation and activation, make a pass of the networks faster?

    python Testing/benchmarks/compiled_passes.py --output compiled-passes.json

One pass of the denoiser and of the segmenter over one tile, as they are, compiled, and compiled with the
weights frozen into the graph (`freezing`, which lets the processor's library lay them out), in turns; a
network that torch cannot compile is listed with its error. Needs a C++ compiler. About ten minutes on an
idle core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402
from measuring import synchronize  # noqa: E402
from passes import model_of  # noqa: E402

from AMDiffLib.inference.device import autocast, precision_of  # noqa: E402
from AMDiffLib.networks.amdiff import AMDiff  # noqa: E402

FREEZING = {"compiled": False, "compiled, frozen": True}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", type=Path, metavar="FILE", help="write the figures there as JSON")
    p.add_argument("--model", default="amdiff-compact", metavar="NAME|FOLDER")
    p.add_argument("--tile", type=int, default=96, help="side in voxels (default: %(default)s)")
    p.add_argument("--turns", type=int, default=5, help="passes of each way (default: %(default)s)")
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    p.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    return p


def main() -> None:
    """Measure both networks and print the ratios."""
    options = parser().parse_args()
    torch.set_num_threads(options.threads)
    # What an earlier run left on the disk would make the first call look shorter.
    torch.compiler.config.force_disable_caches = True
    device = torch.device(options.device)
    model = model_of(options.model).to(device, memory_format=torch.channels_last_3d).eval()
    figures = {"tile": options.tile, "device": options.device, "threads": options.threads}
    with torch.inference_mode(), autocast(device, precision_of(device)):
        for name, run in _passes(model, options.tile, device).items():
            figures[name] = _measure(run, options)
            _print(name, figures[name])
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _passes(model: AMDiff, side: int, device: torch.device) -> dict[str, Callable[[], torch.Tensor]]:
    """The networks alone, without what is computed around them, each on one tile."""
    image = 3.0 * torch.rand(1, 1, side, side, side, device=device)
    t = torch.full((1,), model.config.diffusion.sampling_timesteps[0], device=device)
    return {
        "denoise": lambda: model.denoiser_output(image, image, t),
        "segment": lambda: torch.cat(model.segment(image, image), dim=1),
    }


def _measure(run: Callable[[], torch.Tensor], options: argparse.Namespace) -> dict:
    plain = run()
    figures = {}
    for way, freezing in FREEZING.items():
        torch._dynamo.reset()
        compiled = torch.compile(run, options={"freezing": freezing})
        began = time.perf_counter()
        try:
            difference = float((compiled() - plain).abs().max())
        except Exception as error:  # what torch raises depends on what it cannot compile
            figures[way] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            continue
        figures[way] = {
            "first_call_s": time.perf_counter() - began,
            "largest_difference": difference,
            "as_it_is_s": [],
            "seconds": [],
        }
        for _ in range(options.turns):
            for name, function in (("as_it_is_s", run), ("seconds", compiled)):
                synchronize(options.device)
                began = time.perf_counter()
                function()
                synchronize(options.device)
                figures[way][name].append(time.perf_counter() - began)
        for name in ("as_it_is_s", "seconds"):
            figures[way][name] = statistics.median(figures[way][name])
    return figures


def _print(name: str, figures: dict) -> None:
    for way, found in figures.items():
        if "error" in found:
            print(f"{name}, {way}: {found['error']}")
        else:
            times = found["as_it_is_s"] / found["seconds"]
            first = found["first_call_s"]
            print(f"{name}, {way}: {times:.2f} times as fast, after a first call of {first:.0f} s")


if __name__ == "__main__":
    main()
