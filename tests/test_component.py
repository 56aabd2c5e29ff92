"""Building declared objects: what may be named, how arguments are bound, and what the errors say."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import re
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from medseg import allowed as allowed_module
from medseg.allowed import DEFAULT_MODULES, REFUSED, REFUSED_ARGUMENTS, Allowed
from medseg.component import Declared, Slot, build, check, is_spec, resolve
from medseg.errors import DefinitionError


class Circle:
    def __init__(
        self, radius: float, colour: str = "red", *, inner: Any = None, filled: bool = False
    ) -> None:
        if radius < 0:
            raise ValueError(f"radius {radius} is negative")
        self.radius, self.colour, self.inner, self.filled = radius, colour, inner, filled


class Square:
    declared: ClassVar[Mapping[str, Slot]] = {"paint": Slot("shapes.Circle", ("radius",))}

    def __init__(self, paint: Any = None, **rest: Any) -> None:
        self.paint, self.rest = paint, rest


class Silent:
    def __init__(self) -> None:
        raise RuntimeError


def area() -> float:
    return 1.0


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Allowed:
    """A package `shapes`, with a submodule, that the caller allows."""
    module, deeper = ModuleType("shapes"), ModuleType("shapes.deep")
    module.__path__ = []  # type: ignore[attr-defined]
    for each in (Circle, Square, Silent):
        monkeypatch.setattr(each, "__module__", "shapes")
        setattr(module, each.__name__, each)
    module.area, module._Hidden, module.Path = area, Circle, Path  # type: ignore[attr-defined]
    deeper.Circle = Circle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shapes", module)
    monkeypatch.setitem(sys.modules, "shapes.deep", deeper)
    return Allowed().also("shapes")


def spec(target: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": target, **arguments}


def test_an_extra_that_is_not_installed_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)  # as if it were not installed

    with pytest.raises(
        DefinitionError, match=r"umap is not installed. Install it: pip install .umap-learn.*extra `umap`"
    ):
        resolve("umap.UMAP", at="steps.reduce.method")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "builtins.exec",
        "subprocess.Popen",
        "subprocess",
        "torch.load",
        "torch.hub.load",
        "torch.serialization.load",
        "pickle.Unpickler",
        "torch.nn.functional.relu",
        "torch.nn.functional",
        "torch.nn.Module.apply",
        "torch.nn.modules.linear.Linear",
        "torch.nn._reduction",
        "torch.nn.__class__",
        "torch.nn.",
        "torch..nn",
        ".",
        "",
        "torch.optim.lr_scheduler.partial",
        "torch.optim.lr_scheduler.Counter",
        "torch.optim.lr_scheduler.ref",
        "medseg.learning.scores.volumes.os",
        "medseg.learning.scores.volumes.np",
        "medseg.errors.MedsegError",
        "medseg.steps.fit",
        "monai.bundle.ConfigParser",
        "monai.transforms.compose.Compose",
        "monai.transforms.LoadImage",
        "monai.transforms.LoadImaged",
        "monai.transforms.LoadImageD",
        "monai.transforms.LoadImageDict",
        "monai.transforms.SaveImaged",
        "monai.transforms.SaveClassificationd",
        "monai.transforms.WriteFileMappingDict",
        "monai.transforms.Lambda",
        "monai.transforms.Lambdad",
        "monai.transforms.RandLambdaDict",
        "monai.transforms.TorchVisionD",
        "monai.transforms.RandTorchIOd",
        "monai.transforms.CuCIM",
        "monai.losses.PerceptualLoss",
        "monai.networks.nets.Transchex",
        "monai.transforms.io.array.LoadImage",
        "sklearn.cluster.estimate_bandwidth",
        3,
        ["os.system"],
        None,
    ],
)
def test_a_hostile_target_is_refused_wherever_it_stands(target: Any) -> None:
    outer = spec("monai.transforms.Compose", transforms=[{"_target_": target}])

    for declared, at in ((spec(target), "network"), (outer, "network.transforms.0")):
        with pytest.raises(DefinitionError, match=rf"^at {at}._target_: "):
            build(declared, at="network", kind=None)


def test_what_monai_imports_or_writes_by_name_stays_refused_when_the_caller_allows_all_of_it() -> None:
    with pytest.raises(DefinitionError, match="imports anything"):
        resolve("monai.transforms.io.dictionary.LoadImaged", at="x", allowed=Allowed().also("monai"))


def calls_by_class(path: str) -> dict[str, set[str]]:
    """What each class of a source file calls, as it is written: `open`, `torch.load`."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        each.name: {ast.unparse(node.func) for node in ast.walk(each) if isinstance(node, ast.Call)}
        for each in classes
    }


