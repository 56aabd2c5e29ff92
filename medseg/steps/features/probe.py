"""The step that learns the head of a network by logistic regression on its features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, one_hot

from medseg.datasets.roles import UNLABELLED
from medseg.errors import DataError, DefinitionError
from medseg.figures.classes.penalty_curve import penalty_curve
from medseg.figures.saving import save_figure
from medseg.learning.features.logistic import CANDIDATES, Logistic, Predicted, fit_logistic
from medseg.learning.features.table import NumberTable, numbers
from medseg.learning.inference.predictor import Predictor
from medseg.learning.settings import is_number
from medseg.learning.tasks.class_weights import are_counted
from medseg.learning.tasks.task import Task
from medseg.learning.transfer.linear_head import fold, linear_head
from medseg.places import written_whole
from medseg.slices.store.store import Sample
from medseg.splits.split import Role
from medseg.steps.features.embed import digest_without
from medseg.steps.features.groupings import FEATURES, class_task, table_of
from medseg.steps.step import Fits, Run, Stage, Work


class Probe:
    """Fit a logistic regression on the features of the training cases, and make it the last layer of the network.

    C, how little its coefficients are held small, is that of the least log loss in a cross-validation on training
    cases alone, whose folds share no patient. Standardisation and coefficients are folded into the layer, so that the
    work is left with an ordinary model.

    Args:
        folds: Of the cross-validation; each class needs as many patients in training.
        strengths: The C that are tried; when left out, 1e-6 to 100, two a decade.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    fits: ClassVar[Fits] = {"last layer": ("train",), "C": ("train",)}

    needs: ClassVar[tuple[str, ...]] = (FEATURES,)
    gives: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folds: int = 5, strengths: Sequence[float] | None = None) -> None:
        if not isinstance(folds, int) or isinstance(folds, bool) or folds < 2:
            raise ValueError(f"folds is {folds!r}, expected a whole number, 2 or more")
        self.folds, self.strengths = folds, CANDIDATES if strengths is None else _checked(strengths)

    @property
    def roles(self) -> tuple[Role, ...]:
        """To learn from; validation is scored where it is there."""
        return ("train",)

    def fits_of(self, task: Task) -> Fits:
        """Class weights too, where the task counts classes."""
        return {**self.fits, **({"class weights": ("train",)} if are_counted(task) else {})}

    def check(self, predictor: Predictor) -> None:
        """Look for the last layer.

        Raises:
            DefinitionError: The task is not ImageClasses, or the network does not end with one linear layer.
        """
        class_task(predictor, "Probe")
        linear_head(predictor.network, predictor.input_shape)

    def __call__(self, work: Work, run: Run) -> Work:
        """Choose C, fit, and fill the last layer."""
        predictor, task = work.predictor, class_task(work.predictor, "Probe")
        name = linear_head(predictor.network, predictor.input_shape)
        frame = _features(work, name)
        train = frame[frame["role"] == "train"]
        classes, predicted = _class_indices(work, train), _predicted(work, frame)
        counts = np.bincount(classes, minlength=len(task.classes))
        weights = task.weighted(counts).class_weights
        if task.loss_of is not None or task.label_smoothing:
            run.progress.say(
                f"{run.step} learns by the log loss: task.loss and task.label_smoothing do not count here.",
                loud=True,
            )
        with run.progress.bar("choosing C", len(self.strengths), "C") as bar:
            found = fit_logistic(
                numbers(train),
                classes,
                list(train["group"]),
                task.classes,
                weights=None if weights is None else [float(each) for each in weights],
                predicted=predicted,
                candidates=self.strengths,
                folds=self.folds,
                seed=run.seed,
                tried=bar.advance,
            )
        layer = predictor.network.get_submodule(name)
        fold(layer, found.coefficients, found.intercepts, found.mean, found.scale)
        probed = replace(predictor, network=predictor.network.eval())
        scores = {
            f"{role}/{score}": value
            for role in ("train", "val")
            for score, value in _scores(work, layer, frame[frame["role"] == role]).items()
        }
        self._conclude(work, run, found, counts, scores)
        probed.save(run.place / "predictor")
        return replace(work, predictor=probed)

    def asker(self, work: Work) -> Callable[[Sequence[Sample]], NDArray[np.float32]]:
        """What gives logits (N, K) of slices by the network of the work, from the features of their cases.

        Only the last layer computes, so that many images take no time. For cases of one slice alone.

        Raises:
            DefinitionError: The features are not those of this network.
        """
        name = linear_head(work.predictor.network, work.predictor.input_shape)
        frame = _features(work, name).set_index(["case", "role"]).drop(columns="group")
        layer: Any = work.predictor.network.get_submodule(name)

        def ask(samples: Sequence[Sample]) -> NDArray[np.float32]:
            rows = frame.loc[[(each.case, each.role) for each in samples]]
            given = torch.from_numpy(rows.to_numpy(np.float32, copy=True)).to(work.predictor.device)
            with torch.inference_mode():
                found: NDArray[np.float32] = linear(given, layer.weight, layer.bias).cpu().numpy()
            return found

        return ask

    def recall(self, work: Work, run: Run) -> Work:
        """Load the filled network from the run's folder."""
        saved = Predictor.load(run.place / "predictor", device=run.device, allowed=run.allowed)
        return replace(work, predictor=replace(work.predictor, network=saved.network, device=run.device))

    def _conclude(
        self, work: Work, run: Run, found: Logistic, counts: NDArray[np.int64], scores: Mapping[str, float]
    ) -> None:
        path = run.place / f"{run.step}_curve.csv"
        with written_whole(path) as target:
            found.curve.to_csv(target, index=False)
        run.recorder.artifact(path, "tables")
        self._list_features(found, run)
        shares = counts / counts.sum()
        chance, best = float(-(shares * np.log(shares)).sum()), found.best
        figure = penalty_curve(
            found.curve["C"].to_numpy(),
            found.curve["log_loss"].to_numpy(),
            found.curve["standard_error"].to_numpy(),
            chosen=found.strength,
            chance=chance,
            heading=f"log loss of {self.folds} folds of {counts.sum()} training cases",
        )
        run.recorder.artifact(save_figure(figure, run.figures / f"{run.step}_curve.png"), "figures")
        own = {"C": found.strength, "log_loss": best["log_loss"]}
        run.recorder.metrics({f"{run.step}/{name}": value for name, value in own.items()}, work.epochs)
        run.recorder.metrics(scores, work.epochs)
        run.recorder.tags({f"{run.step}.C": f"{found.strength:g}"})
        run.progress.say(
            f"{run.step}: C = {found.strength:g}, log loss {best['log_loss']:.4f} ± {best['standard_error']:.4f} in "
            f"{self.folds} folds ({chance:.4f} by the frequencies of the classes alone); "
            + ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
            + "."
        )
        left = int((~found.used).sum())
        if left:
            run.progress.say(
                f"{run.step}: {left} of {len(found.used)} features hardly vary, and are left out."
            )
        if len(self.strengths) > 1 and found.strength in (min(self.strengths), max(self.strengths)):
            run.progress.say(
                f"{run.step}: the best C is at the end of those that were tried; `strengths` of the step may go on."
            )

    def _list_features(self, found: Logistic, run: Run) -> None:
        """What each feature is standardised by, and whether it is used."""
        path = run.place / f"{run.step}_features.csv"
        names = [f"f{number}" for number in range(len(found.used))]
        table = pd.DataFrame({"feature": names, "mean": found.mean, "scale": found.scale, "used": found.used})
        with written_whole(path) as target:
            table.to_csv(target, index=False)
        run.recorder.artifact(path, "tables")


