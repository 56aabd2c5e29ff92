"""Addresses of archives, and who asks them."""

from __future__ import annotations

import pytest
import requests

from medseg.images.dicom.web.address import Address
from medseg.images.dicom.web.credentials import from_environment
from medseg.images.refusal import RefusedError


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MEDSEG_DICOMWEB_{name}", raising=False)


@pytest.mark.parametrize(
    ("text", "url", "origin", "is_open"),
    [
        ("dicomweb:http://127.0.0.1:8042/dicom-web/", "http://127.0.0.1:8042/dicom-web", 8042, False),
        ("dicomweb:https://pacs/rs", "https://pacs/rs", 443, False),
        ("dicomweb:http://[::1]/rs", "http://[::1]/rs", 80, False),
        ("dicomweb:http://pacs", "http://pacs", 80, True),
    ],
)
def test_an_address_is_the_root_of_services(text: str, url: str, origin: int, is_open: bool) -> None:
    address = Address.of(text)
    assert (address.url, address.origin[2], address.is_open) == (url, origin, is_open)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://pacs/rs",
            "dicomweb:pacs",
            "dicomweb:",
            "dicomweb:ftp://pacs",
            "dicomweb:file:///etc/passwd",
        ),
        *("dicomweb:https://me:canary@pacs/rs", "dicomweb:https://canary@pacs", "dicomweb:me:canary@pacs"),
        *(
            "dicomweb:https://pacs/rs?token=canary",
            "dicomweb:https://pacs/#canary",
            "dicomweb:https://pacs:canary/",
        ),
        *("dicomweb:https://pacs:99999999/", "dicomweb:https://[canary/", "dicomweb:https://pacs/a canary"),
        *("dicomweb:https://pacs/\ncanary", "dicomweb:https:///canary", "dicomweb:https://pacs\\@canary/"),
    ],
)
def test_what_is_no_address_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(RefusedError) as met:
        Address.of(text)
    assert "canary" not in str(met.value)


def sent(auth: requests.auth.AuthBase | None) -> str | None:
    request = requests.Request("GET", "http://pacs", auth=auth).prepare()
    return request.headers.get("Authorization")


def test_a_user_or_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    one = [Address("http://pacs")]
    assert from_environment(one) is None
    monkeypatch.setenv("MEDSEG_DICOMWEB_TOKEN", " abc\n")
    assert sent(from_environment(one)) == "Bearer abc"
    monkeypatch.delenv("MEDSEG_DICOMWEB_TOKEN")
    monkeypatch.setenv("MEDSEG_DICOMWEB_USER", "me")
    monkeypatch.setenv("MEDSEG_DICOMWEB_PASSWORD", "pässword")
    assert sent(from_environment(one)) == "Basic bWU6cMOkc3N3b3Jk"  # as `base64` gives it


@pytest.mark.parametrize(
    ("given", "hosts", "said"),
    [
        ({"USER": "canary"}, ["a"], "MEDSEG_DICOMWEB_PASSWORD is not set"),
        ({"PASSWORD": "canary"}, ["a"], "MEDSEG_DICOMWEB_USER is not set"),
        ({"USER": "me", "PASSWORD": "canary", "TOKEN": "canary"}, ["a"], "Unset one of the two"),
        ({"TOKEN": "Bearer canary"}, ["a"], "without `Bearer`"),
        ({"TOKEN": "canary\r\nX: y"}, ["a"], "letters that no token has"),
        ({"TOKEN": "canary"}, ["a", "b"], "both would get it"),
    ],
)
def test_halves_and_doubles_are_refused(
    given: dict[str, str], hosts: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"MEDSEG_DICOMWEB_{name}", value)
    with pytest.raises(RefusedError, match=said) as met:
        from_environment([Address(f"http://{host}/rs") for host in hosts])
    assert "canary" not in str(met.value)
