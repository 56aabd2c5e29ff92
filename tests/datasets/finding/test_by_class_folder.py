from __future__ import annotations

import gzip
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medseg.class_names import BETWEEN, key_name
from medseg.datasets.case import safe_name
from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import Listing, found_classes, scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, ManifestError
from medseg.testing.dicoms import write_dicom
from medseg.testing.empty import empty_files as made
from medseg.testing.labelled import disc, write_class_folders

MANIFESTS = Path(__file__).parents[3] / "data_manifests"
NO_PATIENT = "cannot be excluded"
SURNAME = "Zwackelmann"


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "d"


def shipped(name: str) -> Manifest:
    return Manifest.from_yaml(MANIFESTS / f"{name}.yaml")


def folders(**changes: object) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation"], "x"),
            "obtain": "Ask at the desk.",
            "channels": ["grey"],
            "pictures": {"channels": "grey"},
            "image_labels": "one",
            "layout": {"class_folders": True},
            "ids": "pseudonyms",
            **changes,
        }
    )


def told(listing: Listing) -> list[tuple[str, tuple[str, ...] | None, str]]:
    return [(case.id, case.labels, case.extra["role"]) for case in listing.cases]


def complaints(listing: Listing) -> str:
    return "\n".join(fault.text() for fault in listing.faults)


def test_a_picture_has_the_class_of_its_folder_and_no_mask(root: Path) -> None:
    listing = scan(folders(), write_class_folders(root, ("cat", "dog"), 1))
    assert listing.faults == ()
    assert told(listing) == [("cat_0001", ("cat",), ""), ("dog_0001", ("dog",), "")]
    assert all(case.mask is None and not case.has_truth for case in listing.cases)
    assert [path for case in listing.cases for path in case.files.values()] == [
        root / "cat" / "0001.png",
        root / "dog" / "0001.png",
    ]


@pytest.mark.parametrize("roles", [("Train", "Val", "Test"), ("TRAIN", "test"), ("training", "Validation")])
def test_folders_of_roles_may_be_there_or_not(root: Path, roles: tuple[str, ...]) -> None:
    listing = scan(folders(), write_class_folders(root, ("a", "b"), 2, roles))
    assert listing.faults == ()
    assert {case.extra["role"] for case in listing.cases} == set(roles)
    assert len({case.id for case in listing.cases}) == len(listing.cases) == 4 * len(roles)
    part = scan(folders(), root / roles[0])
    assert [role for _, _, role in told(part)] == [""] * 4


def test_pictures_may_lie_deeper_and_what_is_no_picture_is_left_out(root: Path) -> None:
    made(root, "a/p1/x/1.png", "a/2.JPG", "a/notes.txt", "a/._1.png", "a/@eaDir/2.jpg", "__MACOSX/a/3.png")
    made(root, "b/1.tif", "README.md", "key.csv", ".git/config")
    listing = scan(folders(), root)
    assert listing.faults == ()
    assert told(listing) == [("a_2", ("a",), ""), ("a_p1_x_1", ("a",), ""), ("b_1", ("b",), "")]


def test_the_ending_is_part_of_the_id_only_where_it_alone_tells_files_apart(root: Path) -> None:
    made(root, "a/1.png", "a/1.jpg", "a/2.png", "b/1.png")
    assert [case.id for case in scan(folders(), root).cases] == ["a_1.jpg", "a_1.png", "a_2", "b_1"]
    flat = [case.id for case in scan(folders(), root / "a", truth=False).cases]
    assert flat == ["1.jpg", "1.png", "2"]


def test_dicom_files_without_an_ending_are_pictures_by_their_content(root: Path) -> None:
    write_class_folders(root, ("a", "b"), 2, suffix="", write=write_dicom)
    write_dicom(root / "a" / "1.2.840.5", disc([0], 2))
    write_dicom(root / "a" / "DICOMDIR", disc([0], 2))
    for name in ("a/NOTES", "b/list"):
        (root / name).write_text("no picture")
    listing = scan(folders(), root)
    assert [case.id for case in listing.cases] == ["a_0001", "a_0002", "a_1.2.840.5", "b_0001", "b_0002"]
    assert listing.faults == ()
    assert len(scan(folders(), root / "a" / "0001", truth=False).cases) == 1
    (root / "a" / "0001").write_bytes(b"")  # one that was not copied is not passed over
    assert scan(folders(), root).cases[0].id == "a_0001"


