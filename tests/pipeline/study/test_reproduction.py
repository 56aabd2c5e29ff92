"""Two runs are the same to the bit, or so far apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from medseg.pipeline.study.reproduction import other_versions, reproduction


def run(
    folder: Path, weights: dict[str, list[float]], dice: list[float], cases: Sequence[str] = "ab"
) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "scores").mkdir()
    save_file(
        {name: np.array(each, dtype=np.float32) for name, each in weights.items()},
        folder / "model" / "weights.safetensors",
    )
    pd.DataFrame({"case": list(cases), "dice": dice}).to_csv(folder / "scores" / "test.csv", index=False)
    return folder


def test_the_same_files_are_identical_to_the_bit(tmp_path: Path) -> None:
    one, other = (run(tmp_path / name, {"w": [1.0, 2.0]}, [0.5, float("nan")]) for name in ("one", "other"))
    found = reproduction(one, other)

    assert found.identical
    assert (found.weights, dict(found.tables)) == (0.0, {"test": 0.0})
    assert found.text() == "other is made as one was: identical to the bit."


def test_how_far_apart_they_are_is_the_largest_difference(tmp_path: Path) -> None:
    one = run(tmp_path / "one", {"w": [1.0, 2.0]}, [0.5, 0.25])
    other = run(tmp_path / "other", {"w": [1.0, 2.25]}, [0.5, 0.375])
    found = reproduction(one, other, ("device: cpu then, cuda now",))

    assert not found.identical
    assert (found.weights, found.tables["test"]) == (0.25, 0.125)
    assert "apart by 0.25 in a weight, by 0.125 in a score" in found.text()
    assert "Other than then: device: cpu then, cuda now." in found.text()


@pytest.mark.parametrize(
    ("weights", "dice", "cases"),
    [
        ({"v": [1.0]}, [0.5, 0.5], "12"),
        ({"w": [1.0]}, [0.5, 0.5], "13"),
        ({"w": [1.0]}, [0.5, float("nan")], "12"),
        ({"w": [1.0]}, [0.5, 0.5], ["1", "02"]),
    ],
    ids=["names", "cases", "gaps", "zeros before"],
)
def test_other_names_cases_or_gaps_are_no_distance(tmp_path: Path, weights, dice, cases) -> None:
    one = run(tmp_path / "one", {"w": [1.0]}, [0.5, 0.5], "12")
    found = reproduction(one, run(tmp_path / "other", weights, dice, cases))

    assert None in (found.weights, *found.tables.values())
    assert found.verdict == "different"


def test_versions_that_differ_are_named(tmp_path: Path) -> None:
    then = {"version.torch": "2.0", "version.numpy": "2.1", "device": "cpu"}
    now = {"version.torch": "2.1", "version.numpy": "2.1", "version.new": "1"}

    assert list(other_versions(then, now)) == ["torch: 2.0 then, 2.1 now"]