@pytest.mark.slow
def test_no_class_of_monai_that_opens_imports_or_locates_is_missing_from_the_list() -> None:
    """A fence for the next MONAI: reads the source of every class that a definition may name."""
    doubtful = {
        "optional_import",
        "locate",
        "open",
        "eval",
        "exec",
        "importlib.import_module",
        "import_module",
    }
    doubtful |= {"torch.load", "torch.hub.load", "load_state_dict_from_url", "hf_hub_download", "pickle.load"}
    names = re.compile(r"(.*_)?(path|dir|filename|reader|writer|checkpoint|pickle_module|url)")
    flags = {"use_checkpoint", *REFUSED_ARGUMENTS}
    # These do so in methods that no definition reaches.
    harmless = {"BertPreTrainedModel", "FlexUNetEncoderRegister"}
    modules = [importlib.import_module(each) for each in DEFAULT_MODULES if each.startswith("monai.")]
    found = {each for module in modules for each in vars(module).values() if inspect.isclass(each)}
    ours = {
        each for each in found if each.__module__.startswith("monai.") and not issubclass(each, Exception)
    }
    calls = {
        name: calls_by_class(str(sys.modules[name].__file__)) for name in {each.__module__ for each in ours}
    }

    suspects = {
        each.__name__
        for each in ours
        if doubtful & calls[each.__module__].get(each.__name__, set())
        or any(names.fullmatch(name) and name not in flags for name in inspect.signature(each).parameters)
    }

    assert suspects - set(REFUSED) - harmless == set()
    assert {"LoadImage", "SaveImaged", "TorchVision", "PerceptualLoss", "Transchex"} <= suspects


def test_every_refused_name_is_a_class_of_monai() -> None:
    import monai.losses
    import monai.networks.nets
    import monai.optimizers
    import monai.transforms

    modules = [monai.transforms, monai.networks.nets, monai.losses, monai.optimizers]

    for name in REFUSED:
        assert any(inspect.isclass(getattr(module, name, None)) for module in modules), name


ONE_TO_ONE = {"in_channels": 1, "out_channels": 1}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (spec("monai.networks.nets.Unet2"), "has no public class 'Unet2'. Did you mean"),
        (spec("monai.network.nets.UNet"), "Did you mean 'monai.networks.nets'"),
        (spec("torch.nn.functional"), "is a module; expected a class"),
        (spec("torch.optim.lr_scheduler.partial"), "it belongs to functools"),
        (spec("torch.nn.Linear", in_featurs=1, out_features=2), "takes no 'in_featurs'. Did you mean"),
        (spec("torch.nn.Linear", in_features=1), "at network: Linear needs 'out_features'"),
        (spec("torch.nn.Linear", in_features=1, out_features=1, _mode_="debug"), "takes no '_mode_'"),
        (spec("torch.nn.Linear", in_features="a", out_features=1), "torch.nn.Linear refused its arguments: "),
        (spec("torch.optim.AdamW", params=[], lr="x"), "; lr is 'x', by default 0.001: expected a number"),
        (spec("torch.optim.lr_scheduler.Tensor"), "does not say what it takes"),
        (spec("monai.transforms.Transform"), "is abstract"),
        (spec("monai.networks.nets.ResNetFeatures", model_name="resnet10"), "at network.pretrained: refused"),
        (spec("monai.networks.nets.FlexUNet", **ONE_TO_ONE, backbone="x", pretrained=True), "refused"),
        (spec("sklearn.cluster.AgglomerativeClustering", memory="folder"), "at network.memory: refused"),
        (3, "at network: got 3; expected an object"),
        ({"channels": 3}, "at network: got {'channels': 3}; expected an object"),
        ([spec("torch.nn.ReLU")], "expected an object"),
    ],
)  # fmt: skip
def test_a_wrong_spec_is_told_its_key_and_a_remedy(declared: Any, said: str) -> None:
    with pytest.raises(DefinitionError) as error:
        build(declared, at="network", kind=None)

    assert str(error.value).startswith("at network")
    assert said in str(error.value)


