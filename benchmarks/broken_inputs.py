"""Broken inputs of every kind through `data check`, `data prepare` and `predict`, each in a child of this process.

    python benchmarks/broken_inputs.py [--quick] [--count 3200] [--seed 1] [--kind NAME ...]

Everything is imported once; each command runs in a forked child, with a limit of 10 s and of 1 GB of growth. Inputs
of one kind come in folders of several with sound cases beside them; where a command fails, each input is tried
alone, to tell whose fault it is. A command must end with code 0 or 2, name a reason for each case that it leaves
out, and show no traceback; what it writes must be whole, and the sound cases are checked, prepared, and predicted
as they are without the others. Prints how many inputs were read, the lines of faults, and what went wrong; the exit
code is 1 if anything did. Needs Linux: it forks, and reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from medseg.testing.broken import KINDS, Broken, broken, sound

SECONDS = 10.0
"""Of processor; by the clock a command may take three times as long, since the machine may do other things."""
GROWTH = 1 << 30
"""Bytes that a command may take beyond what this process has."""
TOGETHER = 16
"""Inputs in a folder."""
SOUND = ("sound-a", "sound-b", "sound-c", "sound-d")

_ABOUT = dict.fromkeys(("about", "source", "licence", "citation", "obtain"), "x")
_MASKS = {"classes": ["background", "bright"], "label_values": {0: "background", 1: "bright"}}
_TEXT = re.compile(r"Traceback \(most recent|This is a defect of medseg")


@dataclass(frozen=True)
class World:
    """How inputs of some kinds become a data set.

    Attributes:
        kinds: Of inputs.
        good: Kind of the sound cases.
        manifest: What the data are.
        as_masks: Whether an input may stand for a label map, too.
        table: Name of the one table or split file that an input stands for; empty where inputs are images.
    """

    kinds: tuple[str, ...]
    good: str
    manifest: Mapping[str, Any]
    as_masks: bool = True
    table: str = ""

    @property
    def studies(self) -> bool:
        """Whether a case is a folder of DICOM files, named by its patient and not by the folder."""
        return sound(self.good)[0] == ""


def _volumes(**more: Any) -> dict[str, Any]:
    layout = {"images": "{case}_scan.*", "mask": "{case}_seg.*"}
    return {**_ABOUT, "ids": "pseudonyms", "channels": ["scan"], **_MASKS, "layout": layout, **more}


_TABLE = {"image": "image", "label": "label", "group": "patient", "extra": ["role"]}
_CLASSES = {
    "channels": ["scan"],
    "pictures": {"channels": "grey"},
    "image_labels": "one",
    "ids": "pseudonyms",
    "classes": ["a", "b"],
}
_SCAN = {"series": {"scan": {"SeriesDescription": "scan"}}}
_SERIES = {**_SCAN, "mask": "labels/{PatientID}.nii.gz"}
_DRAWN = {**_SCAN, "mask": {"structures": {"bright": "bright"}}}


def _table(name: str) -> dict[str, Any]:
    return {**_ABOUT, **_CLASSES, "layout": {"csv": name, **_TABLE}}


WORLDS: Mapping[str, World] = {
    "nifti": World(
        ("nifti", "nifti packed"),
        "nifti packed",
        _volumes(layout={"images": "{case}_scan.nii*", "mask": "{case}_seg.nii*"}),
    ),
    "itk": World(
        ("nifti pair", "metaimage", "metaimage apart", "nrrd", "nrrd apart"), "metaimage", _volumes(format="itk")
    ),
    "npz": World(("npz",), "npz", _volumes(volumes={"channels": "npz"}, layout={"images": "{case}_scan.npz"}), False),
    "pictures": World(
        ("png", "jpeg", "tiff", "bmp", "npy", "jpeg 2000", "dicom"),
        "png",
        _volumes(pictures={"channels": "grey"}, label_values={0: "background"}, instances="bright"),
    ),
    "series": World(("dicom series",), "dicom series", _volumes(layout=_SERIES), False),
    "drawn": World(("dicom seg", "dicom rtstruct"), "dicom seg", _volumes(layout=_DRAWN), False),
    "csv": World(("csv",), "png", _table("images.csv"), False, "images.csv"),
    "xlsx": World(("xlsx",), "png", _table("images.xlsx"), False, "images.xlsx"),
    "split": World(("split",), "png", _table("images.csv"), False, "split.json"),
}  # fmt: skip


@dataclass(frozen=True)
class Tried:
    """What became of one command.

    Attributes:
        code: Of its end; negative of a signal.
        said: All that it printed.
        seconds: By the clock.
        growth: Bytes beyond what this process has.
        late: Whether it was ended, since it went on too long.
    """

    code: int
    said: str
    seconds: float
    growth: int
    late: bool


@dataclass(frozen=True)
class Finding:
    """What went wrong.

    Attributes:
        world: Data set.
        kind: Of the input; empty where it is not known which of several it was.
        name: Of the input.
        why: What is wrong with the input.
        problem: What is wrong with the command.
    """

    world: str
    name: str
    why: str
    problem: str

    def __str__(self) -> str:
        return f"{self.world}: {self.name} ({self.why}): {self.problem}"


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def command(arguments: Sequence[str], place: Path) -> Tried:
    """Run one command of medseg in a forked child, in a folder of its own."""
    said, begin = place / "said.txt", time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_command(arguments, place, said)
    status, used, late = _ended(child, begin)
    growth = used.ru_maxrss * 1024 - int((place / "begun.txt").read_text() or 0)
    code = os.waitstatus_to_exitcode(status)
    text = said.read_text(encoding="utf-8", errors="replace")
    for kept in place.glob("tmp/medseg-defect-*"):
        text += "\n" + kept.read_text(encoding="utf-8", errors="replace")
        kept.unlink()
    return Tried(code, text, time.monotonic() - begin, growth, late)


@lru_cache(maxsize=1)
def _entry() -> Any:
    """The command line, put together once."""
    from typer.main import get_command

    from medseg.cli.main import app

    return get_command(app)


def _be_the_command(arguments: Sequence[str], place: Path, said: Path) -> None:
    code = 97
    try:
        with said.open("wb") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(place)
        (place / "begun.txt").write_text(str(_resident()))
        (place / "tmp").mkdir(exist_ok=True)
        os.environ["MEDSEG_CACHE"] = str(place / "cache")
        tempfile.tempdir = str(place / "tmp")
        seconds = int(sum(os.times()[:2]) + SECONDS) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (space + 4 * GROWTH, space + 4 * GROWTH))
        for name in ("stdout", "stderr"):
            number = 1 if name == "stdout" else 2
            setattr(sys, name, os.fdopen(os.dup(number), "w", encoding="utf-8"))
        _entry()(list(arguments), standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent is to see it
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(child: int, begin: float) -> tuple[int, resource.struct_rusage, bool]:
    """Wait for a child, no longer than it may take."""
    pause, late = 0.001, False
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return status, used, late
        if time.monotonic() - begin > 3 * SECONDS and not late:
            os.kill(child, signal.SIGKILL)
            late = True
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


@dataclass
class Bench:
    """A world, its model and its definition, on the disk.

    Attributes:
        name: Of the world.
        world: What it is.
        home: Folder of the model, and of what sound cases give.
        expected: Check sums of what the sound cases give, by name.
    """

    name: str
    world: World
    home: Path
    expected: dict[str, int] = field(default_factory=dict)

    def lay(self, place: Path, inputs: Sequence[Broken]) -> Path:
        """Write a data set: sound cases, and inputs beside them."""
        root = place / "data"
        root.mkdir(parents=True)
        for number, name in enumerate(SOUND):
            self._case(root, name, sound(self.world.good, seed=number), as_mask=False)
        for each in inputs:
            write = (each.ending or self._ending(each), each.write)
            self._case(root, each.name, write, as_mask=self.world.as_masks and _is_mask(each))
        return root

    def _ending(self, each: Broken) -> str:
        return sound(self.world.good)[0] if each.name.startswith("place") else ""

    def _case(self, root: Path, name: str, given: tuple[str, Any], *, as_mask: bool) -> None:
        ending, write = given
        if self.world.studies:
            write(root / name)
            if self.world.good == "dicom series":
                _mask_of_series(root, root / name)
            return
        if as_mask:
            other, scan = sound(self.world.good, seed=zlib.crc32(name.encode()))
            write(root / f"{name}_seg{ending}")
            scan(root / f"{name}_scan{other}")
            return
        write(root / f"{name}_scan{ending}")
        if self.world.good == "png":
            _write_mask_picture(root / f"{name}_seg.png")
        elif self.world.good != "npz":
            mask = f"{name}_seg.nii.gz" if self.name == "nifti" else f"{name}_seg.mha"
            _write_mask(root / mask)


class TableBench(Bench):
    """A world whose inputs are tables or split files, one for a data set."""

    def lay(self, place: Path, inputs: Sequence[Broken]) -> Path:
        """Write pictures, and the one table."""
        root = place / "data"
        root.mkdir(parents=True)
        for number in range(8):
            sound("png", seed=number)[1](root / f"sound{number}.png")
        if self.world.table != "images.xlsx":
            sound("csv")[1](root / "images.csv")
        else:
            sound("xlsx")[1](root / "images.xlsx")
        if self.world.table == "split.json":
            sound("split")[1](root / "split.json")
        for each in inputs:
            target = root / self.world.table
            target.unlink(missing_ok=True)
            each.write(target)
        return root


def _is_mask(each: Broken) -> bool:
    return zlib.crc32(each.name.encode()) % 4 == 0


def _write_mask(path: Path) -> None:
    import numpy as np

    mask = np.zeros((12, 10, 6), np.uint8)
    mask[4:8, 3:6, 2:4] = 1
    if path.suffix == ".mha":
        import SimpleITK

        image = SimpleITK.GetImageFromArray(mask.transpose(2, 1, 0))
        image.SetSpacing((1.5, 1.5, 3))
        SimpleITK.WriteImage(image, str(path))
        return
    import nibabel

    nibabel.save(nibabel.Nifti1Image(mask, np.diag([-1.5, -1.5, 3, 1])), path)


def _write_mask_picture(path: Path) -> None:
    import numpy as np
    from PIL import Image

    mask = np.zeros((24, 32), np.uint8)
    mask[8:16, 10:20] = 1
    Image.fromarray(mask).save(path)


def _mask_of_series(root: Path, folder: Path) -> None:
    """A label map on the grid of a sound series, by the patient that its first file names."""
    import nibabel
    import numpy as np

    raw = b"".join(path.read_bytes()[:2000] for path in sorted(folder.glob("*.dcm"))[:1] if path.is_file())
    found = re.search(rb"\x10\0\x20\0LO(..)(p\d+)", raw, re.DOTALL)
    if found is None:
        return
    mask = np.zeros((14, 12, 5), np.uint8)
    mask[5:9, 4:8, 1:3] = 1
    affine = np.diag([-1.5, -1.5, 3.0, 1])
    affine[:3, 3] = (10, 20, 0)
    (root / "labels").mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask, affine), root / "labels" / f"{found[2].decode()}.nii.gz")


_NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"]}
_NETWORK = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [2, 4],
    "strides": [2],
}
_CLASSIFIER = {
    "_target_": "monai.networks.nets.Classifier",
    "in_shape": [1, 32, 32],
    "classes": 2,
    "channels": [2, 2],
    "strides": [4, 4],
}


def _definition(world: World, manifest: str) -> dict[str, Any]:
    whole = bool(world.table)
    return {
        "name": "broken",
        "about": "x",
        "seed": 1,
        "manifest": manifest,
        "channels": ["scan"],
        "slices": {"size": [32, 32], "fit": "pad", "keep": "all", "transforms": [_NORMALISE]},
        "split": {"file": "split.json"}
        if world.table == "split.json"
        else {"by": "group", "val": 0.25, "test": 0.25},
        "loading": {"batch_size": 4},
        "task": {"_target_": "medseg.learning.ImageClasses"}
        if whole
        else {"_target_": "medseg.learning.ClassMasks", "classes": ["background", "bright"]},
        "network": _CLASSIFIER if whole else _NETWORK,
        "steps": {
            "fit": {
                "_target_": "medseg.steps.Fit",
                "epochs": 1,
                "optimiser": {"_target_": "torch.optim.AdamW", "lr": 0.01},
            }
        },
    }


def benches(home: Path, names: Sequence[str]) -> list[Bench]:
    """Write manifests, definitions and models, and see what sound cases give."""
    import torch

    from medseg.component import build
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.learning.tasks.image_classes import ImageClasses
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    made = []
    for name in names:
        world = WORLDS[name]
        bench = (TableBench if world.table else Bench)(name, world, home / name)
        bench.home.mkdir()
        said = {"name": name, **world.manifest}
        manifest = Manifest.model_validate(said)
        (bench.home / "manifest.yaml").write_text(re.sub(r'"(\d+)":', r"\1:", json.dumps(said)))
        definition = _definition(world, str(bench.home / "manifest.yaml"))
        (bench.home / "definition.yaml").write_text(json.dumps(definition))
        torch.manual_seed(1)
        network = build(definition["network"], at="network", kind=torch.nn.Module).eval()
        rule = SliceRule.model_validate(
            {**definition["slices"], "axis": "axial"} if not world.table else definition["slices"]
        )
        task = ImageClasses(["a", "b"]) if world.table else ClassMasks(["background", "bright"])
        preparation = Preparation(("scan",), rule, files=manifest.files())
        Predictor(network, definition["network"], task, preparation, manifest).save(bench.home / "model")
        made.append(bench)
    return made


def warm(bench: Bench, place: Path) -> None:
    """Run the commands in this process once, so that children need not import what is only imported late."""
    from contextlib import redirect_stderr, redirect_stdout, suppress

    os.environ["MEDSEG_CACHE"] = str(place / "cache")
    for arguments in _commands(bench, bench.lay(place, ()), place).values():
        with (
            suppress(SystemExit),
            (place / "said.txt").open("a") as said,
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            _entry()(arguments)


def run(bench: Bench, inputs: Sequence[Broken], place: Path) -> dict[str, Tried]:
    """The three commands on a folder with these inputs."""
    asked = _commands(bench, bench.lay(place, inputs), place)
    return {name: command(arguments, place) for name, arguments in asked.items()}


def _commands(bench: Bench, root: Path, place: Path) -> dict[str, list[str]]:
    definition = (bench.home / "definition.yaml").read_text()
    (place / "definition.yaml").write_text(
        definition.replace('"split.json"', json.dumps(str(root / "split.json")))
    )
    shared = [str(place / "definition.yaml"), "--data", str(root), "--jobs", "1", "--show-paths"]
    return {
        "check": ["data", "check", *shared],
        "prepare": ["data", "prepare", *shared, "--skip-bad"],
        "predict": ["predict", str(bench.home / "model"), str(root), "-o", str(place / "out")],
    }


def undraw() -> None:
    """Leave figures blank, and of one slice: drawing takes longer than all else, and shows what was read already."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from medseg.figures import overlay

    def blank(_: object, path: Path, **__: object) -> None:
        Image.new("L", (1, 1)).save(path, format="PNG")

    FigureCanvasAgg.print_figure = blank
    vars(overlay)["_OVERVIEW_SLICES"] = 1


