from __future__ import annotations

import errno
import gzip
import os
import pickle
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom.data import get_testdata_file
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.volume import read_volume
from medseg.errors import ManifestError
from medseg.files import regular
from medseg.files.content import content_of, stamp_of
from medseg.files.many import files_of
from medseg.images.dicom.series import index
from medseg.images.dicom.series.read import read_series, series_of
from medseg.images.nifti.write import write_nifti
from medseg.testing.dicoms import write_dicom
from medseg.testing.series import Stack, uid_of, write_series
from medseg.yaml import parse_yaml

RNG = np.random.default_rng(3)
VOLUME = RNG.integers(1, 900, (4, 6, 8)).astype(np.uint16)

FIELDS: dict[str, Any] = {
    "name": "ward",
    "about": "Made up.",
    "source": "Generated.",
    "licence": "None.",
    "citation": "None.",
    "obtain": "Nothing to get.",
    "ids": "pseudonyms",
    "channels": ["flair", "t1"],
    "classes": ["background", "tumour"],
    "label_values": {0: "background", 1: "tumour"},
    "layout": {
        "series": {"flair": {"SeriesDescription": "(?i)flair"}, "t1": {"SeriesDescription": "(?i)t1"}}
    },
}


def manifest(**changes: Any) -> Manifest:
    return Manifest.model_validate({**FIELDS, **changes})


def with_mask(mask: Any, **changes: Any) -> Manifest:
    return manifest(layout={**FIELDS["layout"], "mask": mask}, **changes)


def write_study(
    folder: Path, patient: str = "p1", study: str = "a", **attributes: Any
) -> dict[str, list[Path]]:
    """Two channels and a scout of one study, in one folder."""
    given = {"PatientID": patient, "StudyInstanceUID": uid_of(patient, study), **attributes}
    offset = len(patient) + len(study) + int(uid_of(patient, study)[-4:])
    return {
        "flair": write_series(folder, VOLUME + offset, SeriesDescription="AX FLAIR", SeriesNumber=1, **given),
        "t1": write_series(
            folder, VOLUME[::-1] + offset, SeriesDescription="T1 post", SeriesNumber=2, **given
        ),
        "scout": write_series(folder, VOLUME[:2], SeriesDescription="scout", SeriesNumber=3, **given),
    }


def found(manifest: Manifest, root: Path, *, truth: bool = True) -> Any:
    return scan(manifest, root, truth=truth)


def test_series_of_one_folder_are_told_apart_by_their_tags(tmp_path):
    paths = write_study(tmp_path)
    listing = found(manifest(), tmp_path)
    assert listing.faults == ()
    (case,) = listing.cases
    for channel in ("flair", "t1"):
        assert set(files_of(case.images[channel])) == set(paths[channel])
        np.testing.assert_array_equal(
            manifest().files().read(case.images[channel], [channel])[0].data, read_series(paths[channel]).data
        )
    assert listing.files["of cases"] == 8
    assert listing.files["of series that are not asked for"] == 2


def test_slices_may_be_scattered_over_folders_under_any_names(tmp_path):
    paths = write_study(tmp_path / "one")
    for number, path in enumerate(paths["flair"]):
        place = tmp_path / f"folder{number}" / "x.dat"
        place.parent.mkdir()
        path.rename(place)
    (case,) = found(manifest(), tmp_path).cases
    assert len(files_of(case.images["flair"])) == 4


def test_a_patient_has_several_studies_which_are_several_cases_of_one_group(tmp_path):
    write_study(tmp_path / "1", "p1", "a")
    write_study(tmp_path / "2", "p1", "b")
    write_study(tmp_path / "3", "p2", "a")
    listing = found(manifest(), tmp_path)
    assert len({case.id for case in listing.cases}) == 3
    assert sorted(case.group for case in listing.cases) == ["p1", "p1", "p2"]


def test_ids_that_identify_are_pseudonyms_everywhere(tmp_path):
    paths = write_study(tmp_path, "SECRET^NAME")
    paths["flair"][0].unlink()
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"SECRET")
    listing = found(manifest(ids="identifying"), tmp_path)
    report = check(listing, manifest(ids="identifying"), ("flair", "t1"))
    said = [fault.text() for fault in report.faults] + [case.id + case.group for case in listing.cases]
    assert len(said) > 1
    assert not [text for text in said if "SECRET" in text or uid_of("SECRET^NAME", "a") in text]