@pytest.mark.parametrize("name", ["0001", "1.2.840.5", "0001.gz"])
@pytest.mark.parametrize(
    "content",
    [b"", bytes(300), gzip.compress(b"DICM" * 99, mtime=0), None],
    ids=["empty", "zeros", "gzip", "pipe"],
)
def test_what_lies_among_dicom_files_without_endings_and_cannot_be_read_is_not_passed_over(
    root: Path, name: str, content: bytes | None
) -> None:
    write_class_folders(root, ("a", "b"), 2, suffix="", write=write_dicom)
    (root / "a" / "0001").unlink()
    spoilt = root / "a" / name
    os.mkfifo(spoilt) if content is None else spoilt.write_bytes(content)
    assert spoilt in [case.images["grey"] for case in scan(folders(), root).cases]
    with pytest.raises((DataError, OSError)):
        folders().files().read(spoilt, ["grey"])


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8).filter(
    lambda name: (
        name == unicodedata.normalize("NFC", name.strip())
        and not set(name) & set('/\\\0<>:"|?*')
        and not name.startswith((".", "=", "+", "-", "@"))
        and BETWEEN not in name
        and len(name.encode()) < 200
    )
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.sets(names, min_size=2, max_size=5), st.sampled_from(["NFC", "NFD"]))
def test_classes_have_one_order_whatever_their_names(
    tmp_path_factory: pytest.TempPathFactory, classes: set[str], form: str
) -> None:
    roles = {"train", "training", "val", "valid", "validation", "test", "testing"}
    spelt = {unicodedata.normalize(form, name) for name in classes}
    root = made(tmp_path_factory.mktemp("order"), *(f"{name}/1.png" for name in spelt))
    if {name.lower() for name in classes} & roles:
        return
    if len({key_name(name) for name in classes}) < len(classes):
        with pytest.raises(DataError, match="cannot be distinguished in the names of scores"):
            found_classes(folders(), root)
        return
    found = found_classes(folders(), root)
    assert found == tuple(sorted(classes))
    resolved = folders().with_classes(found)
    assert resolved.classes == resolved.label_rule().classes == found
    assert {case.labels for case in scan(resolved, root).cases} == {(name,) for name in classes}
    assert scan(resolved, root).faults == scan(folders(), root).faults == ()


def test_the_order_of_odd_names_is_that_of_their_code_points(root: Path) -> None:
    write_class_folders(root, ("é", "b", "10_x", "A", "2_y"), 1)
    assert found_classes(folders(), root) == ("10_x", "2_y", "A", "b", "é")
    assert found_classes(folders(classes=["b", "A", "é", "2_y", "10_x"]), root)[0] == "b"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "Train/", "Val/", "Test/"]),
            st.sampled_from("abc"),
            st.sampled_from(["", "x/", "y z/x/"]),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    st.booleans(),
)
def test_every_picture_has_its_own_id_and_its_own_class(
    tmp_path_factory: pytest.TempPathFactory,
    places: list[tuple[str, str, str, int]],
    by_role: bool,
) -> None:
    expected = {}
    for role, name, below, number in places:
        folder = (role or "Train/") if by_role else ""
        expected[f"{folder}{name}/{below}{number}.png"] = name
    root = made(tmp_path_factory.mktemp("every"), *expected)
    listing = scan(folders(), root)
    found = {}
    for case in (*listing.cases, *listing.incomplete):
        relative = case.images["grey"].relative_to(root).as_posix()
        assert case.id == safe_name(relative.removesuffix(".png"))
        found[relative] = case.labels
    assert found == {relative: (name,) for relative, name in expected.items()}
    learnt = {name for relative, name in expected.items() if relative.startswith("Train/")} or set(
        expected.values()
    )
    assert {case.labels for case in listing.cases} == {(name,) for name in learnt}
    assert (listing.faults == ()) == (len(learnt) > 1 and learnt == set(expected.values()))


