"""Each layout is recognised by itself, and what it says finds every case by the finder that a run uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.datasets.scanning.look import Look, look
from medseg.errors import DataError
from medseg.testing.cases import write_brats
from medseg.testing.dicoms import write_dicom
from medseg.testing.layouts import patients, write_bids, write_decathlon, write_nnunet, write_volume
from medseg.testing.pictures import shapes, write_lgg, write_nuclei, write_pairs, write_picture

SHAPE = (24, 28, 8)


def of(seen: Look) -> tuple[str, int, int, int]:
    """Layout, cases, patients, and files that belong to no case."""
    assert seen.layout is not None
    assert seen.listing is not None
    assert seen.listing.faults == ()
    return seen.layout.name, len(seen.listing.cases), seen.patients, sum(map(len, seen.rest.values()))


def test_nnunet_names_channels_by_number_and_classes_and_regions_by_its_description(tmp_path: Path) -> None:
    seen = look(write_nnunet(tmp_path, cases=3, channels=2, shape=SHAPE))

    assert of(seen) == ("nnU-Net raw data", 3, 3, 1)
    assert seen.rest == {"read for what it says of the data": ("dataset.json",)}
    assert seen.fields["channels"] == ["flair", "t1"]
    assert seen.fields["label_values"] == {0: "background", 1: "oedema", 2: "core_solid", 3: "enhancing"}
    assert seen.labels is not None
    assert seen.labels.names.regions == {"whole": ("oedema", "core_solid", "enhancing")}
    assert seen.labels.names.open == ()


def test_values_that_nnunet_ignores_are_no_class(tmp_path: Path) -> None:
    home = write_nnunet(tmp_path, cases=3, shape=SHAPE)
    said = json.loads((home / "dataset.json").read_text())
    taken = max(value for value in said["labels"].values() if isinstance(value, int)) + 1
    said["labels"]["ignore"] = taken
    (home / "dataset.json").write_text(json.dumps(said))
    for path in (home / "labelsTr").iterdir():
        image = nibabel.load(path)
        stored = np.asarray(image.dataobj).copy()
        stored[:2] = taken
        nibabel.save(nibabel.Nifti1Image(stored, image.affine), path)
    fields = look(home).fields

    assert fields["ignore"] == [taken]
    assert taken not in fields["label_values"]
    assert "ignore" not in fields["classes"]


def test_the_first_edition_of_nnunet_and_a_folder_above_are_read_too(tmp_path: Path) -> None:
    home = write_nnunet(tmp_path / "Dataset007_X", cases=3, shape=SHAPE)
    said = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "a", "2": "b", "3": "c"}}
    (home / "dataset.json").write_text(json.dumps(said))

    seen = look(tmp_path)

    assert of(seen) == ("nnU-Net raw data", 3, 3, 1)
    assert seen.fields["channels"] == ["ct"]
    assert seen.fields["classes"] == ["background", "a", "b", "c"]


@pytest.mark.parametrize("said", ["[[[", '{"labels": {"a": "b"}, "channel_names": 5}', "7", '{"labels": 1}'])
def test_a_description_that_says_nothing_leaves_neutral_names(tmp_path: Path, said: str) -> None:
    (write_nnunet(tmp_path, cases=3, shape=SHAPE) / "dataset.json").write_text(said)

    seen = look(tmp_path)

    assert seen.fields["channels"] == ["channel_0000"]
    assert seen.fields["classes"] == ["background", "label_1", "label_2", "label_3"]
    assert seen.labels is not None
    assert seen.labels.names.open == (1, 2, 3)


def test_several_data_sets_in_one_folder_are_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("Dataset001_A", "Dataset002_B"):
        write_nnunet(tmp_path / name, cases=1, shape=SHAPE)

    with pytest.raises(DataError, match=r"Dataset001_A/, Dataset002_B/. Name the folder of one of them"):
        look(tmp_path)


def test_the_decathlon_has_its_channels_in_one_file(tmp_path: Path) -> None:
    write_decathlon(tmp_path, cases=3, shape=SHAPE)
    write_volume(tmp_path / "imagesTs" / "case_900.nii.gz", np.ones((*SHAPE, 4), np.int16), np.eye(4))

    seen = look(tmp_path)

    assert of(seen) == ("Medical Segmentation Decathlon", 3, 3, 2)
    assert seen.rest["images of a test part without label maps: not trained on"] == (
        "imagesTs/case_900.nii.gz",
    )
    assert seen.fields["volumes"] == {"channels": "stacked"}
    assert seen.fields["channels"] == ["flair", "t1", "t1ce", "t2"]
    assert seen.fields["classes"] == ["background", "edema", "non_enhancing_tumor", "enhancing_tumour"]
    assert set(seen.seen[0].foreground) == {"flair", "t1", "t1ce", "t2"}


def test_a_decathlon_of_one_channel_is_no_stack(tmp_path: Path) -> None:
    seen = look(write_decathlon(tmp_path, cases=3, channels=1, shape=SHAPE))

    assert "volumes" not in seen.fields
    assert seen.fields["channels"] == ["flair"]


def test_brats_editions_differ_in_what_their_label_values_mean(tmp_path: Path) -> None:
    older = look(write_brats(tmp_path / "2021", cases=3, shape=SHAPE))
    for name, images, mask in patients(3, SHAPE):
        for part, data in zip(("t2f", "t1n", "t1c", "t2w", "seg"), (*images, mask), strict=True):
            case = f"BraTS-GLI-{name[-5:].replace('_', '0')}-000"
            write_volume(tmp_path / "2023" / case / f"{case}-{part}.nii.gz", data)
    newer = look(tmp_path / "2023")

    assert of(older) == ("BraTS 2017 to 2021", 3, 3, 0)
    assert older.fields["label_values"] == {0: "background", 1: "necrotic_core", 2: "oedema", 4: "enhancing"}
    assert of(newer) == ("BraTS from 2023 on", 3, 3, 0)
    assert newer.fields["label_values"] == {0: "background", 1: "necrotic_core", 2: "oedema", 3: "enhancing"}


def test_brats_values_that_had_several_meanings_are_left_to_a_person(tmp_path: Path) -> None:
    for name, images, mask in patients(3, SHAPE):
        for part, data in zip(("flair", "t1", "t1ce", "t2", "seg"), (*images, mask), strict=True):
            write_volume(tmp_path / name / f"{name}_{part}.nii.gz", data)

    seen = look(tmp_path)

    assert seen.labels is not None
    assert seen.labels.names.open == (1, 2, 3)
    assert "different meanings" in seen.labels.names.why


def test_bids_has_subjects_sessions_and_derivatives(tmp_path: Path) -> None:
    seen = look(write_bids(tmp_path, cases=3, shape=SHAPE))

    assert of(seen) == ("BIDS", 6, 3, 1)
    assert seen.fields["channels"] == ["t1w"]


def test_folders_of_cases_and_ends_of_names_tell_image_and_label_map(tmp_path: Path) -> None:
    for name, images, mask in patients(4, SHAPE):
        write_volume(tmp_path / "folders" / f"Müller {name}" / "t1.nii.gz", images[1])
        write_volume(tmp_path / "folders" / f"Müller {name}" / "tumour mask.nii.gz", mask)
        for frame in ("01", "12"):
            write_volume(tmp_path / "ends" / name / f"{name}_frame{frame}.nii.gz", images[1])
            write_volume(tmp_path / "ends" / name / f"{name}_frame{frame}_gt.nii.gz", mask)
        write_volume(tmp_path / "ends" / name / f"{name}_4d.nii.gz", images[2])

    folders, ends = look(tmp_path / "folders"), look(tmp_path / "ends")

    assert of(folders) == ("images and label maps by name", 4, 4, 0)
    assert folders.fields["layout"] == {"images": "{case}/t1.nii*", "mask": "{case}/tumour mask.nii*"}
    assert of(ends) == ("images and label maps by name", 8, 4, 4)
    assert ends.fields["layout"]["case"] == r"case_\d+_frame\d+"
    assert ends.rest == {
        "NIfTI volumes that belong to no case": tuple(
            f"case_00{n}/case_00{n}_4d.nii.gz" for n in (1, 2, 3, 4)
        )
    }


def test_where_no_name_says_so_label_maps_are_those_with_few_whole_values(tmp_path: Path) -> None:
    for name, images, mask in patients(3, SHAPE):
        write_volume(tmp_path / "a" / f"{name}.nii.gz", images[1])
        write_volume(tmp_path / "b" / f"{name}.nii.gz", mask)

    seen = look(tmp_path)

    assert of(seen) == ("images and label maps by name", 3, 3, 0)
    assert seen.fields["layout"] == {"images": "a/{case}.nii*", "mask": "b/{case}.nii*"}
    assert seen.layout is not None
    assert "nothing is called as a label map" in seen.layout.guesses[0]


def test_a_name_that_one_case_alone_has_is_in_no_pattern(tmp_path: Path) -> None:
    for name, images, mask in patients(3, SHAPE):
        write_volume(tmp_path / "images" / "Ada Lovelace" / f"{name}.nii.gz", images[1])
        write_volume(tmp_path / "labels" / "Ada Lovelace" / f"{name}.nii.gz", mask)

    seen = look(tmp_path)

    assert of(seen)[1:] == (3, 3, 0)
    assert "Lovelace" not in str(seen.fields)


def test_names_of_patients_are_in_no_pattern(tmp_path: Path) -> None:
    for person in ("Lovelace", "Byron", "Babbage"):
        for name, images, mask in patients(3, SHAPE):
            write_volume(tmp_path / "several" / f"{person}_{name[-1]}.nii.gz", images[1])
            write_volume(tmp_path / "several" / f"{person}_{name[-1]}_seg.nii.gz", mask)
    made = list(patients(2, SHAPE))
    for name, images, _ in made:
        write_volume(tmp_path / "one" / f"{name}.nii.gz", images[1])
    write_volume(tmp_path / "one" / "case_001_Lovelace_seg.nii.gz", made[0][2])

    several, one = look(tmp_path / "several"), look(tmp_path / "one")

    assert of(several)[1:] == (9, 3, 0)
    assert several.fields["layout"]["case"] == r"[^\W\d_]+_\d+"
    assert one.layout is None


def test_pairs_of_pictures_lie_below_folders_of_roles(tmp_path: Path) -> None:
    seen = look(write_pairs(tmp_path, cases=3, roles=("Train", "Test")))

    assert of(seen) == ("images and label maps by name", 6, 6, 0)
    assert seen.fields["layout"] == {
        "images": "{within}Images/{case}.png",
        "mask": "{within}Segmentation/{case}.png",
    }
    assert {case.extra["role"] for case in seen.listing.cases} == {"Train", "Test"}  # type: ignore[union-attr]
    assert seen.fields["label_values"] == {0: "background", 255: "foreground"}


def test_folders_of_patients_hold_slices_in_colour(tmp_path: Path) -> None:
    seen = look(write_lgg(tmp_path, patients=3))

    assert of(seen) == ("images and label maps by name", 12, 3, 0)
    assert seen.fields["pictures"] == {"channels": "rgb"}


def test_a_mask_of_each_object_lies_in_a_folder_beside(tmp_path: Path) -> None:
    seen = look(write_nuclei(tmp_path, cases=4, stained=2))

    assert of(seen) == ("a folder a picture, with a mask of each object", 4, 4, 0)
    assert seen.fields["instances"] == "foreground"


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_leads_to_pictures_masks_patients_and_roles(tmp_path: Path, separator: str) -> None:
    lines = [("Picture", "Ground truth", "Patient ID", "Split", "remark")]
    for number in range(6):
        grey, instances = shapes((40, 48), number)
        write_picture(tmp_path / "x" / f"{number} a.png", grey)
        write_picture(tmp_path / "y" / f"{number} b.png", instances)
        role = "train" if number < 4 else "test"
        lines.append(
            (f"x/{number} a.png", f"y\\{number} b.png".replace("\\", "/"), f"p{number // 2}", role, "-")
        )
    (tmp_path / "all.csv").write_text("\n".join(separator.join(line) for line in lines) + "\n")

    seen = look(tmp_path)

    assert of(seen) == ("a table of paths", 6, 3, 1)
    assert seen.fields["layout"] == {
        "csv": "all.csv",
        "image": "Picture",
        "mask": "Ground truth",
        "group": "Patient ID",
        "extra": ["Split"],
    }


@pytest.mark.parametrize("odd", ["", "tset", "holdout"])
def test_a_column_of_roles_is_kept_where_it_is_empty_or_misspelt_for_some(tmp_path: Path, odd: str) -> None:
    lines = ["picture,class,role,remark"]
    for number in range(8):
        write_picture(tmp_path / f"{number}.png", shapes((40, 48), number)[0])
        role = ("train", "val", "test", odd)[number % 4]
        lines.append(f"{number}.png,{'ab'[number % 2]},{role},{'test' if number == 5 else number}")
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n")

    assert look(tmp_path).fields["layout"]["extra"] == ["role"]


def test_a_table_that_cannot_be_read_is_said_where_nothing_else_tells_the_layout(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", shapes((40, 48), 1)[0])
    (tmp_path / "all.csv").write_text('picture,class\n1.png,"a\n')

    with pytest.raises(DataError, match="no layout was recognised") as refused:
        _ = look(tmp_path).fields

    (fault,) = refused.value.faults
    assert "in the row that begins in line 2" in fault.found


def classes(folder: Path, *names: str, each: int = 3) -> Path:
    for name in names:
        for number in range(each):
            write_picture(folder / name / f"{number}.png", shapes((40, 48), number)[0])
    return folder


def test_pictures_in_folders_are_classes(tmp_path: Path) -> None:
    seen = look(classes(tmp_path, "Train/yes", "Train/no", "Test/yes", "Test/no"))

    assert of(seen)[:2] == ("a folder a class", 12)
    assert seen.classes == ("no", "yes")
    assert seen.fields["image_labels"] == "one"


def test_dicom_pictures_of_several_series_in_folders_are_classes_and_folders_of_one_series_are_not(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        for number in range(6):
            pixels = np.full((16, 16), 10 * number, np.uint16)
            for home, series in (("classes", f"1.2.{number // 2}"), ("series", f"1.2.{ord(name)}")):
                path = tmp_path / home / name / f"IM{number}"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_dicom(path, pixels, SeriesInstanceUID=series)

    classes_, series_ = look(tmp_path / "classes").layout, look(tmp_path / "series").layout

    assert classes_ is not None
    assert classes_.name == "a folder a class"
    assert series_ is not None
    assert "neither slices of volumes" in series_.cannot


def test_a_folder_without_classes_beside_those_with_is_said(tmp_path: Path) -> None:
    classes(tmp_path, "labelled/yes", "labelled/no", "unlabelled")

    with pytest.raises(DataError, match="within this one: labelled"):
        look(tmp_path)


def test_folders_that_are_patients_are_no_classes(tmp_path: Path) -> None:
    seen = look(classes(tmp_path, *(f"P{number}" for number in range(12)), each=1))

    assert seen.layout is None
    with pytest.raises(DataError, match="no layout was recognised"):
        _ = seen.fields


def shaded(path: Path, **save: Any) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).resize((48, 48), Image.Resampling.BILINEAR).resize(
        (64, 64), Image.Resampling.BICUBIC
    ).save(path, **save)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_masks_that_hold_shades_are_cut_and_that_is_said(tmp_path: Path, ending: str) -> None:
    for number in range(3):
        write_picture(tmp_path / "img" / f"{number}.png", shapes((64, 64), number)[0])
        shaded(tmp_path / "mask" / f"{number}.{ending}")

    seen = look(tmp_path)

    assert seen.fields["pictures"] == {"channels": "grey", "mask_above": 127}
    assert seen.fields["label_values"] == {0: "background", 1: "foreground"}


def test_classes_that_are_stored_as_shades_stay_classes(tmp_path: Path) -> None:
    for number in range(3):
        mask = np.repeat(np.array([[0, 64, 128, 255]], np.uint8), 32, axis=0).repeat(8, axis=1)
        write_picture(tmp_path / "img" / f"{number}.png", shapes((32, 32), number)[0])
        write_picture(tmp_path / "mask" / f"{number}.png", mask)

    assert list(look(tmp_path).fields["label_values"]) == [0, 64, 128, 255]


@pytest.mark.parametrize("name", ["scan.mnc", "a/scan.heic"])
def test_what_is_not_read_yet_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"0000ftypheic")

    seen = look(tmp_path)

    assert seen.layout is not None
    assert seen.layout.name == "images"
    with pytest.raises(DataError, match="not read yet"):
        _ = seen.fields
