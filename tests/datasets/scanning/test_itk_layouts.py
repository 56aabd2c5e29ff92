"""Folders of MetaImage, NRRD and Analyze are recognised, and what they say finds every case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.look import Look, look
from medseg.errors import DataError, ManifestError
from medseg.files.many import files_of

SHAPE = (12, 14, 4)
MEANT = {
    **dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "x"),
    "classes": ["background", "b", "c"],
    "label_values": {0: "background", 1: "b", 2: "c"},
}
SEQUENCES = ("Flair", "T1", "T1c", "T2")


def write(path: Path, data: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(data.T), str(path))


def drawn(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(1, 900, SHAPE).astype(np.int16)


def labels(values: int) -> NDArray[np.uint8]:
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % values).astype(np.uint8)


def of(seen: Look) -> tuple[str, int, int, int]:
    """Layout, cases, patients, and files that belong to no case."""
    assert seen.layout is not None
    assert seen.listing is not None
    assert seen.listing.faults == ()
    assert not seen.problems
    assert seen.fields["format"] == "itk"
    return seen.layout.name, len(seen.listing.cases), seen.patients, sum(map(len, seen.rest.values()))


def numbered(folder: Path, number: int) -> None:
    for step, name in enumerate(SEQUENCES):
        own = f"VSD.Brain.XX.O.MR_{name}.{number + step}"
        write(folder / own / f"{own}.mha", drawn(number + step))
    own = f"VSD.Brain_3more.XX.O.OT.{number + 9}"
    write(folder / own / f"{own}.mha", labels(5))


def test_brats_2015_has_a_folder_for_each_file_and_counts_examinations(tmp_path: Path) -> None:
    names = ("brats_tcia_pat101_0001", "brats_tcia_pat101_0087", "brats_2013_pat0001_1")
    for number, name in enumerate(names):
        numbered(tmp_path / ("LGG" if number == 2 else "HGG") / name, 100 * number)

    seen = look(tmp_path)

    assert of(seen) == ("BraTS 2013 to 2015", 3, 2, 0)
    assert seen.fields["label_values"] == {
        0: "background",
        1: "necrosis",
        2: "oedema",
        3: "non_enhancing_core",
        4: "enhancing",
    }
    assert seen.labels is not None
    assert set(seen.labels.names.regions) == {"whole_tumour", "tumour_core", "enhancing_tumour"}
    assert seen.listing is not None
    assert "MR_T1c." in str(seen.listing.cases[0].images["t1ce"])
    assert "MR_T1." in str(seen.listing.cases[0].images["t1"])


def test_brats_2013_counts_high_and_low_grades_from_one(tmp_path: Path) -> None:
    for number, grade in enumerate(("HG", "LG")):
        numbered(tmp_path / grade / "0001", 100 * number)

    seen = look(tmp_path)

    assert of(seen) == ("BraTS 2013 to 2015", 2, 2, 0)


def test_brats_2012_names_sequences_behind_the_case_and_leaves_values_to_a_person(tmp_path: Path) -> None:
    for case in ("BRATS_HG0001", "BRATS_LG0001"):
        for step, name in enumerate(("FLAIR", "T1", "T1C", "T2")):
            write(tmp_path / case / f"{case}_{name}.mha", drawn(step))
        write(tmp_path / case / f"{case}_truth.mha", labels(3))

    seen = look(tmp_path)

    assert of(seen) == ("BraTS 2012", 2, 2, 0)
    assert seen.labels is not None
    assert seen.labels.names.open == (1, 2)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_nnunet_may_hold_them(tmp_path: Path, ending: str) -> None:
    for number in range(2):
        write(tmp_path / "imagesTr" / f"a_{number:03}_0000{ending}", drawn(number))
        write(tmp_path / "labelsTr" / f"a_{number:03}{ending}", labels(3))

    assert of(look(tmp_path)) == ("nnU-Net raw data", 2, 2, 0)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr", ".hdr"])
def test_images_and_label_maps_by_name_with_the_files_beside_their_headers(
    tmp_path: Path, ending: str
) -> None:
    for number in range(3):
        write(tmp_path / f"p{number}" / f"scan{ending}", drawn(number))
        write(tmp_path / f"p{number}" / f"seg{ending}", labels(3))

    seen = look(tmp_path)

    assert of(seen) == ("images and label maps by name", 3, 3, 0)
    assert seen.listing is not None
    apart = ending in (".mhd", ".nhdr", ".hdr")
    assert {len(files_of(path)) for case in seen.listing.cases for path in case.files.values()} == {1 + apart}


def test_headers_of_several_endings_have_a_pattern_each(tmp_path: Path) -> None:
    for number, ending in enumerate((".mhd", ".nrrd", ".mhd")):
        write(tmp_path / f"p{number}" / f"scan{ending}", drawn(number))
        write(tmp_path / f"p{number}" / f"seg{ending}", labels(3))

    assert of(look(tmp_path)) == ("images and label maps by name", 3, 3, 0)


def test_a_table_leads_to_them(tmp_path: Path) -> None:
    rows = ["patient,image,mask"]
    for number in range(2):
        write(tmp_path / f"x{number}.nrrd", drawn(number))
        write(tmp_path / f"x{number}_seg.nrrd", labels(3))
        rows.append(f"p{number},x{number}.nrrd,x{number}_seg.nrrd")
    (tmp_path / "all.csv").write_text("\n".join(rows))

    assert of(look(tmp_path)) == ("a table of paths", 2, 2, 1)


def test_a_picture_that_is_called_as_a_header_is_none(tmp_path: Path) -> None:
    (tmp_path / "sky.hdr").write_bytes(b"#?RADIANCE\n")

    with pytest.raises(DataError, match=r"1 \.hdr are not read yet"):
        _ = look(tmp_path).fields


def test_one_damaged_case_costs_no_other(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"p{number}_scan.mha", drawn(number))
        write(tmp_path / f"p{number}_seg.mha", labels(3))
    (tmp_path / "p1_scan.mha").write_bytes((tmp_path / "p1_scan.mha").read_bytes()[:300])

    seen = look(tmp_path)

    assert sum(seen.problems.values()) == 1
    assert "truncated" in next(iter(seen.problems))
    assert seen.fields["classes"] == ["background", "label_1", "label_2"]


def test_a_format_that_nobody_brings_is_refused_with_ours(tmp_path: Path) -> None:
    texts = dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "x")
    manifest = Manifest.model_validate(
        {
            **texts,
            "ids": "pseudonyms",
            "channels": ["a"],
            "classes": ["b", "c"],
            "label_values": {0: "b", 1: "c"},
            "format": "nrrd",
            "layout": {"images": "{case}.nrrd"},
        }
    )
    with pytest.raises(ManifestError, match="format: itk"):
        scan(manifest, tmp_path)


def write_stacked(path: Path, channels: NDArray[Any], *, vector: bool) -> None:
    """Channels (C, I, J, K) as several values in each voxel, or along a fourth axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = (3, 2, 1, 0) if vector else (0, 3, 2, 1)
    made = SimpleITK.GetImageFromArray(np.ascontiguousarray(channels.transpose(order)), isVector=vector)
    SimpleITK.WriteImage(made, str(path))


