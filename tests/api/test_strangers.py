"""Folders of runs that somebody else made, or edited: nothing that their files say counts by itself."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from medseg.api import RunResult, find_run_folder, load_model, mark_gone, resume_pipeline, run_folds
from medseg.api.strangers import refuse_changed_declaration
from medseg.cli.main import app
from medseg.cli.tables import print_result
from medseg.errors import DefinitionError, MedsegError, RunError
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.options import RunOptions
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml, write_yaml

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
    pytest.mark.usefixtures("figureless"),
]

GONE = {"host": platform.node(), "pid": 2**22 - 3}


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def written(folder: RunFolder, **changes: Any) -> None:
    """Edit a run's file as anybody can."""
    path = folder.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@dataclass
class Listener:
    """A server of a stranger, who reads all that he is sent."""

    address: str = ""
    heard: list[str] = field(default_factory=list)


@pytest.fixture
def stranger() -> Iterator[Listener]:
    found = Listener()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            found.heard.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["cache", "list"],
        ["pipeline", "show", "brats2d"],
        ["pipeline", "resume"],
        ["pipeline", "run", "nonsense"],
    ],
    ids=" ".join,
)
def test_no_command_calls_the_address_that_the_run_of_a_stranger_names(
    words: list[str], killed: RunFolder, stranger: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of-the-user")
    written(killed, status="RUNNING", process=GONE, tracking_uri=stranger.address)
    before = (killed.path / "run.json").read_bytes()
    medseg(*words)
    medseg("pipeline", "resume", killed.path.name)

    assert stranger.heard == []
    assert (killed.path / "run.json").read_bytes() == before


def test_a_finished_run_of_a_stranger_sends_nothing_to_his_address(
    killed: RunFolder, stranger: Listener
) -> None:
    (killed.path / UNTRACKED).write_text('{"what": "tags", "body": {"a": "b"}}\n')
    written(killed, status="FINISHED", tracking_uri=stranger.address)
    result = medseg("pipeline", "resume", killed.path.name)

    assert result.exit_code == 2
    assert f"medseg pipeline resume {killed.path.name} --tracking-uri ADDRESS" in result.stderr
    assert stranger.heard == []


def test_ones_own_run_whose_process_is_gone_is_marked_by_commands_that_run_and_by_no_other(
    killed: RunFolder,
) -> None:
    state = killed.read()
    lost = replace(state, status="RUNNING", process=GONE, options=state.options.but(allow=["mypackage"]))
    killed.write(lost)
    assert medseg("cache", "list").stderr == ""
    assert killed.read().status == "RUNNING"
    told = medseg("pipeline", "run", "nonsense").stderr

    assert f"marked KILLED. medseg pipeline resume {state.name} --allow mypackage" in told
    assert killed.read().status == "KILLED"


def declare_a_process(folder: RunFolder, marker: Path) -> None:
    """Write an augmentation that starts a process where it is built."""
    definition = read_yaml(folder.path / "definition.yaml")
    process = {"_target_": "subprocess.Popen", "args": ["touch", str(marker)]}
    definition["loading"]["augment"] = [{"_target_": "monai.transforms.RandFlip", "prob": process}]
    write_yaml(definition, folder.path / "definition.yaml")
    state = folder.read()
    written(
        folder,
        done=[],
        declared=dict(folder.declaration()),
        options={**asdict(state.options), "allow": ["subprocess"]},
    )


def test_what_the_run_of_a_stranger_says_of_packages_lets_nothing_run(
    killed: RunFolder, patients: Path, tmp_path: Path
) -> None:
    marker, name = tmp_path / "marker", killed.path.name
    declare_a_process(killed, marker)
    uri, words = killed.read().tracking_uri, ("--data", patients, "--tracking-uri")
    first, second = medseg("pipeline", "resume", name), medseg("pipeline", "resume", name, *words, uri)

    assert not marker.exists()
    assert (first.exit_code, second.exit_code) == (2, 2)
    command = f"medseg pipeline resume {name} --data FOLDER --tracking-uri ADDRESS --allow subprocess"
    assert command in first.stderr
    assert command in second.stderr
    assert "somebody else" in first.stderr
    assert "needs classes of subprocess" in second.stderr


@pytest.mark.slow
def test_packages_that_ones_own_run_remembers_do_not_count_and_the_command_that_it_gives_works(
    killed: RunFolder, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path("ownaugment")
    package.mkdir()
    (package / "__init__.py").write_text(
        "from monai.transforms import RandFlipd\n\n\nclass Own(RandFlipd):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    definition = read_yaml(killed.path / "definition.yaml")
    definition["loading"]["augment"] = [
        {"_target_": "ownaugment.Own", "keys": ["image", "label"], "prob": 0.5}
    ]
    write_yaml(definition, killed.path / "definition.yaml")
    state = killed.read()
    options = state.options.but(allow=["ownaugment"])
    killed.write(replace(state, options=options, declared=killed.declaration()))
    refused = medseg("pipeline", "resume", state.name)
    expected = f"medseg pipeline resume {state.name} --allow ownaugment"

    assert refused.exit_code == 2
    assert expected in refused.stderr.splitlines()[-1]
    assert "ownaugment" not in sys.modules
    gone_on = medseg(*expected.split()[1:])
    assert gone_on.exit_code == 0, gone_on.output
    assert f"medseg predict {state.name} INPUT -o OUT --allow ownaugment" in gone_on.stdout


def test_the_environment_allows_a_package_as_the_command_does(
    killed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = read_yaml(killed.path / "definition.yaml")
    definition["loading"]["augment"] = [{"_target_": "not_there.Own"}]
    write_yaml(definition, killed.path / "definition.yaml")
    killed.write(replace(killed.read(), declared=killed.declaration()))
    monkeypatch.setenv("MEDSEG_ALLOW", "other not_there")

    with pytest.raises(MedsegError, match="not_there cannot be imported"):
        resume_pipeline(str(killed.path))


@pytest.mark.slow
def test_a_run_of_somebody_else_goes_on_with_what_the_caller_says_and_is_his_from_then_on(
    killed: RunFolder, patients: Path, finished: RunResult, stranger: Listener
) -> None:
    uri = killed.read().tracking_uri
    with open_store(uri) as client:
        experiment = client.get_run(finished.run_id).info.experiment_id
        other = client.create_run(experiment, run_name="another of the user").info.run_id
    part = {"name": "folds-of-the-user", "fold": 2}
    options = {**asdict(killed.read().options), "part_of": part, "allow": ["subprocess"]}
    written(killed, tracking_uri=stranger.address, data="/etc", tracked=other, options=options, signature="")
    with pytest.raises(RunError, match="--data FOLDER --tracking-uri ADDRESS"):
        resume_pipeline(str(killed.path), data=patients)
    with pytest.raises(RunError, match="--data FOLDER"):
        resume_pipeline(str(killed.path), tracking_uri=uri)
    assert not killed.read().mine
    found = resume_pipeline(str(killed.path), data=patients, tracking_uri=uri)
    state = killed.read()

    assert state.mine
    assert (state.data, state.tracking_uri) == (str(patients.resolve()), uri)
    assert (state.part_of, state.options.allow) == (None, ())
    assert found.run_id == finished.run_id  # by the name of the folder, not by the id that was written
    assert stranger.heard == []
    with open_store(uri) as client:
        assert client.get_run(other).data.metrics == {}


@pytest.mark.slow
def test_a_declaration_that_was_edited_is_refused_and_what_is_offered_works(killed: RunFolder) -> None:
    for name in ("definition.yaml", "manifest.yaml"):
        path = killed.path / name
        before = path.read_text()
        path.write_text(before.replace("about:", "about: edited", 1))
        assert path.read_text() != before
        refused = medseg("pipeline", "resume", killed.path.name)

        assert refused.exit_code == 2
        assert f"{name} of the run {killed.path.name} has changed since it began" in refused.stderr
        again = refused.stderr.split("medseg pipeline run ")[1].split(" --data FOLDER")[0]
        assert medseg("pipeline", "show", again).exit_code == 0
        path.write_text(before)
    resume_pipeline(killed.path.name)
    assert killed.read().status == "FINISHED"


@pytest.mark.slow
def test_a_definition_that_a_crash_has_emptied_is_put_back_from_the_copy_that_is_offered(
    killed: RunFolder,
) -> None:
    path = killed.path / "definition.yaml"
    path.write_bytes(b"")
    refused = medseg("pipeline", "resume", killed.path.name)

    assert refused.exit_code == 2
    assert f"definition.yaml of the run {killed.path.name} is empty, as a crash" in refused.stderr
    assert "has changed" not in refused.stderr
    copy = refused.stderr.split(": cp ")[1].split(";")[0].split()
    anew = refused.stderr.split("medseg pipeline run ")[1].split(" --data FOLDER")[0]
    assert medseg("pipeline", "show", anew).exit_code == 0
    shutil.copy(*copy)
    resume_pipeline(killed.path.name)
    assert killed.read().status == "FINISHED"


@pytest.mark.slow
def test_where_no_copy_of_an_emptied_definition_is_left_nothing_that_cannot_be_read_is_offered(
    killed: RunFolder,
) -> None:
    (killed.path / "definition.yaml").write_bytes(b"")
    (killed.path / "tracked" / "definition.yaml").unlink()
    refused = medseg("pipeline", "resume", killed.path.name)

    assert refused.exit_code == 2
    assert "Put it back as it was, or start the pipeline again" in refused.stderr
    assert "pipeline run" not in refused.stderr


@pytest.mark.parametrize("name", ["definition.yaml", "manifest.yaml"])
@pytest.mark.parametrize(
    ("left", "says"),
    [
        (0, "is empty, as a crash"),
        (9, "holds NUL bytes, as a power cut"),
        (None, "has changed since it began"),
    ],
)
def test_a_declaration_that_a_crash_has_damaged_is_not_called_changed(
    left: int | None, says: str, name: str, made_run: Callable[..., RunFolder]
) -> None:
    folder = made_run("run", {})
    (folder.path / "manifest.yaml").write_text("name: mine\n")
    state = folder.write(replace(folder.read(), declared=folder.declaration()))
    (folder.path / name).write_bytes(b"name: other" if left is None else b"\0" * left)

    with pytest.raises(RunError, match=f"{name} of the run run {says}.*Put it back as it was"):
        refuse_changed_declaration(folder, state)


def test_a_record_that_waits_sends_no_file_from_elsewhere(
    killed: RunFolder, finished: RunResult, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("of the user")
    paths = [str(tmp_path / "secret.txt"), "../../../secret.txt", str(tmp_path), "run.json", UNTRACKED]
    lines = [json.dumps({"what": "artifact", "body": {"path": path, "folder": "stolen"}}) for path in paths]
    lines.append(json.dumps({"what": "artifact", "body": {"path": "split.json", "folder": "../../out"}}))
    (killed.path / UNTRACKED).write_text("\n".join(lines) + "\n")
    killed.write(replace(killed.read(), status="FINISHED"))
    result = medseg("pipeline", "resume", killed.path.name)

    assert result.exit_code == 0, result.output
    with open_store(killed.read().tracking_uri) as client:
        assert list(client.list_artifacts(finished.run_id, "stolen")) == []
    assert "leads out of the folder" in result.output
    assert list(tmp_path.rglob("out")) == []


@pytest.mark.parametrize("place", ["figures/data.png", "metrics.jsonl", UNTRACKED, "steps/fit/more"])
def test_a_link_out_of_a_run_is_refused_before_anything_is_read_or_written(
    place: str, killed: RunFolder, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("torn line of the user")
    (killed.path / place).unlink(missing_ok=True)
    (killed.path / place).symlink_to(secret)
    killed.write(replace(killed.read(), status="RUNNING", process=GONE))

    assert mark_gone() == []
    with pytest.raises(RunError, match=f"'{place}' in the folder .* leads out of it"):
        resume_pipeline(killed.path.name)
    assert secret.read_text() == "torn line of the user"


def test_names_and_ids_that_a_stranger_wrote_do_not_stand_for_ones_own_run(
    killed: RunFolder, finished: RunResult
) -> None:
    other = RunFolder(killed.path.with_name("brats2d-99990101-000000-ffff"))
    shutil.copytree(killed.path, other.path)
    written(other, name=killed.path.name, tracked="f" * 32)

    for named in ("latest", killed.path.name, killed.path.name[:-2], finished.run_id, "brats2d"):
        assert find_run_folder(named).path == killed.path, named
    assert find_run_folder(other.path.name).path == other.path
    with pytest.raises(RunError, match="no run"):
        find_run_folder("f" * 32)


@pytest.mark.parametrize(
    "change", [{"name": "../../x"}, {"pipeline": "a' OR 1"}, {"tracked": "../x"}], ids=str
)
def test_names_that_mean_something_elsewhere_are_damaged(change: dict[str, str], killed: RunFolder) -> None:
    written(killed, **change)

    with pytest.raises(RunError, match="damaged"):
        killed.read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        (UNTRACKED, lambda path: path.write_text("no record\n")),
        (UNTRACKED, lambda path: path.write_text('{"what": "nothing", "body": {}}\n')),
        ("metrics.jsonl", lambda path: path.write_text("[1]\n")),
    ],
)
def test_a_damaged_file_of_a_run_is_a_message_and_no_defect_of_ours(
    name: str, spoil: Callable[[Path], None], killed: RunFolder
) -> None:
    spoil(killed.path / name)
    result = medseg("pipeline", "resume", killed.path.name)

    assert result.exit_code == 2, result.output
    assert name.partition(".")[0] in result.stderr


def test_the_next_command_says_which_packages_the_model_needs(
    finished: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(Console(), replace(finished, allow=("mypackage", "other.part")))

    assert "INPUT -o OUT --allow mypackage --allow other.part" in capsys.readouterr().out


def test_the_latest_run_is_never_that_of_a_stranger(killed: RunFolder) -> None:
    written(killed, status="FINISHED", signature="")
    killed.path.rename(killed.path.with_name("latest-x"))

    with pytest.raises(RunError, match="no run of yours"):
        find_run_folder("latest", holding="model")


def test_folds_that_are_too_many_are_no_cross_validation() -> None:
    with pytest.raises(DefinitionError, match="expected 2 to 1000"):
        run_folds("brain_tumor", folds=1_000_000_000)


def test_a_model_that_is_a_link_out_of_its_run_is_not_loaded(killed: RunFolder, tmp_path: Path) -> None:
    shutil.move(killed.path / "model", tmp_path / "elsewhere")
    (killed.path / "model").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RunError, match="leads out of the folder"):
        load_model(str(killed.path), device="cpu")


def test_a_run_that_tells_of_steps_that_its_definition_has_not_is_refused_and_nothing_is_deleted(
    tmp_path: Path,
) -> None:
    folder = RunFolder.create("brats2d", tmp_path)
    brats = Path(__file__).resolve().parents[2] / "pipelines" / "brats2d.yaml"
    shutil.copy(brats, folder.path / "definition.yaml")
    kept = folder.path / "steps" / "mine" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of the user")
    state = State(folder.path.name, "brats2d", None, RunOptions.of(device="cpu"), status="KILLED")
    folder.write(replace(state, done=("mine",), made={"scores/x": ("mine", 1, 1)}))

    with pytest.raises(RunError, match=r"run\.json of the run .* steps that its definition does not have"):
        resume_pipeline(str(folder.path))
    assert kept.exists()


def test_of_a_finished_run_of_a_stranger_no_file_is_read_before_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create("brats2d")
    folder.write(State(folder.path.name, "brats2d", None, RunOptions.of(device="cpu"), status="FINISHED"))
    written(folder, made={"model/weights.safetensors": ["", 1, 1]})
    with monkeypatch.context() as patch:
        patch.setattr("medseg.pipeline.made.is_as", lambda *_: pytest.fail("a file that it names was read"))
        with pytest.raises(RunError, match="made by somebody else") as refused:
            resume_pipeline(folder.path.name)

    assert f"medseg pipeline resume {folder.path.name} --tracking-uri ADDRESS" in str(refused.value)
