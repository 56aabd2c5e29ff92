"""What the test part shows: scores, patients, cases to look through, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medseg.api.reporting.blocks import Block, Picture, Slider, Table, Words
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.patients import Patients
from medseg.api.reporting.pictures import Album
from medseg.api.reporting.scores import MEAN, head, interval, number, summary_of
from medseg.api.reporting.worst.mean import mean_names, over
from medseg.api.reporting.worst.slices import worst_blocks
from medseg.errors import RunError
from medseg.text import many

TO_LOOK_AT: Mapping[str, str] = {
    "slices": "The best, the median and the worst patient: every channel, the truth, the prediction",
    "masks": "Predicted masks, from the best picture to the worst",
    "confusion_images": "Where masks are right and wrong",
    "mistakes": "The surest mistakes: true class, predicted class, probability",
    "attention": "Where the network looked (Grad-CAM)",
}
"""Figures of single cases, by the ends of their names, and what they show."""

OF_SCORES: Mapping[str, str] = {
    "dice": "Dice of each class and region: patients, their mean and its interval",
    "confusion": "What was predicted of each true class",
}

OF_CALIBRATION: Mapping[str, str] = {
    "reliability": "How often it is right, by the probability that it gives",
    "curves": "Each class against the rest: ROC and precision over recall",
    "roc": "ROC and precision over recall",
}
_CALIBRATED = ("calibration_error", "brier", "log_loss")
_MISTAKES = 10


def score_pictures(kept: Kept, album: Album) -> Sequence[Picture]:
    """Bars and confusion, and the bars of scores that the definition adds."""
    summary = summary_of(kept)
    known = {**TO_LOOK_AT, **OF_SCORES, **OF_CALIBRATION}
    added = [] if summary is None else [score for score in summary.scores if score not in known]
    words = {**OF_SCORES, **{score: f"{head(score)} of each class and region" for score in added}}
    return _pictures(kept, album, words)


def mean_words(kept: Kept) -> Sequence[Words]:
    """Over which classes and regions the first number is the mean, where there are several."""
    summary, cases = summary_of(kept), kept.table("test")
    if summary is None or cases is None or not {"case", "group", "name", summary.first} <= set(cases.columns):
        return []
    if summary.row(MEAN, summary.first) is None:
        return []
    names = mean_names(kept, cases, summary.first, summary)
    told = f"The mean {head(summary.first)} of a case is over {over(names)}; here, and wherever cases are ranked."
    return [Words(told)] if names else []


def patient_blocks(kept: Kept) -> Sequence[Block]:
    """Every patient as a dot."""
    if kept.table("test") is None:
        return [Words("There are no scores of single patients: no test part was evaluated.", "missing")]
    try:
        found = Patients(kept)
        return [*found.blocks(summary_of(kept)), *_mistakes(found)]
    except RunError as error:
        return [Words(f"Patients cannot be shown one by one: {error}.", "missing")]


def look_blocks(kept: Kept, album: Album, anchor: str) -> Sequence[Block]:
    """Test cases to look through, the worst among them."""
    pictures = _pictures(kept, album, TO_LOOK_AT)
    worst = worst_blocks(kept, album, anchor)
    if not pictures and not worst:
        return [Words("No pictures of test cases were kept.", "missing")]
    several = len(pictures) > 1
    return [
        *([Slider(anchor, "Test cases, the worst among them", pictures)] if several else pictures),
        *worst,
    ]


def calibration_blocks(kept: Kept, album: Album) -> Sequence[Block]:
    """Whether probabilities are what they say."""
    summary = summary_of(kept)
    rows = (
        []
        if summary is None
        else [
            [name or "all classes", head(score), number(row["mean"], score), interval(row, score)]
            for name in summary.names
            for score in _CALIBRATED
            if (row := summary.row(name, score)) is not None
        ]
    )
    table = [Table("Less is better", ["of", "score", "value", "95 % interval"], rows)] if rows else []
    pictures = _pictures(kept, album, OF_CALIBRATION)
    if not rows and not pictures:
        return [
            Words(
                "Calibration was not measured: of label maps of several classes no probabilities are kept.",
                "missing",
            )
        ]
    return [*table, *pictures]


def _mistakes(found: Patients) -> Sequence[Table]:
    """The images whose class was mistaken most surely."""
    rows = found.tested.cases
    if not {"truth", "predicted", "correct", "confidence"} <= set(rows.columns):
        return []
    wrong = rows[~rows["correct"].astype(bool)].sort_values(["confidence", "case"], ascending=[False, True])
    cells = [
        [
            str(row["case"]),
            str(row["group"]),
            str(row["truth"]),
            str(row["predicted"]),
            number(row["confidence"]),
        ]
        for row in wrong.head(_MISTAKES).to_dict("records")
    ]
    caption = f"The surest mistakes: {len(cells)} of {len(wrong)}, of {many(len(rows), 'image')}"
    return [Table(caption, ["image", "patient", "true class", "predicted", "probability"], cells)]


def _pictures(kept: Kept, album: Album, words: Mapping[str, str]) -> Sequence[Picture]:
    found = [album.kept(kept.folder, f"{kept.figures}{name}.png", text) for name, text in words.items()]
    return [each for each in found if each is not None]
