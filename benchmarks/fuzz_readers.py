"""Coverage-guided fuzzing of everything that reads files of others, by atheris (which is not installed with medseg).

    pip install atheris
    python benchmarks/fuzz_readers.py [--quick] [--seconds 60] [--target NAME ...]

Each target is a reader in a process of its own. Its first inputs are sound and broken ones of
`medseg.testing.broken`; libFuzzer changes them so that they reach more branches of medseg and of the library that
the target names. What a reader raises must be one of `medseg.errors`, within 10 s and 1 GB. Prints what each target
ran, and each finding with the bytes that lead to it; the exit code is 1 if there is one, and 2 where atheris is
missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

Read = Callable[[bytes], object]

OURS = (
    "medseg.images",
    "medseg.files",
    "medseg.geometry",
    "medseg.datasets.manifest",
    "medseg.yaml",
    "medseg.pipeline",
)
"""Code whose branches guide the fuzzer in every target."""
GROWTH_MB = 1024
SECONDS_EACH = 10


def _file(place: Path, ending: str, read: Callable[[Path], object]) -> Read:
    """What writes bytes to a file and reads it."""
    path = place / f"input{ending}"

    def written(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return written


def _nifti(place: Path) -> Read:
    from medseg.images.nifti.read import read_nifti

    plain, packed = _file(place, ".nii", read_nifti), _file(place, ".nii.gz", read_nifti)
    return lambda data: (packed if data[:2] == b"\x1f\x8b" else plain)(data)


def _picture(place: Path) -> Read:
    from medseg.images.formats import PictureFiles

    files = PictureFiles("grey", ("scan",))

    def both(path: Path) -> object:
        return files.geometry(path), files.read(path, ["scan"])

    return _file(place, ".png", both)


def _dicom(place: Path) -> Read:
    from medseg.images.formats import PictureFiles

    files = PictureFiles("grey", ("scan",))

    def all_of(path: Path) -> object:
        return files.tag(path, "PatientID"), files.geometry(path), files.read(path, ["scan"])

    return _file(place, ".dcm", all_of)


def _series(place: Path) -> Read:
    """One slice of five is what the fuzzer makes of it."""
    from medseg.images.dicom.series.index import instance_of
    from medseg.images.dicom.series.read import read_series
    from medseg.testing.broken import sound

    sound("dicom series")[1](place / "series")
    paths = sorted((place / "series").iterdir())

    def read(data: bytes) -> object:
        paths[2].write_bytes(data)
        return instance_of(paths[2]), read_series(paths)

    return read


def _itk(place: Path) -> Read:
    """By the ending that the first bytes tell."""
    from medseg.images.itk.read import read_itk

    reads = {ending: _file(place, ending, read_itk) for ending in (".mha", ".nrrd")}
    return lambda data: reads[".nrrd" if data.startswith(b"NRRD") else ".mha"](data)


def _npz(place: Path) -> Read:
    from medseg.images.npz import NpzFiles

    files = NpzFiles(("scan",))

    def both(path: Path) -> object:
        return files.read(path, ["scan"]), files.read_mask(path)

    return _file(place, ".npz", both)


def _definition(place: Path) -> Read:
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.errors import MedsegError
    from medseg.pipeline.declaration.definition import PipelineDefinition
    from medseg.yaml import read_yaml

    def both(path: Path) -> object:
        with suppress(MedsegError):
            Manifest.from_yaml(path)
        return PipelineDefinition.from_dict(read_yaml(path), "input.yaml")

    return _file(place, ".yaml", both)


def _run(place: Path) -> Read:
    """A run's own state."""
    from medseg.pipeline.folder import RunFolder

    def read(data: bytes) -> object:
        (place / "run.json").write_bytes(data)
        return RunFolder(place).read().mine

    return read


def _model(place: Path) -> Read:
    """A model's description, from which nothing is built yet."""
    from medseg.learning.inference.saved_model import described_in

    def read(data: bytes) -> object:
        (place / "model.json").write_bytes(data)
        return described_in(place)

    return read


TARGETS: dict[str, tuple[Callable[[Path], Read], tuple[str, ...], tuple[str, ...]]] = {
    "nifti": (_nifti, ("nifti", "nifti packed"), ("nibabel",)),
    "picture": (_picture, ("png", "jpeg", "tiff", "bmp", "npy"), ("PIL",)),
    "dicom": (_dicom, ("dicom",), ("pydicom",)),
    "series": (_series, ("dicom series",), ("pydicom",)),
    "itk": (_itk, ("metaimage", "nrrd"), ()),
    "npz": (_npz, ("npz",), ("zipfile",)),
    "definition": (_definition, (), ("ruamel",)),
    "run": (_run, (), ()),
    "model": (_model, (), ()),
}
"""Each target: what reads, the kinds of inputs that it begins with, and further packages whose branches guide."""


