"""The leak certificate itself: as JSON with a digest, and as a page of text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medseg.errors import RunError
from medseg.places import read_kept, written_whole
from medseg.text import many

JSON, TEXT = "audit.json", "audit.txt"
"""Files of a run's folder, and of its artifacts."""

KINDS = {
    "split": "Slices of one patient may be in several roles.",
    "slices": "Slices were loaded for two roles.",
    "patients": "Patients were loaded for two roles.",
    "cases": "Cases were loaded for two roles.",
    "roles": "Cases were loaded for another role than the split's.",
    "images": "Images in roles that must be apart are one, or nearly.",
    "fitted": "A step was fitted on the test part.",
    "canary": "Labels that were shuffled by patient were learned: the canary sings.",
}
"""What each kind of leak is, as a sentence without names: texts of somebody else's certificate are not passed on."""

NONE_FOUND = "none found"
"""What the tag `leaks` says of a run whose certificate names none."""

_FORM = 1
_ENDED = {
    "RUNNING": "THE RUN IS STILL GOING ON",
    "FAILED": "THE RUN HAS FAILED",
    "KILLED": "THE RUN WAS INTERRUPTED",
    "GONE": "THE RUN WAS CUT OFF",
}
_SHOWN = 5  # names of patients or pairs in a sentence: the JSON has all


@dataclass(frozen=True)
class Fitted:
    """What a step has fitted, and on whom.

    Attributes:
        step: Its name in the definition.
        what: Such as `threshold`.
        roles: Those whose cases it has looked at; None: it was learned elsewhere, from data that nobody here knows.
    """

    step: str
    what: str
    roles: tuple[str, ...] | None


