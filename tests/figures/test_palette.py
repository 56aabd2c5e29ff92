from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.palette import colours, inks, strokes

# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency",
# IEEE TVCG 15 (2009): full protanopia, deuteranopia and tritanopia, in linear light.
DEFICIENCIES = [
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]


def nearest_pair(shades):
    """Smallest distance between two shades, with channels in [0, 1]."""
    apart = np.linalg.norm(shades[:, None] - shades[None], axis=-1)
    return (apart + 9 * np.eye(len(shades))).min()


def test_class_zero_is_black_and_the_first_colours_do_not_depend_on_how_many_there_are():
    many = colours(60)
    assert many.shape == (60, 3)
    assert many.dtype == np.uint8
    assert many[0].tolist() == [0, 0, 0]
    for n in range(60):
        assert np.array_equal(colours(n), many[:n])


def test_no_two_classes_share_a_colour():
    assert len(np.unique(colours(60), axis=0)) == 60


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_first_eight_colours_are_told_apart_without_a_kind_of_cone(deficiency):
    light = (colours(8) / 255) ** 2.2
    seen = np.clip(light @ np.transpose(deficiency), 0, 1) ** (1 / 2.2)
    assert nearest_pair(seen) > 0.1


def lab(shades):
    """CIE L*a*b* (D65) of sRGB in [0, 1]; source: IEC 61966-2-1, CIE 15:2018."""
    light = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    matrix = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    part = light @ np.transpose(matrix) / (0.95047, 1, 1.08883)
    root = np.where(part > (6 / 29) ** 3, np.cbrt(part), part / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("shades", [colours(8)[1:] / 255, inks(8)[1:]])
def test_the_first_seven_classes_are_far_apart_to_the_eye_and_no_two_are_blue(shades):
    seen = lab(shades)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[~np.eye(7, dtype=bool)]
    assert apart.min() > 27  # some 2 can just be told side by side
    hues = np.degrees(np.arctan2(seen[:, 2], seen[:, 1]))
    assert ((hues > -130) & (hues < -70)).sum() == 1


def test_inks_are_dark_enough_for_white_paper():
    shades = inks(30)
    assert (shades @ (0.2126, 0.7152, 0.0722) <= 0.55 + 1e-9).all()
    assert shades.min() >= 0


def test_the_first_35_strokes_differ_and_do_not_depend_on_how_many_there_are():
    many = strokes(35)
    assert len({(stroke["color"], str(stroke["linestyle"])) for stroke in many}) == 35
    assert strokes(9) == many[:9]
    assert [stroke["color"] for stroke in many[:7]] == [tuple(tone) for tone in inks(8)[1:]]
    assert {stroke["linestyle"] for stroke in many[:7]} == {"-"}
    assert strokes(36)[35] == many[0]