def _features(work: Work, layer: str) -> pd.DataFrame:
    """The features, if they are what the last layer gets from the network as it is now.

    Raises:
        DefinitionError: They are others.
    """
    table: NumberTable = table_of(work, FEATURES)
    if table.facts.get("layer") != layer or table.facts.get("given") is not True:
        raise DefinitionError(
            f"the features of steps.{table.step} are of the layer {table.facts.get('layer')}, and a probe needs what "
            f"{layer} gets: set steps.{table.step}.layer=null, or put another step Embed before this one."
        )
    if table.facts.get("network") != digest_without(work.predictor, layer):
        raise DefinitionError(
            f"the network has other weights than when steps.{table.step} computed the features. Put a step Embed "
            "after what changed them, and before this one."
        )
    return table.read()


def _predicted(work: Work, frame: pd.DataFrame) -> Predicted | None:
    """Cases that are learned from with a predicted class, as `SelfTrain` adds them; None without any."""
    samples = {sample.case: sample for sample in work.store.role("train") if sample.pseudo}
    rows = frame[frame["case"].isin(samples.keys()) & (frame["role"] == UNLABELLED)]
    if rows.empty:
        return None
    place = {name: index for index, name in enumerate(work.predictor.task.classes)}
    added = [samples[case] for case in rows["case"]]
    classes = np.array([place[label] for each in added for label in each.labels or ()], dtype=np.int64)
    return Predicted(numbers(rows), classes, np.array([each.weight for each in added]))


def _class_indices(work: Work, frame: pd.DataFrame) -> NDArray[np.int64]:
    """(N,) class of each case.

    Raises:
        DataError: A case has none.
    """
    place = {name: index for index, name in enumerate(work.predictor.task.classes)}
    cases = [work.cases[name] for name in frame["case"]]
    lost = [case.id for case in cases if case.labels is None]
    if lost:
        raise DataError(f"case {lost[0]} has no class to learn from. Add it, or leave the case out.")
    return np.array([place[label] for case in cases for label in case.labels or ()], dtype=np.int64)


def _scores(work: Work, layer: torch.nn.Module, frame: pd.DataFrame) -> dict[str, float]:
    """Score and loss of cases, by the last layer as it is now; nothing where there is no case."""
    if frame.empty:
        return {}
    task, device = work.predictor.task, work.predictor.device
    features = torch.from_numpy(numbers(frame)).float().to(device)
    label = one_hot(torch.from_numpy(_class_indices(work, frame)), len(task.classes)).to(device)
    with torch.no_grad():
        logits = linear(features, layer.weight, layer.bias)
    scorer = task.scorer()
    scorer.update(list(frame["case"]), logits, label)
    loss = torch.nn.functional.cross_entropy(logits, label.argmax(dim=1))
    return {"score": scorer.compute()["score"], "loss": float(loss)}


def _checked(strengths: object) -> tuple[float, ...]:
    numbers_of = list(strengths) if isinstance(strengths, Sequence) and not isinstance(strengths, str) else []
    fine = [is_number(each) and each > 0 for each in numbers_of]
    if not fine or not all(fine) or len(set(numbers_of)) < len(numbers_of):
        raise ValueError(f"strengths is {strengths!r}, expected different numbers above 0")
    return tuple(float(each) for each in numbers_of)