def test_one_class_is_refused(root: Path) -> None:
    made(root, "chest_xray/a.png", "chest_xray/b.png")
    assert "there is one class only, 'chest_xray': there is nothing to distinguish" in complaints(
        scan(folders(), root)
    )
    with pytest.raises(DataError, match="one class only, 'chest_xray'") as refused:
        found_classes(folders(), root)
    assert len(refused.value.faults) == 1
    assert "Name the folder that holds the folders of the classes" in str(refused.value)


def test_an_empty_class_folder_is_named(root: Path) -> None:
    made(root, "Train/a/1.png", "Train/b/1.png", "Test/a/2.png")
    (root / "Train" / "sick").mkdir()
    made(root, "Test/b/notes.txt")
    listing = scan(folders(), root)
    assert [fault.found for fault in listing.faults] == [
        "the class folder 'b' in 'Test' holds no picture",
        "the class folder 'sick' in 'Train' holds no picture",
    ]
    assert found_classes(folders(), root) == ("a", "b")
    assert listing.faults == scan(folders().with_classes(("a", "b")), root).faults
    assert "the role test has no picture of 'b'" in listing.notes


def test_a_class_that_training_does_not_know_is_a_fault_and_its_pictures_are_not_used(root: Path) -> None:
    made(root, "Train/a/1.png", "Train/b/1.png", "Test/a/2.png", "Test/new/1.png", "Val/new/1.png")
    listing = scan(folders(), root)
    assert [fault.found for fault in listing.faults] == [
        "the folder of 1 picture in 'Test' says 'new', a class that training does not know",
        "the folder of 1 picture in 'Val' says 'new', a class that training does not know",
    ]
    assert [case.id for case in listing.cases] == ["Test_a_2", "Train_a_1", "Train_b_1"]
    assert found_classes(folders(), root) == ("a", "b")


def test_classes_that_are_given_must_be_those_of_the_folders(root: Path) -> None:
    made(root, "yes/1.png", "maybe/1.png")
    listing = scan(folders(classes=["no", "yes"]), root)
    assert [fault.found for fault in listing.faults] == [
        "no picture is of the class 'no'",
        "the folder of 1 picture says 'maybe', which is none of the classes ['no', 'yes']",
    ]
    assert told(listing) == [("yes_1", ("yes",), "")]


def test_pictures_in_no_class_folder_are_a_fault_without_their_names(root: Path) -> None:
    made(root, "Train/a/1.png", "Train/b/1.png", "Train/Meier.png", "Anna.png", "other/Udo.png", "docs/x.txt")
    listing = scan(folders(), root)
    text = complaints(listing)
    assert "1 picture lies directly in the data set's folder, in no folder of a class" in text
    assert "1 picture lies directly in the folder 'Train'" in text
    assert "'other' with pictures lies beside" in text
    assert len(listing.faults) == 3
    assert not any(word in text for word in ("Meier", "Anna", "Udo", str(root)))
    assert len(listing.cases) == 2


def test_roles_below_classes_are_refused(root: Path) -> None:
    made(root, "a/Train/1.png", "a/Test/2.png", "b/Train/1.png")
    assert "folders of roles lie within 'a', 'b'" in complaints(scan(folders(), root))


def test_pictures_without_any_class_folder_are_refused(root: Path) -> None:
    made(root, "1.png", "2.png")
    text = complaints(scan(folders(), root))
    assert "2 pictures lie directly in the data set's folder" in text
    assert "no folder tells a class" in text
    assert "only its folder names its class" in complaints(scan(folders(), root / "1.png"))
    with pytest.raises(DataError, match="no folder tells a class"):
        found_classes(folders(), root)