def test_a_network_is_built_from_yaml_values() -> None:
    import torch

    declared = spec(
        "monai.networks.nets.UNet",
        spatial_dims=2,
        in_channels=2,
        out_channels=3,
        channels=[4, 8],
        strides=[2],
        act=["prelu", {"init": 0.2}],
    )

    network = build(declared, at="network", kind=torch.nn.Module)

    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.slow
def test_an_optimiser_gets_its_parameters_and_a_schedule_of_schedules_its_optimiser() -> None:
    import torch

    weights = [torch.nn.Parameter(torch.zeros(1))]
    optimiser = build(
        spec("torch.optim.AdamW", lr=0.1), at="o", kind=torch.optim.Optimizer, params=weights, unrelated=3
    )
    declared = spec(
        "torch.optim.lr_scheduler.SequentialLR",
        milestones=[2],
        schedulers=[
            spec("torch.optim.lr_scheduler.ConstantLR", factor=0.5, total_iters=2),
            spec("torch.optim.lr_scheduler.CosineAnnealingLR", T_max=3),
        ],
    )

    schedule = build(declared, at="s", kind=torch.optim.lr_scheduler.LRScheduler, optimizer=optimiser)

    assert optimiser.param_groups[0]["params"] == weights
    assert schedule.get_last_lr() == [0.05]


def test_kinds_are_types_tuples_or_conditions(shapes: Allowed) -> None:
    def round_thing(found: type) -> bool:
        return found is Circle

    declared = spec("shapes.Square")

    assert check(declared, at="a", kind=Square, allowed=shapes) is Square
    assert check(declared, at="a", kind=(Circle, Square), allowed=shapes) is Square
    for kind, called in (
        (Circle, "Circle"),
        ((Circle, Silent), "Circle or Silent"),
        (round_thing, "round thing"),
    ):
        with pytest.raises(DefinitionError, match=rf"^at a: shapes.Square is no {called}, which"):
            check(declared, at="a", kind=kind, allowed=shapes)


def test_nested_objects_are_built_first_in_lists_and_mappings(shapes: Allowed) -> None:
    inner = spec("shapes.Circle", radius=1)
    declared = spec("shapes.Circle", radius=2, inner={"deep": [0, {"er": inner}], "plain": {"a": 1}})

    built = build(declared, at="task", kind=Circle, allowed=shapes)

    assert built.inner["deep"][1]["er"].radius == 1
    assert built.inner["plain"] == {"a": 1}
    assert is_spec(inner)
    assert declared["inner"]["deep"][1]["er"] is inner


def test_a_fault_deep_inside_is_found_by_check_with_its_dotted_key(shapes: Allowed) -> None:
    declared = spec("shapes.Circle", radius=2, inner={"deep": [0, spec("shapes.Circle", radios=1)]})

    with pytest.raises(DefinitionError, match=r"^at task.inner.deep.1.radios: .* 'radius'"):
        check(declared, at="task", kind=None, allowed=shapes)


def test_supplied_arguments_are_passed_where_taken_and_not_set(shapes: Allowed) -> None:
    supplied = {"radius": 7, "colour": "blue", "unknown": 1}
    declared = spec("shapes.Circle", colour="green", inner=spec("shapes.Circle"))

    built = build(declared, at="a", kind=None, allowed=shapes, **supplied)

    assert (built.radius, built.colour, built.inner.radius, built.inner.colour) == (7, "green", 7, "red")


def test_an_argument_that_is_neither_given_nor_supplied_is_missed_by_check(shapes: Allowed) -> None:
    check(spec("shapes.Circle"), at="a", kind=None, allowed=shapes, supplied=("radius",))
    with pytest.raises(DefinitionError, match="at a: Circle needs 'radius'"):
        check(spec("shapes.Circle"), at="a", kind=None, allowed=shapes)


