"""Studies fetched from archives that break off, lie, lead astray or never end: all of it, or a reason."""

from __future__ import annotations

import base64
import gzip
import logging
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from pydicom import dcmread
from requests.exceptions import ConnectionError as ConnectionFailed

from medseg.errors import DataError
from medseg.images.dicom.web import archive as module
from medseg.images.dicom.web import deadline, fetching, session
from medseg.images.dicom.web.address import origin_of
from medseg.images.dicom.web.archive import Archive
from medseg.images.dicom.web.fetching import fetch_study
from medseg.images.dicom.web.open import archives
from medseg.images.dicom.web.rows import Row, is_uid
from medseg.images.dicom.web.session import BoundedSession
from medseg.progress import Silent
from medseg.testing.archive import Archive as Served
from medseg.testing.archive import Request, serving
from medseg.testing.series import uid_of, write_series

pytest.importorskip("dicomweb_client")

STUDY = uid_of("study")
CANARY = "Canary^Bird"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for name in ("t1", "t2"):
        volume = np.random.default_rng(1).integers(0, 900, (3, 8, 9)).astype(np.uint16)
        given = {"StudyInstanceUID": STUDY, "PatientID": CANARY, "PatientName": CANARY}
        write_series(folder, volume, SeriesDescription=name, **given)
    return folder


@pytest.fixture
def served(files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MEDSEG_DICOMWEB_{name}", raising=False)
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no.netrc"))
    monkeypatch.setattr(session.Retry, "get_backoff_time", lambda _: 0)
    monkeypatch.setattr(module, "TIMEOUT_S", (2.0, 0.4))
    with serving() as archive:
        archive.hold_folder(files)
        yield archive


@contextmanager
def opened(served: Served) -> Iterator[Archive]:
    address = f"dicomweb:{served.url}"
    with archives(address) as found:
        yield found[address]


def fetched(served: Served, folder: Path, wanted: Callable[[Row], bool] = lambda _: True) -> list[Row]:
    with opened(served) as archive:
        return fetch_study(
            archive, STUDY, folder / "in", wanted=wanted, keywords=("ProtocolName",), progress=Silent()
        )


def refused(served: Served, folder: Path) -> str:
    with pytest.raises(DataError) as met:
        fetched(served, folder)
    said = str(met.value)
    assert "Canary" not in said
    assert STUDY not in said
    return said


def images(request: Request) -> bool:
    return request.path.split("?")[0].rpartition("/")[2] not in {"series", "instances", "studies"}


def at_images(behave: Callable[[Request, bytes], None]) -> Callable[[Request], bool]:
    """Behave so where images are asked for, with the message that would be right."""

    def answer(request: Request) -> bool:
        if not images(request):
            return False
        uids = request.path.split("/")[3::2]
        held = [request.archive.held[str(each.SOPInstanceUID)] for each in request.archive.under(uids)]
        behave(request, request.parts(held))
        return True

    return answer


def test_every_image_comes_byte_for_byte(served: Served, tmp_path: Path) -> None:
    assert fetched(served, tmp_path) == []
    got = {path.read_bytes() for path in (tmp_path / "in").rglob("*.dcm")}
    assert got == set(served.held.values())
    names = {part for path in (tmp_path / "in").rglob("*") for part in path.relative_to(tmp_path).parts}
    assert names == {"in", "series-1", "series-2", "00001.dcm", "00002.dcm", "00003.dcm"}


def test_series_that_are_not_wanted_are_not_asked_for(served: Served, tmp_path: Path) -> None:
    (left,) = fetched(served, tmp_path, lambda row: row["SeriesDescription"] == "t1")
    assert left["SeriesDescription"] == "t2"
    assert not [asked for asked in served.asked if left["SeriesInstanceUID"] in asked]


def test_pages_of_any_size_are_read_to_the_end(served: Served, tmp_path: Path) -> None:
    def one_at_a_time(request: Request) -> bool:
        request.path = request.path.replace("limit=1000", "limit=1")
        return False

    served.behaviours.append(one_at_a_time)
    fetched(served, tmp_path)
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 6


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "wants to know who asks.*Set MEDSEG_DICOMWEB_USER"),
        (403, "does not let this user"),
        (404, "has nothing there .404, Not Found.*root of its DICOMweb"),
        (500, "is in trouble .500, Internal Server Error.*Try again later"),
        (503, "is in trouble"),
        (599, "a status of its own"),
    ],
)
def test_errors_are_told_without_what_the_archive_says(
    status: int, said: str, served: Served, tmp_path: Path
) -> None:
    served.behaviours.append(lambda request: request.say(status, CANARY.encode()) is None)
    assert re.search(said, refused(served, tmp_path))
    assert not (tmp_path / "in").exists()


