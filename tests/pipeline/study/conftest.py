"""Tables of scores as runs leave them, made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

Volumes = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def volumes() -> Volumes:
    """Give a maker of tables of volumes: the truth is that of the patient, whoever predicts."""

    def make(
        seed: int,
        gains: Mapping[str, float] | None = None,
        *,
        patients: int = 12,
        names: tuple[str, ...] = ("oedema", "core"),
    ) -> pd.DataFrame:
        truth, rng, rows = np.random.default_rng(0), np.random.default_rng(seed), []
        for patient in range(patients):
            for name in names:
                hard, amount = truth.uniform(0.4, 0.8), truth.uniform(5, 60)
                off = amount * rng.normal(0, 0.1)
                rows.append(
                    {
                        "case": f"case{patient:02}",
                        "group": f"patient{patient:02}",
                        "name": name,
                        "dice": hard + rng.normal(0, 0.02) + (gains or {}).get(name, 0.0),
                        "hd95": rng.uniform(1, 9),
                        "volume_truth_ml": amount,
                        "volume_predicted_ml": amount + off,
                        "volume_difference_ml": off,
                        "volume_absolute_difference_ml": abs(off),
                    }
                )
        return pd.DataFrame(rows)

    return make


@pytest.fixture(scope="session")
def images() -> Callable[..., dict[str, pd.DataFrame]]:
    """Give a maker of tables of classified images, two of each patient."""

    def make(
        seed: int, skill: float = 1.0, *, count: int = 40, classes: tuple[str, ...] = ("ill", "normal", "odd")
    ) -> dict[str, pd.DataFrame]:
        truth, rng, rows = np.random.default_rng(0), np.random.default_rng(seed), []
        for image in range(count):
            true = int(truth.integers(len(classes)))
            says = rng.normal(size=len(classes)) + skill * (np.arange(len(classes)) == true)
            chances = np.exp(says) / np.exp(says).sum()
            chosen = int(chances.argmax())
            rows.append(
                {
                    "case": f"case{image:02}",
                    "group": f"patient{image // 2:02}",
                    "truth": classes[true],
                    "predicted": classes[chosen],
                    "confidence": chances[chosen],
                    "correct": chosen == true,
                    **{f"probability_{name}": chance for name, chance in zip(classes, chances, strict=True)},
                }
            )
        return {"": pd.DataFrame(rows), "_confusion": pd.DataFrame({"truth": list(classes)})}

    return make
