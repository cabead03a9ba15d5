"""Colour difference as people see it: CIEDE2000 (Sharma, Wu, Dalal 2005) between sRGB pictures."""

from typing import Any

import numpy as np

type Pixels = np.ndarray[Any, Any]

# sRGB to XYZ (IEC 61966-2-1) and the white of D65.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def lab_of(pixels: Pixels) -> Pixels:
    """CIELAB of 8-bit sRGB, or of sRGB values 0–255 with fractions."""
    code = np.asarray(pixels, np.float64) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    ratio = linear @ TO_XYZ.T / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def de2000(one: Pixels, two: Pixels) -> Pixels:
    """CIEDE2000 of each pixel of two sRGB pictures."""
    return de2000_lab(lab_of(one), lab_of(two))


def de2000_lab(one: Pixels, two: Pixels) -> Pixels:
    """CIEDE2000 of CIELAB values, kL = kC = kH = 1."""
    light = [one[..., 0], two[..., 0]]
    chroma = [np.hypot(lab[..., 1], lab[..., 2]) for lab in (one, two)]
    seventh = ((chroma[0] + chroma[1]) / 2) ** 7
    grow = 1 + 0.5 * (1 - np.sqrt(seventh / (seventh + 25.0**7)))
    a = [lab[..., 1] * grow for lab in (one, two)]
    c = [np.hypot(a[n], lab[..., 2]) for n, lab in enumerate((one, two))]
    h = [np.degrees(np.arctan2(lab[..., 2], a[n])) % 360 for n, lab in enumerate((one, two))]
    is_grey = c[0] * c[1] == 0
    turn = (h[1] - h[0] + 180) % 360 - 180
    turn = np.where(is_grey, 0, turn)
    d_light, d_chroma = light[1] - light[0], c[1] - c[0]
    d_hue = 2 * np.sqrt(c[0] * c[1]) * np.sin(np.radians(turn / 2))
    mean_l, mean_c = (light[0] + light[1]) / 2, (c[0] + c[1]) / 2
    mean_h = np.where(is_grey, h[0] + h[1], (h[0] + turn / 2) % 360)
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    r_c = 2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    r_t = -np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2)))) * r_c
    by_light, by_chroma, by_hue = d_light / s_l, d_chroma / s_c, d_hue / s_h
    found: Pixels = np.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + r_t * by_chroma * by_hue)
    return found
