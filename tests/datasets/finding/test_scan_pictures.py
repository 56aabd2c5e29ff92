from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medseg.datasets.case import safe_name
from medseg.datasets.finding.scan import Listing, scan
from medseg.datasets.manifest.manifest import Manifest

MANIFESTS = Path(__file__).parents[3] / "data_manifests"


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))


def made(root: Path, *names: str) -> Path:
    """Empty files: a scan opens none."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def pictures(**changes: object) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation"], "x"),
            "obtain": "Ask at the desk.",
            "channels": ["grey"],
            "pictures": {"channels": "grey"},
            "classes": ["no", "yes"],
            "label_values": {0: "no"},
            "instances": "yes",
            "layout": {
                "images": "{within}Images/{case}.*",
                "mask": ["{within}Segmentation/{case}.*", "{within}SegmentationMap/{case}.*"],
            },
            "columns": {"role": r"(?:^|/)(Train|Val|Test)/"},
            "ids": "pseudonyms",
            **changes,
        }
    )


def shipped(name: str) -> Manifest:
    return Manifest.from_yaml(MANIFESTS / f"{name}.yaml")


def told(listing: Listing) -> list[tuple[str, str]]:
    return [(case.id, case.mask.name if case.mask else "") for case in listing.cases]


NUCLEI = {
    "channels": ["red", "green", "blue"],
    "pictures": {"channels": "rgb"},
    "layout": {"images": "**/{case}/images/{case}.*", "objects": "**/{case}/masks/*.png"},
    "columns": {},
}


def test_all_files_of_objects_belong_to_the_case_sorted_by_name(tmp_path: Path) -> None:
    root = made(
        tmp_path / "d", *(f"s/{'a' * 64}/masks/{n}.png" for n in "cab"), f"s/{'a' * 64}/images/{'a' * 64}.png"
    )
    for folder in (root, root / "s", root / "s" / ("a" * 64)):
        (case,) = scan(pictures(**NUCLEI), folder).cases
        assert case.id == "a" * 64
        assert [path.name for path in case.objects] == ["a.png", "b.png", "c.png"]
        assert case.mask is None
        assert case.has_truth
        assert list(case.images) == ["red", "green", "blue"]
        assert len(set(case.images.values())) == 1
        assert list(case.files)[-1] == "mask 3"


def test_a_case_without_any_object_lacks_its_mask_where_truth_is_wanted(tmp_path: Path) -> None:
    made(tmp_path, "a/images/a.png", "a/masks/1.png", "b/images/b.png", "b/masks/Thumbs.db", "c/masks/1.png")
    listing = scan(pictures(**NUCLEI), tmp_path)
    assert [case.id for case in listing.cases] == ["a"]
    assert [(f.case, f.part) for f in listing.faults] == [("b", "mask"), ("c", "image")]
    without = scan(pictures(**NUCLEI), tmp_path, truth=False)
    assert [(case.id, case.objects) for case in without.cases] == [("a", ()), ("b", ())]
    assert without.faults == ()
    red = scan(pictures(**NUCLEI), tmp_path, truth=False, only=["blue"])
    assert [list(case.images) for case in red.cases] == [["blue"], ["blue"]]


def test_files_of_another_kind_are_not_looked_at(tmp_path: Path) -> None:
    made(tmp_path, "Images/a.PNG", "Images/Thumbs.db", "Images/notes.txt", "Images/list.csv", "Images/b.nii")
    made(tmp_path, "Segmentation/a.npy", "Segmentation/notes.txt")
    listing = scan(pictures(), tmp_path)
    assert told(listing) == [("a", "a.npy")]
    assert listing.faults == ()


def test_nothing_found_counts_the_pictures_that_were_seen(tmp_path: Path) -> None:
    made(tmp_path, "photos/a.jpeg", "photos/b.png", "notes.txt", "c.nii.gz")
    (fault,) = scan(pictures(), tmp_path).faults
    assert "4 files were seen, 2 of them pictures (.png, " in fault.found
    assert ".bmp, .npy" in fault.found
    assert "Ask at the desk." in fault.remedy


@pytest.mark.parametrize("masks", ["Segmentation", "SegmentationMap"])
@pytest.mark.parametrize("above", ["", "deep/down/"])
def test_pairs_below_train_val_and_test_have_their_role_and_ids_of_their_own(
    tmp_path: Path, masks: str, above: str
) -> None:
    root = tmp_path / "d"
    for role in ("Train", "Val", "Test"):
        made(root, f"{above}{role}/Images/001.jpg", f"{above}{role}/{masks}/001.png")
    listing = scan(pictures(), root)
    assert listing.faults == ()
    flat = above.replace("/", "_")
    assert [case.id for case in listing.cases] == [f"{flat}{role}_001" for role in ("Test", "Train", "Val")]
    assert [case.extra["role"] for case in listing.cases] == ["Test", "Train", "Val"]
    assert len({case.group for case in listing.cases}) == 3
    part = scan(pictures(), root / above / "Train")
    assert [(case.id, case.extra["role"]) for case in part.cases] == [("001", "Train")]


def test_a_plain_pair_of_folders_needs_no_roles(tmp_path: Path) -> None:
    made(tmp_path / "d", "Images/1.png", "Images/2.bmp", "Segmentation/1.png", "Segmentation/2.png")
    listing = scan(pictures(), tmp_path / "d")
    assert told(listing) == [("1", "1.png"), ("2", "2.png")]
    assert [case.extra["role"] for case in listing.cases] == ["", ""]


def test_a_stem_with_two_endings_and_a_lonely_mask_are_faults(tmp_path: Path) -> None:
    made(tmp_path, "Images/1.png", "Images/1.jpg", "Segmentation/1.png", "Segmentation/2.png")
    listing = scan(pictures(), tmp_path)
    assert listing.cases == ()
    assert [(f.case, f.part) for f in listing.faults] == [("1", "grey"), ("1", "grey"), ("2", "grey")]
    assert "claim to be this part" in listing.faults[0].found


def test_ids_that_make_one_public_name_are_refused(tmp_path: Path) -> None:
    made(tmp_path, "T/Images/1.png", "Images/T_1.png", "Images/ok.png")
    listing = scan(pictures(), tmp_path, truth=False)
    assert [case.id for case in listing.cases] == ["ok"]
    assert ["one public name" in fault.found for fault in listing.faults] == [True, True]


ORDER = {"images": "{within}Images/{case}.*", "mask": "{within}Segmentation/{case}.*", "pair": "order"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(numbers=st.sets(st.integers(0, 2000), min_size=1, max_size=12), width=st.integers(1, 5))
def test_pairing_by_order_pairs_like_numbers_however_they_are_padded(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], width: int
) -> None:
    root = tmp_path_factory.mktemp("order")
    made(
        root, *(f"Images/img{n}.png" for n in numbers), *(f"Segmentation/m_{n:0{width}}.png" for n in numbers)
    )
    listing = scan(pictures(layout=ORDER), root)
    expected = [(f"img{n}.png", f"m_{n:0{width}}.png") for n in sorted(numbers)]
    assert list(listing.pairs) == expected
    assert sorted((f"{id_}.png", mask) for id_, mask in told(listing)) == sorted(expected)


def test_pairing_by_order_stays_within_a_folder_and_refuses_unequal_counts(tmp_path: Path) -> None:
    made(tmp_path, "Train/Images/a.png", "Train/Segmentation/x.png", "Val/Images/b.png", "Val/Images/c.png")
    made(tmp_path, "Val/Segmentation/y.png")
    listing = scan(pictures(layout=ORDER), tmp_path)
    assert told(listing) == [("Train_a", "x.png")]
    assert listing.pairs == (("a.png", "x.png"),)
    (fault,) = listing.faults
    assert "2 images and 1 label maps" in fault.found
    assert {case.id for case in listing.incomplete} == {"Val_b", "Val_c"}
    assert len(scan(pictures(layout=ORDER), tmp_path, truth=False).cases) == 3


def test_pairing_by_order_without_any_mask_lacks_each(tmp_path: Path) -> None:
    made(tmp_path, "Images/a.png", "Images/b.png")
    listing = scan(pictures(layout=ORDER), tmp_path)
    assert [(f.case, f.part) for f in listing.faults] == [("a", "mask"), ("b", "mask")]


TABLE = {"path": "meta.csv", "key": "filename", "matches": "{case}.png", "columns": ["doi"]}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_column_tells_the_patient_and_an_empty_value_none(tmp_path: Path, separator: str) -> None:
    made(tmp_path, *(f"Images/{n}.png" for n in "abcd"))
    rows = ["filename,doi,more", "a.png,10.1,x", "b.png,10.1,", "c.png,,y"]
    text = "\n".join(rows).replace(",", separator)
    (tmp_path / "meta.csv").write_text(text, encoding="utf-8-sig")
    manifest = pictures(group={"column": "doi"}, table=TABLE)
    listing = scan(manifest, tmp_path, truth=False)
    assert [case.group for case in listing.cases] == ["10.1", "10.1", "c", "d"]
    hidden = scan(manifest.model_copy(update={"ids": "identifying"}), tmp_path, truth=False)
    assert all(case.group.startswith("patient-") for case in hidden.cases)
    assert len({case.group for case in hidden.cases}) == 3


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_and_spaces_pair_however_they_are_stored(tmp_path: Path, forms: tuple[str, str]) -> None:
    image, mask = (unicodedata.normalize(form, "café n° 1 Öl") for form in forms)
    made(tmp_path, f"Bildér/{image}.png", f"Masken/{mask}.png")
    accents = unicodedata.normalize("NFD", "Bildér")
    folder = unicodedata.normalize(forms[1], "Bildér")
    made(tmp_path, f"{folder}/b c.png", "Masken/b c.png")
    listing = scan(pictures(layout={"images": f"{accents}/{{case}}.*", "mask": "Masken/{case}.*"}), tmp_path)
    assert listing.faults == ()
    assert [case.id for case in listing.cases] == ["b c", unicodedata.normalize("NFC", "café n° 1 Öl")]
    assert all(path.is_file() for case in listing.cases for path in case.files.values())


@given(st.text(min_size=1))
def test_public_names_are_names_of_files_on_every_system(raw: str) -> None:
    name = safe_name(raw)
    assert name
    assert not set(name) & set('<>:"/\\|?*\x00\n\t')
    assert name[-1] not in ". "
    assert safe_name(name) == name


LIST = {"csv": "list.csv", "image": "img", "mask": "seg"}


def listed(root: Path, text: str, **changes: object) -> Manifest:
    (root / "list.csv").write_text(text, encoding="utf-8-sig")
    return pictures(layout={**LIST, **changes}, columns={})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_names_images_masks_and_more(tmp_path: Path, separator: str) -> None:
    made(tmp_path, "p/a.png", "p/b.jpg", "m/1.png", "m/2.png", "elsewhere/c.png")
    rows = [
        ["img", "seg", "who", "grade", "site"],
        ["p/a.png", "m/1.png", "Anna", "II", "Ulm"],
        ["", "", "", "", ""],
        ["p\\b.jpg", str(tmp_path / "m" / "2.png"), "", "", "Bonn"],
        [str(tmp_path / "elsewhere" / "c.png"), "./m/../m/1.png", "Anna", "III", ""],
    ]
    text = "\r\n".join(separator.join(row) for row in rows)
    manifest = listed(tmp_path, text, group="who", extra=["site", "grade"])
    listing = scan(manifest, tmp_path)
    assert listing.faults == ()
    assert [(c.id, c.group, c.extra["grade"], c.extra["site"]) for c in listing.cases] == [
        ("a", "Anna", "II", "Ulm"),
        ("b", "b", "", "Bonn"),
        ("c", "Anna", "III", ""),
    ]
    assert all(path.is_file() for case in listing.cases for path in case.files.values())
    assert scan(manifest, tmp_path / "list.csv").cases == listing.cases
    assert scan(manifest, tmp_path / "p").cases[0].images == listing.cases[0].images


def test_missing_files_are_faults_with_their_row(tmp_path: Path) -> None:
    made(tmp_path, "a.png", "am.png", "b.png")
    text = "img,seg\na.png,am.png\nb.png,Meier_Anna.png\n\nc.png,cm.png\n,am.png\n"
    manifest = listed(tmp_path, text)
    listing = scan(manifest, tmp_path)
    assert [case.id for case in listing.cases] == ["a"]
    assert [(f.case, f.part, f.found.partition(" of ")[0]) for f in listing.faults] == [
        ("b", "mask", "row 3"),
        ("c", "grey", "row 5"),
        ("c", "mask", "row 5"),
        ("row 6", "grey", "row 6"),
    ]
    hidden = scan(manifest.model_copy(update={"ids": "identifying"}), tmp_path)
    assert all("Meier" not in fault.text() and str(tmp_path) not in fault.text() for fault in hidden.faults)
    assert [case.id for case in scan(manifest, tmp_path, truth=False).cases] == ["a", "b"]


def test_two_rows_with_one_image_or_one_id_are_a_fault(tmp_path: Path) -> None:
    made(tmp_path, "a.png", "b.png", "c.png", "d.png", "m.png")
    text = "img,seg,id\na.png,m.png,1\n./a.png,m.png,2\nb.png,m.png,3\nc.png,m.png,3\nd.png,m.png,\n"
    listing = scan(listed(tmp_path, text, case="id"), tmp_path)
    assert [case.id for case in listing.cases] == ["d"]
    assert [(f.case, f.found) for f in listing.faults] == [
        ("1", "rows 2 and 3 of the list name one image"),
        ("3", "rows 4 and 5 of the list are of one case"),
    ]


def test_one_stem_in_several_folders_is_told_apart_by_as_many_folders_as_it_takes(tmp_path: Path) -> None:
    names = ["x/1/a.png", "y/1/a.png", "y/2/a.png", "y/2/b.png"]
    made(tmp_path, *names)
    text = "\n".join(["img", *(str(tmp_path / name) if n else name for n, name in enumerate(names))])
    listing = scan(listed(tmp_path, text, mask=None), tmp_path)
    assert listing.faults == ()
    assert [case.id for case in listing.cases] == ["2_a", "b", "x_1_a", "y_1_a"]


def test_a_list_in_one_form_of_accents_finds_files_in_the_other(tmp_path: Path) -> None:
    made(tmp_path, unicodedata.normalize("NFD", "é/ü 1.png"))
    text = "img\n" + unicodedata.normalize("NFC", "é/ü 1.png")
    (case,) = scan(listed(tmp_path, text, mask=None), tmp_path).cases
    assert case.id == unicodedata.normalize("NFC", "ü 1")
    assert case.images["grey"].is_file()


@pytest.mark.parametrize(
    ("content", "met"),
    [
        (None, "'list.csv', is not in the folder"),
        (b"image,seg\na.png,b.png\n", "no column ['img']; it has ['image', 'seg']"),
        (b"img,seg\n\n", "no rows"),
        (b"", "no column ['img', 'seg']"),
        ("img,seg\nä.png,b.png".encode("latin-1"), "the file is not UTF-8 text"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(tmp_path: Path, content: bytes | None, met: str) -> None:
    if content is not None:
        (tmp_path / "list.csv").write_bytes(content)
    (fault,) = scan(pictures(layout=LIST, columns={}), tmp_path).faults
    assert met in fault.found
    assert str(tmp_path) not in fault.text()


@pytest.mark.parametrize("leads", ["../list.csv", "{whole}"])
def test_a_manifest_leads_to_no_list_outside_of_the_data(tmp_path: Path, leads: str) -> None:
    (tmp_path / "data").mkdir()
    made(tmp_path / "data", "a.png")
    (tmp_path / "list.csv").write_text("img\na.png\n", encoding="utf-8")
    layout = {**LIST, "mask": None, "csv": leads.format(whole=tmp_path / "list.csv")}
    (fault,) = scan(pictures(layout=layout, columns={}), tmp_path / "data").faults
    assert "is not in the folder" in fault.found
    made(tmp_path, "a.png")
    given = scan(
        pictures(layout=layout, columns={}), tmp_path / "list.csv"
    )  # the remedy: the caller names it
    assert [case.id for case in given.cases] == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_named_pipe_in_a_list_is_not_called_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (fault,) = scan(listed(tmp_path, "img\na.png\n", mask=None), tmp_path).faults
    assert "what is no regular file" in fault.found


def test_one_picture_may_be_given_in_place_of_a_list(tmp_path: Path) -> None:
    made(tmp_path, "a.png")
    (case,) = scan(pictures(layout=LIST), tmp_path / "a.png", truth=False).cases
    assert (case.id, case.images) == ("a", {"grey": tmp_path / "a.png"})


def test_the_shipped_pairs_and_table_hide_names_and_know_roles(tmp_path: Path) -> None:
    made(tmp_path, "validation/Images/Meier Anna.png", "validation/Segmentation/Meier Anna.png")
    made(tmp_path, "latest/Images/Udo.png", "latest/Segmentation/Udo.png")
    pairs = scan(shipped("picture_pairs"), tmp_path)
    assert sorted(case.extra["role"] for case in pairs.cases) == ["", "validation"]
    rows = ["image,mask,patient,role", "latest/Images/Udo.png,latest/Segmentation/Udo.png,Udo,test"]
    (tmp_path / "pictures.csv").write_text("\n".join(rows), encoding="utf-8")
    table = scan(shipped("picture_table"), tmp_path)
    assert [case.extra for case in table.cases] == [{"role": "test"}]
    for listing in (pairs, table):
        assert listing.faults == ()
        assert all(
            case.id.startswith("case-") and case.group.startswith("patient-") for case in listing.cases
        )


def test_slices_of_a_patient_of_lgg_are_one_group(tmp_path: Path) -> None:
    for name in ("TCGA_CS_4941_19960909_1", "TCGA_CS_4941_19960909_12", "TCGA_HT_A61B_20000101_3"):
        made(tmp_path, *(f"kaggle_3m/{name.rpartition('_')[0]}/{name}{end}.tif" for end in ("", "_mask")))
    made(tmp_path, "kaggle_3m/data.csv", "kaggle_3m/README.md")
    listing = scan(shipped("lgg"), tmp_path)
    assert listing.faults == ()
    assert [case.group for case in listing.cases] == ["TCGA_CS_4941_19960909"] * 2 + ["TCGA_HT_A61B_20000101"]
    assert told(listing)[1] == ("TCGA_CS_4941_19960909_12", "TCGA_CS_4941_19960909_12_mask.tif")


@pytest.mark.real_data
def test_real_micrographs_are_grouped_by_their_article(real_data: Callable[[str], Path]) -> None:
    listing = scan(shipped("emps"), real_data("emps"))
    assert listing.faults == ()
    assert len(listing.cases) == 60
    assert len({case.group for case in listing.cases}) == 53


@pytest.mark.real_data
def test_real_nuclei_have_a_file_for_each_object(real_data: Callable[[str], Path]) -> None:
    listing = scan(shipped("nuclei"), real_data("nuclei"))
    assert listing.faults == ()
    assert len(listing.cases) == 150
    assert sum(len(case.objects) for case in listing.cases) == 7108
    assert {case.extra["kind"] for case in listing.cases} == {"grey", "colour"}


def test_for_prediction_a_plain_folder_of_pictures_is_a_case_a_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b c.JPG", "deeper/a.tif", "notes.txt"):
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not looked at")
    manifest = Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / "emps.yaml")

    found = scan(manifest, tmp_path / "mine", truth=False)
    learnt = scan(manifest, tmp_path / "mine")

    assert sorted(path.name for case in found.cases for path in case.images.values()) == [
        "a.png",
        "a.tif",
        "b c.JPG",
    ]
    assert len({case.id for case in found.cases}) == 3
    assert not found.faults
    assert not learnt.cases
    assert learnt.faults


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_line_above_a_table_that_names_its_separator_is_obeyed(
    tmp_path: Path, separator: str, quote: str
) -> None:
    made(tmp_path, "a.png", "m.png")
    rows = [["img", "seg"], ["a.png", "m.png"], ["gone.png", "m.png"]]
    lines = [f"{quote}sep={separator}{quote}", *(separator.join(row) for row in rows)]
    listing = scan(listed(tmp_path, "\r\n".join(lines)), tmp_path)
    assert [case.id for case in listing.cases] == ["a"]
    assert [fault.found.partition(" of ")[0] for fault in listing.faults] == ["row 4"]  # as an editor counts


@pytest.mark.parametrize("of_cases", [True, False])
def test_a_table_without_names_of_columns_shows_no_row_where_names_are_hidden(
    tmp_path: Path, of_cases: bool
) -> None:
    made(tmp_path, "Images/Meier_Anna.png")
    content = "Images/Meier_Anna.png,Meier,10.1\nImages/b.png,Udo,10.2\n"
    (tmp_path / ("list.csv" if of_cases else "meta.csv")).write_text(content, encoding="utf-8")
    changes = {"layout": LIST, "columns": {}} if of_cases else {"table": TABLE}
    manifest = pictures(**changes)
    (shown,) = [each for each in scan(manifest, tmp_path, truth=False).faults if "no column" in each.found]
    hidden_ones = scan(manifest.model_copy(update={"ids": "identifying"}), tmp_path, truth=False).faults
    (hidden,) = [each for each in hidden_ones if "no column" in each.found]
    assert "Meier" in shown.found
    assert not any(word in hidden.text() for word in ("Meier", "10.1", "Udo"))
    assert "it has 3 columns" in hidden.found
    assert "its first line must name them" in hidden.found


def test_pictures_without_the_group_that_a_column_tells_are_noted(tmp_path: Path) -> None:
    made(tmp_path, *(f"{folder}/{n}.png" for n in "abcd" for folder in ("Images", "Segmentation")))
    manifest = pictures(group={"column": "doi"}, table=TABLE)
    (absent,) = scan(manifest, tmp_path).notes
    assert absent.startswith(
        "4 of 4 cases have no doi, since the table 'meta.csv' is not there: each counts as"
    )
    assert "related pictures may be in training and in test" in absent
    (tmp_path / "meta.csv").write_text("filename,doi\na.png,10.1\nb.png,10.1\nc.png,\n", encoding="utf-8")
    (partly,) = scan(manifest, tmp_path).notes
    assert partly.startswith("2 of 4 cases have no doi: each counts as a group of its own")
    assert scan(manifest, tmp_path, truth=False).notes == ()  # in prediction nothing is shared out
    (tmp_path / "meta.csv").write_text(
        "filename,doi\n" + "".join(f"{n}.png,10.{n}\n" for n in "abcd"), encoding="utf-8"
    )
    assert scan(manifest, tmp_path).notes == ()
    rows = "img,seg,who\nImages/a.png,Segmentation/a.png,Anna\nImages/b.png,Segmentation/b.png,\n"
    alone, others = scan(listed(tmp_path, rows, group="who"), tmp_path).notes
    assert alone.startswith("1 of 2 cases has no who: ")
    assert others.startswith(
        "4 pictures in the folder are named by no row of the list, in img, seg: Images/c.png"
    )


def test_images_that_are_not_read_are_noted_where_patterns_name_pictures(tmp_path: Path) -> None:
    made(tmp_path, *(f"{folder}/{n}.png" for n in "ab" for folder in ("Images", "Segmentation")))
    assert scan(pictures(), tmp_path).notes == ()
    made(tmp_path, "Images/c.webp", "Segmentation/c.GIF", "Images/d.webp", "Images/x.txt", "Images/._e.webp")
    listing = scan(pictures(), tmp_path)
    assert listing.faults == ()
    note = "3 images are of kinds that are not read: 2 .webp, 1 .gif; they are left out"
    names = [f"{tmp_path.name}/{each}" for each in ("Images/c.webp", "Images/d.webp", "Segmentation/c.GIF")]
    assert listing.notes == (f"{note}: {', '.join(names)}",)
    assert listing.left == tuple(names)
    assert scan(pictures(ids="identifying"), tmp_path).notes == (note,)


def test_pairs_by_order_are_noted(tmp_path: Path) -> None:
    made(tmp_path, "Images/a.png", "Images/b.png", "Segmentation/x.png", "Segmentation/y.png")
    (note,) = scan(pictures(layout=ORDER), tmp_path).notes
    assert note.startswith("2 images were paired with label maps by order, not by name")


def test_for_prediction_a_manifest_of_a_table_takes_pictures_without_one(tmp_path: Path) -> None:
    folder = made(tmp_path / "new", "a.png", "deeper/b c.JPG", "notes.txt")
    manifest = pictures(layout=LIST, columns={})
    found = scan(manifest, folder, truth=False)
    assert found.faults == ()
    assert [case.id for case in found.cases] == ["a", "deeper_b c"]
    (tmp_path / "list.csv").write_text("img,seg\nelse.png,m.png\n", encoding="utf-8")
    assert scan(manifest, folder, truth=False) == found  # a list above is of other pictures
    (folder / "list.csv").write_text("img,seg\na.png,m.png\n", encoding="utf-8")
    assert [case.id for case in scan(manifest, folder, truth=False).cases] == ["a"]
    (folder / "list.csv").unlink()
    (tmp_path / "list.csv").unlink()
    (fault,) = scan(manifest, folder).faults  # to learn from, a list it must be
    assert "is not in the folder" in fault.found