@dataclass(frozen=True)
class Certificate:
    """Whether what was tested can have been learned from.

    Attributes:
        run: Public name of the run.
        pipeline: Of its definition.
        data: Fingerprint of the data that the run learned from.
        split: Digest of its roles.
        split_by: `group` or `slice`.
        group_key: What of the manifest tells the patient, as plain data; None: each case is its own patient.
        groups: Public names of the patients whose slices were loaded, by role.
        counts: Patients, cases and slices that were loaded, by role.
        images: What was compared: `cases`, and of them those `near` copies were looked for among.
        copies: Pairs of cases of different roles that are one image, or nearly, as rows.
        fitted: What was fitted on which role.
        intensities: Transforms that prepare the images, each fitted on the image itself alone.
        leaks: What leaks, as sentences by its kind.
        unseen: What could not be looked at, as sentences.
        canary: What a training on shuffled labels scored; None where none was made.
        ended: How the run ended: FINISHED, FAILED, KILLED or GONE; RUNNING where it goes on.
        undone: Steps that were not done.
        unscored: Roles that one of these would have scored, and none has.
    """

    run: str
    pipeline: str
    data: str
    split: str
    split_by: str
    group_key: Any
    groups: Mapping[str, Sequence[str]]
    counts: Mapping[str, Mapping[str, int]]
    images: Mapping[str, int]
    copies: Sequence[Mapping[str, Any]]
    fitted: Sequence[Fitted]
    intensities: Sequence[str]
    leaks: Mapping[str, str]
    unseen: Sequence[str]
    canary: Mapping[str, Any] | None = field(default=None)
    ended: str = "FINISHED"
    undone: Sequence[str] = ()
    unscored: Sequence[str] = ()

    def content(self) -> dict[str, Any]:
        """All of it as plain data."""
        fitted = [
            {"step": each.step, "what": each.what, "on": each.roles and list(each.roles)}
            for each in self.fitted
        ]
        return {
            "form": _FORM,
            **vars(self),
            "groups": {role: list(names) for role, names in self.groups.items()},
            "fitted": fitted,
            "undone": list(self.undone),
            "unscored": list(self.unscored),
        }

    def digest(self) -> str:
        """SHA-256 of the content: two looks at one run that find the same have the same."""
        return digest_of(self.content())

    def and_canary(self, found: Mapping[str, Any], leak: str) -> Certificate:
        """The same with what a training on shuffled labels scored.

        Args:
            found: Its numbers.
            leak: That it scored better than chance, as a sentence; empty if it did not.
        """
        leaks = {**self.leaks, "canary": leak} if leak else dict(self.leaks)
        return replace(self, canary=found, leaks=leaks)

    def text(self) -> str:
        """A page that says it in words."""
        return "\n".join(self._lines()) + "\n"

    def json(self) -> str:
        """The content with its digest, as one JSON object."""
        content = {**self.content(), "sha256": self.digest()}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both files, and give their places."""
        with written_whole(folder / JSON) as target:
            target.write_text(self.json(), encoding="utf-8")
        with written_whole(folder / TEXT) as target:
            target.write_text(self.text(), encoding="utf-8")
        return folder / JSON, folder / TEXT

    def _lines(self) -> Iterator[str]:
        yield f"Leak certificate of the run {self.run} ({self.pipeline})"
        yield f"SHA-256 of audit.json without this digest: {self.digest()}"
        yield f"Data {self.data}; split {self.split}, by {'slice' if self.split_by == 'slice' else 'patient'}"
        if self.undone or self.ended != "FINISHED":
            steps = (
                ", ".join(f"steps.{name}" for name in self.undone) or "nothing; its model may not be whole"
            )
            yield f"{_ENDED.get(self.ended, 'THE RUN DID NOT END')}. Not done: {steps}."
        yield ""
        yield from (f"LEAK: {leak}" for leak in self.leaks.values())
        if not self.leaks:
            bare = "" if self.images else " No images were."
            yield f"No leak was found in what was looked at.{bare}"
        yield ""
        yield f"Patient: {_key_text(self.group_key)}"
        for role, count in self.counts.items():
            scored = ", not scored" if role in self.unscored else ""
            who = f"{many(count['patients'], 'patient')}, {many(count['cases'], 'case')}"
            yield f"  {role}: {who}, {many(count['slices'], 'slice')} prepared{scored}"
        yield f"Images: {self._compared()}"
        yield f"Intensities: {', '.join(self.intensities) or 'no transform'}; each image by itself"
        yield "Fitted:"
        yield from (f"  steps.{each.step}: {each.what} {_on(each.roles)}" for each in self.fitted)
        if self.canary is not None:
            yield f"Canary: {canary_text(self.canary)}"
        yield ""
        yield "Not looked at:"
        yield from (f"  - {text}" for text in self.unseen)
        yield ""
        yield "Research use only; not a medical device."

    def _compared(self) -> str:
        if not self.images:
            return "not compared"
        return (
            f"{many(self.images['cases'], 'case')} compared value by value, {self.images['near']} of them for near "
            f"copies; {many(len(self.copies), 'pair')} in roles that must be apart"
        )


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of a certificate as plain data, without the digest that it may hold."""
    plain = {name: value for name, value in content.items() if name != "sha256"}
    written = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def leaks_of(folder: Path) -> dict[str, str]:
    """What the certificate in a run's folder says that leaks, by kind; nothing where there is none.

    Raises:
        RunError: It is damaged.
    """
    if not (folder / JSON).exists():
        return {}
    found = read_kept(folder / JSON, dict).get("leaks")
    return {str(kind): str(text) for kind, text in found.items()} if isinstance(found, dict) else {}


def leaking_kinds(folder: Path) -> str:
    """Kinds of leak that the certificate in a run's folder names, in a word each; empty where there is none.

    Somebody else may have made it: what is no kind that medseg knows is `other`, and what cannot be read none.
    """
    try:
        kinds = leaks_of(folder)
    except (RunError, OSError):
        return ""
    return ", ".join(dict.fromkeys(kind if kind in KINDS else "other" for kind in kinds))


def leak_tags(certificate: Certificate) -> dict[str, str]:
    """What trackers learn of it: no name of a patient."""
    return {"leaks": ", ".join(certificate.leaks) or NONE_FOUND, "leaks.sha256": certificate.digest()}


def some(names: Sequence[str]) -> str:
    """The first few names."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def canary_text(found: Mapping[str, Any]) -> str:
    """What the canary scored, as a clause."""
    return (
        f"trained on labels shuffled by patient, {found['accuracy']:.3f} of {found['patients']} {found['role']} "
        f"patients were right, {found['chance']:.3f} by chance (p = {found['p']:.4f})"
    )


def _key_text(key: Any) -> str:
    if key is None:
        return "each case counts as one; nothing in the manifest says which belong together"
    told = key if isinstance(key, str) else ", ".join(f"{name} {value}" for name, value in key.items())
    return f"by {told}"


def _on(roles: tuple[str, ...] | None) -> str:
    if roles is None:
        return "learned elsewhere"
    return f"on {' and '.join(roles)}" if roles else "on nobody"
