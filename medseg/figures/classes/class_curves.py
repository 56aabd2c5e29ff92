"""What every threshold would give for each class against the rest, of as many classes as can be read."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from matplotlib.figure import Figure

from medseg.figures.classes.roc import RocCurve, roc_and_precision_recall


def class_curves(curves: Mapping[str, RocCurve], *, most: int = 12, heading: str = "") -> Figure:
    """Draw ROC and precision-recall curves, one pair a class; of too many classes, those separated worst.

    Args:
        curves: By the name of the class, in the order of the classes.
        most: Classes that are drawn at most. Of more, those of the lowest AUROC are drawn, the lowest first,
            and a note says how many were left out and why.
        heading: Shown above; may be empty.

    Raises:
        ValueError: No curves, or room for none.
    """
    if most < 1:
        raise ValueError(f"curves of at most {most} classes are expected; expected 1 or more")
    if len(curves) <= most:
        return roc_and_precision_recall(curves, heading)
    defined = {name: curve for name, curve in curves.items() if isfinite(curve.auroc)}
    ranked = sorted(defined, key=lambda name: defined[name].auroc)
    undefined = [name for name in curves if name not in defined]
    drawn = [*ranked, *undefined][:most]
    reasons = []
    if len(ranked) > most:
        reasons.append(f"{len(ranked) - most} of AUROC {defined[ranked[most]].auroc:.4f} or higher")
    if hidden := [name for name in undefined if name not in drawn]:
        reasons.append(f"{len(hidden)} whose AUROC is undefined")
    note = f"the {most} of {len(curves)} classes with the lowest AUROC; left out: {', '.join(reasons)}"
    chosen = {name: curves[name] for name in drawn}
    return roc_and_precision_recall(chosen, heading, note=note, names=list(curves))
