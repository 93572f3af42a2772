"""The great vessels: aorta with its arch and branches, iliac vessels, venae cavae, portal vein."""

from __future__ import annotations

from AMDiffLib.simulation.body import Person
from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.shapes import Tube


def paint_vessels(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint arteries and veins; veins and small vessels hold a little less than the aorta."""
    size, blood = person.build, uptake["blood"]

    def draw(name: str, points: list, radii: tuple[float, ...], suv: float = blood) -> None:
        canvas.paint(Tube(tuple(points), tuple(r * size for r in radii)), suv, name, detail_mm=3.0)

    at = person.by_spine
    front = person.cavity_reach(0.77)[1]
    root = (4 * size, -0.30 * front, person.level(0.753 + 0.3 * person.breath))
    arch = [
        root,
        (-14 * size, -0.42 * front, person.level(0.774)),
        (-10 * size, -0.34 * front, person.level(0.790)),
        (4 * size, -0.10 * front, person.level(0.7985)),
        at(20, 40, 0.796),
        at(24, 27, 0.785),
        at(23, 24, 0.765),
        at(20, 26, 0.735),
        at(14, 31, 0.70),
        at(9, 34, 0.66),
        at(6, 35, 0.625),
        at(4, 36, 0.603),
    ]
    draw(
        "pulmonary vessels",
        [
            (14 * size, -0.42 * front, person.level(0.757)),
            (18 * size, -0.16 * front, person.level(0.776)),
            at(34, 52, 0.774),
        ],
        (13, 13, 9),
    )
    draw("pulmonary vessels", [(12 * size, -0.12 * front, person.level(0.774)), at(-36, 52, 0.770)], (11, 8))
    draw(
        "superior vena cava",
        [(-24 * size, -0.20 * front, person.level(0.757)), (-26 * size, -0.25 * front, person.level(0.80))],
        (10, 8),
        0.92 * blood,
    )
    draw("aorta", arch, (15.5, 16, 15.5, 14, 13, 12.5, 12, 11.5, 11, 10.5, 9.5, 9), 1.03 * blood)
    cava = [at(-20, 34, f) for f in (0.603, 0.64, 0.68)] + [
        (-22 * size, 0.10 * front, person.level(0.715)),
        (-24 * size, -0.10 * front, person.level(0.735)),
    ]
    draw("inferior vena cava", cava, (11, 11.5, 11.5, 12, 12))
    for side in (-1, 1):
        _paint_branches(canvas, person, side, uptake)


def _paint_branches(canvas: Canvas, person: Person, side: int, uptake: dict[str, float]) -> None:
    size, blood = person.build, uptake["blood"]
    front = person.cavity_reach(0.80)[1]
    at = person.by_spine

    def draw(name: str, points: list, radii: tuple[float, ...], suv: float) -> None:
        canvas.paint(Tube(tuple(points), tuple(r * size for r in radii)), suv, name, detail_mm=2.0)

    groin = [
        (side * 44 * size, 4.0, person.level(0.552)),
        (side * 66 * size, -44.0 * size, person.level(0.518)),
        (side * 76 * size, -44.0 * size, person.level(0.49)),
        (side * 76 * size, -28.0 * size, person.level(0.44)),
        (side * 74 * size, -10.0 * size, person.level(0.36)),
    ]
    draw(
        "iliac artery",
        [at(side * 3, 36, 0.604), *groin],
        (6.0, 5.0, 4.5, 3.8, 3.0, 2.6),
        0.97 * uptake["leg vessels"] * blood,
    )
    behind = [(x - side * 9 * size, y + 9 * size, z) for x, y, z in groin]
    draw(
        "iliac vein",
        [at(-18 + side * 6, 33, 0.600), *behind],
        (8.0, 6.5, 5.5, 4.5, 3.6, 3.0),
        0.98 * uptake["leg vessels"] * blood,
    )
    shoulder = person.shoulder(side)
    arch = (side * 8 * size, -0.30 * front, person.level(0.80))
    carotid = [
        arch,
        (side * 22 * size, 2.0, person.level(0.835)),
        (side * 28 * size, 6.0, person.level(0.868)),
        person.in_head(side * 30, 6, -70),
    ]
    draw("carotid artery", carotid, (4.5, 3.8, 3.4, 3.0), 0.93 * blood)
    jugular = [(x + side * 9 * size, y - 2, z) for x, y, z in carotid[1:]]
    draw(
        "jugular vein",
        [(side * 26 * size, -8.0, person.level(0.808)), *jugular],
        (5.5, 4.6, 4.0, 3.4),
        0.88 * blood,
    )
    armpit = (side * 0.72 * abs(shoulder[0]), -4.0, person.level(0.806))
    draw(
        "subclavian artery",
        [arch, (side * 44 * size, 6.0, person.level(0.818)), armpit],
        (4.5, 4, 2.6),
        0.95 * blood,
    )
    draw(
        "brachiocephalic vein",
        [
            (-20 * size, -0.36 * front, person.level(0.792)),
            (side * 24 * size, -0.36 * front, person.level(0.806)),
            (side * 58 * size, -12.0, person.level(0.812)),
            armpit,
        ],
        (7.5, 7, 6, 5),
        0.88 * blood,
    )


def paint_portal_vein(canvas: Canvas, person: Person, uptake: dict[str, float]) -> None:
    """Paint the portal and splenic vein."""
    points = (
        person.inside(-0.34, -0.05, 0.678),
        person.inside(-0.08, 0.02, 0.664),
        person.inside(0.25, 0.05, 0.668),
        person.inside(0.62, 0.38, 0.682),
    )
    canvas.paint(Tube(points, (7.0, 6.5, 5.0, 4.0)), 0.95 * uptake["blood"], "portal vein", detail_mm=2.0)