def problems(
    bench: Bench, inputs: Sequence[Broken], tried: Mapping[str, Tried], place: Path
) -> Iterator[str]:
    """What the commands did that they should not."""
    for name, found in tried.items():
        if found.late or found.code in (-signal.SIGXCPU, -signal.SIGKILL):
            yield f"{name} went on for more than {SECONDS:g} s"
        elif found.code not in (0, 2):
            yield f"{name} ended with code {found.code}: {_last_lines(found.said)}"
        elif _TEXT.search(found.said):
            yield f"{name} shows a traceback: {_last_lines(found.said)}"
        elif found.code == 2 and not found.said.strip():
            yield f"{name} gives no reason"
        if found.growth > GROWTH:
            yield f"{name} took {found.growth / 2**30:.2f} GiB"
        for line in found.said.splitlines():
            if "unforeseen" in line or "MemoryError" in line:
                yield f"{name} foresaw nothing: {line.strip()[:300]}"
    if any(each.late or each.code not in (0, 2) for each in tried.values()):
        return  # all else follows from it
    for part in place.rglob("*.part"):
        yield f"left over: {part.relative_to(place)}"
    if not bench.world.table:
        yield from _of_sound(bench, tried, place)
        yield from _of_broken(bench, inputs, tried, place)


def _last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-6:])[:900]


