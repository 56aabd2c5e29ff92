from __future__ import annotations

import multiprocessing
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.cases.pseudonym import pseudonym, secret_key
from medseg.errors import DataError

KEY = bytes(range(32))


@given(identifier=st.text(min_size=1))
def test_a_pseudonym_is_short_stable_and_of_a_fixed_form(identifier: str) -> None:
    name = pseudonym("case", identifier, KEY)
    assert re.fullmatch(r"case-[0-9a-f]{10}", name)
    assert name == pseudonym("case", identifier, KEY)
    assert name != pseudonym("case", identifier, KEY[::-1])
    assert name[5:] != pseudonym("patient", identifier, KEY)[8:]


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
    with pytest.raises(DataError, match="holds 5 bytes, wanted 32"):
        secret_key(tmp_path)


def test_a_key_that_cannot_be_made_is_an_error_and_no_silent_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Set MEDSEG_CONFIG"):
        secret_key(tmp_path / "file" / "config")


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(secret_key, [tmp_path / "config"] * 6, chunksize=1))) == 1
