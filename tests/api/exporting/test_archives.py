"""What is said of archives: the manifest that reads them, or what one must say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from medseg.api.exporting.archives import Archives, in_order
from medseg.datasets.manifest.manifest import Manifest
from medseg.geometry.grid import Geometry
from medseg.images.npz import write_npz

KNOWN = Manifest.named("brats2d_npz")
WRITTEN = Archives((Path("a.npz"), Path("b.npz")), KNOWN.channels, KNOWN.classes, patients=2)
TEXTS = dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "made up")


def test_channels_are_written_in_the_order_in_which_they_are_read() -> None:
    assert in_order(("t1ce", "t1", "t2", "flair"), KNOWN) == ("flair", "t1", "t1ce", "t2")
    assert in_order(("t1ce", "flair"), KNOWN) == ("flair", "t1ce")
    assert in_order(("t2", "ct"), KNOWN) == ("t2", "ct")


def test_the_manifest_is_named_where_it_fits() -> None:
    assert WRITTEN.reading(KNOWN) == "The manifest brats2d_npz reads them."


@pytest.mark.parametrize(
    "other",
    [
        {"channels": ("flair", "t1ce")},
        {"channels": ("t1", "flair", "t1ce", "t2")},
        {"classes": ("outside", "healthy", "oedema", "necrotic_core", "enhancing")},
        {"channels": ("on",), "classes": ("no", "yes")},
    ],
)
def test_elsewhere_the_lines_that_are_given_read_what_was_written(
    tmp_path: Path, other: dict[str, tuple[str, ...]]
) -> None:
    made = replace(WRITTEN, **other)
    image = np.arange(len(made.channels) * 24, dtype=np.float32).reshape(-1, 2, 3, 4)
    label = (np.arange(24) % len(made.classes)).astype(np.uint8).reshape(2, 3, 4)
    write_npz(tmp_path / "a.npz", image, label, Geometry((2, 3, 4), np.eye(4)))

    said, lines = made.reading(KNOWN).split("\n", 1)
    manifest = Manifest.model_validate(TEXTS | yaml.safe_load(lines))

    assert "brats2d_npz has other channels or label values" in said
    stored = manifest.files().read(tmp_path / "a.npz", made.channels)
    np.testing.assert_array_equal([each.data for each in stored], image)
    assert [manifest.label_values[value] for value in range(len(made.classes))] == list(made.classes)


def test_a_manifest_of_other_files_does_not_fit() -> None:
    described = KNOWN.model_dump(by_alias=True, exclude_unset=True) | {"volumes": {"channels": "stacked"}}
    described["layout"] = {"images": "{case}.nii", "mask": "{case}_seg.nii"}
    assert "reads them." not in WRITTEN.reading(Manifest.model_validate(described))


def test_cases_of_one_patient_are_said_to_be() -> None:
    assert "The 2 cases are of 1 patient, and archives do not say" in replace(WRITTEN, patients=1).reading(
        KNOWN
    )
