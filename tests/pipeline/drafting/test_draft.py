"""A draft is read by what reads every manifest and definition, and says why it chose what."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.look import Look, look
from medseg.errors import DataError, DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.drafting.budget import LEAST_STEPS, Pace, unmeasured
from medseg.pipeline.drafting.choice import Choice, written
from medseg.pipeline.drafting.draft import Draft, drafted, places, refuse_to_overwrite, write
from medseg.pipeline.drafting.machine import Machine
from medseg.pipeline.drafting.plan import planned
from medseg.testing.cases import write_brats
from medseg.testing.layouts import patients, write_bids, write_decathlon, write_nnunet, write_volume
from medseg.testing.pictures import shapes, write_emps, write_lgg, write_nuclei, write_pairs, write_picture
from medseg.yaml import parse_yaml

SHAPE = (24, 28, 8)


def draft_of(folder: Path) -> tuple[Draft, Manifest, PipelineDefinition]:
    draft = drafted("mine", look(folder), Machine())
    manifest = Manifest.from_json(parse_yaml(draft.manifest, "mine"))
    return draft, manifest, PipelineDefinition.from_dict(parse_yaml(draft.definition, "mine"), "mine")


def choices_of(seen: Look, machine: Machine) -> dict[str, Any]:
    plan = planned("mine", seen, machine, machine.scales[0])
    return {choice.key: choice.value for choice in plan.choices}


def classes(folder: Path) -> Path:
    for role in ("Train", "Test"):
        for name in ("yes", "no"):
            for number in range(4):
                write_picture(folder / role / name / f"{number}.png", shapes((40, 48), number)[0])
    return folder


def spaced(folder: Path, *, scale: float = 1.0, offset: float = 0.0, channel: str = "MRI") -> Path:
    """An nnU-Net data set with other voxels in each volume."""
    write_nnunet(folder, cases=0, shape=SHAPE)
    said = f'{{"channel_names": {{"0": "{channel}"}}, "labels": {{"background": 0, "a": 1, "b": 2, "c": 3}}}}'
    (folder / "dataset.json").write_text(said)
    for number, (name, images, mask) in enumerate(patients(4, SHAPE)):
        affine = np.diag([0.5 + 0.25 * number, 0.5 + 0.25 * number, 4.0, 1.0])
        write_volume(folder / "imagesTr" / f"{name}_0000.nii.gz", images[0] * scale + offset, affine)
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", mask, affine)
    return folder


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: write_nnunet(folder, cases=3, channels=2, shape=SHAPE),
        lambda folder: write_decathlon(folder, cases=3, shape=SHAPE),
        lambda folder: write_brats(folder, cases=3, shape=SHAPE),
        lambda folder: write_bids(folder, cases=3, shape=SHAPE),
        lambda folder: write_pairs(folder, cases=3, roles=("Train", "Test")),
        lambda folder: write_lgg(folder, patients=3),
        lambda folder: write_nuclei(folder, cases=4),
        lambda folder: write_emps(folder, cases=4),
        classes,
        spaced,
    ],
    ids=["nnunet", "decathlon", "brats", "bids", "pairs", "lgg", "nuclei", "emps", "classes", "spaced"],
)
def test_a_draft_of_each_layout_is_read_and_every_choice_but_plain_ones_has_its_reason(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    draft, manifest, definition = draft_of(make(tmp_path))

    assert manifest.ids == "identifying"
    assert definition.channels == manifest.channels
    assert definition.manifest == manifest.name == "mine"
    assert draft.manifest.count("# ") >= 3
    assert draft.definition.count("# ") >= 5
    assert str(tmp_path) not in draft.manifest + draft.definition


def test_names_of_cases_are_in_no_draft(tmp_path: Path) -> None:
    for name, images, mask in patients(3, SHAPE):
        for visit in ("visit1", "visit2"):
            case = f"Lovelace {name}_{visit}"
            write_volume(tmp_path / "Byron" / f"{case}.nii.gz", images[1])
            write_volume(tmp_path / "Byron" / f"{case}_seg.nii.gz", mask)

    draft, *_ = draft_of(tmp_path)

    assert "visit" in draft.manifest
    assert "Byron" not in draft.manifest + draft.definition


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Look:
    """A look at an nnU-Net data set."""
    return look(write_nnunet(tmp_path_factory.mktemp("plain"), cases=3, shape=SHAPE))


def test_to_do_is_what_a_person_must_decide_alone(tmp_path: Path, plain: Look) -> None:
    known = drafted("mine", plain, Machine())
    unknown, *_ = draft_of(write_bids(tmp_path / "unknown", cases=3, shape=SHAPE))

    assert [question.split()[1] for question in known.questions] == ["`pseudonyms`"]
    assert [question.split()[1] for question in unknown.questions] == ["`pseudonyms`", "the"]
    assert (known.manifest + known.definition).count("TODO") == 1
    assert (unknown.manifest + unknown.definition).count("TODO") == 2


def transforms(definition: PipelineDefinition) -> list[dict[str, Any]]:
    return [dict(spec) for spec in definition.slices.transforms]


def test_volumes_of_other_voxels_are_resampled_in_the_plane_of_slices_alone(tmp_path: Path) -> None:
    _, _, definition = draft_of(spaced(tmp_path))

    assert definition.slices.spacing == (0.875, 0.875)
    (scaling,) = transforms(definition)
    assert "Intensity" in scaling["_target_"]
    assert definition.slices.axis == "axial"


@pytest.mark.parametrize(("channel", "offset"), [("CT", 0.0), ("MRI", 0.0), ("", -1000.0)])
def test_ct_is_clipped_to_percentiles_of_what_is_labelled_and_mr_is_not(
    tmp_path: Path, channel: str, offset: float
) -> None:
    draft, _, definition = draft_of(spaced(tmp_path, scale=0.5, offset=offset, channel=channel))

    last = transforms(definition)[-1]["_target_"].rpartition(".")[2]
    assert last == ("NormalizeIntensityd" if channel == "MRI" else "ScaleIntensityRanged") or not channel
    assert ("0.5 and 99.5" in draft.definition) == (last == "ScaleIntensityRanged")


def test_where_most_of_a_volume_is_0_that_is_left_out_of_its_mean(tmp_path: Path) -> None:
    _, _, whole = draft_of(spaced(tmp_path / "whole", offset=1))
    _, _, framed = draft_of(write_brats(tmp_path / "framed", cases=3, shape=SHAPE))

    assert "nonzero" not in transforms(whole)[-1]
    assert whole.slices.keep.contains == "all"
    assert transforms(framed)[-1]["nonzero"] is True
    assert framed.slices.keep.contains == "image"


@pytest.mark.parametrize(
    ("make", "mirrored"),
    [
        (lambda folder: write_nnunet(folder, cases=3, shape=SHAPE), False),
        (lambda folder: write_nuclei(folder, cases=4), True),
    ],
    ids=["volumes", "pictures"],
)
def test_pictures_are_mirrored_in_training_and_prediction_and_volumes_are_not(
    make: Callable[[Path], Path], mirrored: bool, tmp_path: Path
) -> None:
    _, _, definition = draft_of(make(tmp_path))

    assert any(spec["_target_"].endswith("RandFlipd") for spec in definition.loading.augment) is mirrored
    assert any(step["_target_"].endswith("AverageFlips") for step in definition.steps.values()) is mirrored


def test_a_gpu_gives_a_network_twice_as_wide(plain: Look) -> None:
    narrow, wide = (choices_of(plain, Machine(gpu)) for gpu in (False, True))

    assert wide["network.channels"] == [2 * width for width in narrow["network.channels"]]


def test_without_a_gpu_small_batches_and_plain_convolutions_give_more_steps(tmp_path: Path) -> None:
    seen = middle(tmp_path / "a", 100)  # a twentieth of their slices are 21

    on_cpu, on_gpu = (choices_of(seen, Machine(gpu=gpu)) for gpu in (False, True))

    assert (on_cpu["network.num_res_units"], on_gpu["network.num_res_units"]) == (0, 2)
    assert on_cpu["loading.batch_size"] == 8
    assert on_gpu["loading.batch_size"] > 8


@pytest.mark.parametrize(
    "make", [lambda folder: write_pairs(folder, cases=2, roles=("Train", "Test")), classes]
)
def test_roles_that_the_folders_tell_share_out_the_cases(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    choices = choices_of(look(make(tmp_path)), Machine())

    assert choices["split"]["column"] == "role"


def test_a_folder_without_a_usable_layout_gives_no_draft(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no layout was recognised"):
        drafted("mine", look(tmp_path), Machine())


def middle(folder: Path, count: int, *, at: int = 0, side: int = 32) -> Look:
    """Volumes of several sizes with a label of 8 x 8 voxels, `at` voxels from their middle."""
    write_nnunet(folder, cases=0, shape=SHAPE)
    for number in range(count):
        shape = (side + 2 * (number % 3), side, 6)
        image = np.random.default_rng(number).normal(size=shape).astype(np.float32)
        mask = np.zeros(shape, np.uint8)
        first, second = (each // 2 - 4 for each in shape[:2])
        mask[first + at : first + at + 8, second : second + 8, 2:4] = 1 + number % 3
        write_volume(folder / "imagesTr" / f"p{number:02}_0000.nii.gz", image)
        write_volume(folder / "labelsTr" / f"p{number:02}.nii.gz", mask)
    return look(folder)


def test_slices_are_cropped_to_their_middle_where_all_label_maps_lie_there(tmp_path: Path) -> None:
    choices = choices_of(middle(tmp_path / "a", 20), Machine())

    assert choices["slices.size"] == [10, 10]
    assert choices["slices.fit"] == "pad"


def test_a_slice_that_is_cropped_is_one_slice_however_large_it_was(tmp_path: Path) -> None:
    machine = Machine()
    plan = planned("mine", middle(tmp_path / "a", 20), machine, machine.scales[0])

    training = int(0.7 * 20 * 6)  # cases of 6 slices
    assert plan.course.steps == plan.course.epochs * math.ceil(training / 4)  # batches of a twentieth


def test_of_an_axis_along_which_they_lie_far_out_nothing_is_cropped(tmp_path: Path) -> None:
    assert choices_of(middle(tmp_path / "a", 20, at=11), Machine())["slices.size"] == [10, 34]


@pytest.mark.parametrize("given", [{"count": 19}, {"count": 20, "side": 10}], ids=["few", "as large"])
def test_slices_are_not_cropped_where_label_maps_are_few_or_fill_them(
    tmp_path: Path, given: dict[str, int]
) -> None:
    size = choices_of(middle(tmp_path / "a", **given), Machine())["slices.size"]

    assert min(size) >= given.get("side", 32)


class Clock:
    """Takes so many seconds for a slice of 64 features, and less in proportion for fewer."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.tried: list[int] = []

    def __call__(self, definition: PipelineDefinition, manifest: Manifest) -> Pace:
        assert manifest.name == definition.manifest
        self.tried.append(definition.network["channels"][0])
        return Pace(self.seconds * self.tried[-1] / 64, 0.001, 0.5)