def test_a_study_without_a_patient_is_a_group_of_its_own_and_a_note_says_so(tmp_path):
    write_study(tmp_path / "1", "", "a")
    write_study(tmp_path / "2", "", "b")
    listing = found(manifest(), tmp_path)
    assert len({case.group for case in listing.cases}) == 2
    assert any("2 of 2 cases have no PatientID" in note for note in listing.notes)


def test_a_channel_that_no_series_fits_is_a_fault_of_its_study(tmp_path):
    paths = write_study(tmp_path)
    for path in paths["t1"]:
        path.unlink()
    listing = found(manifest(), tmp_path)
    assert listing.cases == ()
    assert [fault.part for fault in listing.faults] == ["t1"]
    assert "'layout.series.t1'" in listing.faults[0].found


def test_two_series_that_fit_one_channel_are_a_fault_that_narrower_tags_mend(tmp_path):
    write_study(tmp_path)
    write_series(
        tmp_path,
        VOLUME,
        PatientID="p1",
        StudyInstanceUID=uid_of("p1", "a"),
        SeriesDescription="T1 pre",
        SeriesNumber=9,
    )
    (fault,) = found(manifest(), tmp_path).faults
    assert fault.found == "2 series of the study fit 'layout.series.t1' of the manifest (SeriesNumber 2, 9)"
    layout = {
        "series": {**FIELDS["layout"]["series"], "t1": {"SeriesDescription": "T1", "SeriesNumber": "^2$"}}
    }
    assert found(manifest(layout=layout), tmp_path).faults == ()


def test_one_series_is_not_taken_for_two_channels(tmp_path):
    write_study(tmp_path)
    layout = {"series": {"flair": {"SeriesNumber": "^1$"}, "t1": {"SeriesDescription": "AX"}}}
    (fault,) = found(manifest(layout=layout), tmp_path).faults
    assert fault.part == "t1"
    assert fault.found == "one series fits both 'layout.series.flair' and 'layout.series.t1' of the manifest"


def test_one_acquisition_of_several_is_asked_for_by_its_tag(tmp_path):
    one = {"SeriesDescription": "perfusion", "StudyInstanceUID": "1.2.3", "PatientID": "p1"}
    series = {"SeriesInstanceUID": "1.2.3.4"}
    write_series(tmp_path / "1", VOLUME, each=lambda _: {**series, "AcquisitionNumber": 1}, **one)
    write_series(
        tmp_path / "2",
        VOLUME + 5,
        each=lambda n: {**series, "AcquisitionNumber": 2, "SOPInstanceUID": f"1.2.5.{n}"},
        **one,
    )
    several = manifest(channels=["p"], layout={"series": {"p": {"SeriesDescription": "perf"}}})
    listing = found(several, tmp_path)
    (fault,) = check(listing, several, ("p",)).faults
    assert "told apart by AcquisitionNumber" in fault.found
    layout = {"series": {"p": {"SeriesDescription": "perf", "AcquisitionNumber": "^2$"}}}
    named = manifest(channels=["p"], layout=layout)
    (case,) = found(named, tmp_path).cases
    np.testing.assert_array_equal(
        read_volume(case, ["p"], None, files=named.files()).image.min(), VOLUME.min() + 5
    )


def test_a_missing_tag_is_an_empty_text(tmp_path):
    given = {"PatientID": "p1", "StudyInstanceUID": "1.2.3"}
    write_series(tmp_path, VOLUME, SeriesDescription="a", ContrastBolusAgent="Gd", **given)
    write_series(tmp_path, VOLUME + 1, SeriesDescription="b", **given)
    layout = {"series": {"flair": {"ContrastBolusAgent": "^$"}, "t1": {"ContrastBolusAgent": "."}}}
    (case,) = found(manifest(layout=layout), tmp_path).cases
    assert [read_series(files_of(case.images[each])).data.min() for each in ("flair", "t1")] == [
        VOLUME.min() + 1,
        VOLUME.min(),
    ]


