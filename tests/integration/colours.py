"""How far apart colours look, also to people who lack one kind of cone (Machado, Oliveira & Fernandes 2009, severity 1)."""

import itertools
import math

SIGHTS = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red cones": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green cones": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}


def linear_rgb(colour):
    """Of "#0655c3"."""
    values = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def lab(rgb):
    """CIE 1976 L*a*b* of linear sRGB, white D65."""
    x = (0.4124 * rgb[0] + 0.3576 * rgb[1] + 0.1805 * rgb[2]) / 0.9505
    y = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
    z = (0.0193 * rgb[0] + 0.1192 * rgb[1] + 0.9505 * rgb[2]) / 1.089
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen(colour, sight):
    rgb = linear_rgb(colour)
    return lab([min(1, max(0, sum(m * v for m, v in zip(row, rgb)))) for row in SIGHTS[sight]])


def closest(colours):
    """(distance, sight, two colours): the pair that is hardest to tell apart; 2 can just be seen side by side."""
    return min((math.dist(seen(a, sight), seen(b, sight)), sight, a, b)
               for a, b in itertools.combinations(colours, 2) for sight in SIGHTS)