@pytest.mark.parametrize(
    ("ending", "vector"), [(".nrrd", True), (".mha", True), (".mha", False), (".mhd", True)]
)
def test_the_decathlon_holds_channels_in_one_file(ending: str, vector: bool, tmp_path: Path) -> None:
    images = {name: np.stack([drawn(seed), drawn(seed + 1)]) for seed, name in enumerate(("a_1", "a_2"))}
    for name, channels in images.items():
        write_stacked(tmp_path / "imagesTr" / f"{name}{ending}", channels, vector=vector)
        write(tmp_path / "labelsTr" / f"{name}{ending}", labels(3))
    (tmp_path / "dataset.json").write_text(
        '{"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ", "2": "TZ"}}'
    )

    seen = look(tmp_path)

    assert of(seen)[:3] == ("Medical Segmentation Decathlon", 2, 2)
    assert seen.fields["channels"] == ["t2", "adc"]
    assert seen.listing is not None
    manifest = Manifest.model_validate({**seen.fields, **MEANT})
    for case in seen.listing.cases:
        read = manifest.files().read(case.images["t2"], ["adc", "t2"])
        assert np.array_equal(read[1].data, images[case.id][0])
        assert np.array_equal(read[0].data, images[case.id][1])
        assert manifest.files().geometry(case.images["t2"]).shape == SHAPE
        assert case.mask is not None
        assert manifest.files().geometry(case.mask).shape == SHAPE


def test_bids_is_recognised_in_nrrd(tmp_path: Path) -> None:
    for number in (1, 2):
        for session in ("01", "02"):
            home, name = f"sub-{number:02d}/ses-{session}/anat", f"sub-{number:02d}_ses-{session}"
            write(tmp_path / home / f"{name}_T1w.nrrd", drawn(number))
            write(tmp_path / "derivatives" / "manual" / home / f"{name}_space-T1w_dseg.nrrd", labels(2))
    (tmp_path / "dataset_description.json").write_text('{"Name": "made up"}')

    assert of(look(tmp_path))[:3] == ("BIDS", 4, 2)
