"""The colours of classes: distinct with any kind of colour vision, on grey images and on white paper."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito, "Color Universal Design" (2008), but for its black and its second blue, in an order that keeps
# neighbours far apart: the first four are blue, orange-red, yellow and green of clearly different lightness.
_OKABE_ITO = (
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
)
# Tol, "Colour schemes" (SRON/EPS/TN/09-002, 2021), scheme "muted", for what Okabe and Ito do not reach; the first,
# indigo, is as far from the six above as they are from each other.
_TOL = (
    (51, 34, 136),
    (136, 34, 85),
    (221, 204, 119),
    (136, 204, 238),
    (153, 153, 51),
    (204, 102, 119),
    (17, 119, 51),
    (170, 68, 153),
)
_SECOND_BLUE = (0, 114, 178)  # of Okabe and Ito
_GOLDEN = 0.618034  # steps of the golden section never fall on a hue that was there before

# A line on white wants to be darker than a tint on a grey image (contrast after WCAG 2.1, 1.4.11).
_LIGHTEST = 0.55

_TONES = 7  # distinct to any eye; past them, curves are broken too
_LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (5, 1.5, 1.2, 1.5, 1.2, 1.5)),
)


def colours(n: int) -> NDArray[np.uint8]:
    """Give n class colours.

    Args:
        n: Number of classes, class 0 included. Up to 16 the colours are safe for colour-blind readers;
            past that they are merely different.

    Returns:
        (n, 3) red, green and blue in 0..255. Class 0 is black, and is drawn transparent. The first
        colours do not depend on n.
    """
    table = [(0, 0, 0), *_OKABE_ITO, *_TOL, _SECOND_BLUE]
    for index in range(max(n - len(table), 0)):
        tone = hsv_to_rgb(index * _GOLDEN % 1, 0.55 + 0.15 * (index % 3), 0.95 - 0.2 * (index % 2))
        table.append((round(tone[0] * 255), round(tone[1] * 255), round(tone[2] * 255)))
    return np.array(table[:n], dtype=np.uint8).reshape(n, 3)


def inks(n: int) -> NDArray[np.float64]:
    """Give the same colours for lines and bars on white: light ones darkened, class 0 grey.

    Returns:
        (n, 3) red, green and blue in [0, 1], as Matplotlib takes them.
    """
    shades = colours(n) / 255
    shades[:1] = 0.45
    luminance = shades @ (0.2126, 0.7152, 0.0722)
    return shades * np.minimum(1, _LIGHTEST / np.maximum(luminance, 1e-6))[:, None]


def strokes(n: int) -> list[dict[str, Any]]:
    """Give n curves the first seven of these inks, and the same again in broken lines.

    Returns:
        Colour and line of each, as Matplotlib's `plot` takes them. Up to 35 differ, and the first ones do not
        depend on n.
    """
    tones = [tuple(tone) for tone in inks(_TONES + 1)[1:]]
    return [
        {"color": tones[place % _TONES], "linestyle": _LINES[place // _TONES % len(_LINES)]}
        for place in range(n)
    ]
