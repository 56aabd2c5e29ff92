"""Which pictures are of one patient: by the file itself, by its name, or by a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from medseg.datasets.finding.draft import Draft
from medseg.datasets.manifest.expressions import pattern
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.errors import ManifestError
from medseg.images.refusal import RefusedError
from medseg.text import composed, many, short_name

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


Teller = Literal["layout", "tag", "pattern", "column", "itself"]
"""What names the patient of a case; `itself` if nothing does, so that the case is its own patient."""


class Patients:
    """Tells the patient of each case of a data set."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._at = f"manifest '{manifest.name}', "
        self._files = manifest.files()
        self.cases_by: Counter[Teller] = Counter()
        self.names: set[str] = set()
        self.silent = 0
        self._spellings: dict[str, set[str]] = {}
        self._first: dict[str, str] = {}

    def of(self, draft: Draft, extra: Mapping[str, str]) -> str:
        """Patient of a case as the data spell it, private; empty if a pattern that must tell does not.

        Spellings that differ in upper and lower case, spaces, or a `.0` behind a number are of one patient, by
        the first that is found: to join too many can leak nothing. A pattern that must tell is taken at its word.
        """
        teller, patient = self._of(draft, extra)
        self.cases_by[teller] += 1
        if teller != "itself" and not isinstance(self._manifest.group, str):
            folded = _folded(patient)
            self._spellings.setdefault(folded, set()).add(patient)
            patient = self._first.setdefault(folded, patient)
        if patient:  # else a pattern that must tell does not, which is a fault of the case
            self.names.add(patient)
        self.silent += not patient
        return patient

    def _of(self, draft: Draft, extra: Mapping[str, str]) -> tuple[Teller, str]:
        rule = self._manifest.group
        if draft.group:
            return "layout", draft.group
        if isinstance(rule, str):
            return "pattern", searched(rule, draft.raw, f"{self._at}'group'")
        if rule is not None:
            if rule.tag and (found := self._tag(draft, rule.tag)):
                return "tag", found
            at = f"{self._at}'group.pattern'"
            if rule.pattern and (found := searched(rule.pattern, draft.raw, at)):
                return "pattern", found
            if rule.column and (found := composed(extra[rule.column].strip())):
                return "column", found
        return "itself", draft.raw

    def _tag(self, draft: Draft, keyword: str) -> str:
        """The attribute of the first of a case's files, if that is DICOM and has it."""
        path = next((places[0][1] for places in draft.files.values()), None)
        try:
            return "" if path is None else short_name(composed(self._files.tag(path, keyword).strip()))
        except RefusedError as error:
            raise ManifestError(f"{self._at}'group.tag': {error}") from error

    def notes(self) -> Iterator[str]:
        """How many cases tell their patient, and what that means; nothing if each was to tell and did."""
        rule = self._manifest.group
        total, own = sum(self.cases_by.values()), self.cases_by["itself"]
        if isinstance(rule, GroupRule) and (rule.tag or rule.pattern) and own < total:
            words: dict[Teller, str] = {
                "tag": f"the DICOM attribute {rule.tag}",
                "pattern": "the name",
                "column": f"{rule.column}",
            }
            by = [f"{self.cases_by[way]} by {text}" for way, text in words.items() if self.cases_by[way]]
            yield f"the patient of {total - own} of {many(total, 'picture')} is known: {', '.join(by)}"
            if len(by) > 1:
                yield (
                    "if these do not spell a patient alike, pictures of one patient count as those of two, so that "
                    "leakage cannot be excluded: look through the patients"
                )
        joined = sum(len(spellings) > 1 for spellings in self._spellings.values())
        if joined:
            yield (
                f"{joined} patient{' is' if joined == 1 else 's are'} spelt in more than one way (upper and lower "
                "case, spaces, numbers with .0), each taken for one"
            )
        by_column = isinstance(rule, GroupRule) and not rule.tag and not rule.pattern
        if own and (self._manifest.image_labels or isinstance(rule, GroupRule)) and not by_column:
            count = "no picture tells" if own == total else f"{own} of {total} pictures do not tell"
            yield (
                f"{count} of which patient it is: each such picture counts as a patient of its own, so that leakage "
                "between neighbouring images of one patient cannot be excluded"
            )
        if len(self.names) == 1 and total > 1 and not own and not self.silent:
            teller = "the data say" if self.cases_by["layout"] else "'group' of the manifest says"
            yield (
                f"all {total} cases are of one and the same patient, as {teller}, so that they cannot be shared out "
                "by patient"
            )


def _folded(patient: str) -> str:
    """What spellings of one patient have in common."""
    plain = re.sub(r"\s+", "", patient).casefold()
    return re.sub(r"^(\d+)\.0+$", r"\1", plain)


def searched(rule: str, text: str, at: str) -> str:
    """What the first group of a regular expression finds in a text; empty if it finds nothing.

    Args:
        rule: The expression, which was found to be one.
        text: Where to search.
        at: Where the expression stands, for errors: manifest and key.

    Raises:
        ManifestError: It takes too long.
    """
    found = pattern(composed(rule)).search(text, at)
    return (found[1] or "") if found else ""
