from __future__ import annotations

import hmac
import multiprocessing
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.pseudonym import pseudonym, secret_key
from medseg.errors import DataError
from medseg.testing.pictures import write_picture

KEY = bytes(range(32))


@given(identifier=st.text(min_size=1))
def test_a_pseudonym_is_short_stable_and_of_a_fixed_form(identifier: str) -> None:
    name = pseudonym("case", identifier, KEY)
    assert re.fullmatch(r"case-[0-9a-f]{10}", name)
    assert name == pseudonym("case", identifier, KEY)
    assert name != pseudonym("case", identifier, KEY[::-1])
    assert name[5:] != pseudonym("patient", identifier, KEY)[8:]


@given(identifier=st.text(min_size=1))
def test_a_pseudonym_is_the_hash_of_the_name_in_utf_8(identifier: str) -> None:
    expected = hmac.digest(KEY, b"case\0" + identifier.encode(), "sha256").hex()[:10]
    assert pseudonym("case", identifier, KEY) == f"case-{expected}"


def test_names_that_are_no_unicode_have_pseudonyms_of_their_own() -> None:
    names = [os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe8"), "caf\ud800", "caf\u00e9", "caf"]
    assert len({pseudonym("case", name, KEY) for name in names}) == 5


def test_a_file_whose_name_is_no_unicode_is_a_case_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    files = [tmp_path / kind / os.fsdecode(b"caf\xe9.png") for kind in ("a", "b")]
    try:
        for seed, path in enumerate(files):
            write_picture(path, np.random.default_rng(seed).integers(0, 255, (9, 9)).astype(np.uint8))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes names in Unicode only")
    manifest = Manifest.from_yaml(Path(__file__).parents[2] / "data_manifests" / "image_folders.yaml")
    report = check(scan(manifest, tmp_path), manifest, ("picture",))
    assert report.faults == ()
    assert sorted(case.labels or () for case in report.good) == [("a",), ("b",)]
    assert len({case.id for case in report.good}) == 2


def test_many_ids_have_many_names() -> None:
    assert len({pseudonym("case", f"BraTS_{number:05}", KEY) for number in range(5000)}) == 5000


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = secret_key(tmp_path / "config")
    assert len(key) == 32
    assert secret_key(tmp_path / "config") == key
    assert secret_key(tmp_path / "other") != key
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "config" / "pseudonym.key").stat().st_mode) == 0o600


def test_the_key_lies_in_the_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path))
    assert secret_key() == (tmp_path / "pseudonym.key").read_bytes()


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pseudonym.key").write_bytes(b"short")
    with pytest.raises(DataError, match="holds 5 bytes, expected 32"):
        secret_key(tmp_path)
    (tmp_path / "pseudonym.key").write_bytes(b"\0" * 32)
    with pytest.raises(DataError, match="holds NUL bytes alone"):
        secret_key(tmp_path)


def test_a_key_that_cannot_be_made_is_an_error_and_no_silent_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Set MEDSEG_CONFIG"):
        secret_key(tmp_path / "file" / "config")


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(secret_key, [tmp_path / "config"] * 6, chunksize=1))) == 1
