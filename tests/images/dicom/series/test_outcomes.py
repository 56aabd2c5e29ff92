"""What becomes of every real series at hand: the table of docs/dicom.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medseg.errors import DataError
from medseg.geometry.grid import StoredImage
from medseg.images.dicom.series.drawn import read_drawn
from medseg.images.dicom.series.index import Instance, instance_of
from medseg.images.dicom.series.read import read_series
from medseg.images.refusal import found_and_remedy

FOLDERS = ("mr_brain", "ct_with_seg", "ct_with_rtstruct", "dicomdir", "awkward/volumes")
ALL_DRAWN = ((1, ("*",)),)


def series_in(folder: Path) -> dict[tuple[Path, str], list[Instance]]:
    """Files by their folder and series; each segmentation and structure set is one of its own."""
    found: dict[tuple[Path, str], list[Instance]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        one = instance_of(path)
        if one is not None:
            key = path.parent, path.name if one.is_labels else one.series
            found.setdefault(key, []).append(one)
    return found


def read(files: list[Instance], others: dict[tuple[Path, str], list[Instance]]) -> StoredImage:
    paths = [each.path for each in files]
    if not files[0].is_labels:
        return read_series(paths)
    same = (each for each in others.values() if each[0].is_image and each[0].study == files[0].study)
    slices = [each.path for each in next(same, [])]
    if not slices:
        raise DataError("the series that it was drawn on is not there")
    return read_drawn(paths[0], slices, ALL_DRAWN)


def rows(root: Path) -> Iterator[str]:
    for name in FOLDERS:
        found = series_in(root / name)
        for (folder, _), files in found.items():
            where = folder.relative_to(root).as_posix()
            place = f"{where}/{files[0].path.name}" if files[0].is_labels else where
            try:
                stored = read(files, found)
            except DataError as error:
                outcome = f"refused: {found_and_remedy(error)[0]}"
            else:
                shape, spacing = stored.data.shape, stored.geometry.spacing
                outcome = (
                    f"{' x '.join(map(str, shape))} of {' x '.join(f'{each:.4g}' for each in spacing)} mm"
                )
            files_text = f"{len(files)} {files[0].tags['Modality']}"
            yield f"| `{place}` | {files_text} | {outcome} |"


@pytest.mark.real_data
def test_the_outcome_of_each_real_series_stands_in_the_documents(real_data):
    table = list(rows(real_data("dicom")))
    print("\n".join(table))
    document = (Path(__file__).parents[4] / "docs" / "dicom.md").read_text(encoding="utf-8")
    _, _, written = document.partition("| series | files | outcome |\n| --- | --- | --- |\n")
    assert written.splitlines() == table
