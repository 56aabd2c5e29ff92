import hashlib

import numpy as np
import pytest
from PIL import Image

from medseg.testing.pictures import shapes, write_emps, write_lgg, write_nuclei, write_pairs, write_picture


def read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [(48, 64), (16, 16), (60, 100)])
def test_shapes_are_two_or_three_and_a_threshold_finds_them(seed, size):
    grey, instances = shapes(size, seed)
    assert grey.shape == instances.shape == size
    assert set(np.unique(instances)) in ({0, 1, 2}, {0, 1, 2, 3})
    assert ((grey > 120) != (instances > 0)).mean() < 0.001


def test_an_l_proves_rows_and_columns():
    _, instances = shapes((60, 100), 1)
    two = instances == 2
    rows, columns = np.nonzero(two.any(axis=1))[0], np.nonzero(two.any(axis=0))[0]
    two = two[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert two[-1, -1]
    assert two[0, 0]
    assert two[-1, 0]
    assert not two[0, -1]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_picture_is_written_in_the_mode_asked_for(tmp_path, mode):
    path = write_picture(tmp_path / "new" / "one.png", shapes()[0], mode)
    assert read(path)[0] == mode
    assert read(path)[1].shape[:2] == (48, 64)


def test_options_reach_pillow(tmp_path):
    path = write_picture(tmp_path / "one.jpg", shapes()[0], format="PNG")
    assert path.read_bytes()[1:4] == b"PNG"


def test_emps_has_rgb_images_sixteen_bit_maps_and_two_pictures_an_article(tmp_path):
    folder = write_emps(tmp_path / "emps", cases=5)
    lines = (folder / "metadata.csv").read_text().splitlines()
    assert lines[0] == "filename,doi,figure,instances"
    rows = [line.split(",") for line in lines[1:]]
    assert [row[1][-2:] for row in rows] == ["01", "01", "02", "02", "03"]
    for name, _, _, count in rows:
        mode, image = read(folder / "images" / name)
        assert mode == "RGB"
        assert image.shape == (48, 64, 3)
        assert np.ptp(image, axis=-1).max() == 0
        mode, segmap = read(folder / "segmaps" / name)
        assert mode == "I;16"
        assert segmap.max() == int(count)
    assert len(set(digests(folder / "images").values())) == 5


def test_nuclei_have_one_mask_each_and_mixed_modes(tmp_path):
    folder = write_nuclei(tmp_path / "nuclei", cases=5, stained=2)
    modes = []
    for number in range(1, 6):
        case = folder / "stage1_train" / f"nucleus{number:02d}"
        modes.append(read(case / "images" / f"{case.name}.png")[0])
        masks = [read(path)[1] for path in case.glob("masks/*.png")]
        assert len(masks) in (2, 3)
        assert all(set(np.unique(mask)) == {0, 255} for mask in masks)
        assert np.sum(np.stack(masks) > 0, axis=0).max() == 1
    assert modes == ["RGBA", "RGBA", "L", "RGB", "RGBA"]
    stained = read(folder / "stage1_train" / "nucleus02" / "images" / "nucleus02.png")[1]
    assert (stained[..., 1] < stained[..., 0]).mean() > 0.99


def test_lgg_slices_are_three_planes_with_a_mask_and_the_first_has_no_tumour(tmp_path):
    folder = write_lgg(tmp_path / "lgg", patients=2, slices=3) / "kaggle_3m"
    assert sorted(path.name for path in folder.iterdir()) == [
        "TEST_LG_0001_20000101",
        "TEST_LG_0002_20000101",
    ]
    for patient in folder.iterdir():
        for n in (1, 2, 3):
            mode, image = read(patient / f"{patient.name}_{n}.tif")
            assert (mode, image.shape) == ("RGB", (48, 64, 3))
            mask = read(patient / f"{patient.name}_{n}_mask.tif")[1]
            assert mask.any() == (n > 1)
            if n > 1:
                assert image[mask > 0, 1].mean() > image[mask > 0, 0].mean() + 50


def test_pairs_share_stems_and_roles_share_none(tmp_path):
    folder = write_pairs(tmp_path / "pairs", cases=2, roles=("Train", "Test"), masks="SegmentationMap")
    found = [
        sorted(path.name for path in (folder / role / kind).iterdir())
        for role in ("Train", "Test")
        for kind in ("Images", "SegmentationMap")
    ]
    assert found == [["pair01.png", "pair02.png"]] * 2 + [["pair03.png", "pair04.png"]] * 2
    plain = write_pairs(tmp_path / "plain", cases=1)
    assert set(np.unique(read(plain / "Segmentation" / "pair01.png")[1])) == {0, 255}


def test_the_same_seed_gives_the_same_files_and_another_others(tmp_path):
    one = digests(write_emps(tmp_path / "one", cases=2))
    more = digests(write_emps(tmp_path / "more", cases=3) / "images")
    other = digests(write_emps(tmp_path / "other", cases=2, seed=1))
    assert one["images/emps01.png"] == more["emps01.png"]
    assert one["images/emps01.png"] != other["images/emps01.png"]