def test_studies_without_any_channel_are_no_cases_and_a_note_counts_them(tmp_path):
    write_study(tmp_path / "1")
    write_series(tmp_path / "2", VOLUME, SeriesDescription="CT", StudyInstanceUID="1.9")
    listing = found(manifest(), tmp_path)
    assert len(listing.cases) == 1
    assert any("1 of 2 studies have a series of no channel" in note for note in listing.notes)


def test_a_folder_without_a_series_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    (fault,) = found(manifest(), tmp_path).faults
    assert "1 file was seen, 0 of them DICOM" in fault.found


def test_a_header_that_cannot_be_read_is_a_fault_and_the_others_are_found(tmp_path):
    write_study(tmp_path / "1", "p1")
    write_study(tmp_path / "2", "p2")
    broken = tmp_path / "2" / "broken.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + b"\x08\0\x16\0UI\xff\xff")
    listing = found(manifest(), tmp_path)
    assert [case.group for case in listing.cases] == ["p1"]
    assert [case.group for case in listing.incomplete] == ["p2"]  # it may lack this slice
    (fault,) = listing.faults
    assert fault.path == broken
    assert "names no series" in fault.found


@pytest.mark.parametrize("element", [b"\x02\0\x02\0UI", b"\x10\0\x20\0LO"], ids=["meta", "patient"])
def test_a_value_of_no_kind_that_is_known_is_a_fault_too(tmp_path, element):
    (path, *_) = write_study(tmp_path)["t1"]
    whole = path.read_bytes()
    assert whole.count(element) == 1
    path.write_bytes(whole.replace(element, element[:4] + b"ZZ"))
    assert "damaged" in found(manifest(), tmp_path).faults[0].found


def test_a_directory_of_a_disc_is_no_fault(tmp_path):
    write_study(tmp_path)
    shutil.copy(get_testdata_file("DICOMDIR"), tmp_path / "index")
    assert found(manifest(), tmp_path).faults == ()


@pytest.mark.parametrize(
    ("mask", "place"),
    [
        ("labels/{PatientID}.nii.gz", "labels/p1.nii.gz"),
        ("**/{PatientID}_*.nii.gz", "a/b/p1_seg.nii.gz"),
        ("{folder}/seg.nii.gz", "scans/seg.nii.gz"),
    ],
)
def test_a_label_map_in_nifti_lies_where_a_pattern_says(tmp_path, mask, place):
    paths = write_study(tmp_path / "scans")
    grid = series_of(paths["flair"]).geometry
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti((read_series(paths["flair"]).data % 2).astype(np.uint8), grid, path)
    listing = found(with_mask(mask), tmp_path)
    (case,) = listing.cases
    assert case.mask == path
    report = check(listing, with_mask(mask), ("flair", "t1"))
    assert report.faults == ()
    assert report.label_rows()[1]["class"] == "tumour"


def test_a_label_map_that_is_missing_or_there_twice_is_a_fault(tmp_path):
    write_study(tmp_path)
    (fault,) = found(with_mask("{PatientID}*.nii"), tmp_path).faults
    assert (fault.part, fault.found) == ("mask", "no file of the study fits 'layout.mask' of the manifest")
    for name in ("p1a.nii", "p1b.nii"):
        (tmp_path / name).write_bytes(b"x")
    (fault,) = found(with_mask("{PatientID}*.nii"), tmp_path).faults
    assert fault.found == "2 files of the study fit 'layout.mask' of the manifest"
    assert found(with_mask("{PatientID}*.nii"), tmp_path, truth=False).faults == ()


def test_a_pattern_of_label_maps_of_many_stars_is_answered_at_once(tmp_path):
    """`re` tries every way to share the letters among the stars."""
    write_study(tmp_path)
    (tmp_path / f"p1{'a' * 120}b.nii.gz").write_bytes(b"x")
    begun = time.process_time()

    (fault,) = found(with_mask("{PatientID}" + "*a" * 5 + "*x*b.nii.gz"), tmp_path).faults

    assert fault.found == "no file of the study fits 'layout.mask' of the manifest"
    assert time.process_time() - begun < 1


