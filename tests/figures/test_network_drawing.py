from __future__ import annotations

from itertools import combinations

import pytest

from medseg.figures.network_drawing import LayerBox, network_drawing


def conv(channels, side, parameters=100, kind="Conv2d", links=()):
    return LayerBox(f"{kind}-{channels}", kind, (channels, side, side), parameters, links)


def unet(levels=4, inside=1):
    """A U-Net, level by level: convolutions and activations, pooling; upsampling, joining, convolutions."""
    layers, kept = [], []
    for level in range(levels):
        layers += [conv(8 << level, 128 >> level), conv(8 << level, 128 >> level, 0, "ReLU")] * inside
        if level < levels - 1:
            kept.append(len(layers) - 1)
            layers.append(conv(8 << level, 64 >> level, 0, "MaxPool2d"))
    for level in reversed(range(levels - 1)):
        layers.append(conv(8 << level, 128 >> level, 50, "ConvTranspose2d"))
        layers.append(conv(16 << level, 128 >> level, 0, "Concatenation", (kept[level],)))
        layers += [conv(8 << level, 128 >> level), conv(8 << level, 128 >> level, 0, "ReLU")] * inside
    return layers


def boxes_of(figure):
    return [patch for patch in figure.axes[0].patches if type(patch).__name__ == "Rectangle"]


def dashed(figure):
    return [
        patch
        for patch in figure.axes[0].patches
        if type(patch).__name__ != "Rectangle" and patch.get_linestyle() != "solid"
    ]


def said(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_few_layers_have_a_box_each_with_kind_shape_and_parameters():
    layers = [
        conv(4, 32, 40),
        LayerBox("relu", "ReLU", (4, 32, 32), 0),
        LayerBox("head", "Linear", (10,), 50),
    ]
    figure = network_drawing(layers, title="small")
    assert len(boxes_of(figure)) == 3
    assert said(figure) == [
        *("Conv2d", "4 × 32×32", "40 parameters"),
        *("ReLU", "4 × 32×32"),
        *("Linear", "10", "50 parameters"),
    ]
    assert [text.get_text() for text in figure.texts] == ["small", "3 layers, 90 parameters"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Conv2d", "ReLU", "Linear"]


def test_boxes_go_right_with_the_order_and_down_with_the_resolution():
    boxes = boxes_of(network_drawing(unet(3), title=""))
    centres = [box.get_x() + box.get_width() / 2 for box in boxes]
    assert centres == sorted(centres)
    sides = [128, 64, 64, 32, 32, 64, 64, 64, 128, 128, 128]
    assert len(boxes) == len(sides)
    for (one, side), (other, other_side) in combinations(zip(boxes, sides, strict=True), 2):
        assert (one.get_y() > other.get_y()) == (side > other_side)
        assert (one.get_height() > other.get_height()) == (side > other_side)


def test_boxes_are_as_wide_as_they_have_channels():
    first, second, third = boxes_of(network_drawing([conv(4, 8), conv(64, 8), conv(4, 8)], title=""))
    assert second.get_width() > first.get_width() == third.get_width()


@pytest.mark.parametrize("layers", [unet(4, 1), unet(5, 4), unet(6, 40)])
def test_networks_of_any_length_are_drawn_in_few_boxes_with_every_parameter_counted(layers):
    figure = network_drawing(layers, title="U-Net")
    figure.draw_without_rendering()
    assert len(boxes_of(figure)) <= 24
    total = sum(layer.parameters for layer in layers)
    assert (
        figure.texts[1].get_text()
        == f"{len(layers)} layers in {len(boxes_of(figure))} boxes, {total:,} parameters"
    )


def test_links_are_dashed_lines_from_box_to_box():
    figure = network_drawing(unet(4, 2), title="")
    links = dashed(figure)
    assert len(links) == 3
    boxes = boxes_of(figure)
    for link in links:
        (left, low), (_, lane), (_, same), (right, other) = link.get_path().vertices[:4]
        ends = [
            [box for box in boxes if box.get_x() <= x <= box.get_x() + box.get_width()] for x in (left, right)
        ]
        assert [len(found) for found in ends] == [1, 1]
        assert lane == same > low == pytest.approx(other, abs=0.05)  # short of it by the head of the arrow


def test_links_of_one_level_that_overlap_have_lanes_of_their_own():
    layers = [conv(4, 16) for _ in range(4)] + [conv(8, 16, links=(0, 1)), conv(8, 16, links=(0, 2))]
    lanes = [link.get_path().vertices[1][1] for link in dashed(network_drawing(layers, title=""))]
    assert len(lanes) == len(set(lanes)) == 4


def test_links_within_a_box_and_to_the_next_one_are_not_drawn():
    layers = [conv(4, 16), conv(4, 16, links=(0,))]
    assert not dashed(network_drawing(layers, title=""))
    many = [conv(4 + number, 16, links=(number - 1,) if number else ()) for number in range(50)]
    figure = network_drawing(many, title="")
    assert len(boxes_of(figure)) == 1
    assert not dashed(figure)
    assert said(figure)[0] == "50 Conv2d"


@pytest.mark.slow
def test_a_network_that_cannot_be_shortened_is_drawn_whole():
    layers = [conv(4, 64 >> number % 3, kind=f"Kind{number}") for number in range(40)]
    assert len(boxes_of(network_drawing(layers, title=""))) == 40


@pytest.mark.parametrize(
    "layers",
    [
        [LayerBox("only", "Linear", (1,), 2)],
        unet(4, 2),
        unet(6, 40),
        [LayerBox("v", "AVeryLongNameOfAKindOfLayerThatNobodyWouldWrite", (512, 128, 128, 128), 10**9)] * 5,
        [conv(1024, 256, kind=f"K{number}") for number in range(12)],
    ],
)
def test_nothing_overlaps_and_nothing_is_cut(layers):
    figure = network_drawing(layers, title="é $a_b$ \\frac " * 60)
    figure.draw_without_rendering()
    parts = [*figure.texts, *figure.legends, *boxes_of(figure), *figure.axes[0].texts]
    extents = [part.get_window_extent() for part in parts]
    for number, box in enumerate(extents):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        shrunken = box.padded(-1)
        assert not shrunken.count_overlaps([other.padded(-1) for other in extents[number + 1 :]])


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], "at least one layer"),
        ([LayerBox("a", "X", (), 0)], "its shape"),
        ([LayerBox("a", "X", (3, 0, 4), 0)], "its shape"),
        ([conv(1, 1, links=(0,))], "do not lead back"),
        ([conv(1, 1), conv(1, 1, links=(-1,))], "do not lead back"),
    ],
)
def test_what_is_no_network_is_refused(layers, expected):
    with pytest.raises(ValueError, match=expected):
        network_drawing(layers, title="")