def test_what_is_busy_is_asked_up_to_three_times_however_long_it_wants_to_rest(
    served: Served, tmp_path: Path
) -> None:
    busy = [503, 503]
    served.behaviours.append(lambda request: bool(busy) and request.say(busy.pop(), Retry_After="40") is None)
    begun = time.monotonic()
    fetched(served, tmp_path)
    assert busy == []
    assert time.monotonic() - begun < 30


def test_a_password_is_sent_and_never_shown(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MEDSEG_DICOMWEB_USER", "me")
    monkeypatch.setenv("MEDSEG_DICOMWEB_PASSWORD", "secret-canary")
    served.credentials = "Basic " + base64.b64encode(b"me:secret-canary").decode()
    for name in ("", "urllib3.connectionpool", "dicomweb_client.web"):
        caplog.set_level(logging.DEBUG, logger=name)
    fetched(served, tmp_path)
    assert "secret-canary" not in caplog.text
    assert STUDY not in caplog.text  # of urllib3 and dicomweb-client


def test_a_netrc_file_says_who_asks(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    served.credentials = "Basic " + base64.b64encode(b"me:secret").decode()
    fetched(served, tmp_path)
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 6


def test_what_leads_to_another_host_is_not_followed(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_DICOMWEB_TOKEN", "secret")
    with serving() as other:
        served.behaviours.append(
            lambda request: request.say(302, Location=f"{other.url}/{CANARY}?{CANARY}") is None
        )
        said = refused(served, tmp_path)
        assert "leads to another address, which is not followed" in said
        assert urlsplit(other.url).netloc not in said
        assert other.asked == []
    served.behaviours[:] = [lambda request: request.say(302, Location="https://Canary/x") is None]
    assert "leads to HTTPS, which is not followed" in refused(served, tmp_path)


def test_what_leads_elsewhere_on_the_same_host_is_followed_and_circles_end(
    served: Served, tmp_path: Path
) -> None:
    def moved(request: Request) -> bool:
        if "/old/" in request.path:
            request.path = request.path.replace("/old/", "/")
            return False
        request.say(302, Location=request.path.replace("/dicom-web/", "/dicom-web/old/"))
        return True

    served.behaviours.append(moved)
    fetched(served, tmp_path)
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 6
    served.behaviours[:] = [lambda request: request.say(302, Location=request.path) is None]
    with opened(served) as archive, pytest.raises(DataError, match="around in a circle"):
        archive.series(STUDY, ())


def test_a_message_that_broke_off_is_asked_for_again_and_then_told(served: Served, tmp_path: Path) -> None:
    asked = []

    def broken(request: Request, body: bytes) -> None:
        asked.append(request.path)
        request.say_parts(body[: len(body) // 2])

    served.behaviours.append(at_images(broken))
    assert "broke off in the middle" in refused(served, tmp_path)
    assert len(asked) == 3


def test_a_connection_that_broke_off_once_costs_nothing(served: Served, tmp_path: Path) -> None:
    left = [1]

    def broken(request: Request, body: bytes) -> None:
        if left:
            left.pop()
            request.close_connection = True
            request.say_parts(body[: len(body) // 2], Content_Length=str(len(body)))
        else:
            request.say_parts(body)

    served.behaviours.append(at_images(broken))
    fetched(served, tmp_path)
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 6


def test_silence_ends(served: Served, tmp_path: Path) -> None:
    def silent(request: Request) -> bool:
        time.sleep(1)
        return False

    served.behaviours.append(silent)
    begun = time.monotonic()
    assert "was silent" in refused(served, tmp_path)
    assert time.monotonic() - begun < 5


def test_a_trickle_ends(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.3)

    def trickle(request: Request, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/related; boundary=medseg-testing")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for at in range(0, len(body), 10):
            request.wfile.write(body[at : at + 10])
            time.sleep(0.05)

    served.behaviours.append(at_images(trickle))
    assert "so slowly that it may never end" in refused(served, tmp_path)


def test_a_head_that_never_ends_ends(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.2)

    def letters(request: Request) -> bool:
        for _ in range(100):
            request.wfile.write(b"x")
            time.sleep(0.05)
        return True

    served.behaviours.append(letters)
    begun = time.monotonic()
    assert "broke off" in refused(served, tmp_path)
    assert time.monotonic() - begun < 3


def test_chunks_that_never_begin_end(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.2)

    def zeros(request: Request) -> bool:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            request.wfile.write(b"0")
            time.sleep(0.05)
        return True

    served.behaviours.append(zeros)
    begun = time.monotonic()
    assert "the archive" in refused(served, tmp_path)
    assert time.monotonic() - begun < 3


def test_sending_that_never_ends_ends(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.2)
    monkeypatch.setattr(deadline, "SLOWEST", 1 << 40)
    served.pause = 0.1
    begun = time.monotonic()
    with closing(BoundedSession(origin_of(served.url), None)) as asking, pytest.raises(ConnectionFailed):
        asking.post(f"{served.url}/studies", data=bytes(1 << 25), timeout=(2, 20))
    assert time.monotonic() - begun < 1.5


def test_more_bytes_than_were_announced_are_cut_off(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_HEAD", 1000)
    served.behaviours.append(
        at_images(lambda request, body: request.say_parts(body[:-30] + bytes(20_000_000)))
    )
    assert "more than was asked for" in refused(served, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.dcm")) < 1_000_000


def test_a_compressed_bomb_is_cut_off_as_it_unpacks(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST_ANSWER", 1 << 20)
    bomb = gzip.compress(bytes(1 << 22))
    served.behaviours.append(
        lambda request: request.say(200, bomb, "application/dicom+json", Content_Encoding="gzip") is None
    )
    assert "more than was asked for" in refused(served, tmp_path)


OTHERS = {
    "empty": b"",
    "page": b"<html>Canary^Bird",
    "no elements": b'{"0020000E": 5}',
    "number": b"[5]",
    "list": b"[[]]",
    "path": b'[{"0020000E": {"vr": "UI", "Value": ["../x"]}}]',
    "no values": b'[{"0020000E": {"vr": "UI", "Value": 5}}]',
    "deep": b"[" * 100_000,
    "null": b"null",
    "single": b"7",
    "text": b'"x"',
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
def test_other_answers_than_dicom_json_are_refused(answer: bytes, served: Served, tmp_path: Path) -> None:
    served.behaviours.append(lambda request: request.say(200, answer, "application/dicom+json") is None)
    said = refused(served, tmp_path)
    assert "otherwise than DICOMweb does" in said or "has no series of the study" in said


def test_another_study_in_the_answer_is_refused(served: Served, tmp_path: Path) -> None:
    def other(request: Request) -> bool:
        row = {"0020000E": {"vr": "UI", "Value": ["1.2"]}, "0020000D": {"vr": "UI", "Value": ["1.3"]}}
        request.say_json([row])
        return True

    served.behaviours.append(other)
    assert "asked for one study and names another" in refused(served, tmp_path)


def test_images_of_another_series_are_refused(served: Served, tmp_path: Path) -> None:
    served.behaviours.append(
        at_images(lambda request, _: request.say_parts(request.parts(list(request.archive.held.values()))))
    )
    assert "an image of another series than was asked for" in refused(served, tmp_path)


def growing(served: Served, times: int) -> None:
    """Let an image of each series come between listing and fetching, as often as said."""
    left = [times]

    def grows(request: Request) -> bool:
        if images(request) and left[0]:
            left[0] -= 1
            (*_, last) = served.under(request.path.split("/")[3::2])
            new = dcmread(BytesIO(served.held[str(last.SOPInstanceUID)]))
            new.SOPInstanceUID = new.file_meta.MediaStorageSOPInstanceUID = uid_of(f"new {left[0]}")
            stored = BytesIO()
            new.save_as(stored)
            served.hold(stored.getvalue())
        return False

    served.behaviours.append(grows)


def test_a_series_that_grew_is_listed_anew_and_fetched_whole(served: Served, tmp_path: Path) -> None:
    growing(served, 1)
    fetched(served, tmp_path)
    assert {path.read_bytes() for path in (tmp_path / "in").rglob("*.dcm")} == set(served.held.values())
    assert len(served.held) == 7


def test_a_series_that_goes_on_growing_is_told(served: Served, tmp_path: Path) -> None:
    growing(served, 9)
    assert "a series changed while it was read" in (said := refused(served, tmp_path))
    assert "Wait until the study is complete" in said


def test_a_series_without_images_is_told(served: Served, tmp_path: Path) -> None:
    served.behaviours.append(lambda request: "/instances?" in request.path and request.say_json([]) is None)
    assert "names a series of the study, and no image of it. Wait until" in refused(served, tmp_path)


def test_a_study_of_too_many_images_is_not_told_to_name_fewer_studies(served: Served, tmp_path: Path) -> None:
    def lies(request: Request) -> bool:
        row = {"0020000E": {"vr": "UI", "Value": ["1.2"]}, "00201209": {"vr": "IS", "Value": [99_999]}}
        request.say_json([row])
        return True

    served.behaviours.append(lies)
    assert "says 99999 images of the study, and at most 20000 are fetched. Export the series" in refused(
        served, tmp_path
    )


def test_a_netrc_file_that_cannot_be_read_is_told_before_anything_is_asked(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1\nlogin Canary passwort secret-canary")
    said = refused(served, tmp_path)
    assert re.search(r"the netrc file, .* cannot be read \(line \d\)\. Let it hold `machine HOST", said)
    assert "secret" not in said
    (tmp_path / "netrc").unlink()
    (tmp_path / "netrc").mkdir()
    assert "the netrc file, which says who asks an archive, cannot be read. " in refused(served, tmp_path)
    assert served.asked == []
    monkeypatch.setenv("MEDSEG_DICOMWEB_TOKEN", "word")  # in place of it
    fetched(served, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: [*held[:2], held[0]], "gave an image twice"),
        (lambda held: held[:2], "says 3 images in a series, and gave 2"),
        (lambda _: [], "says 3 images in a series, and gave 0"),
        (lambda held: [b"<html>", *held], "no DICOM object"),
    ],
)
def test_what_is_twice_missing_or_none_is_refused(
    change: Callable[[list[bytes]], list[bytes]], said: str, served: Served, tmp_path: Path
) -> None:
    def changed(request: Request) -> bool:
        if images(request):
            held = [
                served.held[str(each.SOPInstanceUID)] for each in served.under(request.path.split("/")[3::2])
            ]
            request.say_parts(request.parts(change(held)))
        return images(request)

    served.behaviours.append(changed)
    assert said in refused(served, tmp_path)


def test_absurd_numbers_and_sizes_are_refused_before_anything_is_fetched(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 2)
    assert "says more than 2 images" in refused(served, tmp_path)
    monkeypatch.setattr(module, "MOST_IMAGES", 100)
    monkeypatch.setattr(fetching, "_room", lambda _: 5)
    assert "take 0.0 GiB by what the archive says" in refused(served, tmp_path)
    assert not [asked for asked in served.asked if asked.startswith("GET") and "?" not in asked]


def test_nobody_there_is_told(tmp_path: Path) -> None:
    said = r"cannot be reached: Connection refused\. See whether host and port"
    with archives("dicomweb:http://127.0.0.1:9/x") as found, pytest.raises(DataError, match=said):
        next(iter(found.values())).series(STUDY, ())


def certificate(place: Path) -> Path:
    """Write a key and a certificate that it signed itself, for 127.0.0.1."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pacs")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    place.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()) + made.public_bytes(pem))
    return place


def test_certificates_are_checked_against_the_bundle_that_the_environment_names(
    files: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path / "pacs.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    with serving(context) as secured:
        secured.hold_folder(files)
        assert "certificate that is not accepted: self-signed certificate" in refused(secured, tmp_path)
        assert secured.asked == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
        fetched(secured, tmp_path)
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 6


def test_an_unknown_study_is_told(served: Served) -> None:
    with opened(served) as archive, pytest.raises(DataError, match="has no series of the study"):
        archive.series("1.2.3", ())


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dicomweb_client.web", None)
    said = r'pip install "dicomweb-client>=0\.60" \(it is the extra `dicomweb`'
    with pytest.raises(DataError, match=said), archives("dicomweb:http://127.0.0.1:9/x"):
        pass


def test_uids_that_archives_have_are_asked_for_and_others_never_become_an_address(served: Served) -> None:
    with opened(served) as archive, pytest.raises(DataError, match="has no series of the study"):
        archive.series("1.02.3", ())
    assert [is_uid(text) for text in ("1.02.3", "1", "1." * 32 + "1")] == [True, True, False]
    assert not any(is_uid(text) for text in ("", "1.", "1..2", "../1", "1/2", "1\n", "١", "1 2", "1.a"))


def test_what_is_sent_may_take_longer_than_connecting(served: Served) -> None:
    sent: list[int] = []
    served.pause = 0.1
    served.behaviours.append(lambda request: sent.append(len(request.body)) or request.say(200) is None)
    with closing(BoundedSession(origin_of(served.url), None)) as asking:
        assert asking.post(f"{served.url}/studies", data=bytes(1 << 25), timeout=(0.4, 20)).ok
    assert sent == [1 << 25]
