"""Sharing out cases to training, validation and test, so that no patient is in two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from medseg.datasets.case import Case, labelled
from medseg.datasets.roles import ROLES, UNLABELLED, UNUSED, Role
from medseg.errors import DataError
from medseg.places import written_whole
from medseg.splits.by_slice import Place, ratios_of_counts, refuse_bare, role_at, uniform
from medseg.splits.column import chosen_by_columns
from medseg.splits.counts import counts_of, shrunk_note
from medseg.splits.draw import joined_patients
from medseg.splits.file import places_of_cases, read_split_file, roles_of_cases, same_cases, unlabelled_named
from medseg.splits.listing import listed_note, refuse_absent, unnamed_note
from medseg.splits.patients import by_column, by_fold, drawn
from medseg.splits.rule import SplitRule
from medseg.splits.strata import CLASS
from medseg.splits.unlabelled import Reason, held_back, held_back_note, kept_for_scores
from medseg.splits.ways import UnsharedError
from medseg.text import many

__all__ = ["CLASS", "ROLES", "Role", "Split", "make_split"]
_OTHERS: tuple[Role, ...] = ("val", "test")


@dataclass(frozen=True)
class Split:
    """Who is in which role.

    Attributes:
        by: `group`: all of a patient is in one role. `slice`: each slice is drawn by itself, so that slices
            of one patient are in several roles; scores on them are too good.
        seed: Of the draw.
        ratios: Share of `val` and `test`, where they were drawn.
        group_of: Patient of each case that has a role.
        roles: Role of each case; with `slice` of images without a label alone.
        held_back: Images without a label that have no role, since they would leak into the scores, each with why.
        asked: Counts and ratios of slices by role, where some are given by count: see `settled`.
        places: Role of each slice by case and position, where slices are listed one by one; the others are not used.
        shrunk: That there is less than counts ask for, as a sentence; else empty.
    """

    by: Literal["group", "slice"]
    seed: int
    ratios: Mapping[Role, float]
    group_of: Mapping[str, str]
    roles: Mapping[str, Role]
    held_back: Mapping[str, Reason] = field(default_factory=dict)
    asked: Mapping[Role, float] = field(default_factory=dict)
    shrunk: str = ""
    places: Mapping[str, Mapping[int, Role]] = field(default_factory=dict)

    @property
    def leaking(self) -> bool:
        """Whether slices of one patient may be in several roles."""
        return self.by == "slice"

    def role(self, case: str, position: int = 0) -> Role:
        """Role of one slice.

        Args:
            case: Public id of its case.
            position: Its place in the volume; tells only where the split is by slice.

        Raises:
            KeyError: The case is not in the split.
        """
        if self.by == "group" or case in self.roles:
            return self.roles[case]
        if case not in self.group_of:
            raise KeyError(case)
        if self.places:
            return self.places.get(case, {}).get(position, UNUSED)
        return role_at(uniform(self.seed, (case, position)), self.ratios)

    def settled(self, places: Iterable[Place]) -> Split:
        """The same with the ratios by which as many slices as counts ask for get each role.

        Args:
            places: Case and position of every slice that there is.

        Raises:
            DataError: Slices are listed one by one, and some are not there; or counts leave none to train on.
        """
        if self.places:
            refuse_absent(self.places, places)
            return self
        mine = [place for place in places if place[0] not in self.roles] if self.asked else []
        if not mine:
            return self
        counts = {role: count for role, count in self.asked.items() if isinstance(count, int)}
        rest = {role: share for role, share in self.asked.items() if role not in counts}
        ratios = ratios_of_counts(counts, rest, self.seed, mine)
        return replace(self, ratios=ratios, shrunk=shrunk_note(counts, len(mine), "slices"))

    def cases(self, role: Role) -> tuple[str, ...]:
        """Ids of the cases in a role, sorted; by slice, of all that may have slices in it."""
        if self.by == "group" or role == UNLABELLED:
            return tuple(sorted(case for case, given in self.roles.items() if given == role))
        if self.places:
            listed = (case for case, at in self.places.items() if role in at.values())
            return tuple(sorted(listed if role != UNUSED else {*self._sliced} - {*self.places}))
        possible = role == "train" or self.ratios.get(role, 0.0) > 0
        return self._sliced if possible else ()

    @property
    def _sliced(self) -> tuple[str, ...]:
        """Cases whose slices are shared out one by one."""
        return tuple(sorted(case for case in self.group_of if case not in self.roles))

    def groups(self, role: Role) -> tuple[str, ...]:
        """Patients in a role, sorted."""
        return tuple(sorted({self.group_of[case] for case in self.cases(role)}))

    def note(self) -> str:
        """How many patients and cases are in which role, as a sentence; another one for images without a label."""
        return " ".join(
            filter(None, (self._note(), self.shrunk, self.unnamed_note(), self.unlabelled_note()))
        )

    def unlabelled_note(self) -> str:
        """How many images without a label may be learned from, and why not the others; empty for none."""
        return held_back_note(self.held_back, len(self.cases(UNLABELLED)))

    def unnamed_note(self) -> str:
        """How many cases a list of slices does not name, as a sentence; empty for none."""
        return unnamed_note(self.places, len(self._sliced)) if self.places else ""

    def _note(self) -> str:
        if self.places:
            return listed_note(self.places)
        if self.leaking:
            return f"Split by slice: slices of each of {many(len(self._sliced), 'case')} may be in any role."
        words: Mapping[Role, str] = {"train": "for training", "val": "to validate", "test": "to test"}
        words = {**words, UNUSED: "not used"}
        in_role = [(len(self.groups(role)), len(self.cases(role)), word) for role, word in words.items()]
        told = [f"{groups} with {many(cases, 'case')} {word}" for groups, cases, word in in_role if cases]
        return f"Split by patient (or group): {', '.join(told)}."

    def digest(self) -> str:
        """32 hexadecimal digits of who is in which role."""
        text = json.dumps(self._plain(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def to_json(self, path: Path) -> None:
        """Write the split, with public ids only; `from_file` reads it back."""
        with written_whole(path) as beside:
            beside.write_text(json.dumps(self._plain(), indent=1) + "\n", encoding="utf-8")

    def _plain(self) -> dict[str, Any]:
        others = list(self.cases(UNLABELLED))
        beside: dict[str, Any] = {UNLABELLED: others} if others or self.held_back else {}
        if self.places:
            listed = {
                case: {role: sorted(p for p, mine in at.items() if mine == role) for role in ROLES}
                for case, at in self.places.items()
            }
            return {"by": "slice", "cases": sorted(listed), "places": listed, **beside}
        if self.by == "slice":
            ratios = {role: self.ratios.get(role, 0.0) for role in _OTHERS}
            ratios |= {role: share for role, share in self.ratios.items() if role == "train"}
            return {"by": "slice", "seed": self.seed, "ratios": ratios, "cases": list(self._sliced), **beside}
        beside |= {UNUSED: list(self.cases(UNUSED))} if self.cases(UNUSED) else {}
        return {"by": "group", **{role: list(self.cases(role)) for role in ROLES}, **beside}

    def beside(
        self,
        cases: Sequence[Case],
        together: Sequence[Collection[str]] = (),
        scored: Collection[str] = (),
        named: Collection[str] | None = None,
    ) -> Split:
        """The same with images without a label, but for those that would leak into the scores.

        Args:
            cases: All, with a label and without.
            together: Sets of ids of cases that are copies of each other.
            scored: Ids of images without a label that are kept for validation or test.
            named: Ids of the images without a label that are to be learned from; None: all of them.
        """
        others = [case for case in cases if case.unlabelled]
        if not others:
            return self
        own = {case.id for case in labelled(cases) if self.role(case.id) in _OTHERS}
        out = held_back(cases, own | set(scored), together, named)
        kept = {case.id: case.group for case in others if case.id not in out}
        roles = {**self.roles, **dict.fromkeys(kept, UNLABELLED)}
        return replace(self, group_of={**self.group_of, **kept}, roles=roles, held_back=out)

    @classmethod
    def from_file(
        cls,
        path: Path,
        cases: Sequence[Case],
        left_out: Sequence[Case] = (),
        together: Sequence[Collection[str]] = (),
    ) -> Split:
        """Read who is in which role.

        JSON: `{"train": [...], "val": [...], "test": [...]}` with ids of cases or of patients, or what
        `to_json` wrote. CSV: columns `case` or `group`, and `role`; or slices, as in `medseg.splits.index_file`.
        Where ids are identifying, both the pseudonyms and the data set's own ids are understood. Images without a
        label may be named as `unlabelled`; if some are, no others are learned from.

        Args:
            path: The file.
            cases: Those to be shared out; each must be named, by itself or by its patient, but for images without
                a label.
            left_out: Others of the data set, which may be named.
            together: As of `Split.beside`.

        Raises:
            DataError: The file cannot be read, names what is not there, leaves out a case, or puts a patient
                into two roles. No id is named in the message.
        """
        given, known = read_split_file(Path(path)), labelled(cases)
        group_of = {case.id: case.group for case in known}
        if "places" in given:
            places = places_of_cases(given["places"], known, left_out)
            split = cls("slice", 0, {}, group_of, {}, places=places)
        elif given.get("by") == "slice":
            same_cases(given["cases"], known, left_out)
            split = cls("slice", given["seed"], given["ratios"], group_of, {})
        else:
            split = cls("group", 0, {}, group_of, roles_of_cases(given, cases, left_out))
        return split.beside(cases, together, named=unlabelled_named(given, cases, left_out))


def make_split(
    rule: SplitRule,
    cases: Sequence[Case],
    seed: int,
    together: Sequence[Collection[str]] = (),
    left_out: Sequence[Case] = (),
    places: Iterable[Place] | None = None,
    *,
    slices: bool = True,
    suits: Callable[[Split], bool] = lambda _: True,
) -> Split:
    """Share out cases by a rule.

    The draw depends on seed, ids and patients alone, and on who belongs together: not on the order of the cases.

    Args:
        rule: How.
        cases: Whom. Images without a label do not matter for the others: they are all for the role `unlabelled`,
            but for those of patients who are validated or tested, and those that are copies of such.
        seed: Of the draw, where the rule has none of its own.
        together: Sets of ids of cases, such as pairs of copies, whose patients are drawn as one. They do not
            matter where a role is given by a file or a column, nor in a split by slice.
        left_out: Others of the data set; a file may name them.
        places: Case and position of the slices that there are, as far as it is known, which counts of slices are
            compared with; by default each case has one.
        slices: Whether slices may be shared out in place of patients, should these be too few.
        suits: Whether the split of another rule, which is offered where this one fails, is one to work with.

    Raises:
        DataError: There are too few patients, a column is not there or means something else, or cases of one
            patient disagree.
    """
    known = labelled(cases)
    if not known:
        raise DataError("there are no cases to share out to training, validation and test")
    if rule.file is not None:
        return Split.from_file(Path(rule.file), cases, left_out, together)
    there = [(case.id, 0) for case in known] if places is None else list(places)
    try:
        split = _of_labelled(rule, known, seed, together, there)
        if split.leaking and places is not None:
            refuse_bare(split.role, rule, [place for place in there if place[0] in split.group_of])
        return split.beside(cases, together, kept_for_scores(rule, cases))
    except UnsharedError as error:
        ids = {case.id for case in known}
        mine = [place for place in there if place[0] in ids]
        raise error.tried(
            rule,
            len(mine),
            lambda other: _works(other, known, seed, together, mine, suits if slices else _unsliced(suits)),
        ) from error


def _unsliced(suits: Callable[[Split], bool]) -> Callable[[Split], bool]:
    return lambda split: not split.leaking and suits(split)


def _works(
    rule: SplitRule,
    cases: Sequence[Case],
    seed: int,
    together: Sequence[Collection[str]],
    places: Sequence[Place],
    suits: Callable[[Split], bool],
) -> bool:
    """Whether a rule gives every role somebody that it asks for; arguments as of `make_split`."""
    split = _of_labelled(rule, cases, seed, together, places)
    asked = {"train", *(role for role in _OTHERS if getattr(rule, role))}
    return asked <= {split.role(*place) for place in places} and suits(split)


def _of_labelled(
    rule: SplitRule,
    cases: Sequence[Case],
    seed: int,
    together: Sequence[Collection[str]],
    places: Iterable[Place],
) -> Split:
    if rule.everybody is not None:
        everybody = dict.fromkeys((case.id for case in cases), rule.everybody)
        return Split("group", 0, {}, {case.id: case.group for case in cases}, everybody)
    seed = rule.seed if rule.seed is not None else seed
    expected: dict[Role, Any] = {"val": rule.val, "test": rule.test}
    ratios: dict[Role, float] = {r: s for r, s in expected.items() if isinstance(s, float) and s > 0}
    counts = counts_of(rule)
    chosen: dict[Role, Mapping[str, Any]] = {r: s for r, s in expected.items() if isinstance(s, Mapping)}
    group_of = {case.id: case.group for case in cases}
    unit_of = joined_patients(group_of, together)
    if rule.by == "slice":
        if chosen:
            raise DataError(
                f"a split by slice takes ratios or counts, but {sorted(chosen)} is chosen by a column"
            )
        asked = {**ratios, **counts} if counts else {}
        split = Split("slice", seed, ratios, group_of, {}, asked=asked)
        return split.settled(place for place in places if place[0] in group_of)
    if rule.column is not None:
        return Split(
            "group", seed, ratios, group_of, by_column(rule, rule.column, ratios, cases, seed, unit_of)
        )
    if rule.folds is not None and rule.fold is not None:
        return Split(
            "group", seed, ratios, group_of, by_fold(rule.folds, rule.fold, rule, cases, seed, unit_of)
        )
    role_of = chosen_by_columns(chosen, cases)
    free = [case for case in cases if case.group not in role_of]
    shrunk = shrunk_note(counts, len({case.group for case in free}), "patients")
    role_of |= drawn(free, ratios, rule, seed, unit_of)
    roles = {case.id: role_of[case.group] for case in cases}
    return Split("group", seed, ratios, group_of, roles, shrunk=shrunk)
