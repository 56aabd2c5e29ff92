"""What is recognised in folders of DICOM series, and that its manifest finds them again."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import RTStructureSetStorage, SegmentationStorage
from rich.console import Console

from medseg.cli.printing.look_report import print_look
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.look import Look, look
from medseg.images.dicom.series.index import Instance
from medseg.images.dicom.series.read import series_of
from medseg.images.nifti.write import write_nifti
from medseg.pipeline.drafting.manifest_choices import manifest_choices
from medseg.testing.dicoms import write_dicom
from medseg.testing.series import Stack, uid_of, write_frames, write_series

RNG = np.random.default_rng(2)


def write_studies(
    folder: Path, *descriptions: str, patients: int = 2, **attributes: Any
) -> list[dict[str, Any]]:
    """A study of each patient with a series of each description, all in one folder; gives what each study is."""
    studies = []
    for number in range(patients):
        study = {"PatientID": f"Zylinski-{number}", "StudyInstanceUID": uid_of(number)}
        for each in descriptions:
            volume = RNG.integers(0, 500, (3, 8, 8)).astype(np.uint16)
            write_series(folder / str(number), volume, SeriesDescription=each, **study, **attributes)
        studies.append(study)
    return studies


def write_drawn(folder: Path, study: dict[str, Any], *names: str) -> None:
    """A structure set with a square of each name on the second slice."""
    x, y, z = Stack().at(1)
    square = [x, y, z, x + 3, y, z, x + 3, y + 3, z, x, y + 3, z]
    contour = {"ContourGeometricType": "CLOSED_PLANAR", "ContourData": square}
    write_dicom(
        folder,
        None,
        SOPClassUID=RTStructureSetStorage,
        Modality="RTSTRUCT",
        SeriesInstanceUID=uid_of(folder, names),
        StructureSetROISequence=[{"ROINumber": n, "ROIName": name} for n, name in enumerate(names)],
        ROIContourSequence=[
            {"ReferencedROINumber": n, "ContourSequence": [contour]} for n, _ in enumerate(names)
        ],
        **study,
    )


def channels_of(seen: Look) -> dict[str, Any]:
    assert seen.layout is not None
    assert seen.layout.name == "DICOM series"
    series: dict[str, Any] = seen.layout.fields["layout"]["series"]
    return series


def found_by(seen: Look, root: Path) -> int:
    """How many cases the manifest that a draft would hold finds without a fault."""
    fields = {choice.key: choice.value for choice in manifest_choices("ward", seen)}
    listing = scan(Manifest.model_validate({**fields, "ids": "pseudonyms"}), root)
    return 0 if listing.faults else len(listing.cases)


def test_series_are_channels_by_words_and_structures_of_several_patients_are_classes(tmp_path):
    names = ("AX T2 FLAIR", "t1_mprage", "T1 POST Gd", "Ax T2", "localizer Zylinski")
    for number, study in enumerate(write_studies(tmp_path, *names)):
        write_drawn(tmp_path / str(number) / "drawn", study, "GTV", f"Zylinski-{number}")
    seen = look(tmp_path)
    assert list(channels_of(seen)) == ["flair", "t1ce", "t2", "t1"]
    assert seen.fields["label_values"] == {0: "background", 1: "gtv"}
    assert found_by(seen, tmp_path) == 2
    assert "Zylinski" not in str(seen.fields)
    assert len(seen.rest["DICOM files that belong to no case"]) == 6


def test_what_medseg_predicted_is_no_label_map(tmp_path):
    for number, study in enumerate(write_studies(tmp_path, "FLAIR")):
        own = {"Modality": "SEG", "Manufacturer": "medseg", "SeriesInstanceUID": uid_of("own", number)}
        write_dicom(tmp_path / f"{number}.dcm", None, SOPClassUID=SegmentationStorage, **own, **study)
    seen = look(tmp_path)
    assert seen.layout is not None
    assert "no label maps were found" in seen.layout.cannot
    assert "no label maps, since medseg predicted them: 2 segmentations" in seen.layout.reasons

    for number, study in enumerate(write_studies(tmp_path / "drawn", "FLAIR")):
        write_drawn(tmp_path / str(number) / "drawn", study, "GTV")
    again = look(tmp_path)
    assert again.layout is not None
    assert "2 RTSTRUCT are label maps" in again.layout.reasons


def write_with_and_without_agent(folder: Path) -> None:
    """Studies of FLAIR and of two series that are called alike, one of them after a contrast agent."""
    studies = write_studies(folder, "AX T2 FLAIR", "AX T1 SE")
    for number, study in enumerate(studies):
        volume = RNG.integers(0, 500, (3, 8, 8)).astype(np.uint16)
        after = {"SeriesDescription": "AX T1 SE", "ContrastBolusAgent": "Gd-DOTA"}
        own = {"SeriesInstanceUID": uid_of("after", number)}
        write_series(folder / f"{number} after", volume, **after, **own, **study)
        write_drawn(folder / str(number) / "drawn", study, "GTV")


def test_series_that_are_called_alike_are_told_apart_by_the_contrast_agent(tmp_path):
    write_with_and_without_agent(tmp_path)
    seen = look(tmp_path)

    assert list(channels_of(seen)) == ["flair", "t1ce", "t1"]
    assert found_by(seen, tmp_path) == 2
    assert seen.layout is not None
    assert "by words in SeriesDescription, and ContrastBolusAgent" in seen.layout.reasons[1]


def test_a_single_series_after_a_contrast_agent_is_one_channel_and_not_two(tmp_path):
    for number, study in enumerate(write_studies(tmp_path, "FLAIR", "T1", ContrastBolusAgent="Gd")):
        write_drawn(tmp_path / str(number) / "drawn", study, "GTV")

    assert list(channels_of(look(tmp_path))) == ["flair", "t1"]


def test_series_that_are_in_no_channel_are_listed_by_what_several_patients_call_them(tmp_path):
    names = ("AX FLAIR", "perfusion", "t2 tse")
    for number, study in enumerate(write_studies(tmp_path, *names)):
        write_drawn(tmp_path / str(number) / "drawn", study, "GTV")
    seen = look(tmp_path)

    assert list(channels_of(seen)) == ["flair", "t2"]
    assert seen.layout is not None
    assert "in no channel: SeriesDescription 'perfusion': 2 series of 2 patients" in seen.layout.reasons
    assert not any("FLAIR" in reason for reason in seen.layout.reasons[2:])


def test_a_study_of_one_series_has_its_modality_for_a_channel(tmp_path):
    for number, study in enumerate(write_studies(tmp_path, "Zylinski", patients=3, Modality="CT")):
        write_drawn(tmp_path / str(number) / "drawn", study, f"tumour of {number}")
    seen = look(tmp_path)
    assert channels_of(seen) == {"ct": {"Modality": "^CT$"}}
    assert seen.layout is not None
    assert seen.layout.modalities == {"ct": "ct"}
    assert seen.fields["classes"] == ["background", "foreground"]
    assert found_by(seen, tmp_path) == 3


def test_descriptions_that_patients_share_tell_channels_where_no_word_does(tmp_path):
    for number, study in enumerate(write_studies(tmp_path, "early (1)", "late")):
        write_drawn(tmp_path / str(number) / "drawn", study, "GTV")
    seen = look(tmp_path)
    assert channels_of(seen)["early_1"] == {"SeriesDescription": r"^early\ \(1\)$"}
    assert found_by(seen, tmp_path) == 2


LONG = "Zylinski" * 5_000


def shown_of(seen: Look) -> str:
    """What a terminal shows of a look."""
    console = Console(file=StringIO(), width=10_000)
    print_look(console, seen)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore")  # of pydicom, which writes them all the same
@pytest.mark.parametrize("masks", [True, False], ids=["with label maps", "without"])
def test_long_values_of_headers_are_cut_where_they_are_shown(tmp_path, masks):
    """PatientID, what patients share, names of structures, numbers: none is there to name anything so long."""
    studies = [{"PatientID": f"P{number}{LONG}", "StudyInstanceUID": uid_of(number)} for number in range(4)]
    volume = RNG.integers(0, 500, (3, 8, 8)).astype(np.uint16)

    def write(name: str, study: dict[str, Any], description: str, series: str) -> None:
        texts = {"SeriesDescription": description, "SeriesNumber": series}
        write_series(tmp_path / name, volume, each=lambda _: texts, SeriesInstanceUID=uid_of(name), **study)

    for number, study in enumerate(studies):
        write(f"early {number}", study, f"early {LONG}", "1")
        write(f"late {number}", study, f"late {LONG}", "2")
    write("again", studies[0], f"late {LONG}", "7" * 300)
    for number, each in enumerate(studies if masks else []):
        write_drawn(tmp_path / "drawn" / str(number), each, f"GTV {LONG}")
    seen = look(tmp_path)
    assert len(shown_of(seen)) < 4_000
    assert len(str(seen.layout)) < 4_000
    assert (seen.listing is not None) == masks
    if seen.listing is not None:
        assert len(seen.listing.cases) == 3
        assert all(len(case.id) < 150 and len(case.group) < 80 for case in seen.listing.cases)


@pytest.mark.parametrize("frames", ["9" * 5_000, "\N{SUPERSCRIPT TWO}"], ids=["endless", "no digit"])
def test_a_number_of_frames_that_is_none_stops_no_scan(tmp_path, frames):
    tags = {"NumberOfFrames": frames, "ImagePositionPatient": "here"}
    assert Instance(tmp_path, tags).place == (frames if frames.isdecimal() else "here")


def test_a_series_that_one_study_has_twice_is_a_fault_of_that_study_alone(tmp_path):
    studies = write_studies(tmp_path, "flair", "t1 post gd", patients=4)
    for number, study in enumerate(studies):
        write_drawn(tmp_path / str(number) / "drawn", study, "GTV")
    write_series(
        tmp_path / "again",
        RNG.integers(0, 500, (3, 8, 8)),
        SeriesDescription="flair",
        SeriesInstanceUID=uid_of("again"),
        **studies[0],
    )
    seen = look(tmp_path)
    assert list(channels_of(seen)) == ["flair", "t1ce"]
    fields = {choice.key: choice.value for choice in manifest_choices("ward", seen)}
    listing = scan(Manifest.model_validate({**fields, "ids": "pseudonyms"}), tmp_path)
    assert (len(listing.cases), len(listing.faults)) == (3, 1)


def write_segmented(path: Path, study: dict[str, Any], *names: str) -> None:
    """What a segmentation says of its segments; a label map lists its background too."""
    segments = [{"SegmentNumber": n, "SegmentLabel": name} for n, name in enumerate(["Background", *names])]
    write_dicom(
        path, None, SOPClassUID=SegmentationStorage, Modality="SEG", SegmentSequence=segments,
        SeriesInstanceUID=uid_of(path), **study,
    )  # fmt: skip


def test_where_some_studies_have_segmentations_and_some_structure_sets_both_are_taken(tmp_path):
    for number, study in enumerate(write_studies(tmp_path, "flair", patients=5)):
        write = write_drawn if number % 2 else write_segmented
        write(tmp_path / str(number) / "drawn", study, "GTV")
    seen = look(tmp_path)
    assert seen.fields["layout"]["mask"]["tags"] == {"Modality": "^(RTSTRUCT|SEG)$"}
    assert seen.fields["label_values"] == {0: "background", 1: "gtv"}
    assert found_by(seen, tmp_path) == 5


def test_where_studies_have_both_the_kind_that_most_have_is_taken_with_its_own_names(tmp_path):
    for number, study in enumerate(write_studies(tmp_path, "flair", patients=3)):
        write_segmented(tmp_path / str(number) / "seg", study, "GTV")
        if number:
            write_drawn(tmp_path / str(number) / "drawn", study, "Outline")
    layout = look(tmp_path).layout
    assert layout is not None
    assert layout.fields["layout"]["mask"] == {"structures": {"gtv": "gtv"}, "tags": {"Modality": "^SEG$"}}
    assert layout.fields["classes"] == ["background", "gtv"]


@pytest.mark.parametrize("place", ["{number}/seg.nii.gz", "labels/Zylinski-{number}_seg.nii.gz"])
def test_label_maps_in_nifti_are_found_by_folder_or_patient(tmp_path, place):
    write_studies(tmp_path, "flair")
    grid = series_of(sorted((tmp_path / "0").iterdir())).geometry
    for number in range(2):
        path = tmp_path / place.format(number=number)
        path.parent.mkdir(exist_ok=True)
        write_nifti((RNG.random(grid.shape) > 0.5).astype(np.uint8), grid, path)
    seen = look(tmp_path)
    assert seen.fields["label_values"] == {0: "background", 1: "foreground"}
    assert found_by(seen, tmp_path) == 2


def test_frames_of_one_file_are_a_volume(tmp_path):
    for number in range(2):
        study = {
            "PatientID": f"p{number}",
            "StudyInstanceUID": uid_of(number),
            "SeriesInstanceUID": uid_of(number, 1),
        }
        volume = RNG.integers(0, 500, (3, 8, 8)).astype(np.uint16)
        write_frames(tmp_path / f"{number}.dcm", volume, **study)
        write_drawn(tmp_path / f"drawn{number}", {key: study[key] for key in list(study)[:2]}, "GTV")
    seen = look(tmp_path)
    assert channels_of(seen) == {"mr": {"Modality": "^MR$"}}
    assert found_by(seen, tmp_path) == 2


def test_series_without_label_maps_say_so(tmp_path):
    write_studies(tmp_path, "flair")
    layout = look(tmp_path).layout
    assert layout is not None
    assert "no label maps were found" in layout.cannot
    assert any("channels: mr, since each study has one series" in reason for reason in layout.reasons)


def test_slices_of_several_patients_in_folders_of_classes_are_pictures(tmp_path):
    for number, study in enumerate(write_studies(tmp_path / "all", "head", patients=4)):
        assert study
        for place, path in enumerate(sorted((tmp_path / "all" / str(number)).iterdir())):
            home = tmp_path / "classes" / ("bleeding" if place % 2 else "healthy")
            home.mkdir(parents=True, exist_ok=True)
            path.rename(home / f"{number}-{place}.dcm")
    layout = look(tmp_path / "classes").layout
    assert layout is not None
    assert layout.name == "a folder a class"


def test_series_that_nothing_tells_apart_say_so(tmp_path):
    write_studies(tmp_path, "Zylinski a", "Zylinski b", patients=1)
    layout = look(tmp_path).layout
    assert layout is not None
    assert "cannot be told apart" in layout.cannot
    assert "Zylinski" not in f"{layout.reasons}{layout.cannot}"


def test_series_that_nothing_tells_apart_are_listed_by_what_several_patients_call_them(tmp_path):
    for number, text in enumerate(("spin", "spin", "Zylinski", "only here", "")):
        study = {
            "PatientID": f"Zylinski-{number}",
            "StudyInstanceUID": uid_of(number),
            "SeriesDescription": text,
        }
        for each in range(2):
            volume = RNG.integers(0, 500, (3, 8, 8)).astype(np.uint16)
            write_series(
                tmp_path / f"{number}{each}", volume, SeriesInstanceUID=uid_of(number, each), **study
            )

    layout = look(tmp_path).layout

    assert layout is not None
    assert "cannot be told apart" in layout.cannot
    assert "SeriesDescription 'spin': 4 series of 2 patients" in layout.reasons
    assert "2 series without SeriesDescription" in layout.reasons
    assert "4 series called as in no other patient" in layout.reasons
    assert "Zylinski" not in str(layout.reasons)


@pytest.mark.real_data
def test_the_four_series_of_a_real_study_are_four_channels(real_data):
    layout = look(real_data("dicom") / "mr_brain").layout
    assert layout is not None
    assert any("channels: flair, t1ce, t2, t1" in reason for reason in layout.reasons)