def _of_sound(bench: Bench, tried: Mapping[str, Tried], place: Path) -> Iterator[str]:
    """Whether the sound cases were checked, prepared and predicted."""
    for line in tried["check"].said.splitlines():
        if "case sound-" in line:
            yield f"check refuses a sound case: {line.strip()[:300]}"
    prepared = sum(int(each) for each in re.findall(r"│ (?:train|val|test) +│ (\d+)", tried["prepare"].said))
    if prepared < len(SOUND):
        yield f"prepare kept {prepared} of {len(SOUND)} sound cases: {_last_lines(tried['prepare'].said)}"
    there = label_maps(place / "out")
    for name, check in bench.expected.items():
        if there.get(name) != check:
            yield f"predict gives {'another' if name in there else 'no'} label map of a sound case"


def _of_broken(
    bench: Bench, inputs: Sequence[Broken], tried: Mapping[str, Tried], place: Path
) -> Iterator[str]:
    """Whether each input is either predicted, whole, or refused by name."""
    table = next(iter((place / "out").glob("*.csv")), None)
    rows = set() if table is None else {line.split(",")[0] for line in table.read_text().splitlines()[1:]}
    written = {
        name.split(".nii")[0].removesuffix(".mha").removesuffix(".nrrd").removesuffix(".png")
        for name in label_maps(place / "out")
    }
    if rows != written:
        yield f"only the table has {sorted(rows - written)}, and only the label maps {sorted(written - rows)}"
    if not bench.world.studies:
        for each in inputs:
            if each.name not in rows and each.name not in tried["predict"].said:
                yield f"predict passes over {each.name} without a word"
            if each.name not in rows and each.name not in tried["check"].said:
                yield f"check passes over {each.name}, which predict refuses"


