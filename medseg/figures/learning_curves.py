"""How a training went: losses, validation scores and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from textwrap import wrap
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medseg.class_names import key_name
from medseg.figures.legend import write_legend
from medseg.figures.lettering import fit_names, settle
from medseg.figures.palette import inks, strokes

History = Sequence[Mapping[str, float]]

_SELECTION = "val/score"
_BESIDE_RECALL = ("precision", "f2", "f2_always", "average_precision")  # of each class; a tracker shows them
_ROLES = {"train/loss": ("training", "C7", "--"), "val/loss": ("validation", "black", "-")}
_INSIDE = {"loc": "best", "framealpha": 0.8}
_BESIDE = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
_SIZE = (13.5, 4.0)  # inches; higher where the legend wants it
_HEAD, _ROW = 1.0, 0.17  # inches: around the panels, and a line of a legend
_LETTERS = 8  # points of a legend
_HANDLE = 3.0  # letters, so that broken lines are distinguished
_NAME, _ROOM = 2.1, 2.7  # inches that a name may take, and a line of a legend
_LINE = 170  # characters of the heading
_FEW = 15  # points up to which each is marked, so that a curve of one epoch can be seen


def learning_curves(
    history: History,
    classes: Sequence[str] = (),
    *,
    heading: str = "",
    best: float | None = None,
    background: bool = True,
) -> Figure:
    """Draw losses, validation scores and learning rate, and mark the best epoch.

    Args:
        history: One row an epoch, in order: `epoch`, `train/loss`, `val/loss`, `val/<score>/<name>`,
            `val/score` (by which the best epoch is chosen, higher is better), `learning_rate`. A row may
            lack any but `epoch`, and what is not finite is not drawn. Of the classes of images the recall is drawn.
        classes: Class names in the order of their indices, so that curves have the classes' colours and names;
            in the history a class may be called so, or as `medseg.class_names.key_name` writes it.
        heading: What the curves say; shown above, may be empty.
        best: The best epoch; by default the one with the highest `val/score`.
        background: Whether the first class is the background, whose colour is grey; classes of whole images have
            none, and the colours and lines that they have in their ROC curves.

    Raises:
        ValueError: The history is empty.
    """
    if not history:
        raise ValueError("learning curves want a history of at least one epoch")
    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    if heading:
        settle(figure.suptitle("\n".join(wrap(heading, _LINE)), fontsize=10, parse_math=False))
    losses, rates, scores = figure.subplots(1, 3, width_ratios=(1, 1, 1.35))
    for key, (label, colour, dash) in _ROLES.items():
        _curve(losses, history, key, label=label, color=colour, linestyle=dash)
    losses.set_title("Loss")
    _scores(scores, history, classes, background=background)
    _curve(rates, history, "learning_rate", label="learning rate", color="black")
    rates.set_title("Learning rate")
    positive = [rate for _, rate in _points(history, "learning_rate") if rate > 0]
    if positive and max(positive) > 10 * min(positive):
        rates.set_yscale("log")
    else:
        rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
    points = _points(history, _SELECTION)
    if best is not None:
        points = [point for point in points if point[0] == best]
    mark = max(points, key=lambda point: point[1], default=None)
    for axes in (losses, rates, scores):
        _finish(axes, history, mark)
    figure.set_size_inches(_SIZE[0], max(_SIZE[1], _HEAD + _ROW * len(scores.lines)))
    for axes, place in ((losses, _INSIDE), (scores, _BESIDE)):
        if axes.lines:  # each of them has a label
            write_legend(axes, axes.lines, _ROOM, fontsize=_LETTERS, handlelength=_HANDLE, **place)
    return figure


def _points(history: History, key: str) -> list[tuple[float, float]]:
    """Epoch and value, where there is a finite one."""
    return [(row["epoch"], row[key]) for row in history if key in row and isfinite(row[key])]


def _curve(axes: Any, history: History, key: str, **style: Any) -> None:
    points = _points(history, key)
    if points:
        marker = {"marker": "o", "markersize": 3.5} if len(points) <= _FEW else {}
        axes.plot(*zip(*points, strict=True), linewidth=1.6, **marker, **style)


def _scores(axes: Any, history: History, classes: Sequence[str], *, background: bool) -> None:
    """One curve for each `val/<score>/<name>`: classes in their colours, anything else in further ones."""
    keys = [key for key in dict.fromkeys(key for row in history for key in row) if _is_score(key)]
    kinds = {key.split("/")[1] for key in keys}
    written = {key_name(name): name for name in classes} | {name: name for name in classes}
    meant = {key: written.get(part, part) for key in keys for part in key.split("/")[2:]}
    names = list(dict.fromkeys([*classes, *meant.values()]))
    looks = _looks(names, classes, background=background)
    fitted = fit_names(axes.get_figure(), names, _NAME, size=_LETTERS)
    called = {name: fit.text for name, fit in zip(names, fitted, strict=True)}
    for key, name in meant.items():
        label = called[name] if len(kinds) == 1 else f"{key.split('/')[1]} {called[name]}"
        _curve(axes, history, key, label=label, **looks[name])
    _curve(axes, history, _SELECTION, label="selection score", color="black", alpha=0.75)
    axes.set_title(f"Validation {kinds.pop()}" if len(kinds) == 1 else "Validation scores")
    drawn = [value for key in (*keys, _SELECTION) for _, value in _points(history, key)]
    if drawn and min(drawn) >= 0 and max(drawn) <= 1:
        axes.set_ylim(-0.02, 1.02)


def _looks(names: Sequence[str], classes: Sequence[str], *, background: bool) -> dict[str, dict[str, Any]]:
    """Colour and line of each name: of a class as in its masks or its ROC curve, of anything else broken."""
    # without the list of classes nothing is known to be class 0, whose grey is left unused then
    if background and classes:
        looks = [{"color": tuple(tone), "linestyle": "-"} for tone in inks(len(names))]
    else:
        looks = strokes(len(names))
    others = set(names) - set(classes) if classes else set()
    return {
        name: look | {"linestyle": "--"} if name in others else look
        for name, look in zip(names, looks, strict=True)
    }


def _is_score(key: str) -> bool:
    return key.startswith("val/") and key.count("/") == 2 and key.split("/")[1] not in _BESIDE_RECALL


def _finish(axes: Any, history: History, best: tuple[float, float] | None) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    epochs = [row["epoch"] for row in history]
    room = max(0.5, 0.02 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - room, max(epochs) + room)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if not axes.lines:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axes.transAxes, color="0.5")
    if best is not None:
        label = f"best: epoch {best[0]:.0f} ({best[1]:.3f})"
        axes.axvline(best[0], color="0.4", linestyle=(0, (1, 2)), linewidth=1.4, label=label)
