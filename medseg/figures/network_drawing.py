"""A network as a row of boxes, each as far down as its layers' resolution is coarse: a U where it is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log2, prod, sqrt
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path

from medseg.figures.classes.confusion import short
from medseg.figures.legend import class_legend, legend_height
from medseg.figures.lettering import write_heading
from medseg.figures.palette import colours
from medseg.figures.saving import DPI

_FEW = 12  # layers up to which each has a box of its own
_MANY = 24  # boxes past which more layers share one
_KINDS = 4  # lines that name what is in a box, at most

_FONT = 7.0  # points
_LINE = 0.125  # inches
_LETTER = 0.63 * _FONT / 72  # inches; the mean advance of a letter
_BOLD = 1.18  # as much wider
_LONGEST = 22  # letters
_GAP = 0.24  # inches between columns, for the arrows
_LANE = 0.13  # inches between links that run side by side
_BETWEEN = 0.22  # inches between levels
_UP = (0.3, 1.1)  # inches: boxes of the coarsest and of the finest level
_ACROSS = (0.12, 0.7)  # inches: boxes of no and of most channels
_MARGIN = 0.25
_TOP = 0.72


@dataclass(frozen=True)
class LayerBox:
    """One layer of a network that has no layers inside.

    Attributes:
        name: Where it is in the network, such as `model.0.conv`.
        kind: What it is, such as `Conv2d`.
        shape: Of its output for one case: (C, H, W), (C, D, H, W) or (C,).
        parameters: How many of them are its own.
        links: Indices of earlier layers, in order of execution, whose output is joined to its input.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    links: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Run:
    """Consecutive layers that share a box."""

    layers: tuple[LayerBox, ...]

    @property
    def last(self) -> LayerBox:
        return self.layers[-1]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def main(self) -> str:
        """The kind of most parameters; the first one where none has any."""
        return max(self.layers, key=lambda layer: layer.parameters).kind

    @property
    def shape(self) -> str:
        """Of the last output, channels first."""
        channels, *sizes = self.last.shape
        return f"{channels} × {'×'.join(map(str, sizes))}" if sizes else f"{channels}"

    @cached_property
    def lines(self) -> list[str]:
        """What is written below the box; the shape is bold."""
        kinds = Counter(layer.kind for layer in self.layers)
        named = [_cut(kind if count == 1 else f"{count} {kind}") for kind, count in kinds.items()]
        if len(named) > _KINDS:
            left = sum(list(kinds.values())[_KINDS - 1 :])
            named = [*named[: _KINDS - 1], f"and {left} more"]
        return [*named, self.shape, *([f"{short(self.parameters)} parameters"] if self.parameters else [])]

    @property
    def room(self) -> float:
        """Inches that the lines take across."""
        return _LETTER * max(*map(len, self.lines), _BOLD * len(self.shape))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def network_drawing(boxes: Sequence[LayerBox], *, title: str) -> Figure:
    """Draw the layers of a network in order, finest resolution on top.

    A box is as wide as it has channels and as high as its resolution is fine, both on a scale that keeps
    small ones visible. Of long networks consecutive layers of one resolution share a box, coloured by the
    layer with most parameters; dashed lines lead from where an output is kept to where it is joined.

    Args:
        boxes: The layers in order of execution, at least one.
        title: Shown above, with the number of layers and of parameters below it.

    Raises:
        ValueError: No layers, a shape with sizes below one, or a link that does not lead back.
    """
    _check(boxes)
    runs = _merged(boxes)
    plan = _Plan(runs, _joined(runs))
    kinds = list(dict.fromkeys(run.main for run in runs))
    tones = colours(len(kinds) + 1)[1:] / 255
    width = max(plan.width, 5.0)
    legend = legend_height(["", *kinds], width)
    height = _TOP + plan.height + legend + 0.1
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    write_heading(figure, title, 0.24, size=12)
    total = sum(box.parameters for box in boxes)
    shared = "" if len(runs) == len(boxes) else f" in {len(runs)} boxes"
    summary = f"{_counted(len(boxes), 'layer')}{shared}, {_counted(total, 'parameter')}"
    figure.text(0.5, 1 - 0.5 / height, summary, ha="center", va="center", fontsize=9, color="0.3")
    # inches are the units of these axes, with the origin at the lower left corner of the drawing
    axes = figure.add_axes(
        ((width - plan.width) / 2 / width, (legend + 0.1) / height, plan.width / width, plan.height / height)
    )
    axes.set_xlim(0, plan.width)
    axes.set_ylim(0, plan.height)
    axes.set_axis_off()
    plan.draw_links(axes)
    for number, run in enumerate(runs):
        plan.draw_box(axes, number, tuple(tones[kinds.index(run.main)]))
    plan.draw_arrows(axes)
    class_legend(figure, ["", *kinds], legend + 0.05)
    return figure


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _check(boxes: Sequence[LayerBox]) -> None:
    if not boxes:
        raise ValueError("a drawing of a network wants at least one layer")
    for number, box in enumerate(boxes):
        if not box.shape or min(box.shape) < 1:
            raise ValueError(
                f"layer {box.name!r}: its shape is {box.shape}; expected (C, ...) of at least one each"
            )
        if not all(0 <= link < number for link in box.links):
            raise ValueError(f"layer {box.name!r} is number {number}; its links {box.links} do not lead back")