def test_a_changed_slice_is_read_again_whichever_it_is(tmp_path):
    paths = write_study(tmp_path)
    (case,) = found(manifest(), tmp_path).cases
    path = case.images["flair"]
    before = stamp_of(path), content_of(path)
    last = max(paths["flair"])
    last.write_bytes(last.read_bytes() + b"\0\0")
    assert stamp_of(path) != before[0]
    assert content_of(path).digest != before[1].digest


def test_a_check_remembers_series_and_reads_changed_ones_again(tmp_path, monkeypatch):
    paths = write_study(tmp_path / "data")
    listing = found(manifest(), tmp_path / "data")
    remember = tmp_path / "seen"
    assert check(listing, manifest(), ("flair", "t1"), remember=remember).read == 1
    assert check(listing, manifest(), ("flair", "t1"), remember=remember).read == 0
    last = max(paths["t1"])
    os.utime(last, ns=(1, 1))
    assert check(listing, manifest(), ("flair", "t1"), remember=remember).read == 1


def test_headers_are_read_once_while_they_do_not_change(tmp_path, monkeypatch):
    write_study(tmp_path)
    found(manifest(), tmp_path)
    before = index._read.cache_info().misses
    found(manifest(), tmp_path)
    assert index._read.cache_info().misses == before


def test_all_slices_of_a_series_go_along_to_another_process(tmp_path):
    paths = write_study(tmp_path)
    (case,) = found(manifest(), tmp_path).cases
    again = pickle.loads(pickle.dumps(case))  # noqa: S301 - our own
    assert set(files_of(again.images["flair"])) == set(paths["flair"])
    assert files_of(again.images["flair"].parent) == (tmp_path,)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"channels": ["flair"]}, "'series' names ['flair', 't1'], expected each of ['flair']"),
        (
            {"layout": {"series": {"flair": {"Patient": "x"}, "t1": {"Modality": "x"}}}},
            "`Patient` is no attribute",
        ),
        (
            {"layout": {"series": {"flair": {"Modality": "("}, "t1": {"Modality": "x"}}}},
            "no regular expression",
        ),
        ({"layout": {"series": {"flair": {}, "t1": {"Modality": "x"}}}}, "'flair' names no attribute"),
        ({"format": "zipped"}, "'layout' says that files are DICOM series, and ['format']"),
        ({"layout": {**FIELDS["layout"], "mask": "a.nii"}}, "'mask' needs an attribute of the study"),
        ({"layout": {**FIELDS["layout"], "mask": {"structures": {"liver": "x"}}}}, "names ['liver']"),
        ({"layout": {**FIELDS["layout"], "maks": "x"}}, "maks"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(changes, complaint):
    with pytest.raises(ValidationError) as caught:
        manifest(**changes)
    assert complaint in str(caught.value)


def test_the_manifest_of_the_documents_is_one():
    page = (Path(__file__).parents[3] / "docs" / "dicom.md").read_text(encoding="utf-8")
    whole, _, segments = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    read = Manifest.from_json(parse_yaml(whole + segments, "dicom.md"))
    assert read.files().meaning()["structures"] == [[1, ["oedema"]], [2, ["GTV*", "tumour"]]]


def test_a_manifest_with_series_is_read_from_yaml_with_the_nearest_key(tmp_path):
    path = tmp_path / "ward.yaml"
    lines = [f"{key}: {value!r}" for key, value in FIELDS.items() if key not in {"layout"}]
    series = "{flair: {SeriesDescription: a}, t1: {Modality: b}}"
    path.write_text("\n".join([*lines, f"layout: {{series: {series}, maks: 'x'}}"]))
    with pytest.raises(ManifestError, match=r"'layout.maks': there is no such key; did you mean 'mask'"):
        Manifest.from_yaml(path)


def test_a_segmentation_or_structure_set_of_the_study_is_the_label_map(tmp_path):
    paths = write_study(tmp_path)
    tags = {
        "PatientID": "p1",
        "StudyInstanceUID": uid_of("p1", "a"),
        "Modality": "RTSTRUCT",
        "SeriesNumber": 7,
    }
    reference = uid_of(uid_of("p1", "a"), "frame of reference")
    x, y, z = Stack().at(1)
    corners = [x, y, z, x + 3, y, z, x + 3, y + 3, z, x, y + 3, z]
    contour = {"ContourGeometricType": "CLOSED_PLANAR", "NumberOfContourPoints": 4, "ContourData": corners}
    write_dicom(
        tmp_path / "drawn",
        None,
        SOPClassUID=RTStructureSetStorage,
        SeriesInstanceUID="1.2.9",
        StructureSetROISequence=[
            {"ROINumber": 1, "ROIName": "GTV 1", "ReferencedFrameOfReferenceUID": reference}
        ],
        ROIContourSequence=[{"ReferencedROINumber": 1, "ContourSequence": [contour]}],
        **tags,
    )
    rule = with_mask({"structures": {"tumour": "gtv*"}})
    listing = found(rule, tmp_path)
    assert listing.faults == ()
    (case,) = listing.cases
    assert {*files_of(case.mask)} == {tmp_path / "drawn", *paths["flair"]}
    report = check(listing, rule, ("flair", "t1"))
    assert report.faults == ()
    assert [(row["class"], row["voxels"]) for row in report.label_rows()] == [
        ("background", 184),
        ("tumour", 8),
    ]
    assert rule.files().meaning()["structures"] == [[1, ["gtv*"]]]

    write_dicom(
        tmp_path / "again", None, SOPClassUID=RTStructureSetStorage, SeriesInstanceUID="1.2.8", **tags
    )
    (fault,) = found(rule, tmp_path).faults
    assert fault.found == "2 segmentations or structure sets of the study fit 'layout.mask' of the manifest"
    narrow = {"structures": {"tumour": "gtv*"}, "tags": {"SeriesInstanceUID": "9$"}}
    assert found(with_mask(narrow), tmp_path).faults == ()
    narrow["tags"] = {"Modality": "SEG"}
    (fault,) = found(with_mask(narrow), tmp_path).faults
    assert fault.found == "no segmentation or structure set of the study fits 'layout.mask' of the manifest"


def test_what_medseg_predicted_is_no_truth_unless_its_manufacturer_is_asked_for(tmp_path):
    write_study(tmp_path)
    drawn = {"SOPClassUID": SegmentationStorage, "Modality": "SEG", "Manufacturer": "medseg"}
    study = {"PatientID": "p1", "StudyInstanceUID": uid_of("p1", "a")}
    write_dicom(tmp_path / "predicted", None, SeriesInstanceUID="1.2.9", **drawn, **study)

    rule: dict[str, Any] = {"structures": {"tumour": "*"}}
    listing = found(with_mask(rule), tmp_path)
    (fault,) = listing.faults
    assert fault.found == "no segmentation or structure set of the study fits 'layout.mask' of the manifest"
    (told,) = [note for note in listing.notes if "predicted" in note]
    assert told.startswith("1 segmentation was predicted by medseg")

    write_dicom(
        tmp_path / "drawn", None, SeriesInstanceUID="1.2.8", **drawn | {"Manufacturer": "A ward"}, **study
    )
    listing = found(with_mask(rule), tmp_path)
    assert listing.faults == ()
    assert files_of(listing.cases[0].mask)[0] == tmp_path / "drawn"

    rule["tags"] = {"Manufacturer": "medseg"}
    listing = found(with_mask(rule), tmp_path)
    assert listing.faults == ()
    assert listing.notes == ()
    assert files_of(listing.cases[0].mask)[0] == tmp_path / "predicted"


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "the file is empty"),
    "pipe": (_fifo, "a named pipe"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:100]), "does not begin as DICOM does"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "does not begin as DICOM does"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "does not begin as DICOM does"),
}