def test_nothing_found_counts_the_files_that_were_seen(root: Path) -> None:
    made(root, "a/notes.txt", "b/scan.nii.gz", "c.csv")
    (fault,) = scan(folders(), root).faults
    assert "3 files were seen, none of them a picture (.png, " in fault.found
    assert "Ask at the desk." in fault.remedy
    with pytest.raises(DataError, match="3 files were seen"):
        found_classes(folders(), root)
    with pytest.raises(DataError, match="the folder is not there"):
        found_classes(folders(), root / "gone")


def test_names_with_spaces_around_them_or_of_one_key_are_refused(root: Path) -> None:
    made(root, "a /1.png", "a/1.png", "b/1.png")
    assert "the folders 'a', 'a ' all name the class 'a'" in complaints(scan(folders(), root))
    shutil.rmtree(root)
    made(root, "x+/1.png", "x*/1.png")
    with pytest.raises(DataError, match="cannot be distinguished in the names of scores, where each is 'x_'"):
        found_classes(folders(), root)


@pytest.mark.parametrize("within", ["", "a/", "Test/b/"])
def test_for_prediction_pictures_lie_anywhere_and_have_no_class(root: Path, within: str) -> None:
    for name in ("1.png", "deeper/2.png", "x.txt"):
        made(root, f"{within}{name}")
    listing = scan(folders(), root, truth=False)
    flat = within.replace("/", "_")
    assert told(listing) == [(f"{flat}1", None, ""), (f"{flat}deeper_2", None, "")]
    assert listing.faults == ()
    assert listing.notes == (f"1 file is left out, since it is no picture: {within}x.txt",)
    assert listing.left == (f"{within}x.txt",)
    alone = scan(folders(), root / within / "1.png", truth=False)
    assert told(alone) == [("1", None, "")]


def test_that_no_picture_tells_its_patient_is_noted(root: Path) -> None:
    write_class_folders(root, cases=2)
    (note,) = scan(folders(), root).notes
    assert note.startswith(
        "no picture tells of which patient it is: each such picture counts as a patient of its own"
    )
    assert NO_PATIENT in note
    assert len({case.group for case in scan(folders(), root).cases}) == 4


def test_the_first_that_tells_the_patient_counts(root: Path) -> None:
    made(root, "a/p17_1.png", "b/p17_2.png", "a/p4_1.png", "a/x.png", "b/y.png")
    for name, patient in (("a/IM1", "p4"), ("b/p99_1.dcm", "p17"), ("b/p5_1.dcm", ""), ("b/IM2", None)):
        write_dicom(root / name, disc([0], 2), PatientID=patient)
    manifest = folders(group={"tag": "PatientID", "pattern": r"/(p\d+)_"})
    listing = scan(manifest, root)
    groups = {case.id: case.group for case in listing.cases}
    by_name = {"a_p17_1": "p17", "b_p17_2": "p17", "a_p4_1": "p4", "b_p5_1": "p5"}
    by_attribute = {"a_IM1": "p4", "b_p99_1": "p17"}  # which comes before the name
    by_nothing = {"a_x": "a/x", "b_y": "b/y", "b_IM2": "b/IM2"}
    assert groups == by_name | by_attribute | by_nothing
    assert listing.notes[0] == (
        "the patient of 6 of 9 pictures is known: 2 by the DICOM attribute PatientID, 4 by the name"
    )
    assert listing.notes[1].startswith("if these do not spell a patient alike")
    assert listing.notes[2].startswith("3 of 9 pictures do not tell of which patient it is")
    hidden = scan(manifest.model_copy(update={"ids": "identifying"}), root)
    assert all(case.group.startswith("patient-") for case in hidden.cases)
    assert len({case.group for case in hidden.cases}) == 6
    assert not any(word in note for note in hidden.notes for word in ("p17", "p4", str(root)))


def test_a_column_tells_the_patient_last(root: Path) -> None:
    made(root, "a/p1_x.png", "a/site3.png", "b/y.png")
    manifest = folders(columns={"site": r"(site\d)"}, group={"pattern": r"/(p\d+)_", "column": "site"})
    listing = scan(manifest, root)
    assert [case.group for case in listing.cases] == ["p1", "site3", "b/y"]
    assert listing.notes[0].endswith("2 of 3 pictures is known: 1 by the name, 1 by site")


