"""Puts one fault into a process, at a named point of its work.

Python imports this file first where its folder is on PYTHONPATH; AMDIFF_FAULT then names the fault as the
arguments of `install` in JSON.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import json
import os
import signal
import sys
import time


def install(at: str, do: str, *, call: int = 1, after: bool = False, argument: float = 0.0) -> None:
    """Do `do` when the work reaches `at`.

    Args:
        at: "import NAME" of a package, or "MODULE:NAME" of a function as its caller names it.
        do: stop (by SIGSTOP, so that whoever waits can act at this very point), memory (from here on every
            network layer whose input has more than `argument` voxels finds the GPU full), clock (jumps by
            `argument` seconds).
        call: at which call of the function.
        after: when the function returns, not when it is entered.
    """
    act = functools.partial(_ACTIONS[do], argument)
    kind, _, package = at.partition(" ")
    if kind == "import":
        _at_import(package, act)
        return
    module, _, name = at.partition(":")
    if module in sys.modules:
        _wrap(sys.modules[module], name, act, call=call, after=after)
    else:
        sys.meta_path.insert(0, _AfterImport(module, lambda m: _wrap(m, name, act, call=call, after=after)))


def _stop(_argument: float) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fill_the_gpu(most_voxels: float) -> None:
    import torch

    def refuse(_layer, inputs) -> None:
        if inputs and inputs[0].dim() == 5 and inputs[0][0, 0].numel() > most_voxels:
            raise torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of 8.00 GiB"
            )

    torch.nn.modules.module.register_module_forward_pre_hook(refuse)


def _move_the_clock(seconds: float) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)


_ACTIONS = {"stop": _stop, "memory": _fill_the_gpu, "clock": _move_the_clock}


def _at_import(package: str, act) -> None:
    def audit(event: str, arguments: tuple) -> None:
        nonlocal package
        if event == "import" and arguments[0] == package:
            package = ""  # once
            act()

    sys.addaudithook(audit)


def _wrap(module, name: str, act, *, call: int, after: bool) -> None:
    *path, last = name.split(".")
    owner = functools.reduce(getattr, path, module)
    function = getattr(owner, last)
    calls = 0

    @functools.wraps(function)
    def with_fault(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == call and not after:
            act()
        result = function(*arguments, **options)
        if calls == call and after:
            act()
        return result

    setattr(owner, last, with_fault)


class _AfterImport:
    """A finder that calls `then` with a module when it has been imported by the ordinary finders."""

    def __init__(self, name: str, then) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name, path=None, target=None):
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            self._then(module)

        spec.loader.exec_module = exec_module
        return spec


if "AMDIFF_FAULT" in os.environ:
    install(**json.loads(os.environ["AMDIFF_FAULT"]))
