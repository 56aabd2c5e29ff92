"""Every file of a data set's folder is accounted for: a case whose names miss the patterns does not vanish."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medseg.datasets.finding.scan import Listing, scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.testing.empty import empty_files as made

TWO = {"images": "**/{case}_{channel}.nii*", "mask": "**/{case}_mask.nii*"}
DECATHLON = {"images": "imagesTr/{case}.nii.gz", "mask": "labelsTr/{case}.nii.gz"}


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))


def manifest(layout: dict[str, Any], **changes: Any) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation"], "x"),
            "obtain": "Ask at the desk.",
            "channels": ["t2"],
            "classes": ["no", "yes"],
            "label_values": {0: "no", 1: "yes"},
            "layout": layout,
            "ids": "pseudonyms",
            **changes,
        }
    )


def counted(listing: Listing) -> dict[str, int]:
    return {use: count for use, count in listing.files.items() if count}


GOOD = ("P001_t2.nii.gz", "P001_mask.nii.gz")


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("P054_t2.NII.GZ", "but for upper and lower case"),
        ("P054_T2.nii.gz", "but for upper and lower case"),
        ("P054-t2.nii.gz", "but for the separator"),
        ("P054_t2", "but for the ending"),
        ("P054_T2", "but for more than one of upper and lower case"),
        ("P054 t2", "but for more than one of upper and lower case"),
    ],
)
def test_a_case_whose_image_misses_the_pattern_is_listed_and_told_what_differs(
    tmp_path: Path, name: str, differs: str
) -> None:
    root = made(tmp_path / "d", *GOOD, name, "P054_mask.nii.gz")
    listing = scan(manifest(TWO), root)
    assert [case.id for case in listing.cases] == ["P001"]
    assert [case.id for case in listing.incomplete] == ["P054"]
    (fault,) = listing.faults
    assert (fault.case, fault.part, fault.path) == ("P054", "t2", root / name)
    assert f"'**/{{case}}_{{channel}}.nii*' {differs}" in fault.found
    (root / name).rename(root / "P054_t2.nii.gz")  # the remedy
    assert scan(manifest(TWO), root).faults == ()


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
@pytest.mark.parametrize("behind", [".part", ".CRDOWNLOAD", ".tmp"])
def test_a_case_that_was_not_copied_whole_does_not_vanish(tmp_path: Path, behind: str, ids: str) -> None:
    whole = (f"{folder}/hippo_001.nii.gz" for folder in ("imagesTr", "labelsTr"))
    root = made(
        tmp_path / "d", *whole, *(f"{folder}/Hippo_012.nii.gz{behind}" for folder in ("imagesTr", "labelsTr"))
    )
    listing = scan(manifest(DECATHLON, ids=ids), root)
    assert {fault.case for fault in listing.faults} == {case.id for case in listing.incomplete}
    assert sorted(fault.part for fault in listing.faults) == ["mask", "t2"]
    for fault in listing.faults:
        assert "nii.gz' but for an ending of unfinished downloads or copies" in fault.found
        assert fault.remedy.startswith("Fetch it again")
        assert ("Hippo_012" in fault.text()) == (ids == "pseudonyms")
    assert counted(listing) == {"of cases": 2, "with names that nearly fit a pattern": 2}


def test_a_picture_that_was_not_copied_whole_does_not_vanish(tmp_path: Path) -> None:
    layout = {"images": "Images/{case}.png", "mask": "Masks/{case}.png"}
    kind = manifest(layout, channels=["grey"], pictures={"channels": "grey"})
    root = made(tmp_path / "d", "Images/a.png", "Masks/a.png", "Images/b.png.part", "Masks/b.png.part")
    assert {(fault.case, fault.part) for fault in scan(kind, root).faults} == {("b", "grey"), ("b", "mask")}


@pytest.mark.parametrize("pattern", ["Images/{case}_t.*", "**/{case}_t*", "Images/{case}_t.png"])
def test_an_unfinished_copy_is_called_so_whatever_the_pattern_and_only_once(
    tmp_path: Path, pattern: str
) -> None:
    kind = manifest(
        {"images": pattern, "mask": "Masks/{case}.*"}, channels=["grey"], pictures={"channels": "grey"}
    )
    root = made(tmp_path / "d", *(f"Masks/{case}.png" for case in ("a", "a9")), "Images/a_t.png")
    made(root, "Images/a9_t.png.part")
    (fault,) = scan(kind, root).faults
    assert (fault.case, fault.part, fault.path) == ("a9", "grey", root / "Images/a9_t.png.part")
    assert f"'{pattern}' but for an ending of unfinished downloads" in fault.found
    made(root, "Images/a9_t.png")  # the remedy
    assert scan(kind, root).faults == ()


def test_a_file_without_ending_that_a_pattern_fits_as_it_is_lacks_its_ending_alone(tmp_path: Path) -> None:
    layout = {"images": "**/{case}_t*", "mask": "**/{case}_m*"}
    kind = manifest(layout, channels=["grey"], pictures={"channels": "grey"})
    root = made(tmp_path / "d", "a_t.png", "a_m.png", "b_t", "b_m.png")
    (fault,) = scan(kind, root).faults
    assert "but for the ending" in fault.found


def test_a_case_of_which_no_file_fits_a_pattern_does_not_vanish(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "P111-T2.nii", "P111_Mask.nii.gz")
    listing = scan(manifest(TWO), root)
    assert [case.id for case in listing.incomplete] == ["P111"]
    assert {fault.part for fault in listing.faults} == {"t2", "mask"}


def test_names_of_files_are_not_told_where_ids_are_identifying(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "Meier-t2.nii.gz", "Meier_mask.nii.gz", "Zander/unlike.nii.gz")
    listing = scan(manifest(TWO, ids="identifying"), root)
    told = f"{[fault.text() for fault in listing.faults]} {listing.notes} {listing.files}"
    assert "but for the separator" in told
    assert "Meier" not in told
    assert "Zander" not in told


def test_what_belongs_to_no_case_is_named_with_the_reason(tmp_path: Path) -> None:
    layout = {"images": "imagesTr/{case}_{channel}.nii.gz", "mask": "labelsTr/{case}_seg.nii.gz"}
    root = made(tmp_path / "d", "imagesTr/a_t2.nii.gz", "labelsTr/a_seg.nii.gz", "imagesTs/b_t2.nii.gz")
    made(root, "stray.nii.gz", "imagesTr/other.nii.gz", "notes.txt")
    for ids, truth in (("pseudonyms", True), ("pseudonyms", False), ("identifying", False)):
        listing = scan(manifest(layout, channels=["t2"], ids=ids), root, truth=truth)
        names = [": d/imagesTr/other.nii.gz, d/stray.nii.gz", ": d/imagesTs/b_t2.nii.gz"]
        unfit, outside = names if ids == "pseudonyms" else ("", "")
        near = " (the nearest: 'imagesTr/{case}_{channel}.nii.gz')"
        assert listing.notes == (
            f"2 of the NIfTI files are left out, since their names fit no pattern{near}{unfit}",
            f"1 of the NIfTI files is left out, since it lies in other folders than the patterns say{outside}",
        )
        assert sorted(listing.left) == ["d/imagesTr/other.nii.gz", "d/imagesTs/b_t2.nii.gz", "d/stray.nii.gz"]


def test_the_nearest_patterns_are_counted_where_they_are_several(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "P9_t2 (1).nii.gz", "P9_mask (1).nii.gz", "P8_mask copy 2.nii.gz")
    (note,) = (each for each in scan(manifest(TWO), root).notes if "fit no pattern" in each)
    assert "(the nearest: '**/{case}_mask.nii*' (2), '**/{case}_{channel}.nii*' (1))" in note


@pytest.mark.parametrize("ending", [".bak", ".OLD", ".orig"])
def test_a_file_that_was_put_aside_is_told_where_its_case_has_no_other(tmp_path: Path, ending: str) -> None:
    root = made(
        tmp_path / "d", *GOOD, f"P9_t2.nii.gz{ending}", f"P9_mask.nii.gz{ending}", f"{GOOD[0]}{ending}"
    )
    listing = scan(manifest(TWO), root)
    told = [fault.text() for fault in listing.faults]
    assert len(told) == 2
    assert all("P9" in each and "an ending of files that were put aside. Rename it" in each for each in told)


def test_images_beside_the_folder_of_training_are_found_by_their_names_alone(tmp_path: Path) -> None:
    nnunet = {"images": "imagesTr/{case}_{channel}.nii*", "mask": "labelsTr/{case}.nii*"}
    spelling = {"t2": ["0000"]}
    root = made(tmp_path / "d", "imagesTs/P6_0000.nii.gz", "imagesTs/P_7_0000.nii.gz")
    found = manifest({**nnunet, "spelling": spelling}, channels=["t2"])
    for place in (root, root / "imagesTs"):
        assert [case.id for case in scan(found, place, truth=False).cases] == ["P6", "P_7"]
    beside = {"images": "train/{case}.nii*", "mask": "train/{case}_gt.nii*"}
    made(tmp_path / "e", "new/P6.nii.gz", "new/P6_gt.nii.gz")
    listing = scan(manifest(beside, channels=["t2"]), tmp_path / "e", truth=False)
    assert [case.id for case in listing.cases] == ["P6"], "a truth that lies beside is no image"


def test_each_file_is_counted_once_by_its_use(tmp_path: Path) -> None:
    root = made(
        tmp_path / "d",
        *(*GOOD, "P001-t2.nii.gz", "P001_flair.nii.gz", "scout.nii.gz", "notes.txt", "._P001_t2.nii.gz"),
    )
    listing = scan(manifest(TWO, channels=["t2", "flair"]), root, only=["t2"])
    assert [case.id for case in listing.cases] == ["P001"]  # what nearly fits stands beside what fits
    assert counted(listing) == {
        "of cases": 2,
        "of parts that are not asked for": 1,
        "with names that nearly fit a pattern": 1,
        "with names that fit no pattern": 1,
        "of other kinds": 1,
        "hidden or left by programs": 1,
    }


def test_pictures_without_an_ending_or_in_a_folder_of_other_letters_do_not_vanish(tmp_path: Path) -> None:
    layout = {"images": "Images/{case}.png", "mask": "Masks/{case}_m.png"}
    kind = manifest(layout, channels=["grey"], pictures={"channels": "grey"})
    root = made(tmp_path / "d", "Images/a.png", "Masks/a_m.png", "images/b.png", "Masks/b_m.png")
    made(root, "Images/c.png", "Masks/c_m", "notes.txt")
    listing = scan(kind, root)
    assert [case.id for case in listing.cases] == ["a"]
    assert [(fault.case, fault.part) for fault in listing.faults] == [("b", "grey"), ("c", "mask")]
    assert counted(listing) == {
        "of cases": 4,
        "with names that nearly fit a pattern": 2,
        "of other kinds": 1,
    }


def test_images_in_another_folder_than_the_layouts_are_predicted_and_not_learned_from(tmp_path: Path) -> None:
    root = made(tmp_path / "d", "imagesTs/a.nii.gz", "imagesTs/b.nii.gz", "dataset.json")
    asked = scan(manifest(DECATHLON), root, truth=False)
    assert [case.id for case in asked.cases] == ["a", "b"]
    assert asked.faults == ()
    assert [case.id for case in scan(manifest(DECATHLON), root / "imagesTs", truth=False).cases] == ["a", "b"]
    (fault,) = scan(manifest(DECATHLON), root).faults
    assert "'imagesTr/{case}.nii.gz'" in fault.found
    assert "2 would but for the folder" in fault.found
    made(root, "imagesTr/c.nii.gz", "labelsTr/c.nii.gz")
    learned = scan(manifest(DECATHLON), root)
    assert [case.id for case in learned.cases] == ["c"]
    assert counted(learned) == {
        "of cases": 2,
        "in other folders than the patterns say": 2,
        "of other kinds": 1,
    }


def test_label_maps_are_not_predicted_as_images(tmp_path: Path) -> None:
    layout = {"images": "imagesTr/{case}.nii.gz", "mask": "labelsTr/{case}_gt.nii.gz"}
    root = made(tmp_path / "d", "new/a.nii.gz", "new/a_gt.nii.gz")
    assert [case.id for case in scan(manifest(layout), root, truth=False).cases] == ["a"]


def test_two_channels_of_one_name_are_not_told_apart_by_it(tmp_path: Path) -> None:
    layout = {"images": {"t1": "T1/{case}.nii", "t2": "T2/{case}.nii"}}
    root = made(tmp_path / "d", "new/a.nii")
    (fault,) = scan(manifest(layout, channels=["t1", "t2"]), root, truth=False).faults
    assert "'T1/{case}.nii' or 'T2/{case}.nii'" in fault.found


OTHER = "but for the ending, which is that of another kind of file, or has more behind it"


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize(
    "ending",
    [
        *(
            ".mha",
            ".nrrd",
            ".mgz",
            ".dcm",
            ".tif",
            ".gz",
            ".zip",
            ".nii.bz2",
            ".nii.zst",
            ".nii.gz.1",
            ".nii.gz ",
        ),
        *(".nii.gz~", ".nii_", ".nii.gz.zip", ".nii.gz (1)", ".unheard"),
    ],
)
def test_a_case_whose_files_have_another_ending_does_not_vanish(
    tmp_path: Path, ending: str, truth: bool
) -> None:
    root = made(tmp_path / "d", *GOOD, f"P9_t2{ending}", f"P9_mask{ending}")
    listing = scan(manifest(TWO), root, truth=truth)
    assert [case.id for case in listing.incomplete] == ["P9"]
    assert [(fault.case, fault.part) for fault in listing.faults] == [("P9", "t2"), ("P9", "mask")][
        : 1 + truth
    ]
    for fault in listing.faults:
        assert OTHER in fault.found
        assert fault.remedy.startswith(
            "Rename it if its content is that of .nii or .nii.gz, save it as such if not"
        )
    for part in ("t2", "mask"):  # the remedy
        (root / f"P9_{part}{ending}").rename(root / f"P9_{part}.nii.gz")
    healed = scan(manifest(TWO), root, truth=truth)
    assert ([case.id for case in healed.cases], healed.faults) == (["P001", "P9"], ())


def test_other_endings_in_other_letters_and_separators_are_told_too(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "P9-T2.mha", "P9_mask.nii.gz")
    (fault,) = scan(manifest(TWO), root).faults
    assert "but for more than the ending" in fault.found


def test_a_case_in_a_folder_of_the_layout_does_not_vanish_where_names_are_the_case_alone(
    tmp_path: Path,
) -> None:
    root = made(tmp_path / "d", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz")
    made(root, "imagesTr/b.nii.bz2", "imagesTr/c.nrrd", "labelsTr/c.nrrd", "imagesTr/readme.txt")
    listing = scan(manifest(DECATHLON), root)
    assert [(fault.case, fault.part) for fault in listing.faults] == [("b", "t2"), ("c", "t2"), ("c", "mask")]
    assert counted(listing) == {
        "of cases": 3,
        "with names that nearly fit a pattern": 3,
        "of other kinds": 1,
    }


def test_what_lies_beside_an_image_under_its_name_and_what_is_no_image_is_counted(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "P001_t2.mha", "P001_t2.png", "P001_t2.json")
    made(root, "P9_t2.json", "P9_t2.csv", "readme.md")
    listing = scan(manifest(TWO), root)
    assert (listing.faults, listing.notes, listing.left) == ((), (), ())
    assert counted(listing) == {"of cases": 2, "of other kinds": 6}


def test_a_header_with_a_file_beside_is_one_fault_for_each_and_no_case_twice(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "P9_t2.hdr", "P9_t2.img", "P9_mask.nii.gz")
    faults = scan(manifest(TWO), root).faults
    assert [fault.path for fault in faults] == [root / "P9_t2.hdr", root / "P9_t2.img"]
    assert all(OTHER in fault.found for fault in faults)


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
def test_images_of_other_kinds_that_fit_no_pattern_are_named_with_the_nearest(
    tmp_path: Path, ids: str
) -> None:
    root = made(tmp_path / "d", *GOOD, "Meier/scan.mha", "Meier/scan.nii.gz.part", "Meier/1.dcm", "notes.txt")
    listing = scan(manifest(TWO, ids=ids), root)
    names = ["d/Meier/1.dcm", "d/Meier/scan.mha", "d/Meier/scan.nii.gz.part"]
    (note,) = (each for each in listing.notes if "left out" in each)
    told = f": {', '.join(names)}" if ids == "pseudonyms" else ""
    assert note.startswith("3 of the images of other kinds are left out, since their names fit no pattern")
    assert note.endswith(f"){told}")
    assert sorted(listing.left) == names
    assert counted(listing)["with names that fit no pattern"] == 3


@pytest.mark.parametrize("name", ["P7_t2.nii.gz.crdownload", "P7_t2", "P7_t2.mha", "P7-t2.nii.gz"])
def test_near_misses_are_told_where_files_are_found_by_their_names_alone(tmp_path: Path, name: str) -> None:
    nested = {"images": "**/{case}/{case}_{channel}.nii*", "mask": "**/{case}/{case}_mask.nii*"}
    root = made(tmp_path / "d", *GOOD, name, "P7_mask.mha", "readme.txt")
    listing = scan(manifest(nested), root, truth=False)
    assert [case.id for case in listing.cases] == ["P001"]
    assert [(fault.case, fault.part, fault.path) for fault in listing.faults] == [("P7", "t2", root / name)]
    learned = scan(manifest(nested), made(root, "P2/P2_t2.nii", "P2/P2_mask.nii"))
    assert {f"d/{each}" for each in (*GOOD, name, "P7_mask.mha")} >= set(learned.left) >= {f"d/{GOOD[0]}"}
    assert len(learned.left) == 4 - (name == "P7_t2"), "an empty file without an ending tells nothing"


def test_an_image_without_an_ending_among_the_files_of_a_case_is_named(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "LICENCE", "far/LICENCE")
    (root / "scan").write_bytes(gzip.compress(b"voxels"))
    listing = scan(manifest(TWO), root)
    assert listing.left == ("d/scan",)
    assert counted(listing) == {"of cases": 2, "with names that fit no pattern": 1, "of other kinds": 2}


def test_masks_that_are_not_asked_for_are_not_said_to_fit_no_pattern(tmp_path: Path) -> None:
    nested = {"images": "**/{case}/{case}_{channel}.nii*", "mask": "**/{case}/{case}_mask.nii*"}
    root = made(
        tmp_path / "d", *GOOD, "P2_t2.nii", "P2_Mask.nii", "P3_mask.mha", "scout.nii", "P2/P2_mask.mha"
    )
    listing = scan(manifest(nested), root, truth=False)
    assert listing.left == ("d/scout.nii",)
    assert counted(listing) == {
        "of cases": 2,
        "of parts that are not asked for": 4,
        "with names that fit no pattern": 1,
    }


def test_an_image_that_only_a_label_map_of_any_name_would_fit_does_not_vanish(tmp_path: Path) -> None:
    nnunet = {"images": "imagesTr/{case}_0000.nii*", "mask": "labelsTr/{case}.nii*"}
    root = made(tmp_path / "d", "imagesTs/P4_0000.nii.gz", "imagesTs/P5_0001.nii.gz", "imagesTs/P6_0001.mha")
    listing = scan(manifest(nnunet), root / "imagesTs", truth=False)
    assert [case.id for case in listing.cases] == ["P4"]
    assert listing.left == ("imagesTs/P5_0001.nii.gz", "imagesTs/P6_0001.mha")


def test_the_preview_of_a_volume_is_named_by_nobody(tmp_path: Path) -> None:
    layout = {"images": "**/{case}.nii*", "mask": "**/{case}_gt.nii*"}
    root = made(tmp_path / "d", "a.nii.gz", "a_gt.nii.gz", "a.png", "a_gt.png", "b.png")
    assert scan(manifest(layout), root).left == ("d/b.png",)
    assert scan(manifest(layout), root).faults == ()


def test_the_voxels_of_a_header_are_named_by_nobody(tmp_path: Path) -> None:
    layout = {"images": "**/{case}.hdr", "mask": "**/{case}.mhd"}
    root = made(tmp_path / "d", "a.hdr", "a.img", "a.mhd", "a.raw")
    listing = scan(manifest(layout, format="itk"), root)
    assert (listing.left, listing.faults, listing.notes) == ((), (), ())


def test_a_name_that_fits_nothing_does_not_lie_in_another_folder(tmp_path: Path) -> None:
    nnunet = {"images": "imagesTr/{case}_0000.nii*", "mask": "labelsTr/{case}.nii*"}
    root = made(tmp_path / "d", "imagesTr/P1_0000.nii.gz", "labelsTr/P1.nii.gz")
    made(root, "imagesTr/P2_0001.nii.gz", "imagesTr/P3_000.nii.gz", "imagesTs/P4_0000.nii.gz")
    for truth in (True, False):
        unfit, outside = scan(manifest(nnunet), root, truth=truth).notes
        assert "names fit no pattern (the nearest: 'imagesTr/{case}_0000.nii*')" in unfit
        assert unfit.endswith(": d/imagesTr/P2_0001.nii.gz, d/imagesTr/P3_000.nii.gz")
        assert outside.endswith("in other folders than the patterns say: d/imagesTs/P4_0000.nii.gz")
    for place in (root / "imagesTr", root):
        assert "d/imagesTr" not in str(scan(manifest(nnunet), place).notes[1:])


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("name", ["c", "1.2.840.113"])
def test_a_picture_without_an_ending_is_told_by_its_content(tmp_path: Path, name: str, truth: bool) -> None:
    layout = {"images": "{within}Images/{case}.*", "mask": "{within}Masks/{case}.*"}
    kind = manifest(layout, channels=["grey"], pictures={"channels": "grey"})
    root = made(tmp_path / "d", "Images/a.png", "Masks/a.png", f"Masks/{name}.png", "Images/LICENCE")
    Image.new("L", (4, 4)).save(root / f"Images/{name}", "PNG")
    listing = scan(kind, root, truth=truth)
    (fault,) = listing.faults
    assert (fault.case, fault.part, fault.path) == (name, "grey", root / f"Images/{name}")
    assert "'{within}Images/{case}.*' but for the ending" in fault.found
    (root / f"Images/{name}").rename(root / f"Images/{name}.png")  # the remedy
    assert scan(kind, root, truth=truth).faults == ()


BESIDE = [
    ("P001_Mask.nii.gz", "'**/{case}_mask.nii*' but for upper and lower case"),
    ("P001_T2.nii.gz", "'**/{case}_{channel}.nii*' but for upper and lower case"),
    ("P001-t2.nii.gz", "'**/{case}_{channel}.nii*' but for the separator (- _ . or a space)"),
    ("P001_t2.NII", "'**/{case}_{channel}.nii*' but for upper and lower case"),
    ("P001_t2.nii.gz.bak", "'**/{case}_{channel}.nii*' but for an ending of files that were put aside"),
]


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
@pytest.mark.parametrize(("name", "pattern"), BESIDE)
def test_a_name_that_nearly_fits_beside_a_complete_case_is_named_with_its_pattern(
    tmp_path: Path, name: str, pattern: str, ids: str
) -> None:
    root = made(tmp_path / "d", *GOOD, name)
    listing = scan(manifest(TWO, ids=ids), root)
    assert (len(listing.cases), listing.faults) == (1, ())
    (note,) = listing.notes
    assert note.startswith(
        "1 file nearly fits a pattern, and is left out, since its case has another that fits"
    )
    assert (f": d/{name} ({pattern})" in note) == (ids == "pseudonyms")
    assert ("P001" in note) == (ids == "pseudonyms")
    assert listing.left == (f"d/{name} ({pattern})",)
    (root / name).unlink()  # the remedy
    assert (scan(manifest(TWO, ids=ids), root).notes, listing.faults) == ((), ())


def test_of_many_names_that_nearly_fit_the_first_few_are_named(tmp_path: Path) -> None:
    good = (f"P{number}_{part}.nii.gz" for number in range(9) for part in ("t2", "mask"))
    root = made(tmp_path / "d", *good, *(f"P{number}_T2.nii.gz" for number in range(9)))
    (note,) = scan(manifest(TWO), root).notes
    assert note.startswith("9 files nearly fit a pattern")
    assert note.endswith(
        "d/P4_T2.nii.gz ('**/{case}_{channel}.nii*' but for upper and lower case) and 4 more"
    )


def test_a_prediction_names_images_that_nearly_fit_and_no_masks(tmp_path: Path) -> None:
    root = made(tmp_path / "d", *GOOD, "P001_T2.nii.gz", "P001_Mask.nii.gz")
    (note,) = scan(manifest(TWO), root, truth=False).notes
    assert "d/P001_T2.nii.gz ('**/{case}_{channel}.nii*' but for upper and lower case)" in note
    assert "Mask" not in note


ARCHIVES = ("more.zip", "more.tar", "more.tar.gz", "more.TGZ", "more.7z", "more.rar", "P001_t2.nii.gz.zip")


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_among_the_data_is_said_not_to_be_looked_into(
    tmp_path: Path, name: str, truth: bool
) -> None:
    root = made(tmp_path / "d", *GOOD, name)
    listing = scan(manifest(TWO), root, truth=truth)
    (note,) = listing.notes
    told = "1 archive lies among the data, and is not looked into: unpack it, or move it out"
    assert note == f"{told} (d/{name})"
    assert scan(manifest(TWO, ids="identifying"), root, truth=truth).notes == (told,)
    assert counted(listing)["that are archives"] == 1
    assert sum(listing.files.values()) == 3


@pytest.mark.parametrize("kind", ["patterns", "table"])
def test_an_archive_among_pictures_is_said_not_to_be_looked_into(tmp_path: Path, kind: str) -> None:
    layout: dict[str, Any] = {
        "patterns": {"images": "Images/{case}.png", "mask": "Masks/{case}.png"},
        "table": {"csv": "list.csv", "image": "image", "mask": "mask"},
    }[kind]
    root = made(tmp_path / "d", "Images/a.png", "Masks/a.png", "Images/b.zip", "all.tar.gz")
    (root / "list.csv").write_text("image,mask\nImages/a.png,Masks/a.png\n")
    (note,) = scan(manifest(layout, channels=["grey"], pictures={"channels": "grey"}), root).notes
    assert note.startswith(
        "2 archives lie among the data, and are not looked into: unpack them, or move them out"
    )
    assert note.count("all.tar.gz") == note.count("b.zip") == 1
