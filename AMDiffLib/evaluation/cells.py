"""How figures are written in the cells of tables."""

from __future__ import annotations

import math

from AMDiffLib.evaluation.summary import Comparison, Summary

NONE = "-"


def mean(found: Summary | None, digits: int, *, signed: bool = False) -> str:
    return NONE if found is None or not found.n else number(found.mean, digits, signed=signed)


def mean_sd(found: Summary | None, digits: int, *, signed: bool = False) -> str:
    if found is None or not found.n:
        return NONE
    spread = f" ± {found.sd:.{digits}f}" if math.isfinite(found.sd) else ""
    return f"{number(found.mean, digits, signed=signed)}{spread}"


def interval(found: Summary | None, digits: int) -> str:
    return NONE if found is None or not found.n else bounds(found.interval, digits) or NONE


def bounds(limits: tuple[float, float], digits: int, factor: float = 1.0) -> str:
    if not all(math.isfinite(bound) for bound in limits):
        return ""
    low, high = (f"{factor * bound:.{digits}f}" for bound in limits)
    return f"[{low}, {high}]"


def number(value: float, digits: int, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return NONE
    return f"{value:{'+' if signed else ''}.{digits}f}"


def count(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def ratio(found: Comparison | None, *, with_p: bool = True) -> str:
    """The ratio of means with its interval and, if asked for, p."""
    if found is None:
        return NONE
    text = f"{found.ratio:.2f} {bounds(found.interval, 2)}"
    return f"{text}, p {p_value(found.p)}" if with_p and math.isfinite(found.p) else text


def p_value(p: float) -> str:
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def paper(figure: tuple[float, float] | None, digits: int = 3) -> str:
    """A published mean ± SD, in italics."""
    return NONE if figure is None else f"*{figure[0]:.{digits}f} ± {figure[1]:.{digits}f}*"
