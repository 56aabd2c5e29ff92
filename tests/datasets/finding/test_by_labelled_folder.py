"""Few pictures in folders by class, and many in a folder of those without a label."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from pydantic import ValidationError

from medseg.datasets.finding.scan import Listing, found_classes, scan
from medseg.datasets.manifest.class_folders import ClassFolders, PartlyLabelledFolders
from medseg.datasets.manifest.manifest import Manifest
from medseg.testing.empty import empty_files as made

LAYOUT = {
    "class_folders": True,
    "labelled": ["labelled", "avec_labels"],
    "unlabelled": ["unlabelled", "sans_label"],
}
SHIPPED = Path(__file__).parents[3] / "data_manifests"


def folders(**changes: object) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
            "channels": ["grey"],
            "pictures": {"channels": "grey"},
            "image_labels": "one",
            "layout": LAYOUT,
            "ids": "pseudonyms",
            **changes,
        }
    )


def told(listing: Listing) -> dict[str, tuple[str, ...] | None]:
    assert all(case.unlabelled == (case.labels is None) for case in listing.cases)
    return {case.id: case.labels for case in listing.cases}


def found(listing: Listing) -> str:
    return "\n".join(fault.found for fault in listing.faults)


@pytest.mark.parametrize(
    ("labelled", "unlabelled"),
    [("labelled", "unlabelled"), ("AVEC_LABELS", "Sans_Label"), ("Labelled", "sans_label")],
)
def test_pictures_have_the_class_of_their_folder_or_no_label(
    tmp_path: Path, labelled: str, unlabelled: str
) -> None:
    made(
        tmp_path,
        f"{labelled}/yes/1.png",
        f"{labelled}/no/a/2.JPG",
        f"{unlabelled}/3.png",
        f"{unlabelled}/x/y/4.png",
    )

    listing = scan(folders(), tmp_path)

    assert listing.faults == listing.skipped == ()
    assert told(listing) == {
        f"{labelled}_yes_1": ("yes",),
        f"{labelled}_no_a_2": ("no",),
        f"{unlabelled}_3": None,
        f"{unlabelled}_x_y_4": None,
    }
    assert listing.files["with a label"] == listing.files["without a label"] == 2
    assert found_classes(folders(), tmp_path) == ("no", "yes")


def test_folders_of_roles_may_lie_below_the_labelled_one(tmp_path: Path) -> None:
    made(
        tmp_path,
        *(f"labelled/{role}/{kind}/1.png" for role in ("Train", "Test") for kind in "ab"),
        "unlabelled/1.png",
    )
    listing = scan(folders(), tmp_path)
    assert listing.faults == ()
    assert [case.extra["role"] for case in listing.cases] == ["Test", "Test", "Train", "Train", ""]


def test_accents_count_alike_however_they_are_stored(tmp_path: Path) -> None:
    layout = {**LAYOUT, "labelled": ["étiquetées"], "unlabelled": ["non_étiquetées"]}
    home, pool = (unicodedata.normalize("NFD", name) for name in ("étiquetées", "non_étiquetées"))
    made(tmp_path, f"{home}/a/1.png", f"{home}/b/1.png", f"{pool}/1.png")
    assert [case.unlabelled for case in scan(folders(layout=layout), tmp_path).cases].count(True) == 1


def test_two_names_of_one_folder_are_a_fault_that_names_them_and_the_first_counts(tmp_path: Path) -> None:
    made(
        tmp_path,
        "avec_labels/c/1.png",
        "labelled/a/1.png",
        "labelled/b/1.png",
        "unlabelled/1.png",
        "sans_label/2.png",
    )
    listing = scan(folders(), tmp_path)
    assert "folders 'avec_labels', 'labelled' are all there" in found(listing)
    assert "folders 'sans_label', 'unlabelled' are all there" in found(listing)
    assert told(listing) == {"labelled_a_1": ("a",), "labelled_b_1": ("b",), "unlabelled_1": None}
    assert "Put all into 'labelled'" in listing.faults[0].remedy


def test_pictures_in_a_third_folder_or_in_none_are_named(tmp_path: Path) -> None:
    made(
        tmp_path,
        "labelled/a/1.png",
        "labelled/b/1.png",
        "unlabelled/1.png",
        "more/x/1.png",
        "more/2.png",
        "3.png",
    )
    listing = scan(folders(), tmp_path)
    assert "the folder 'more' with 2 pictures lies beside the folders" in found(listing)
    assert "1 picture lies directly in the data set's folder" in found(listing)
    assert len(listing.cases) == 3
    hidden = found(scan(folders(ids="identifying"), tmp_path))
    assert "1 folder with 2 pictures lies beside" in hidden
    assert "more" not in hidden


def test_pictures_beside_the_classes_are_named_with_their_folder(tmp_path: Path) -> None:
    made(tmp_path, "labelled/a/1.png", "labelled/b/1.png", "labelled/3.png", "unlabelled/1.png")
    assert "1 picture lies directly in the folder 'labelled', in no folder of a class" in found(
        scan(folders(), tmp_path)
    )


def test_files_that_are_no_pictures_are_named_as_left_out(tmp_path: Path) -> None:
    made(tmp_path, "labelled/a/1.png", "labelled/b/1.png", "unlabelled/1.png", "key.csv", "README.md")
    (note,) = (each for each in scan(folders(), tmp_path).notes if "left out, since" in each)
    assert note == "2 files are left out, since they are no pictures: README.md, key.csv"
    (hidden,) = (
        each for each in scan(folders(ids="identifying"), tmp_path).notes if "left out, since" in each
    )
    assert hidden == "2 files are left out, since they are no pictures"


def test_images_of_kinds_that_are_not_read_are_passed_over_only_where_they_have_no_label(
    tmp_path: Path,
) -> None:
    made(tmp_path, "labelled/a/1.png", "labelled/b/1.png", "unlabelled/1.png")
    webp = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20)
    (tmp_path / "unlabelled" / "2.webp").write_bytes(webp)
    listing = scan(folders(), tmp_path)
    assert listing.faults == ()
    assert (
        "of those without a label, 1 image is of a kind that is not read: 1 .webp; they are left out"
        in listing.notes
    )
    (tmp_path / "labelled" / "a" / "2.webp").write_bytes(webp)
    assert found(scan(folders(), tmp_path)) == "1 image is of a kind that is not read: 1 .webp"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            ["yes/1.png", "no/1.png"],
            "no folder 'labelled' or 'avec_labels', .* those that are there: 'no', 'yes'",
        ),
        (["1.png"], "there is none at all"),
        (["labelled/a/1.png", "unlabelled/1.png"], "there is one class only, 'a'"),
        (["unlabelled/1.png"], "no folder 'labelled'"),
    ],
)
def test_what_cannot_be_learned_is_refused(tmp_path: Path, files: list[str], complaint: str) -> None:
    made(tmp_path, *files)
    listing = scan(folders(), tmp_path)
    assert any(fault.case == "" for fault in listing.faults)
    with pytest.raises(AssertionError, match=complaint):
        raise AssertionError(found(listing))


@pytest.mark.parametrize("there", [(), ("unlabelled/notes.txt",)])
def test_no_picture_without_a_label_is_a_note(tmp_path: Path, there: tuple[str, ...]) -> None:
    made(tmp_path, "labelled/a/1.png", "labelled/b/1.png", *there)
    listing = scan(folders(), tmp_path)
    assert listing.faults == ()
    assert any(note.startswith("no picture is without a label: ") for note in listing.notes)


def test_in_prediction_every_picture_is_one_wherever_it_lies(tmp_path: Path) -> None:
    made(tmp_path, "labelled/a/1.png", "unlabelled/1.png", "else/1.png", "2.png")
    listing = scan(folders(), tmp_path, truth=False)
    assert len(listing.cases) == 4
    assert listing.faults == ()
    assert not any(case.unlabelled for case in listing.cases)


def test_one_name_for_both_folders_or_one_of_them_alone_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"both name \['x'\]"):
        folders(layout={**LAYOUT, "labelled": ["X"], "unlabelled": ["x"]})
    with pytest.raises(ValidationError, match=r"unlabelled\n.*Field required"):
        folders(layout={"class_folders": True, "labelled": ["x"]})


def test_layouts_without_them_are_as_they_were() -> None:
    plain = folders(layout={"class_folders": True})
    assert type(plain.layout) is ClassFolders
    assert plain.layout.model_dump() == {"class_folders": True}
    partly = folders()
    assert type(partly.layout) is PartlyLabelledFolders
    assert Manifest.from_json(partly.model_dump(mode="json", by_alias=True)) == partly
    assert partly.fingerprint() != plain.fingerprint()


@pytest.mark.parametrize(
    ("home", "pool", "classes"),
    [("labelled", "unlabelled", ("no", "yes")), ("avec_labels", "sans_label", ("cancer", "normal"))],
)
def test_the_shipped_manifest_knows_classes_and_sources(
    tmp_path: Path, home: str, pool: str, classes: tuple[str, str]
) -> None:
    made(
        tmp_path,
        *(f"{home}/{kind}/{kind} 1.jpg" for kind in classes),
        f"{pool}/yn_no_94.JPG",
        f"{pool}/c4_01a.jpg",
    )
    made(tmp_path, f"{home}/{classes[0]}/scanner2_patient007_1.png", f"{pool}/sub/scanner1_patient008_2.png")
    manifest = Manifest.from_yaml(SHIPPED / "brain_mri_ssl.yaml")

    listing = scan(manifest.with_classes(found_classes(manifest, tmp_path)), tmp_path)

    assert listing.faults == ()
    assert found_classes(manifest, tmp_path) == classes
    source = {case.id.removeprefix(f"{pool}_"): case.extra["source"] for case in listing.cases}
    assert (source["yn_no_94"], source["c4_01a"], source["sub_scanner1_patient008_2"]) == (
        "yn",
        "c4",
        "scanner1",
    )
    assert source[f"{home}_{classes[1]}_{classes[1]} 1"] == ""
    assert {case.group for case in listing.cases} >= {"patient007", "patient008"}
