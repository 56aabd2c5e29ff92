from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROLES = {
    "Brats_001": "train",
    "Brats_002": "train",
    "Brats_003": "val",
    "Brats_004": "test",
    "Brats_005": "test",
}
UNET = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 4,
    "out_channels": 5,
    "channels": [4, 8],
    "strides": [2],
    "norm": "instance",
}
NORMALISE = {
    "_target_": "monai.transforms.NormalizeIntensityd",
    "keys": ["image"],
    "nonzero": True,
    "channel_wise": True,
}


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Heard:
    """A recorder and a progress that keep what they are told."""

    values: dict = field(default_factory=dict)
    numbers: list = field(default_factory=list)
    tagged: dict = field(default_factory=dict)
    artifacts: list = field(default_factory=list)
    said: list = field(default_factory=list)

    def params(self, values):
        self.values |= values

    def tags(self, values):
        self.tagged |= values

    def metrics(self, values, step):
        self.numbers.append((step, dict(values)))

    def artifact(self, path, folder=""):
        assert path.exists()
        self.artifacts.append(f"{folder}/{path.name}")

    def table(self, path):
        assert path.exists()

    def bar(self, label, total, unit=""):
        from medseg.progress import Silent

        return Silent().bar(label, total, unit)

    def say(self, text, *, loud=False):
        self.said.append(text)


