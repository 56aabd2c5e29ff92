"""What is drawn of the scores of whole images."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from medseg.figures.classes.class_curves import class_curves
from medseg.figures.classes.confusion import confusion_figure
from medseg.figures.classes.reliability import reliability_diagram
from medseg.figures.classes.roc import RocCurve
from medseg.learning.scores.classes import ClassScorer


def class_figures(scorer: ClassScorer, role: str) -> dict[str, Callable[[], Figure]]:
    """What draws each figure, by its name: confusion (of exclusive classes), curves, reliability.

    Args:
        scorer: Holds the predictions.
        role: For the headings.
    """
    figures = {"curves": lambda: _curves(scorer, role), "reliability": lambda: reliability(scorer, role)}
    if scorer.exclusive:
        figures["confusion"] = lambda: confusion_figure(scorer.matrix, scorer.classes, unit="images")
    return figures


def _curves(scorer: ClassScorer, role: str) -> Figure:
    drawn = {}
    for name in scorer.classes:
        curve = scorer.curves(name)
        drawn[name] = RocCurve(
            curve.fpr,
            curve.tpr,
            curve.auroc,
            curve.recall,
            curve.precision,
            curve.average_precision,
            curve.prevalence,
        )
    return class_curves(drawn, heading=f"{role}: each class against the rest")


def reliability(scorer: ClassScorer, role: str) -> Figure:
    """Observed share against probability, of the predicted class or of every class."""
    bins = scorer.reliability()
    what = "the predicted class" if scorer.exclusive else "every class of every image"
    return reliability_diagram(
        bins.mean_probability,
        bins.observed,
        bins.count,
        calibration_error=bins.calibration_error(),
        brier=float(scorer.measures.point[None, "brier"][0]),  # the one of the tables: over all classes
        name=what,
        heading=f"{role}: {what}",
        edges=bins.edges,
        unit="images" if scorer.exclusive else "classes of images",
    )