# The rules by which a layer joins the box of the layer before it, each joining more than the one above.
_RULES: tuple[Callable[[LayerBox, LayerBox], bool], ...] = (
    # activations and dropout
    lambda last, box: box.shape == last.shape and not box.parameters and not box.links,
    # normalisation, and convolutions that keep the shape
    lambda last, box: box.shape == last.shape and not box.links,
    # other channels
    lambda last, box: box.shape[1:] == last.shape[1:] and not box.links,
    # whatever is of one resolution
    lambda last, box: box.shape[1:] == last.shape[1:],
)


def _merged(boxes: Sequence[LayerBox]) -> list[_Run]:
    """Let layers share boxes until there are few enough to read, or none can share."""
    runs = [_Run((box,)) for box in boxes]
    for rule in _RULES if len(boxes) > _FEW else ():
        runs = []
        for box in boxes:
            if runs and rule(runs[-1].last, box):
                runs[-1] = _Run((*runs[-1].layers, box))
            else:
                runs.append(_Run((box,)))
        if len(runs) <= _MANY:
            break
    return runs


def _joined(runs: Sequence[_Run]) -> list[tuple[int, int]]:
    """Links between boxes: from, to. Those within a box and those that an arrow shows already are left out."""
    home = [number for number, run in enumerate(runs) for _ in run.layers]
    links = {
        (home[link], number)
        for number, run in enumerate(runs)
        for layer in run.layers
        for link in layer.links
    }
    return sorted(pair for pair in links if pair[1] > pair[0] + 1)


