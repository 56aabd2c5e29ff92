"""What came of the rounds, as numbers, table, figures and a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

import pandas as pd

from medseg.class_names import key_name
from medseg.figures.classes.probability_histograms import probability_histograms
from medseg.figures.classes.rounds import rounds_figure
from medseg.figures.saving import save_figure
from medseg.learning.selftraining.rounds import Quality, Round, best_round, quality_of
from medseg.learning.selftraining.rules import Rule
from medseg.learning.selftraining.verdict import bias_verdict
from medseg.places import written_whole
from medseg.steps.step import Run

_LONGEST_TAG = 500  # characters, of MLflow's 5000: a tag is read in a list


def record_round(each: Round, rule: Rule, run: Run) -> None:
    """Record the numbers of one round, at its number."""
    found: dict[str, float] = {}
    if each.quality is not None:
        found |= asdict(each.quality)
    if each.value is not None:
        found[rule.name] = each.value
        found |= {f"accepted/{key_name(name)}": float(count) for name, count in each.accepted.items()}
    if each.precision is not None:
        found["precision_of_accepted"] = each.precision
    run.recorder.metrics({f"{run.step}/{name}": value for name, value in found.items()}, each.number)


def say_round(each: Round, rule: Rule, best: Round, run: Run) -> None:
    """Say what became of a round, in a line."""
    if each.quality is None:
        then = "of one class alone, so that nothing is learned" if each.taken else "nothing is accepted"
    else:
        error, after = each.quality.calibration_error, each.quality.calibration_error_after
        then = (
            f"score {each.quality.score:.3f}, calibration error {error:.3f}, {after:.3f} after scaling; "
            + (
                "kept"
                if best is each
                else f"back to round {best.number}"
                if best.number
                else "back to the start"
            )
        )
    counts = ", ".join(f"{count} {name}" for name, count in each.accepted.items())
    right = "" if each.precision is None else f", {100 * each.precision:.0f} % of them right"
    run.progress.say(
        f"Round {each.number} ({rule.name} {each.value:.3g}): {each.taken} of {each.pool} accepted "
        f"({counts}{right}); {then}.",
        loud=each.outcome == "one class",
    )


def conclude(
    rounds: Sequence[Round],
    tables: Mapping[int, pd.DataFrame],
    rule: Rule,
    why: str,
    stop_calibration: float,
    run: Run,
) -> None:
    """Write, record and say what came of all rounds.

    Args:
        rounds: All, the first network before them.
        tables: What was predicted for each, by its number.
        rule: What accepted.
        why: Why they ended.
        stop_calibration: Above which calibration error a network is not kept.
        run: Where it is kept.
    """
    best, verdict = best_round(rounds), bias_verdict(rounds)
    classes = list(next((each.accepted for each in rounds if each.accepted), {}))
    frame = _frame(rounds, classes, rule)
    path = run.place / f"{run.step}_rounds.csv"
    with written_whole(path) as target:
        frame.to_csv(target, index=False)
    run.recorder.artifact(path, "tables")
    with written_whole(run.place / "confirmation_bias.json") as target:
        kept = {"kind": verdict.kind, "text": verdict.text, "best_round": best.number, "ended": why}
        target.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if tables:
        marks = {number: rule.mark(number, _least(table)) for number, table in tables.items()}
        figure = probability_histograms(tables, classes, marks, named=_named(rounds))
        path = save_figure(figure, run.figures / f"{run.step}_probabilities.png")
        run.recorder.artifact(path, "figures")
        figure = rounds_figure(
            frame, classes, best=best.number, stop_calibration=stop_calibration, heading=verdict.text
        )
        run.recorder.artifact(save_figure(figure, run.figures / f"{run.step}_rounds.png"), "figures")
    run.recorder.tags(
        {
            f"{run.step}.best_round": str(best.number),
            f"{run.step}.ended": why,
            f"{run.step}.verdict": verdict.text[:_LONGEST_TAG],
        }
    )
    found = quality_of(best)
    which = f"round {best.number}" if best.number else "the network as it came: no round was better"
    run.progress.say(f"{run.step} ended, since {why}. Best is {which} (score {found.score:.3f}).")
    run.progress.say(verdict.text, loud=verdict.kind in ("likely", "possible"))


def _least(table: pd.DataFrame) -> float | None:
    """The lowest probability that was accepted."""
    taken = table.loc[table["accepted"], "probability"]
    return None if taken.empty else float(taken.min())


def _named(rounds: Sequence[Round]) -> dict[int, str]:
    return {each.number: f"round {each.number}: {each.taken} of {each.pool} accepted" for each in rounds}


def _frame(rounds: Sequence[Round], classes: Sequence[str], rule: Rule) -> pd.DataFrame:
    """A row for each round; empty where it has no such number."""
    names = [each.name for each in fields(Quality)]
    rows = [
        {
            "round": each.number,
            rule.name: each.value,
            "unlabelled": each.pool if each.number else None,
            **{f"accepted_{name}": each.accepted.get(name) for name in classes},
            "precision_of_accepted": each.precision,
            **(dict.fromkeys(names) if each.quality is None else asdict(each.quality)),
            "epochs": each.epochs,
            "outcome": each.outcome,
        }
        for each in rounds
    ]
    frame = pd.DataFrame(rows)
    counts = ["unlabelled", *(f"accepted_{name}" for name in classes)]
    return frame.astype(dict.fromkeys(counts, "Int64"))