def _sound_inputs(name: str) -> Iterator[bytes]:
    """What a target takes; of a series, the slice that it replaces."""
    from medseg.learning.inference.saved_model import FORM
    from medseg.pipeline.folder import State
    from medseg.pipeline.options import RunOptions
    from medseg.testing.broken import sound

    root = Path(__file__).resolve().parents[1]
    if name == "definition":
        yield from (path.read_bytes() for path in (root / "pipelines").glob("*.yaml"))
    if name == "run":
        yield json.dumps(State("a", "b", None, RunOptions(device="cpu", skip_bad=False)).content()).encode()
    if name == "model":
        yield json.dumps({"form": FORM, "channels": ["a"], "network": {"_target_": "x"}}).encode()
    with tempfile.TemporaryDirectory() as folder:
        for kind, number in itertools.product(TARGETS[name][1], range(1 if name == "series" else 3)):
            sound(kind, seed=number)[1](Path(folder) / f"{kind}-{number}")
        yield from _files(Path(folder), "slice2*" if name == "series" else "*")


def _first_inputs(name: str) -> Iterator[bytes]:
    """What a target begins with: what is sound, what is a manifest and no definition, and what is broken already."""
    from medseg.testing.broken import broken

    yield from _sound_inputs(name)
    with tempfile.TemporaryDirectory() as folder:
        if name == "definition":
            shutil.copytree(
                Path(__file__).resolve().parents[1] / "data_manifests", Path(folder) / "manifests"
            )
        for kind in TARGETS[name][1]:
            for each in broken(kind):
                each.write(Path(folder) / each.name)
        yield from _files(Path(folder))


def _files(folder: Path, pattern: str = "*") -> Iterator[bytes]:
    for path in folder.rglob(pattern):
        if path.is_file() and path.stat().st_size < 50_000:
            yield path.read_bytes()


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Fuzz one target in this process, which ends with it; what it raises is written into a folder, once a place."""
    import atheris

    with atheris.instrument_imports(include=[*OURS, *TARGETS[name][2]]):
        import medseg.errors
        import medseg.images.formats
        import medseg.testing.broken

        place = Path(tempfile.mkdtemp(dir=found))
        read = TARGETS[name][0](place)
    corpus = found / "corpus"
    corpus.mkdir()
    for number, data in enumerate(_first_inputs(name)):
        (corpus / f"{number:05d}").write_bytes(data)
    seen: set[str] = set()

    def once(data: bytes) -> None:
        try:
            read(data)
        except medseg.errors.MedsegError:
            return
        except Exception as error:  # noqa: BLE001 - each is a finding
            frames = traceback.extract_tb(error.__traceback__)
            own = [
                frame for frame in frames if "medseg" in frame.filename and "benchmarks" not in frame.filename
            ]
            where = (
                f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}"
                if own
                else repr(error)
            )
            if where not in seen:
                seen.add(where)
                (found / f"finding-{len(seen)}").write_bytes(data)
                text = "".join(traceback.format_exception(error))
                (found / f"finding-{len(seen)}.txt").write_text(f"{where}\n{text}", encoding="utf-8")

    limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS_EACH}", "-max_len=60000"]
    memory = [f"-rss_limit_mb={GROWTH_MB + 1024}", f"-artifact_prefix={found}/stopped-", "-close_fd_mask=1"]
    atheris.Setup([sys.argv[0], *limits, *memory, str(corpus)], once)
    atheris.Fuzz()


def _told(name: str, seconds: int, place: Path) -> int:
    """Fuzz one target in a process of its own and print what came of it; gives the number of findings."""
    place.mkdir(parents=True)
    command = [sys.executable, __file__, "--inside", name, "--seconds", str(seconds), "--keep", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 300)
    lines = re.findall(r"#(\d+)\s+DONE\s+cov: (\d+).*corp: (\d+)", done.stderr)
    findings = sorted(place.glob("finding-*.txt"))
    stopped = [path for path in place.glob("stopped-*") if not path.name.startswith("stopped-slow")]
    if lines:
        runs, coverage, kept = lines[-1]
        print(
            f"{name}: {runs} inputs in {seconds} s, {coverage} branches reached, {kept} inputs kept", end="; "
        )
    else:
        print(f"{name}: ended early: {done.stderr.strip().splitlines()[-1:]}", end="; ")
    print(f"{len(findings) + len(stopped)} findings", flush=True)
    for path in findings:
        print(f"  {path.read_text(encoding='utf-8').splitlines()[0]}: {path.with_suffix('')}")
    for path in stopped:
        print(f"  too slow, too large or a crash: {path}")
    return len(findings) + len(stopped) + (not lines)


def main() -> int:
    """Fuzz each target in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two targets for two seconds each")
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument(
        "--target", action="append", choices=tuple(TARGETS), help="this one alone; may be given again"
    )
    parser.add_argument(
        "--keep", type=Path, help="folder for findings; by default a new one among temporary files"
    )
    parser.add_argument("--inside", choices=tuple(TARGETS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install atheris (for Linux and macOS).", file=sys.stderr)
        return 2
    if given.inside:
        fuzz(given.inside, given.seconds, given.keep)
        return 0
    place = given.keep or Path(tempfile.mkdtemp(prefix="medseg-fuzz-"))
    chosen = given.target or (["npz", "definition"] if given.quick else list(TARGETS))
    found = sum(_told(name, 2 if given.quick else given.seconds, place / name) for name in chosen)
    return int(found > 0)


if __name__ == "__main__" and (code := main()):
    sys.exit(code)