class _Plan:
    """Where everything goes, in inches from the lower left corner of the drawing."""

    def __init__(self, runs: Sequence[_Run], links: Sequence[tuple[int, int]]) -> None:
        self._runs = runs
        shapes = [run.last.shape for run in runs]
        finest_first = sorted({shape[1:] for shape in shapes}, key=lambda sizes: -_fineness(sizes))
        level = {sizes: number for number, sizes in enumerate(finest_first)}
        self._level = [level[shape[1:]] for shape in shapes]
        self._up = [_scaled(_fineness(sizes), _fineness(finest_first[0]), _UP) for sizes in finest_first]
        most = sqrt(max(shape[0] for shape in shapes))
        self._across = [_ACROSS[0] + (_ACROSS[1] - _ACROSS[0]) * sqrt(shape[0]) / most for shape in shapes]
        self._lanes = self._in_lanes(links)
        self._place_columns()
        self._place_levels(len(finest_first))

    def _in_lanes(self, links: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
        """Level and lane of each link, the shortest nearest to the boxes, so that no two lie on each other."""
        taken: dict[tuple[int, int], list[tuple[int, int]]] = {}
        lanes = {}
        for start, end in sorted(links, key=lambda pair: pair[1] - pair[0]):
            level = min(self._level[start : end + 1])
            lane = 0
            while any(start < other[1] and other[0] < end for other in taken.get((level, lane), [])):
                lane += 1
            taken.setdefault((level, lane), []).append((start, end))
            lanes[start, end] = (level, lane)
        return lanes

    def _place_columns(self) -> None:
        self.x = []
        edge = _MARGIN
        for run, across in zip(self._runs, self._across, strict=True):
            column = max(across, run.room)
            self.x.append(edge + column / 2)
            edge += column + _GAP
        self.width = edge - _GAP + _MARGIN

    def _place_levels(self, levels: int) -> None:
        """Find the lower edge of the boxes of each level: lanes above them, text below."""
        lanes = [
            1 + max((lane for at, lane in self._lanes.values() if at == one), default=-1)
            for one in range(levels)
        ]
        lines = [0] * levels
        for run, level in zip(self._runs, self._level, strict=True):
            lines[level] = max(lines[level], len(run.lines))
        heights = [
            lanes[one] * _LANE + 0.06 + self._up[one] + 0.06 + lines[one] * _LINE for one in range(levels)
        ]
        self.height = sum(heights) + _BETWEEN * levels
        self._bottom = []
        edge = self.height
        for one in range(levels):
            self._bottom.append(edge - lanes[one] * _LANE - 0.06 - self._up[one])
            edge -= heights[one] + _BETWEEN

    def _middle(self, number: int) -> float:
        level = self._level[number]
        return self._bottom[level] + self._up[level] / 2

    def draw_box(self, axes: Any, number: int, tone: tuple[float, ...]) -> None:
        """Draw a box and what is written below it."""
        level, across = self._level[number], self._across[number]
        corner = (self.x[number] - across / 2, self._bottom[level])
        axes.add_patch(
            Rectangle(
                corner, across, self._up[level], facecolor=tone, edgecolor="0.2", linewidth=0.8, zorder=3
            )
        )
        for place, line in enumerate(self._runs[number].lines):
            where = self._bottom[level] - 0.06 - (place + 0.5) * _LINE
            weight = "bold" if line == self._runs[number].shape else "normal"
            axes.text(
                self.x[number],
                where,
                line,
                ha="center",
                va="center",
                fontsize=_FONT,
                weight=weight,
                parse_math=False,
                zorder=4,
            )

    def draw_arrows(self, axes: Any) -> None:
        """Draw an arrow from each box to the next; between levels it turns in the gap between the columns."""
        for number, following in pairwise(range(len(self._runs))):
            start = self.x[number] + self._across[number] / 2
            end = self.x[following] - self._across[following] / 2
            turn = self._column_edge(following) - _GAP / 2
            before, after = self._middle(number), self._middle(following)
            way = [(start, before), (turn, before), (turn, after), (end, after)]
            axes.add_patch(
                FancyArrowPatch(
                    path=Path(way if before != after else [way[0], way[-1]]),
                    arrowstyle="-|>",
                    mutation_scale=7,
                    color="0.25",
                    linewidth=0.9,
                    shrinkA=0,
                    shrinkB=0,
                    zorder=2,
                )
            )

    def _column_edge(self, number: int) -> float:
        return self.x[number] - max(self._across[number], self._runs[number].room) / 2

    def draw_links(self, axes: Any) -> None:
        """Draw each link in its lane above the boxes, down to the box where it starts and where it ends."""
        for (start, end), (level, lane) in self._lanes.items():
            y = self._bottom[level] + self._up[level] + 0.06 + (lane + 0.5) * _LANE
            tops = [self._bottom[self._level[one]] + self._up[self._level[one]] for one in (start, end)]
            # links that leave a box and links that reach it do not share a line
            left = self.x[start] + self._across[start] / 4
            right = self.x[end] - self._across[end] / 4
            axes.add_patch(
                FancyArrowPatch(
                    path=Path([(left, tops[0]), (left, y), (right, y), (right, tops[1])]),
                    arrowstyle="-|>",
                    mutation_scale=6,
                    linestyle=(0, (4, 2.5)),
                    color="0.45",
                    linewidth=0.9,
                    shrinkA=0,
                    shrinkB=0,
                    zorder=1,
                )
            )


def _fineness(sizes: tuple[int, ...]) -> float:
    """How many doublings an output is away from a single value."""
    return log2(prod(sizes))


def _scaled(value: float, most: float, bounds: tuple[float, float]) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * (value / most if most else 0.0)
