"""The 32 silhouettes of the mini world, as data.

Each icon is a few shapes in the unit square, painted in order; a shape painted with `HOLE` cuts out. `mask` paints an
icon large and averages it down to the size asked for, so that edges are smooth.
Knows nothing of colours, textures or scenes.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

_CANVAS = 96  # pixels of the square on which an icon is painted before it is averaged down
_INK = 255
HOLE = 0

Point = tuple[float, float]
Shape = Callable[[ImageDraw.ImageDraw], None]


def _pixels(*coordinates: float) -> tuple[float, ...]:
    return tuple(c * _CANVAS for c in coordinates)


def _ellipse(x0: float, y0: float, x1: float, y1: float, ink: int = _INK) -> Shape:
    return lambda draw: draw.ellipse(_pixels(x0, y0, x1, y1), fill=ink)


def _box(x0: float, y0: float, x1: float, y1: float, ink: int = _INK) -> Shape:
    return lambda draw: draw.rectangle(_pixels(x0, y0, x1, y1), fill=ink)


def _polygon(*corners: Point, ink: int = _INK) -> Shape:
    return lambda draw: draw.polygon([_pixels(*corner) for corner in corners], fill=ink)


def _line(*points: Point, width: float, ink: int = _INK) -> Shape:
    return lambda draw: draw.line([_pixels(*point) for point in points], fill=ink, width=int(width * _CANVAS))


def _arc(x0: float, y0: float, x1: float, y1: float, start: float, end: float, width: float) -> Shape:
    """Part of an ellipse's rim; angles in degrees, clockwise from three o'clock."""
    return lambda draw: draw.arc(_pixels(x0, y0, x1, y1), start, end, fill=_INK, width=int(width * _CANVAS))


def _dome(x0: float, y0: float, x1: float, y1: float) -> Shape:
    """The upper half of an ellipse."""
    return lambda draw: draw.pieslice(_pixels(x0, y0, x1, y1), 180, 360, fill=_INK)


def _on_circle(centre: Point, radius: float, angle: float) -> Point:
    """The point at `angle` (radians, clockwise from twelve o'clock)."""
    return centre[0] + radius * math.sin(angle), centre[1] - radius * math.cos(angle)


def _star(num_points: int, outer: float, inner: float) -> Shape:
    turns = [i * math.pi / num_points for i in range(2 * num_points)]
    return _polygon(*(_on_circle((0.5, 0.5), inner if i % 2 else outer, turn) for i, turn in enumerate(turns)))


def _petals(num_petals: int, centre: Point, distance: float, radius: float) -> list[Shape]:
    middles = [_on_circle(centre, distance, 2 * math.pi * i / num_petals) for i in range(num_petals)]
    return [_ellipse(x - radius, y - radius, x + radius, y + radius) for x, y in middles]


ICONS: dict[str, list[Shape]] = {
    "ball": [_ellipse(0.06, 0.06, 0.94, 0.94)],
    "car": [
        _polygon((0, 0.5), (0.18, 0.5), (0.32, 0.22), (0.7, 0.22), (0.84, 0.5), (1, 0.52), (1, 0.74), (0, 0.74)),
        _ellipse(0.12, 0.6, 0.38, 0.9),
        _ellipse(0.62, 0.6, 0.88, 0.9),
        _polygon((0.34, 0.48), (0.4, 0.31), (0.64, 0.31), (0.7, 0.48), ink=HOLE),
    ],
    "house": [
        _polygon((0.5, 0.02), (1, 0.45), (0, 0.45)),
        _box(0.12, 0.45, 0.88, 0.98),
        _box(0.4, 0.62, 0.6, 0.98, HOLE),
    ],
    "tree": [_polygon((0.5, 0), (0.92, 0.7), (0.08, 0.7)), _box(0.4, 0.7, 0.6, 1)],
    "fish": [
        _ellipse(0, 0.22, 0.74, 0.78),
        _polygon((0.62, 0.5), (1, 0.15), (1, 0.85)),
        _ellipse(0.13, 0.38, 0.25, 0.5, HOLE),
    ],
    "star": [_star(5, 0.52, 0.21)],
    "cup": [
        _polygon((0.05, 0.15), (0.7, 0.15), (0.62, 0.9), (0.13, 0.9)),
        _arc(0.52, 0.25, 0.98, 0.7, -90, 100, 0.1),
    ],
    "boat": [
        _polygon((0, 0.65), (1, 0.65), (0.8, 0.95), (0.2, 0.95)),
        _polygon((0.46, 0.02), (0.46, 0.6), (0.05, 0.6)),
        _polygon((0.54, 0.12), (0.54, 0.6), (0.88, 0.6)),
    ],
    "heart": [
        _ellipse(0.02, 0.08, 0.54, 0.58),
        _ellipse(0.46, 0.08, 0.98, 0.58),
        _polygon((0.06, 0.44), (0.94, 0.44), (0.5, 0.97)),
    ],
    "key": [
        _ellipse(0, 0.28, 0.46, 0.74),
        _ellipse(0.14, 0.42, 0.32, 0.6, HOLE),
        _box(0.44, 0.45, 1, 0.57),
        _box(0.72, 0.55, 0.8, 0.78),
        _box(0.9, 0.55, 0.98, 0.78),
    ],
    "hat": [_box(0, 0.72, 1, 0.86), _box(0.24, 0.15, 0.76, 0.74)],
    "bird": [
        _ellipse(0.18, 0.35, 0.78, 0.8),
        _ellipse(0.62, 0.14, 0.92, 0.46),
        _polygon((0.88, 0.26), (1, 0.33), (0.88, 0.38)),
        _polygon((0.25, 0.55), (0, 0.3), (0, 0.6)),
        _line((0.4, 0.78), (0.4, 1), width=0.06),
        _line((0.56, 0.78), (0.56, 1), width=0.06),
    ],
    "apple": [
        _ellipse(0.05, 0.25, 0.58, 0.95),
        _ellipse(0.42, 0.25, 0.95, 0.95),
        _box(0.47, 0.05, 0.54, 0.35),
        _ellipse(0.54, 0.02, 0.85, 0.2),
    ],
    "box": [
        _box(0.06, 0.06, 0.94, 0.94),
        _box(0.06, 0.28, 0.94, 0.34, HOLE),
        _box(0.46, 0.34, 0.54, 0.6, HOLE),
    ],
    "flower": [
        *_petals(5, (0.5, 0.36), 0.26, 0.16),
        _ellipse(0.4, 0.26, 0.6, 0.46, HOLE),
        _box(0.46, 0.55, 0.54, 1),
        _ellipse(0.54, 0.74, 0.86, 0.9),
    ],
    "moon": [_ellipse(0.05, 0.03, 0.95, 0.97), _ellipse(0.35, -0.02, 1.15, 0.84, HOLE)],
    "arrow": [
        _polygon((1, 0.5), (0.58, 0.1), (0.58, 0.36), (0, 0.36), (0, 0.64), (0.58, 0.64), (0.58, 0.9)),
    ],
    "ring": [_ellipse(0.04, 0.04, 0.96, 0.96), _ellipse(0.28, 0.28, 0.72, 0.72, HOLE)],
    "bell": [
        _ellipse(0.25, 0.05, 0.75, 0.6),
        _polygon((0.25, 0.32), (0.75, 0.32), (0.95, 0.78), (0.05, 0.78)),
        _ellipse(0.4, 0.76, 0.6, 0.96),
    ],
    "umbrella": [
        _dome(0, 0.04, 1, 1.04),
        _box(0.46, 0.5, 0.54, 0.92),
        _arc(0.46, 0.78, 0.74, 1, 0, 180, 0.08),
    ],
    "mushroom": [_dome(0, 0.04, 1, 1), _polygon((0.36, 0.5), (0.64, 0.5), (0.72, 0.98), (0.28, 0.98))],
    "leaf": [
        _polygon((0.02, 0.98), (0.1, 0.45), (0.4, 0.1), (0.98, 0.02), (0.9, 0.6), (0.55, 0.9)),
        _line((0, 1), (0.75, 0.25), width=0.05, ink=HOLE),
    ],
    "butterfly": [
        _ellipse(0, 0.05, 0.46, 0.55),
        _ellipse(0.54, 0.05, 1, 0.55),
        _ellipse(0.1, 0.5, 0.46, 0.95),
        _ellipse(0.54, 0.5, 0.9, 0.95),
        _box(0.46, 0.12, 0.54, 0.92),
    ],
    "lamp": [
        _polygon((0.3, 0.02), (0.7, 0.02), (0.95, 0.5), (0.05, 0.5)),
        _box(0.46, 0.5, 0.54, 0.88),
        _box(0.25, 0.86, 0.75, 0.98),
    ],
    "bottle": [
        _box(0.4, 0, 0.6, 0.3),
        _polygon((0.4, 0.28), (0.6, 0.28), (0.76, 0.48), (0.76, 1), (0.24, 1), (0.24, 0.48)),
    ],
    "crown": [
        _polygon((0.02, 0.2), (0.27, 0.55), (0.5, 0.08), (0.73, 0.55), (0.98, 0.2), (0.9, 0.9), (0.1, 0.9)),
    ],
    "kite": [
        _polygon((0.5, 0), (0.9, 0.38), (0.5, 0.82), (0.1, 0.38)),
        _line((0.5, 0.8), (0.6, 0.88), (0.42, 1), width=0.06),
    ],
    "cloud": [
        _ellipse(0, 0.42, 0.42, 0.84),
        _ellipse(0.22, 0.16, 0.72, 0.76),
        _ellipse(0.56, 0.38, 1, 0.84),
        _box(0.2, 0.6, 0.8, 0.84),
    ],
    "cactus": [
        _box(0.4, 0, 0.6, 1),
        _box(0.05, 0.25, 0.2, 0.6),
        _box(0.05, 0.48, 0.5, 0.62),
        _box(0.8, 0.12, 0.95, 0.5),
        _box(0.5, 0.38, 0.95, 0.52),
    ],
    "rocket": [
        _polygon((0.5, 0), (0.7, 0.3), (0.7, 0.75), (0.3, 0.75), (0.3, 0.3)),
        _polygon((0.3, 0.5), (0.3, 0.78), (0.08, 0.92)),
        _polygon((0.7, 0.5), (0.7, 0.78), (0.92, 0.92)),
        _polygon((0.38, 0.78), (0.62, 0.78), (0.5, 1)),
        _ellipse(0.42, 0.3, 0.58, 0.46, HOLE),
    ],
    "chair": [_box(0.1, 0, 0.26, 1), _box(0.1, 0.5, 0.88, 0.64), _box(0.74, 0.5, 0.88, 1)],
    "ladder": [
        _box(0.15, 0, 0.28, 1),
        _box(0.72, 0, 0.85, 1),
        *(_box(0.15, rung, 0.85, rung + 0.1) for rung in (0.1, 0.34, 0.58, 0.82)),
    ],
}


@lru_cache(maxsize=512)
def mask(noun: str, size: int, flipped: bool) -> tuple[np.ndarray, np.ndarray]:
    """Opacity of an icon and of the icon with its outline, both (size + 2, size + 2) float32 in 0..1.

    `size` is the icon's own width in pixels; the border of one pixel holds the outline.
    """
    canvas = Image.new("L", (_CANVAS, _CANVAS), HOLE)
    draw = ImageDraw.Draw(canvas)
    for shape in ICONS[noun]:
        shape(draw)
    fill = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / _INK
    fill = np.pad(fill[:, ::-1] if flipped else fill, 1)
    return fill, _dilate(fill)


def _dilate(image: np.ndarray) -> np.ndarray:
    """Maximum over each pixel's 3x3 neighbourhood."""
    height, width = image.shape
    padded = np.pad(image, 1)
    return np.max([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)