@pytest.mark.parametrize("named", ["{}", "{}.dcm", "1.2.840.{}", "{}.MR"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_slice_that_is_no_dicom_any_more_is_a_fault_of_its_case_and_not_left_out(tmp_path, how, named):
    for study in ("good", "bad"):
        paths = write_study(tmp_path / study, study=study)
        slices = [
            path.rename(path.with_name(named.format(number))) for number, path in enumerate(paths["t1"])
        ]
    spoil, what = SPOILT[how]
    last = slices[-1]
    spoil(last)
    listing = found(manifest(), tmp_path, truth=False)
    assert len(listing.cases) == 1
    (incomplete,), (fault,) = listing.incomplete, listing.faults
    assert (fault.case, fault.path) == (incomplete.id, last)
    assert what in fault.found
    assert listing.files["that cannot be read as DICOM"] == 1
    last.unlink()  # a remedy: what lies there is one slice less
    assert found(manifest(), tmp_path).faults == ()


def test_a_slice_that_this_user_may_not_read_is_a_fault_of_its_case(tmp_path, monkeypatch):
    last = max(write_study(tmp_path)["t1"])

    def refused(path: str, flags: int) -> int:
        if Path(path) == last:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags)

    opened = regular.opener
    monkeypatch.setattr(regular, "opener", refused)
    index._read.cache_clear()
    (fault,) = found(manifest(), tmp_path).faults
    assert fault.path == last
    assert fault.found == "the file may not be read by this user"


def test_a_broken_slice_in_a_folder_of_several_studies_or_of_none_is_a_fault_of_the_data_set(tmp_path):
    write_study(tmp_path / "a", "p1")
    for number, path in enumerate(write_study(tmp_path / "p2", "p2")["flair"]):
        path.rename(tmp_path / "a" / f"{number}")
    for path in (tmp_path / "a" / "end", tmp_path / "b.dcm", tmp_path / "c.IMA.part"):
        path.touch()
    listing = found(manifest(), tmp_path)
    assert len(listing.cases) == 2
    assert {(fault.case, fault.path.name) for fault in listing.faults} == {
        ("", "end"),
        ("", "b.dcm"),
        ("", "c.IMA.part"),
    }


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
def test_files_of_other_kinds_are_left_out_by_name(tmp_path, ids):
    write_study(tmp_path / "p1")
    shutil.copy(get_testdata_file("DICOMDIR"), tmp_path / "DICOMDIR")
    (tmp_path / "p1" / "README").write_text("Of a ward.\n")
    (tmp_path / "film.avi").write_bytes(bytes(400))
    (tmp_path / "p1.nii.gz").touch()  # a label map, which prediction does not ask for
    listing = found(with_mask("{PatientID}*.nii.gz", ids=ids), tmp_path, truth=False)
    assert listing.faults == ()
    assert listing.left == ("film.avi", "p1/README")
    names = ": film.avi, p1/README" if ids == "pseudonyms" else ""
    assert f"2 files are left out, since they are no DICOM{names}" in listing.notes
    assert {use: count for use, count in listing.files.items() if count} == {
        "of cases": 8,
        "of series that are not asked for": 2,
        "of parts that are not asked for": 1,
        "of other kinds": 3,
    }


DIRECTORY = "medseg.datasets.finding.by_series.missing"


@pytest.fixture
def cut_disc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies, of one of which a directory lists a file of its FLAIR that is not there."""
    for patient in "ab":
        for each in ("FLAIR", "T1"):
            study = {"PatientID": patient, "StudyInstanceUID": uid_of(patient)}
            write_series(tmp_path / "disc" / patient, VOLUME, SeriesDescription=each, **study)
    write_dicom(
        tmp_path / "disc" / "DICOMDIR", None, SOPClassUID="1.2.840.10008.1.3.10", SeriesInstanceUID="1.2"
    )
    series = uid_of(uid_of("a"), "FLAIR")
    monkeypatch.setattr(DIRECTORY, lambda *_: {series: (1, 5)})
    return tmp_path / "disc"


def test_a_series_that_lacks_files_of_the_directory_is_a_fault_of_its_case(cut_disc: Path) -> None:
    found = scan(manifest(), cut_disc, truth=False)

    (fault,) = found.faults
    assert fault.found == "the DICOMDIR lists 5 files of this series, and 1 of them are not there"
    assert len(found.cases) == 1


def test_a_directory_may_be_named_in_place_of_its_folder(cut_disc: Path) -> None:
    assert (
        scan(manifest(), cut_disc / "DICOMDIR", truth=False).cases
        == scan(manifest(), cut_disc, truth=False).cases
    )