@pytest.mark.parametrize(
    ("seconds", "minutes", "tried", "enough"),
    [
        (0.1, 10, [32], True),
        (3.0, 10, [32, 16], True),
        (60.0, 10, [32, 16, 8], False),  # their slices and batches cannot be made smaller
        (60.0, 600, [32], True),
    ],
)
def test_the_largest_network_is_taken_that_has_time_to_learn(
    tmp_path: Path, seconds: float, minutes: float, tried: list[int], enough: bool
) -> None:
    clock = Clock(seconds)

    draft = drafted(
        "mine", look(write_nnunet(tmp_path, cases=3, shape=SHAPE)), Machine(gpu=True), minutes, clock
    )

    assert clock.tried == tried
    assert (draft.course.steps >= LEAST_STEPS) == enough
    definition = PipelineDefinition.from_dict(parse_yaml(draft.definition, "mine"), "mine")
    assert definition.network["channels"][0] == tried[-1]
    expected = definition.steps["fit"]["expected"]
    assert expected["minutes"] == pytest.approx(draft.course.minutes, abs=0.1)
    assert expected["minutes"] <= minutes
    assert expected["gib"] == 0.5
    assert definition.steps["fit"]["epochs"] == draft.course.epochs


class PixelClock:
    """Takes so many seconds for a slice of 200 x 200 pixels, and less in proportion for smaller ones."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.tried: list[list[int]] = []

    def __call__(self, definition: PipelineDefinition, manifest: Manifest) -> Pace:
        size = definition.slices.size
        assert size is not None
        self.tried.append([*size])
        return Pace(self.seconds * math.prod(size) / 200**2, 0.001, 0.5, 0.001)


@pytest.mark.parametrize(
    ("seconds", "size", "spacing"),
    [
        (0.02, [224, 224], None),
        (0.07, [160, 160], [1.4925, 1.4925]),
        (0.12, [112, 112], [2.0, 2.0]),
        (0.5, [112, 112], [2.0, 2.0]),  # too few of any, and most of these
    ],
)
def test_pixels_become_larger_where_the_time_holds_too_few_slices(
    tmp_path: Path, seconds: float, size: list[int], spacing: list[float] | None
) -> None:
    clock = PixelClock(seconds)

    draft = drafted("mine", look(write_nnunet(tmp_path, cases=3, shape=(200, 200, 4))), Machine(), 10, clock)

    slices = parse_yaml(draft.definition, "mine")["slices"]
    assert (slices["size"], slices.get("spacing")) == (size, spacing)
    assert clock.tried[-1] == size
    assert all(first > second for first, second in pairwise(map(tuple, clock.tried)))
    assert draft.course.gib == pytest.approx(0.5 + 10 * 0.001, abs=0.002)  # what is kept of about ten slices


def test_slices_that_are_small_already_keep_their_pixels(tmp_path: Path) -> None:
    clock = PixelClock(100.0)

    draft = drafted("mine", look(write_nnunet(tmp_path, cases=3, shape=(90, 80, 4))), Machine(), 10, clock)

    assert "spacing" not in parse_yaml(draft.definition, "mine")["slices"]


def test_nobody_says_how_long_it_may_take_and_it_is_ten_minutes_or_thirty_on_a_gpu(tmp_path: Path) -> None:
    seen = look(write_nnunet(tmp_path, cases=3, shape=SHAPE))

    found = [
        drafted("mine", seen, Machine(gpu=gpu), None, Clock(1.0)).course.minutes for gpu in (False, True)
    ]

    assert found == [pytest.approx(9.5, abs=0.5), pytest.approx(28.5, abs=1)]


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", "1a", "a.yaml"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="letters, digits"):
        places(name)


def test_nothing_is_overwritten_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draft = Draft("mine", "name: mine\n", "name: mine\n", (), unmeasured(10, 2))
    refuse_to_overwrite("mine")
    write(draft)

    with pytest.raises(
        DefinitionError, match=r"data_manifests.mine.yaml and pipelines.mine.yaml are there already"
    ):
        refuse_to_overwrite("mine")


def test_choices_are_written_with_their_reasons_above_them() -> None:
    text = written(
        [
            Choice("a", 1, "because"),
            Choice("b.c", [1, 2]),
            Choice("b.d.e", "no", "x" * 150),
            Choice("f", {1: "g"}),
        ]
    )

    assert (
        text
        == f"# because\na: 1\n\nb:\n  c: [1, 2]\n  d:\n    # {'x' * 100}\n    # {'x' * 50}\n    e: no\nf: {{1: g}}\n"
    )
    assert parse_yaml(text, "") == {"a": 1, "b": {"c": [1, 2], "d": {"e": "no"}}, "f": {1: "g"}}


def test_a_reason_of_many_lines_stays_a_comment() -> None:
    assert parse_yaml(written([Choice("a", 1, "one\nb: 2\r\nc: 3")]), "") == {"a": 1}


def apart(folder: Path, *, labels: str) -> Path:
    """Two channels on two grids, with the label maps on that of one of them."""
    write_nnunet(folder, cases=0, channels=2, shape=SHAPE)
    said = '{"channel_names": {"0": "t2", "1": "dwi"}, "labels": {"background": 0, "a": 1, "b": 2, "c": 3}}'
    (folder / "dataset.json").write_text(said)
    thick = {"t2": False, "dwi": True}
    for name, images, mask in patients(3, SHAPE):
        for number, (channel, halved) in enumerate(thick.items()):
            image, affine = images[number][..., :: 1 + halved], np.diag([1.0, 1.0, 2.0 + 2 * halved, 1.0])
            write_volume(folder / "imagesTr" / f"{name}_{number:04d}.nii.gz", image, affine)
            if channel == labels:
                write_volume(folder / "labelsTr" / f"{name}.nii.gz", mask[..., :: 1 + halved], affine)
    return folder


@pytest.mark.parametrize("labels", ["t2", "dwi"])
def test_channels_on_several_grids_are_resampled_onto_that_of_the_label_maps(
    tmp_path: Path, labels: str
) -> None:
    folder = apart(tmp_path, labels=labels)
    draft, manifest, definition = draft_of(folder)

    reference = definition.slices.reference(definition.channels)
    assert reference == labels
    assert f"channels of 3 cases lie on several grids: label maps lie on that of {labels}" in " ".join(
        draft.definition.replace("#", " ").split()
    )
    listing = scan(manifest, folder)
    report = check(listing, manifest, definition.channels, reference=reference)
    assert report.faults == ()
    assert {facts.shape[2] for facts in report.facts if facts.shape} == {8 if labels == "t2" else 4}


def test_channels_on_one_grid_need_no_setting(tmp_path: Path) -> None:
    assert "align" not in draft_of(write_nnunet(tmp_path, cases=3, channels=2, shape=SHAPE))[0].definition
