"""A mask that lies beside its image is no image to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.testing.empty import empty_files as made


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))


def manifest(layout: dict[str, Any], **changes: Any) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
            "channels": ["grey"],
            "classes": ["no", "yes"],
            "layout": layout,
            "ids": "pseudonyms",
            "pictures": {"channels": "grey"},
            **changes,
        }
    )


VALUES = {"label_values": {0: "no", 1: "yes"}}
PAIRS = {"images": "Images/{case}.*", "mask": "Masks/{case}_outline.*"}


def pictures(root: Path, *names: str) -> Path:
    root.mkdir()
    for name in names:
        Image.new("L", (4, 4)).save(root / name, "PNG")
    return root


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
@pytest.mark.parametrize(
    "mask",
    [
        "a_mask.png",
        "a_Seg.png",
        "a-label.tif",
        "a_masks_2.png",
        "a.gt.png",
        "a_outline.jpg",
        "a_mask",
        "mask_a.png",
        "Label.a",
    ],
)
def test_a_mask_beside_its_image_is_left_out_and_named(tmp_path: Path, mask: str, ids: str) -> None:
    root = pictures(tmp_path / "d", "a.png", "b.png", mask)
    listing = scan(manifest(PAIRS, ids=ids, **VALUES), root, truth=False)
    assert [path.name for case in listing.cases for path in case.images.values()].count(mask) == 0
    assert len(listing.cases) == 2
    (note,) = listing.notes
    assert note.startswith("1 file is left out, since it is by its name the mask of an image beside it")
    assert (mask in note) == (ids == "pseudonyms")
    assert listing.left == (f"d/{mask}",)


def test_a_mask_that_is_given_by_itself_is_predicted(tmp_path: Path) -> None:
    root = pictures(tmp_path / "d", "a.png", "a_mask.png")
    listing = scan(manifest(PAIRS, **VALUES), root / "a_mask.png", truth=False)
    assert [case.id for case in listing.cases] == ["a_mask"]


def test_where_masks_lie_beside_images_one_of_no_image_is_left_out_and_named(tmp_path: Path) -> None:
    root = pictures(tmp_path / "d", "a.png", "a_mask.png", "lone_mask.png", "seg_7.png", "mask.png")
    listing = scan(manifest(PAIRS, **VALUES), root, truth=False)
    assert [case.id for case in listing.cases] == ["a", "mask"]
    assert any(
        note.startswith(
            "2 files are left out, since they are by their names the masks of images that are not beside"
        )
        and "lone_mask.png" in note
        for note in listing.notes
    )
    assert listing.left == ("d/a_mask.png", "d/lone_mask.png", "d/seg_7.png")


def test_a_name_like_that_of_a_mask_is_an_image_where_no_masks_lie_beside_images(tmp_path: Path) -> None:
    root = pictures(tmp_path / "d", "a.png", "lone_mask.png")
    listing = scan(manifest(PAIRS, **VALUES), root, truth=False)
    assert [case.id for case in listing.cases] == ["a", "lone_mask"]


def test_masks_in_a_folder_of_the_layout_and_of_volumes_are_left_out_too(tmp_path: Path) -> None:
    layout = {"images": "imagesTr/{case}.nii*", "mask": "labelsTr/{case}.nii*"}
    for folder in ("imagesTr", "new"):
        root = made(tmp_path / folder / "d", *(f"{folder}/{name}.nii.gz" for name in ("a", "a_seg", "b")))
        listing = scan(manifest(layout, pictures=None, **VALUES), root, truth=False)
        assert [case.id for case in listing.cases] == ["a", "b"]
        assert listing.files["of cases"] == 2
        assert listing.files["that are masks beside their images"] == 1
        assert listing.left == (f"d/{folder}/a_seg.nii.gz",)


@pytest.mark.parametrize(
    "layout", [{"class_folders": True}, {"csv": "list.csv", "image": "image", "label": "label"}]
)
def test_a_mask_is_no_picture_to_classify(tmp_path: Path, layout: dict[str, Any]) -> None:
    root = pictures(tmp_path / "d", "a.png", "a_mask.png")
    listing = scan(manifest(layout, image_labels="one"), root, truth=False)
    assert [case.id for case in listing.cases] == ["a"]
    assert listing.left == ("d/a_mask.png",)


@pytest.mark.parametrize(
    ("layout", "below"),
    [
        ({"class_folders": True}, ""),
        ({"class_folders": True, "labelled": ["labelled"], "unlabelled": ["unlabelled"]}, "labelled/"),
    ],
)
def test_a_mask_in_the_folder_of_a_class_is_no_picture_of_it(
    tmp_path: Path, layout: dict[str, Any], below: str
) -> None:
    root = tmp_path / "d"
    for name in ("no", "yes"):
        (root / below).mkdir(parents=True, exist_ok=True)
        pictures(root / below / name, f"{name} (1).png", f"{name} (1)_mask.png", f"{name} (1)_mask_1.png")
    if below:
        pictures(root / "unlabelled", "b.png", "mask_b.png")
    listing = scan(manifest(layout, image_labels="one"), root, truth=True)
    read = sorted(path.stem for case in listing.cases for path in case.images.values())
    assert read == ["b"] * bool(below) + ["no (1)", "yes (1)"]
    assert not listing.faults
    count = 4 + bool(below)
    assert listing.files["that are masks beside their images"] == count
    assert any(
        note.startswith(
            f"{count} files are left out, since they are by their names the masks of images beside them: "
        )
        for note in listing.notes
    )


OWN = {"images": "{within}{case}.png", "mask": "{within}{case}_mask.png"}


def test_a_label_map_without_an_image_is_named_and_is_predicted_if_given_by_itself(tmp_path: Path) -> None:
    root = pictures(tmp_path / "d", "a.png", "a_mask.png", "b_mask.png")
    listing = scan(manifest(OWN, **VALUES), root, truth=False)
    assert [case.id for case in listing.cases] == ["a"]
    assert listing.left == ("d/b_mask.png",)
    assert listing.notes == ("1 file is left out, since it is a label map without image: d/b_mask.png",)
    assert [case.id for case in scan(manifest(OWN, **VALUES), root / "b_mask.png", truth=False).cases] == [
        "b_mask"
    ]

    only = pictures(tmp_path / "e", "b_mask.png")
    (fault,) = scan(manifest(OWN, **VALUES), only, truth=False).faults
    assert "1 file is of a part that is not asked for, by '{within}{case}.png'" in fault.found


@pytest.mark.parametrize("labels", ["labelsTs", "masks", "GT"])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_folder_of_label_maps_holds_no_images(tmp_path: Path, labels: str, name: str) -> None:
    layout = {"images": "imagesTr/{case}.nii*", "mask": "labelsTr/{case}.nii*"}
    root = made(tmp_path / "d", "imagesTs/a.nii.gz", f"{labels}/{name}.nii.gz")
    listing = scan(manifest(layout, pictures=None, **VALUES), root, truth=False)
    assert [case.id for case in listing.cases] == ["a"]
    assert not listing.faults
    assert any(
        note.startswith("1 file is left out, since it is in a folder of label maps") for note in listing.notes
    )
    own = scan(manifest(layout, pictures=None, **VALUES), root / labels, truth=False)
    assert [case.id for case in own.cases] == [name]