def label_maps(out: Path) -> dict[str, int]:
    """Check sums of the label maps in a folder of predictions."""
    there = [path for path in out.glob("*") if path.is_file() and path.suffix not in {".csv", ".txt"}]
    return {path.name: zlib.crc32(path.read_bytes()) for path in there}


@dataclass
class Tally:
    """What came of all inputs."""

    inputs: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    growth: int = 0


def try_all(bench: Bench, inputs: Sequence[Broken], home: Path, tally: Tally) -> None:
    """Try inputs of a world together, and alone where something went wrong."""
    found = _once(bench, inputs, home, tally)
    tally.inputs += len(inputs)
    named = [(each, one) for one in found for each in inputs if each.name in one or len(inputs) == 1]
    tally.findings += [Finding(bench.name, each.name, each.why, one) for each, one in named]
    left = [one for one in found if one not in {each for _, each in named}]
    if not left:
        return
    alone = [(each, _once(bench, [each], home, tally)) for each in inputs]
    tally.findings += [Finding(bench.name, each.name, each.why, one) for each, ones in alone for one in ones]
    if not any(ones for _, ones in alone):
        names = ", ".join(f"{each.name} ({each.why})" for each in inputs)
        tally.findings += [Finding(bench.name, names, "together alone", one) for one in left]


