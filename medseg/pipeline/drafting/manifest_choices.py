"""The manifest of a folder that was looked at, choice by choice."""

from __future__ import annotations

from collections.abc import Iterator

from medseg.datasets.scanning.labels import Labels
from medseg.datasets.scanning.look import Look
from medseg.pipeline.drafting.choice import TODO, Choice

_OWN = "The user's own folder."
_TERMS = "That of the user's own data."


def manifest_choices(name: str, look: Look) -> Iterator[Choice]:
    """Every key of the manifest, with its reason.

    Args:
        name: Of the manifest.
        look: At the folder; it holds cases.

    Raises:
        DataError: There is nothing to be learned from.
    """
    fields, layout = look.fields, look.layout
    assert layout is not None  # noqa: S101 - `fields` refuses it
    yield Choice("name", name)
    yield Choice("about", layout.about.get("about", f"Data of one's own, laid out as {layout.name}."))
    yield Choice("source", _OWN)
    yield Choice("licence", layout.about.get("licence", _TERMS))
    yield Choice("citation", layout.about.get("citation", _TERMS))
    yield Choice("obtain", "Name the folder of the data with --data.")
    yield Choice(
        "ids",
        "identifying",
        f"{TODO}: say `pseudonyms` if names of files tell nobody who a patient is; until then medseg shows and "
        "stores keyed pseudonyms",
    )
    yield Choice("channels", fields["channels"], "the images of a case, in this order")
    for key, why in (
        ("format", "of its files SimpleITK reads the headers: `pip install 'medseg[itk]'`"),
        ("volumes", "a file holds all channels, along its fourth axis or as several values in each voxel"),
        ("pictures", "rgb: red, green and blue are three channels; grey: one"),
        ("image_labels", "the truth is a class of the whole image, by its folder or the table"),
    ):
        if key in fields:
            yield Choice(key, fields[key], _grey(look.labels) if key == "pictures" and look.labels else why)
    if look.labels is not None:
        yield from _labels(look.labels, fields)
    yield Choice(
        "layout", fields["layout"], f"{layout.confidence}: {layout.name}; {'; '.join(layout.reasons)}"
    )
    if "group" in fields:
        yield Choice("group", fields["group"], "the patient: no patient is in two parts of a split")
    if "columns" in fields:
        yield Choice("columns", fields["columns"], "read from paths")


def _grey(labels: Labels) -> str:
    if not labels.grey:
        return "rgb: red, green and blue are three channels; grey: one"
    return (
        f"{labels.grey} of {labels.of} masks hold shades, of interpolation or JPEG: what is brighter than this is "
        "foreground"
    )


def _labels(labels: Labels, fields: dict[str, object]) -> Iterator[Choice]:
    todo = labels.names.open and not labels.objects and not labels.grey
    why = f"{TODO}: name the classes, here and below; {labels.names.why}" if todo else labels.names.why
    objects = (
        "masks number objects, each value above 0 one of them"
        if labels.objects
        else "what is not 0 is foreground"
    )
    yield Choice("classes", fields["classes"], objects if labels.objects or labels.grey else why)
    others = "every value above 0 is an object" if labels.objects else "any other value is refused"
    yield Choice("label_values", fields["label_values"], f"{labels.read} label maps were read; {others}")
    if "ignore" in fields:
        yield Choice(
            "ignore", fields["ignore"], "nobody annotated these voxels: no loss and no score counts them"
        )
    if "instances" in fields:
        yield Choice("instances", fields["instances"])