def test_an_attribute_that_dicom_does_not_know_is_refused(root: Path) -> None:
    write_class_folders(root, cases=1, suffix=".dcm", write=write_dicom)
    with pytest.raises(ManifestError, match="`PatientId` is no attribute of DICOM"):
        scan(folders(group={"tag": "PatientId"}), root)


def test_pictures_that_are_all_of_one_patient_are_noted(root: Path) -> None:
    write_class_folders(root, cases=2, write=lambda p, a: write_dicom(p, a, PatientID="anon"), suffix=".dcm")
    assert any(
        "all 4 cases are of one and the same patient" in note
        for note in scan(shipped("image_folders"), root).notes
    )


def test_the_shipped_manifest_of_folders_hides_names_and_shows_classes(root: Path) -> None:
    made(root, "ill/Meier Anna.png", "well/Udo.png")
    listing = scan(shipped("image_folders"), root)
    assert all(case.id.startswith("case-") and case.group.startswith("patient-") for case in listing.cases)
    assert {case.labels for case in listing.cases} == {("ill",), ("well",)}
    assert found_classes(shipped("image_folders"), root) == ("ill", "well")


def test_a_camera_s_raw_file_is_not_learned_from_by_its_preview(root: Path) -> None:
    made(root, "a/1.png", "b/1.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "a" / "2.dng", "TIFF")
    (fault,) = scan(folders(), root).faults
    assert "1 image is of a kind that is not read: 1 .dng" in fault.found


@pytest.mark.parametrize("counts", [(100, 50, 20, 10, 5, 5, 2, 2, 1, 1, 1), (6, 5, 5, 5, 5, 5, 5, 5, 5, 5)])
def test_rare_classes_beside_common_ones_are_classes(root: Path, counts: tuple[int, ...]) -> None:
    made(
        root,
        *(f"finding{place:02}/{each}.png" for place, count in enumerate(counts) for each in range(count)),
    )
    assert scan(folders(), root).faults == ()


def people(count: int, pictures: int, *above: str) -> list[str]:
    """Names of pictures that are sorted by patient."""
    return [
        f"{place}{SURNAME}{number:02}_Hans/{each}.png"
        for place in above or ("",)
        for number in range(count)
        for each in range(pictures)
    ]


@pytest.mark.parametrize("ids", ["identifying", "pseudonyms"])
@pytest.mark.parametrize(("count", "pictures"), [(30, 3), (20, 1), (10, 2), (100, 9)])
@pytest.mark.parametrize("above", [(), ("Train/", "Test/")])
def test_folders_of_patients_are_no_classes_and_are_not_shown(
    root: Path, count: int, pictures: int, above: tuple[str, ...], ids: str
) -> None:
    made(root, *people(count, pictures, *above))
    total = count * pictures * max(1, len(above))
    listing = scan(folders(ids=ids), root)
    (fault,) = listing.faults
    assert fault.found.startswith(
        f"the folders tell {count} classes of {total} pictures: these look like patient names"
    )
    assert "<class>/<patient>/" in fault.remedy
    assert "'classes' of the manifest" in fault.remedy
    assert listing.cases == ()
    assert len(listing.incomplete) == total
    with pytest.raises(DataError, match="these look like patient names") as refused:
        found_classes(folders(ids=ids), root)
    assert (SURNAME in str(refused.value) + complaints(listing)) == (ids == "pseudonyms")
    assert not any(SURNAME in note for note in listing.notes)


@pytest.mark.parametrize(
    "spoil",
    [
        people(25, 3, "Train/") + people(30, 3, "Test/"),  # 5 that training does not know
        people(2, 3, "Train/") + people(30, 3, "Test/"),
        [*people(30, 3, "Train/"), "Test/other/1.png"],
        [*people(30, 3), *(f"{SURNAME}{number:02}_Udo/x.txt" for number in range(30))],  # empty ones
        [*people(2, 3), *(f"{SURNAME}{number:02}_Udo/x.txt" for number in range(30))],
        [*people(30, 3), f"{SURNAME}00_Hans /1.png"],  # spelt in two ways
        [*people(30, 3), "Train/a/1.png", "Train/b/1.png"],  # beside roles
        [f"{SURNAME}{number:02}_Hans/Train/1.png" for number in range(30)],  # roles below
    ],
)
def test_no_other_fault_names_the_patients(root: Path, spoil: list[str]) -> None:
    made(root, *spoil)
    listing = scan(shipped("image_folders"), root)
    assert listing.faults
    assert SURNAME not in complaints(listing) + " ".join(listing.notes)
    with pytest.raises(DataError) as refused:
        found_classes(shipped("image_folders"), root)
    assert SURNAME not in str(refused.value)


def test_patients_beside_classes_that_are_named_are_told_as_one_fault(root: Path) -> None:
    made(root, "no/1.png", "yes/1.png", *people(30, 3))
    named = folders(classes=["no", "yes"], ids="identifying")
    (fault,) = scan(named, root).faults
    assert fault.found.startswith(
        "the folders tell 30 classes besides ['no', 'yes'] of 90 pictures: these look like patient names"
    )
    assert len(scan(named, root).cases) == 2
    made(root, f"{SURNAME}_Udo/notes.txt")
    (fault,) = scan(named, root).faults
    assert "31 classes besides" in fault.found


@pytest.mark.parametrize(
    ("count", "pictures"), [(6, 2), (5, 1), (8, 1), (9, 5), (12, 6), (25, 13), (100, 50), (100, 20)]
)
def test_a_few_small_classes_and_many_large_ones_are_classes(root: Path, count: int, pictures: int) -> None:
    made(root, *people(count, pictures))
    listing = scan(folders(ids="identifying"), root)
    assert listing.faults == ()
    assert len(listing.cases) == count * pictures
    assert len(found_classes(folders(), root)) == count


def test_classes_that_the_manifest_names_are_classes_whatever_their_number(root: Path) -> None:
    made(root, *people(30, 1))
    named = folders(classes=sorted({name.split("/")[0] for name in people(30, 1)}))
    assert scan(named, root).faults == ()


def test_a_name_that_reads_as_two_classes_is_refused(root: Path) -> None:
    made(root, "a; b/1.png", "a/1.png", "b;c/1.png")
    (fault,) = scan(folders(), root).faults
    assert (
        "['a; b'] cannot be the name of a class: '; ' stands between the classes of one image" in fault.found
    )
    assert fault.remedy == "Rename the folders."
    with pytest.raises(ManifestError, match=r"'classes': .*'; ' stands between"):
        Manifest.from_json(folders().model_dump(mode="json") | {"classes": ["a", "a; b"]})


def image(path: Path, kind: str) -> Path:
    """One of its own, by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(disc([0], 2, seed=tuple(path.name.encode()))).save(path, format=kind)
    return path


def test_pictures_are_known_by_their_content_whatever_their_ending(root: Path) -> None:
    for name, kind in {
        "a/1.webp": "PNG",
        "a/2": "PNG",
        "a/3.JFIF": "JPEG",
        "b/1.dat": "TIFF",
        "b/2.x": "BMP",
        "b/4.jpe": "JPEG",
    }.items():
        image(root / name, kind)
    with (root / "b" / "3.array").open("wb") as file:
        np.save(file, disc([0], 2, seed=(4,)))
    (root / "a" / "BM.csv").write_text("BMI,age\n20,30\n" * 9)
    (root / "a" / "BM.bin").write_bytes(b"BM" + bytes(range(200)))
    listing = scan(folders(), root)
    assert listing.faults == ()
    assert [case.id for case in listing.cases] == [
        *("a_1.webp", "a_2", "a_3", "b_1.dat", "b_2.x", "b_3.array", "b_4")
    ]
    report = check(listing, folders(), ["grey"])
    assert report.faults == ()
    assert {
        "note": "it is PNG inside though named .webp",
        "cases": 1,
        "ids": ["a_1.webp"],
    } in report.note_rows()
    assert not any("named .JFIF" in row["note"] for row in report.note_rows())


@pytest.mark.parametrize("truth", [True, False])
def test_images_that_are_not_read_are_a_fault_with_their_endings(root: Path, truth: bool) -> None:
    write_class_folders(root, ("a", "b"), 2)
    image(root / "a" / f"{SURNAME}.webp", "WEBP")
    image(root / "a" / "odd.dat", "WEBP")
    image(root / "b" / "1.GIF", "GIF")
    image(root / "b" / "bare", "GIF")
    made(root, "a/2.heic", "a/x.svg", "b/x.nii.gz", "b/2.gif")
    for name in (
        "x.txt",
        "x.csv",
        "x.pdf",
        "Thumbs.db",
        ".DS_Store",
        "._x.webp",
        "x.json",
        "x.zip",
        "x.xlsx",
    ):
        made(root, f"a/{name}")
    (root / "a" / "report.pdf").write_bytes(b"%PDF-1.4 " + bytes(400))
    listing = scan(folders(ids="identifying"), root, truth=truth)
    (fault,) = listing.faults
    assert fault.found == (
        "8 images are of kinds that are not read: 2 .gif, 2 of other endings, 1 .heic, 1 .nii.gz, "
        "1 .svg, 1 .webp"
    )
    assert fault.remedy == "Save each as PNG, TIFF, JPEG or DICOM, or move it out of the data set."
    assert fault.path == root
    assert len(listing.cases) == 4


def test_one_image_of_an_unusual_ending_may_be_given_for_prediction(root: Path) -> None:
    listing = scan(folders(), image(root / "one.dat", "PNG"), truth=False)
    assert [case.id for case in listing.cases] == ["one.dat"]
    (fault,) = scan(folders(), image(root / "one.webp", "WEBP"), truth=False).faults
    assert "1 image is of a kind that is not read: 1 .webp" in fault.found


@pytest.mark.real_data
def test_real_kinds_of_images_have_names_that_recur_in_each_folder(real_data: Callable[[str], Path]) -> None:
    root = real_data("mednist")
    listing = scan(shipped("mednist"), root)
    assert listing.faults == ()
    assert len({case.id for case in listing.cases}) == len(listing.cases) == 2400
    assert found_classes(shipped("image_folders"), root) == shipped("mednist").classes
    assert any(NO_PATIENT in note for note in listing.notes)


@pytest.mark.real_data
def test_of_real_tumours_the_labelled_pictures_alone_are_learned_from(
    real_data: Callable[[str], Path],
) -> None:
    root = real_data("brain_tumor")
    listing = scan(shipped("brain_tumor"), root / "labelled")
    assert listing.faults == ()
    assert sorted(case.labels for case in listing.cases if case.labels) == [("no",)] * 50 + [("yes",)] * 50
    assert all((case.extra["tumour"],) == case.labels for case in listing.cases)
    above = scan(shipped("brain_tumor"), root)
    assert above.cases == ()
    assert "says 'unlabelled', which is none of the classes ['no', 'yes']" in complaints(above)
    assert len(scan(shipped("brain_tumor"), root / "unlabelled", truth=False).cases) == 461


@pytest.mark.parametrize("named", [True, False])
def test_every_file_is_accounted_for(root: Path, named: bool) -> None:
    made(
        root,
        "a/1.png",
        "a/2.png",
        "b/1.png",
        "3.png",
        "c.zip",
        "b/z.npz",
        "a/notes.txt",
        ".x/q.png",
        "a/.y.png",
    )
    listing = scan(folders(ids="pseudonyms" if named else "identifying"), root)
    assert {use: count for use, count in listing.files.items() if count} == {
        "in folders of classes": 3,
        "in no folder of a class": 1,
        "that are no pictures": 3,
        "hidden or left by programs": 2,
    }
    names, archive = (": a/notes.txt, b/z.npz", " (c.zip)") if named else ("", "")
    assert f"2 files are left out, since they are no pictures{names}" in listing.notes
    assert any(note.endswith(f"unpack it, or move it out{archive}") for note in listing.notes)