def _once(bench: Bench, inputs: Sequence[Broken], home: Path, tally: Tally) -> list[str]:
    place = Path(tempfile.mkdtemp(dir=home))
    try:
        tried = run(bench, inputs, place)
        tally.growth = max(tally.growth, *(each.growth for each in tried.values()))
        for name, each in tried.items():
            tally.seconds[name] = tally.seconds.get(name, 0.0) + each.seconds
            tally.refused[name] += len(re.findall(r"^  - ", each.said, re.MULTILINE)) + bool(
                re.search("^Error", each.said)
            )
        return list(problems(bench, inputs, tried, place))
    finally:
        for path in place.rglob("*"):
            if not path.is_symlink() and path.is_file():
                path.chmod(0o600)
        shutil.rmtree(place, ignore_errors=True)


def batches(kinds: Sequence[str], seed: int, count: int, together: int) -> Iterator[tuple[str, list[Broken]]]:
    """Inputs of each kind by the name of their world; of tables one at a time."""
    lies = {kind: sum(1 for _ in broken(kind)) for kind in kinds}
    whole = sum(lies.values())
    for name, world in WORLDS.items():
        row: list[Broken] = []
        for kind in world.kinds:
            if kind in lies:
                row += broken(kind, seed=seed, count=max(2, round(count * lies[kind] / whole)))
        if "place" in kinds and not world.table and not world.studies:
            # where a case is one file, nobody can tell that a folder was meant for one
            row += (
                each for each in broken("place", seed=seed) if world.as_masks or "a folder" not in each.why
            )
        size = 1 if world.table else together
        for begin in range(0, len(row), size):
            yield name, row[begin : begin + size]


def main() -> int:
    """Try everything, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few inputs of every kind")
    parser.add_argument("--count", type=int, default=3200, help="inputs in all, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=KINDS, help="this kind alone; may be given again")
    given = parser.parse_args()
    kinds = given.kind or KINDS
    tally, begin = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="medseg-broken-") as folder:
        home = Path(folder)
        undraw()
        wanted: dict[str, list[list[Broken]]] = {}
        for name, inputs in batches(
            kinds, given.seed, 20 if given.quick else given.count, 24 if given.quick else TOGETHER
        ):
            wanted.setdefault(name, []).append(inputs)
        for bench in benches(home, list(wanted)):
            warm_place = home / f"warm-{bench.name}"
            warm_place.mkdir()
            warm(bench, warm_place)
            bench.expected = {} if bench.world.table else label_maps(warm_place / "out")
            each = wanted[bench.name]
            for inputs in each[:1] if given.quick else each:
                before = len(tally.findings)
                try_all(bench, inputs, home, tally)
                for finding in tally.findings[before:]:
                    print(finding, flush=True)
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in tally.seconds.items())
    print(
        f"{tally.inputs} inputs of {len(kinds)} kinds in {time.monotonic() - begin:.0f} s ({spent}); lines of "
        f"faults: {dict(tally.refused)}; at most {tally.growth / 2**20:.0f} MiB of growth; "
        f"{len(tally.findings)} findings"
    )
    return int(bool(tally.findings))


if __name__ == "__main__" and (code := main()):
    sys.exit(code)
