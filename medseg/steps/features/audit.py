"""The step that asks whether the network goes by the source of images in place of what they show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from medseg.errors import DataError, ModelError
from medseg.figures.saving import save_figure
from medseg.figures.slices.slice_grid import SliceView, slice_grid
from medseg.learning.features.source import SourceVerdict, Told, source_verdict
from medseg.learning.inference.features import feature_place
from medseg.learning.inference.predictor import Predictor
from medseg.places import written_whole
from medseg.splits.split import Role
from medseg.steps.attention_pictures import attention_picture
from medseg.steps.features.groupings import class_task, refuse_unknown_source
from medseg.steps.features.sourced import SourcedCases, seen_by, sourced
from medseg.steps.step import Fits, Run, Work

BORDERS = "medseg.transforms.MaskBordersd"
_VARIANTS = {"masked": True, "shown": False}
"""What is done about borders: a word for it, and whether they are masked."""

_LONGEST_TAG = 500  # characters, of MLflow's 5000: a tag is read in a list


class Audit:
    """Ask whether the network goes by the source of images, such as a scanner or a web page, in place of the class.

    Beside the network as it is, with the borders of pictures masked and shown: a probe on its features that tells the
    source; how well the class follows from the source alone; and where the network looked (Grad-CAM). Probes learn
    from training cases, and are scored on validation and test cases, with intervals over patients. Nothing is
    chosen by it, and the work stays as it is.

    Args:
        source: Column of the cases that tells where an image comes from.
        folds: Of the cross-validation that chooses C of the probe; each source needs as many patients in training.
        pictures: How many images are drawn, first those that have another class than is usual for their source.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = ()
    fits: ClassVar[Fits] = {"probe of the source": ("train",)}

    def __init__(self, source: str, folds: int = 3, pictures: int = 6) -> None:
        if not isinstance(source, str) or not source:
            raise ValueError(f"source is {source!r}, expected the name of a column")
        for name, value, least in (("folds", folds, 2), ("pictures", pictures, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} is {value!r}, expected a whole number, {least} or more")
        self.source, self.folds, self.pictures = source, folds, pictures

    @property
    def roles(self) -> tuple[Role, ...]:
        """To learn from; validation and test are there or not."""
        return ("train",)

    def check(self, predictor: Predictor) -> None:
        """Look for the features and the column.

        Raises:
            DefinitionError: The task is not ImageClasses, it is not known which part of the network is its head, or
                the data set has no such column.
        """
        class_task(predictor, "Audit")
        feature_place(predictor.network, predictor.input_shape)
        refuse_unknown_source(predictor, self.source)

    def __call__(self, work: Work, run: Run) -> Work:
        """Compute, probe, compare, draw and say."""
        cases = sourced(work, self.source)
        views = {
            name: seen_by(_with_borders(work.predictor, masked=masked), cases.rows, run, name)
            for name, masked in _VARIANTS.items()
        }
        rows, verdict = [], SourceVerdict("not known", "")
        mine = _masked_now(work.predictor)
        try:
            follows = cases.class_by_source(run.seed)
            for name, view in views.items():
                source = cases.source_by(view.features, self.folds, run.seed)
                found = cases.classes_by(view.chances, run.seed)
                rows += [_row(name, "source", source), _row(name, "class", found)]
                if _VARIANTS[name] == mine:
                    verdict = source_verdict(source, follows, *cases.shares(view.chances))
            rows.append(_row("", "class from source", follows))
        except DataError as error:
            verdict = SourceVerdict(
                "not known", f"Whether the source stands in for the class is not known: {error}"
            )
        changed = (
            np.mean(
                views["masked"].chances[cases.held].argmax(axis=1)
                != views["shown"].chances[cases.held].argmax(axis=1)
            )
            if cases.held.any()
            else np.nan
        )
        self._record(rows, verdict, float(changed), int(cases.held.sum()), work, run)
        self._draw(work, cases, run)
        return work

    def recall(self, work: Work, run: Run) -> Work:
        """The work as it is."""
        del run
        return work

    def _record(
        self,
        rows: Sequence[Mapping[str, Any]],
        verdict: SourceVerdict,
        changed: float,
        held: int,
        work: Work,
        run: Run,
    ) -> None:
        path = run.place / f"{run.step}_scores.csv"
        columns = ["borders", "told", "value", "low", "high", "chance", "cases"]
        with written_whole(path) as target:
            pd.DataFrame(list(rows), columns=columns).to_csv(target, index=False)
        run.recorder.artifact(path, "tables")
        with written_whole(run.place / "source.json") as target:
            target.write_text(json.dumps(asdict(verdict), indent=1), encoding="utf-8")
        numbers = {
            f"{run.step}/{'_'.join(filter(None, (row['told'].replace(' ', '_'), row['borders'])))}{end}": row[
                of
            ]
            for row in rows
            for of, end in (("value", ""), ("low", "/low"), ("high", "/high"))
            if not np.isnan(row[of])
        }
        if not np.isnan(changed):
            numbers[f"{run.step}/changed_by_borders"] = changed
            run.progress.say(
                f"{run.step}: masking the borders changes the predicted class of {100 * changed:.0f} % of {held} "
                "validation and test images."
            )
        run.recorder.metrics(numbers, work.epochs)
        run.recorder.tags({f"{run.step}.verdict": verdict.text[:_LONGEST_TAG]})
        run.progress.say(f"{run.step}: {verdict.text}", loud=verdict.kind in ("likely", "possible"))

    def _draw(self, work: Work, cases: SourcedCases, run: Run) -> None:
        shown = [cases.rows[place] for place in cases.telling()[: self.pictures]]
        if not shown:
            return
        volumes = [work.predictor.read_image(case) for case in shown]
        models = {name: _with_borders(work.predictor, masked=masked) for name, masked in _VARIANTS.items()}
        views = [
            SliceView(
                f"{case.id}: {', '.join(case.labels or ())}",
                {
                    f"borders {name}": model.preparation.apply(volume).image[0][0]
                    for name, model in models.items()
                },
            )
            for case, volume in zip(shown, volumes, strict=True)
        ]
        figures = {"borders": slice_grid(views, (), heading="what the network gets")}
        for name, model in models.items():
            found = [
                (model.classify(volume), case.labels) for case, volume in zip(shown, volumes, strict=True)
            ]
            try:
                figures[f"attention_{name}"] = attention_picture(
                    model, found, heading=f"where the network looked, borders {name}"
                )
            except ModelError as error:
                run.progress.say(f"No picture of where the network looked: {error}.")
                break
        for name, figure in figures.items():
            run.recorder.artifact(save_figure(figure, run.figures / f"{run.step}_{name}.png"), "figures")


def _row(borders: str, what: str, found: Told) -> dict[str, Any]:
    return {"borders": borders, "told": what, **asdict(found)}


def _masked_now(predictor: Predictor) -> bool:
    specs = predictor.preparation.rule.transforms
    return any(spec.get("_target_") == BORDERS and spec.get("active", True) for spec in specs)


def _with_borders(predictor: Predictor, *, masked: bool) -> Predictor:
    """The model with its transform of borders switched on or off; it comes first where there is none."""
    specs = [dict(spec) for spec in predictor.preparation.rule.transforms]
    if masked and not any(spec.get("_target_") == BORDERS for spec in specs):
        specs.insert(0, {"_target_": BORDERS, "keys": ["image"]})
    specs = [spec | {"active": masked} if spec.get("_target_") == BORDERS else spec for spec in specs]
    preparation = predictor.preparation
    rule = preparation.rule.model_copy(update={"transforms": specs})
    return replace(predictor, preparation=replace(preparation, rule=rule))
