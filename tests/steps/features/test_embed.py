from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medseg.errors import DataError, DefinitionError, RunError
from medseg.steps.features.embed import Embed


def read(work):
    return work.artifacts["features"].read()


def values(frame):
    return frame.drop(columns=["case", "group", "role"]).to_numpy()


def expected(work, frame, network):
    """By a network of its own for one image at a time."""
    rows = {(sample.case, sample.role): sample for sample in work.store.samples}
    found = []
    with torch.no_grad():
        for case, role in zip(frame["case"], frame["role"], strict=True):
            image = torch.from_numpy(work.store.image(rows[case, role])).float()[None]
            found.append(network(image)[0].numpy())
    return np.stack(found)


def test_every_case_of_every_role_has_the_features_that_the_head_gets(
    make_feature_work, make_run, take, heard
):
    work, run = make_feature_work(), make_run("embed")
    frame = read(take(work, run, "Embed"))
    network = work.predictor.network
    assert list(frame.columns) == ["case", "group", "role", *(f"f{number}" for number in range(12))]
    assert set(frame.dtypes[3:]) == {np.dtype(np.float32)}
    assert frame["role"].value_counts().to_dict() == {"train": 16, "val": 4, "test": 4, "unlabelled": 4}
    assert dict(zip(frame["case"], frame["role"], strict=True)) == work.split.roles
    assert dict(zip(frame["case"], frame["group"], strict=True)) == work.split.group_of
    head = torch.nn.Sequential(network.features, network.dense)
    np.testing.assert_allclose(values(frame), expected(work, frame, head), rtol=1e-5, atol=1e-6)
    assert heard.artifacts == ["tables/embed_features.parquet"]
    assert vars(heard)["values"] == {"embed.features": 12}
    assert heard.tagged == {"embed.layer": "classifier"}


def test_maps_of_a_named_layer_are_averaged_over_their_places(make_feature_work, make_run, take):
    work = make_feature_work()
    frame = read(take(work, make_run("embed"), "Embed", layer="features.0"))
    maps = torch.nn.Sequential(
        work.predictor.network.features[0], torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    assert values(frame).shape == (28, 4)
    np.testing.assert_allclose(values(frame), expected(work, frame, maps), rtol=1e-5, atol=1e-6)


def test_the_same_weights_give_the_same_bytes_and_nothing_of_the_network_changes(
    make_feature_work, make_run, take
):
    work = make_feature_work()
    before = {name: tensor.clone() for name, tensor in work.predictor.network.state_dict().items()}
    work.predictor.network.train()  # dropout is on
    flip = {"_target_": "monai.transforms.RandFlipd", "keys": ["image"], "prob": 1.0}
    files = []
    for folder in ("one", "two"):
        table = take(work, make_run("embed", folder=folder, augment=[flip]), "Embed").artifacts["features"]
        files.append(table.path.read_bytes())
    assert files[0] == files[1]
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in work.predictor.network.state_dict().items()
    )


def test_slices_of_a_case_are_averaged(make_work, make_run, take):
    work = make_work()
    frame = read(take(work, make_run("embed"), "Embed"))
    layer = work.predictor.network.model[2]
    seen = []
    with (
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].mean(dim=(2, 3)))),
        torch.no_grad(),
    ):
        for sample in work.store.samples:
            work.predictor.network(torch.from_numpy(work.store.image(sample)).float()[None])
    cases = [sample.case for sample in work.store.samples]
    means = pd.DataFrame(torch.cat(seen).numpy()).groupby(cases).mean()
    assert len(cases) > len(frame) == 5
    np.testing.assert_allclose(values(frame), means.loc[frame["case"]].to_numpy(), rtol=1e-4, atol=1e-5)


def test_recalling_gives_the_same_table_and_forgets_what_was_made_of_older_features(
    make_feature_work, make_run, take
):
    work, run = make_feature_work(), make_run("embed")
    done = take(work, run, "Embed")
    older = replace(work, artifacts={"reduced": 1, "clusters": 2, "others": 3})
    recalled = Embed().recall(older, run)
    pd.testing.assert_frame_equal(read(recalled), read(done))
    assert recalled.artifacts["features"] == done.artifacts["features"]
    assert set(recalled.artifacts) == {"features", "others"}


def test_a_damaged_table_is_said(make_feature_work, make_run, take):
    table = take(make_feature_work(), make_run("embed"), "Embed").artifacts["features"]
    for content in (b"", b"PAR1 no table PAR1"):
        table.path.write_bytes(content)
        with pytest.raises(RunError, match=r"embed_features\.parquet of the run cannot be read"):
            table.read()
    pd.DataFrame({"case": ["a"]}).to_parquet(table.path)
    with pytest.raises(RunError, match="is damaged"):
        table.read()


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("clasifier", r"TutorialCNN has no layer 'clasifier'. Nearest are: classifier"),
        ("zzz", r"no layer 'zzz'. It has: features, features.0"),
    ],
)
def test_an_unknown_layer_is_refused_with_the_nearest_names(make_feature_work, layer, said):
    with pytest.raises(DefinitionError, match=said):
        Embed(layer).check(make_feature_work().predictor)


@pytest.mark.parametrize("layer", ["", " ", 3])
def test_a_layer_that_is_no_name_is_refused(layer):
    with pytest.raises(ValueError, match="layer is"):
        Embed(layer)


def test_features_that_are_no_numbers_are_refused_with_their_cases(
    make_feature_work, make_run, take, monkeypatch
):
    work = make_feature_work()
    case = work.store.samples[5].case
    whole = type(work.store).image

    def broken(store, sample):
        return np.full_like(whole(store, sample), np.inf) if sample.case == case else whole(store, sample)

    monkeypatch.setattr(type(work.store), "image", broken)
    with pytest.raises(
        DataError, match=rf"1 of 28 cases has no features:\n  - case {case}, no. \d+ .*NaN"
    ) as caught:
        take(work, make_run("embed"), "Embed")
    assert [fault.case for fault in caught.value.faults] == [case]


def test_nothing_to_embed_is_refused(make_feature_work, make_run, take):
    work = make_feature_work()
    with pytest.raises(DataError, match="no slice is there"):
        take(replace(work, store=replace(work.store, samples=())), make_run("embed"), "Embed")