def test_check_constructs_nothing(shapes: Allowed) -> None:
    assert check(spec("shapes.Silent"), at="a", kind=None, allowed=shapes) is Silent
    with pytest.raises(DefinitionError, match=r"at a: shapes\.Silent refused its arguments: RuntimeError"):
        build(spec("shapes.Silent"), at="a", kind=None, allowed=shapes)


def test_a_slot_is_checked_at_once_and_built_at_each_call(shapes: Allowed) -> None:
    declared = spec("shapes.Square", paint=spec("shapes.Circle", colour="green"))

    square = build(declared, at="task", kind=Square, allowed=shapes)
    first, second = square.paint(radius=1), square.paint(radius=2)

    assert (first.radius, second.radius, second.colour) == (1, 2, "green")
    with pytest.raises(
        DefinitionError, match=r"at task\.paint: shapes\.Circle refused its arguments: radius -1"
    ):
        square.paint(radius=-1)


@pytest.mark.parametrize(
    ("paint", "said"),
    [
        (spec("shapes.Square"), "at task.paint: shapes.Square is no Circle"),
        (spec("shapes.Circle", colours=1), "at task.paint.colours: Circle takes no 'colours'"),
        (spec("os.system"), "at task.paint._target_: 'os.system' is of no allowed module"),
        ("red", "at task.paint: got 'red'; expected an object"),
    ],
)
def test_a_wrong_slot_is_refused_before_anything_is_built(shapes: Allowed, paint: Any, said: str) -> None:
    with pytest.raises(DefinitionError) as error:
        build(spec("shapes.Square", paint=paint), at="task", kind=None, allowed=shapes)

    assert said in str(error.value)


def test_an_empty_slot_stays_empty(shapes: Allowed) -> None:
    assert build(spec("shapes.Square", paint=None), at="a", kind=None, allowed=shapes).paint is None


def test_what_waits_in_a_slot_can_go_to_another_process() -> None:
    waits = Declared(spec("torch.nn.BCELoss"), "task.loss", Slot("torch.nn.Module"), Allowed())

    assert pickle.loads(pickle.dumps(waits)) == waits  # noqa: S301
    assert type(waits(weight=None)).__name__ == "BCELoss"


def test_any_argument_goes_to_a_constructor_that_takes_all(shapes: Allowed) -> None:
    assert build(spec("shapes.Square", side=3), at="a", kind=None, allowed=shapes).rest == {"side": 3}


@pytest.mark.parametrize(
    "target", ["shapes.area", "shapes._Hidden", "shapes.Path", "shapes.absent.Circle", "shapesque.X"]
)
def test_an_allowed_package_still_offers_only_its_own_public_classes(shapes: Allowed, target: str) -> None:
    with pytest.raises(DefinitionError, match=r"^at a\._target_"):
        resolve(target, at="a", allowed=shapes)


def test_allowing_a_package_allows_its_submodules_and_changes_no_default(shapes: Allowed) -> None:
    assert resolve("shapes.deep.Circle", at="a", allowed=shapes) is Circle
    with pytest.raises(DefinitionError, match="--allow PACKAGE adds one"):
        resolve("shapes.Circle", at="a")


def test_an_installed_package_may_allow_itself(shapes: Allowed, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("shapes", "shapes", "medseg.allow")
    monkeypatch.setattr(allowed_module, "brought", lambda group: [point] if group == "medseg.allow" else [])
    allowed_module._installed.cache_clear()
    try:
        assert resolve("shapes.deep.Circle", at="a") is Circle
    finally:
        allowed_module._installed.cache_clear()


def test_a_module_that_fails_to_import_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_shapes.py").write_text("raise RuntimeError('no engine')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(DefinitionError, match="broken_shapes cannot be imported: no engine"):
        resolve("broken_shapes.Circle", at="a", allowed=Allowed().also("broken_shapes"))


def test_a_text_in_place_of_a_number_is_said_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        build(
            spec("medseg.steps.Fit", epochs="abc", optimiser=spec("torch.optim.AdamW")),
            at="steps.fit",
            kind=None,
        )
    assert str(caught.value).count("epochs is 'abc'") == 1
    assert "expected a whole number, 1 or more" in str(caught.value)
