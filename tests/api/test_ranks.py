"""Runs that ranks do together, one of which is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medseg.api import resume_pipeline
from medseg.pipeline.folder import all_runs
from medseg.testing.ranks import ended, ranks

ASKED = Path(__file__).with_name("pipeline_in_ranks.py")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]


class Said:
    def __init__(self):
        self.texts = []

    def say(self, text, *, loud=False):
        self.texts.append(text)

    def bar(self, *given):
        from medseg.progress import Silent

        return Silent().bar(*given)


def weights(folder):
    return (folder / "model" / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def places(tmp_path_factory, long_workspace, patients, tiny):
    """A run of two ranks that went well, and one whose second rank was killed in the second epoch."""
    with long_workspace("ranks") as whole, ranks(2, ASKED, "run", whole, patients, tiny) as started:
        assert ended(started) == [0, 0]
    with (
        long_workspace("killed_rank") as killed,
        ranks(2, ASKED, "run_until_rank_1_dies", killed, patients, tiny) as started,
    ):
        codes = ended(started)
    return whole, killed, codes


def only_run(folder):
    ((found, state),) = all_runs(folder / "medseg-runs")
    return found, state


def test_all_ranks_get_the_result_of_the_first(places):
    whole, *_ = places
    told = {(whole / f"told-{rank}").read_text(encoding="utf-8") for rank in range(2)}
    folder, state = only_run(whole)
    assert told == {str(folder.path.resolve())}
    assert state.status == "FINISHED"


def test_a_killed_rank_ends_the_run_as_failed(places):
    _, killed, codes = places
    assert codes == [2, -9]
    assert only_run(killed)[1].status == "FAILED"


def test_two_ranks_go_on_to_the_same_bits(places, tmp_path, monkeypatch):
    whole, killed, _ = places
    here = shutil.copytree(killed, tmp_path / "again")
    with ranks(2, ASKED, "resume", here) as started:
        assert ended(started) == [0, 0]
    assert weights(only_run(here)[0].path) == weights(only_run(whole)[0].path)


def test_one_process_goes_on_and_says_so(places, tmp_path, monkeypatch):
    _, killed, _ = places
    here = shutil.copytree(killed, tmp_path / "alone")
    monkeypatch.chdir(here)
    said = Said()
    assert resume_pipeline(progress=said).folder.is_dir()
    assert "Until epoch 1 2 ranks trained" in " ".join(said.texts)