@pytest.fixture(scope="session")
def brats(tmp_path_factory):
    """Five tiny patients."""
    from medseg.testing.cases import write_brats

    return write_brats(tmp_path_factory.mktemp("brats"), cases=5)


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """Where slices are prepared: what one test has prepared, of the same files, serves the others."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="session")
def listener():
    """Makes recorders for what outlives a test."""
    return Heard


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def make_work(brats, stores):
    """Make the work that a first step gets: an untrained network, a split, prepared slices."""
    import torch

    from medseg.component import build
    from medseg.datasets.finding.scan import scan
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule
    from medseg.slices.store.fill import prepare
    from medseg.splits.split import Split
    from medseg.steps.step import Work

    def make(*, by="group", keep="image", roles=None, **task):
        manifest = Manifest.from_yaml(Path(__file__).parents[2] / "data_manifests" / "brats2019.yaml")
        cases = scan(manifest, brats).cases
        given = {case.id: case.group for case in cases}
        ratios = {"val": 0.25, "test": 0.25} if by == "slice" else {}
        split = Split(by, 3, ratios, given, {} if by == "slice" else (roles or ROLES))
        rule = SliceRule.model_validate({"size": [32, 32], "keep": keep, "transforms": [NORMALISE]})
        preparation = Preparation(manifest.channels, rule)
        regions = {"whole_tumour": [2, 3, 4]}
        mask = ClassMasks(manifest.classes, regions=regions, select=["whole_tumour"], **task)
        torch.manual_seed(0)
        network = build(UNET, at="network", kind=torch.nn.Module)
        store = prepare(
            cases, split, preparation, manifest.label_rule(), regions=mask.regions, seed=3, root=stores
        )
        predictor = Predictor(network, UNET, mask, preparation, manifest, about={"pipeline": "tiny"})
        return Work({case.id: case for case in cases}, split, store, predictor)

    return make


@pytest.fixture
def make_run(tmp_path, heard):
    import torch

    from medseg.component import Allowed
    from medseg.learning.training.loading import Loading
    from medseg.steps.step import Run

    def make(step="fit", folder="run", **loading):
        chosen = Loading.model_validate({"batch_size": 8, "workers": 0, **loading})
        place = tmp_path / folder
        return Run(place, step, 5, torch.device("cpu"), chosen, heard, heard, Allowed())

    return make


@pytest.fixture
def make_picture_work(stores):
    """Make the work of a binary mask on pictures: the brighter a pixel, the more probable its foreground."""
    import torch

    from medseg.component import build
    from medseg.datasets.finding.scan import scan
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.binary_mask import BinaryMask
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule
    from medseg.slices.store.fill import prepare
    from medseg.splits.split import Split
    from medseg.steps.step import Work

    def make(data, name, role, *, fit="pad", size=(24, 32), threshold=0.5, epochs=0):
        """Give cases of `data`, of the manifest `name`, the roles that `role` gives to their groups."""
        manifest = Manifest.from_yaml(Path(__file__).parents[2] / "data_manifests" / f"{name}.yaml")
        listing = scan(manifest, data)
        assert not listing.faults
        given = {case.id: case.group for case in listing.cases}
        split = Split("group", 1, {}, given, {case: role(group) for case, group in given.items()})
        rule = SliceRule(size=size, fit=fit, keep={"contains": "all"})
        preparation = Preparation(manifest.channels, rule, files=manifest.files())
        labels, channels = manifest.label_rule(), len(manifest.channels)
        store = prepare(listing.cases, split, preparation, labels, regions={}, seed=1, root=stores)
        spec = {"_target_": "torch.nn.Conv2d", "in_channels": channels, "out_channels": 1, "kernel_size": 1}
        network = build(spec, at="network", kind=torch.nn.Module).eval()
        with torch.no_grad():
            network.weight.fill_(0.05 / channels)
            network.bias.fill_(-5.0)
        task = BinaryMask(manifest.classes, threshold)
        predictor = Predictor(network, spec, task, preparation, manifest)
        return Work({case.id: case for case in listing.cases}, split, store, predictor, epochs=epochs)

    return make


@pytest.fixture(scope="session")
def blur_out():
    """Drown the pictures of a data set in noise, so that no threshold is right everywhere."""
    import numpy as np
    from PIL import Image

    def change(data, pattern):
        for number, path in enumerate(sorted(data.glob(pattern))):
            values = np.asarray(Image.open(path)).astype(float)
            noise = np.random.default_rng(number).normal(0, 50, values.shape[:2])
            noisy = values + (noise if values.ndim == 2 else noise[..., None])
            Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(path)
        return data

    return change


@pytest.fixture(scope="session")
def class_manifest():
    """Make the manifest of pictures in folders by class, or of those that `write_labelled_table` writes."""
    from medseg.datasets.manifest.manifest import Manifest

    folder = Path(__file__).parents[2] / "data_manifests"

    def make(classes, *, many=False, colours=False):
        name = "image_table" if many else "image_folders"
        given = Manifest.from_yaml(folder / f"{name}.yaml").model_dump(by_alias=True)
        given |= {"classes": classes, "ids": "pseudonyms"}
        if many:
            layout = {"csv": "labels.csv", "image": "image", "labels": list(classes), "group": "patient"}
            given |= {"image_labels": "many", "layout": layout}
        if colours:
            given |= {"channels": ["red", "green", "blue"], "pictures": {"channels": "rgb"}}
        return Manifest.model_validate(given)

    return make


@pytest.fixture
def make_class_work(stores, class_manifest):
    """Make the work of telling the classes of pictures by a network that tells the places of discs untrained."""
    from medseg.datasets.finding.scan import scan
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule
    from medseg.slices.store.fill import prepare
    from medseg.splits.split import Split
    from medseg.steps.step import Work
    from medseg.testing.disc_reader import DiscReader

    def make(data, classes, role=lambda _: "test", *, many=False, colours=False, by=None, epochs=0, **rule):
        """Give the cases of `data` the roles that `role` gives; `by` are the ratios of a split by slice."""
        manifest = class_manifest(classes, many=many, colours=colours)
        listing = scan(manifest, data)
        assert not listing.faults
        given = {case.id: case.group for case in listing.cases}
        split = Split("group", 1, {}, given, {case.id: role(case) for case in listing.cases})
        if by is not None:
            split = Split("slice", 1, by, given, {})
        rule = SliceRule.model_validate({"size": (24, 32), "fit": "pad", "keep": "all"} | rule)
        preparation = Preparation(manifest.channels, rule, files=manifest.files())
        store = prepare(
            listing.cases,
            split,
            preparation,
            manifest.label_rule(),
            regions={},
            seed=1,
            root=stores,
        )
        spec = {
            "_target_": "medseg.testing.disc_reader.DiscReader",
            "in_channels": len(manifest.channels),
            "out_channels": len(classes),
        }
        network = DiscReader(spec["in_channels"], spec["out_channels"]).eval()
        task = ImageTags(classes) if many else ImageClasses(classes)
        predictor = Predictor(network, spec, task, preparation, manifest)
        return Work({case.id: case for case in listing.cases}, split, store, predictor, epochs=epochs)

    return make


SIDES = ("left", "right")


def of_pictures(case):
    """Of 14 pictures of each class, by their number: training, validation, test, and those without a label."""
    number = int(next(iter(case.images.values())).stem)
    return "train" if number <= 8 else "val" if number <= 10 else "test" if number <= 12 else "unlabelled"


@pytest.fixture(scope="session")
def prepared_sides(tmp_path_factory, class_manifest):
    """Give manifest, preparation, cases and slices of fourteen pictures of each class, prepared once."""
    from functools import cache

    from medseg.datasets.finding.scan import scan
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule
    from medseg.slices.store.fill import prepare
    from medseg.splits.split import Split
    from medseg.testing.labelled import write_class_folders

    scale = {"_target_": "monai.transforms.ScaleIntensityd", "keys": ["image"]}

    @cache
    def make(classes):
        place = tmp_path_factory.mktemp("sides")
        data = write_class_folders(place / "data", classes, cases=14)
        manifest = class_manifest(list(classes)).model_copy(update={"columns": {"scanner": "(.)$"}})
        cases = scan(manifest, data).cases
        groups = {case.id: case.group for case in cases}
        split = Split("group", 1, {}, groups, dict.fromkeys(groups, "train"))
        rule = SliceRule.model_validate({"size": (24, 32), "keep": "all", "transforms": [scale]})
        preparation = Preparation(manifest.channels, rule, files=manifest.files())
        labels = manifest.label_rule()
        store = prepare(cases, split, preparation, labels, regions={}, seed=1, root=place / "stores")
        return manifest, preparation, cases, store

    return make


@pytest.fixture(scope="session")
def make_feature_work(prepared_sides):
    """Make the work of telling classes by an untrained network that ends with one linear layer.

    Pictures of scanner `a` have odd numbers, of `b` even ones; those that `role` gives no role have no label.
    """
    from dataclasses import replace

    import torch

    from medseg.component import build
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.image_classes import ImageClasses
    from medseg.splits.split import Split
    from medseg.steps.step import Work

    def make(role=of_pictures, classes=SIDES):
        manifest, preparation, found, store = prepared_sides(classes)
        roles = {case.id: role(case) for case in found}
        cases = {}
        for case in found:
            scanner = "a" if int(next(iter(case.images.values())).stem) % 2 else "b"
            labels = None if roles[case.id] == "unlabelled" else case.labels
            cases[case.id] = replace(case, labels=labels, extra={"scanner": scanner})
        samples = tuple(
            replace(each, role=roles[each.case], labels=cases[each.case].labels) for each in store.samples
        )
        spec = {
            "_target_": "medseg.learning.networks.TutorialCNN",
            "image_size": [24, 32],
            "out_channels": len(classes),
            "feature_maps": 4,
            "dense": 12,
        }
        torch.manual_seed(0)
        network = build(spec, at="network", kind=torch.nn.Module).eval()
        predictor = Predictor(network, spec, ImageClasses(classes), preparation, manifest)
        split = Split("group", 1, {}, {case.id: case.group for case in found}, roles)
        return Work(cases, split, replace(store, samples=samples), predictor)

    return make


@pytest.fixture(scope="session")
def embedded_once(tmp_path_factory, make_feature_work):
    """The work with its features; never change it."""
    import torch

    from medseg.component import Allowed
    from medseg.learning.training.loading import Loading
    from medseg.steps.features.embed import Embed
    from medseg.steps.step import Run

    heard, loading = Heard(), Loading(batch_size=8)
    place = tmp_path_factory.mktemp("embedded")
    return Embed()(
        make_feature_work(), Run(place, "embed", 5, torch.device("cpu"), loading, heard, heard, Allowed())
    )


@pytest.fixture
def embedded(embedded_once):
    """The work with its features, and a network of one's own."""
    import copy
    from dataclasses import replace

    predictor = embedded_once.predictor
    return replace(embedded_once, predictor=replace(predictor, network=copy.deepcopy(predictor.network)))


@pytest.fixture
def take():
    """Take a step of a definition: check it, make its folder, and do it."""
    from medseg.component import build

    def do(work, run, target, **given):
        step = build({"_target_": f"medseg.steps.{target}", **given}, at=f"steps.{run.step}", kind=None)
        step.check(work.predictor)
        run.place.mkdir(parents=True, exist_ok=True)
        return step(work, run)

    return do
