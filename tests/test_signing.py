"""Tokens and presigned requests: used as long as they hold, renewed when they are refused, never shown."""

import json
import subprocess
import sys
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s2chips_core.errors import ReadError
from s2chips_core.signing import RENEW_BEFORE, YOUNG, S3Signer, SasSigner, SignersByHref, missing_keys
from tests.scenes.stand_ins import KEYS, signature_v4

SERVICE = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
BLOB = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/30/S/TE/B02.tif"
OBJECT = "s3://eodata/Sentinel-2/MSI/L2A/2025/10/12/A b+c.SAFE/B02_10m.jp2"
ENDPOINT = "https://eodata.dataspace.copernicus.eu"


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def go(self, by: timedelta) -> None:
        self.time += by


class Service:
    """Answers with a new token each time."""

    def __init__(self, clock: Clock, lifetime: timedelta = timedelta(hours=1)) -> None:
        self.clock, self.lifetime, self.asked = clock, lifetime, list[str]()
        self.answer: Any = None

    def __call__(self, href: str) -> bytes:
        self.asked.append(href)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        expiry = (self.clock.time + self.lifetime).isoformat()
        return json.dumps({"msft:expiry": expiry, "token": f"sig=secret{len(self.asked)}"}).encode()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Service:
    return Service(clock)


@pytest.fixture
def sas(service: Service, clock: Clock) -> SasSigner:
    return SasSigner(SERVICE, service, clock)


def test_a_token_is_asked_for_once_and_serves_the_whole_container(sas: SasSigner, service: Service) -> None:
    assert sas.sign(BLOB) == f"{BLOB}?sig=secret1"
    assert sas.sign(BLOB.replace("B02", "B03")).endswith("/B03.tif?sig=secret1")
    assert service.asked == [f"{SERVICE}/sentinel2l2a01/sentinel2-l2"]
    sas.sign(BLOB.replace("sentinel2-l2", "other"))
    assert service.asked[1:] == [f"{SERVICE}/sentinel2l2a01/other"]


def test_a_token_is_replaced_shortly_before_it_ends(sas: SasSigner, service: Service, clock: Clock) -> None:
    sas.sign(BLOB)
    clock.go(timedelta(hours=1) - RENEW_BEFORE - timedelta(seconds=1))
    assert sas.sign(BLOB).endswith("secret1")
    clock.go(timedelta(seconds=1))
    assert sas.sign(BLOB).endswith("secret2")


def test_a_refused_token_is_forgotten_once_for_all_threads_that_used_it(
    sas: SasSigner, service: Service, clock: Clock
) -> None:
    sas.sign(BLOB)
    clock.go(YOUNG)
    assert [sas.renew(BLOB), sas.sign(BLOB)[-1], sas.renew(BLOB), sas.sign(BLOB)[-1]] == [True, "2", True, "2"]


def test_the_very_first_token_is_not_asked_for_again_when_it_is_refused(sas: SasSigner, service: Service) -> None:
    sas.sign(BLOB)
    assert not sas.renew(BLOB)
    assert len(service.asked) == 1


def test_many_threads_ask_for_one_token(clock: Clock) -> None:
    service = Service(clock)
    there = threading.Barrier(8)

    def slow(href: str) -> bytes:
        threading.Event().wait(0.05)
        return service(href)

    sas = SasSigner(SERVICE, slow, clock)

    def sign(_: int) -> str:
        there.wait()
        return sas.sign(BLOB)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(sign, range(8)))) == 1
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "href",
    [
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel2-l2/30/B02.tif",
        "https://evil.example/sentinel2l2a01.blob.core.windows.net/a/b",
        "http://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/B02.tif",
        "https://sentinel2l2a01.blob.core.windows.net/",
        f"{SERVICE}/sentinel2l2a01/sentinel2-l2",
        OBJECT,
    ],
)
def test_what_is_no_blob_is_not_signed(sas: SasSigner, service: Service, href: str) -> None:
    assert not sas.signs(href)
    assert sas.sign(href) == href
    assert not sas.renew(href)
    assert service.asked == []


def test_a_service_on_this_machine_brings_its_own_storage(service: Service, clock: Clock) -> None:
    here = "http://127.0.0.1:10000/api/sas/v1/token"
    sas = SasSigner(here, service, clock, ["127.0.0.1:10000"])
    assert sas.sign("http://127.0.0.1:10000/account/container/b.tif").endswith("b.tif?sig=secret1")
    assert service.asked == [f"{here}/account/container"]
    # Its own answers are not behind a token.
    assert not sas.signs(f"{here}/account/container")


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>sig=secret</html>",
        [],
        {"token": "sig=secret"},
        {"token": 5, "msft:expiry": "2030-01-01T00:00:00Z"},
        {"token": "sig=secret", "msft:expiry": "soon"},
        {"token": "sig=secret", "msft:expiry": "2030-01-01T00:00:00"},
        {"token": "sig=secret", "msft:expiry": "0001-01-01T00:00:00+14:00"},
        {"token": "sig=secret" * 1000, "msft:expiry": "2030-01-01T00:00:00Z"},
    ],
)
def test_an_answer_that_is_no_token_is_refused_without_being_shown(sas: SasSigner, service: Service, answer: Any) -> None:
    service.answer = answer
    with pytest.raises(ReadError, match="gave no token, expected a JSON object with msft:expiry and token") as caught:
        sas.sign(BLOB)
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_service_that_fails_fails_the_read(sas: SasSigner, service: Service) -> None:
    service.answer = ReadError(SERVICE, "the server answered 500, 6 attempts")
    with pytest.raises(ReadError, match="500"):
        sas.sign(BLOB)
    service.answer = None
    assert sas.sign(BLOB).endswith("secret2")


def presigned(href: str) -> tuple[str, dict[str, str]]:
    parts = urllib.parse.urlsplit(href)
    return parts.path, dict(urllib.parse.parse_qsl(parts.query))


def test_an_object_is_asked_of_the_endpoint_with_a_signature_of_the_specification(clock: Clock) -> None:
    signed = S3Signer(ENDPOINT, KEYS, clock).sign(OBJECT)
    path, query = presigned(signed)
    assert signed.startswith(f"{ENDPOINT}/eodata/Sentinel-2/")
    assert urllib.parse.unquote(path) == "/eodata/Sentinel-2/MSI/L2A/2025/10/12/A b+c.SAFE/B02_10m.jp2"
    assert KEYS["CDSE_SECRET_ACCESS_KEY"] not in urllib.parse.unquote(signed)
    host = urllib.parse.urlsplit(ENDPOINT).netloc
    assert query["X-Amz-Signature"] == signature_v4(path, query, host, KEYS["CDSE_SECRET_ACCESS_KEY"])
    other = signature_v4(path, query, host, "another key")
    assert query["X-Amz-Signature"] != other


def test_a_session_token_goes_with_the_keys(clock: Clock) -> None:
    signed = S3Signer(ENDPOINT, {**KEYS, "CDSE_SESSION_TOKEN": "of a session"}, clock).sign(OBJECT)
    assert presigned(signed)[1]["X-Amz-Security-Token"] == "of a session"


def test_a_signature_serves_until_shortly_before_its_end(clock: Clock) -> None:
    s3 = S3Signer(ENDPOINT, KEYS, clock, presigned_for=timedelta(minutes=10))
    first = s3.sign(OBJECT)
    assert presigned(first)[1]["X-Amz-Expires"] == "600"
    clock.go(timedelta(minutes=10) - RENEW_BEFORE - timedelta(seconds=1))
    assert s3.sign(OBJECT) is first
    clock.go(timedelta(seconds=1))
    assert s3.sign(OBJECT) is not first


def test_a_refused_signature_is_made_anew_but_not_the_very_first(clock: Clock) -> None:
    s3 = S3Signer(ENDPOINT, KEYS, clock)
    first = s3.sign(OBJECT)
    assert not s3.renew(OBJECT), "refused as soon as it was made: the keys are wrong"
    clock.go(YOUNG)
    assert s3.renew(OBJECT)
    assert s3.renew(OBJECT), "another thread has forgotten it"
    assert s3.sign(OBJECT) is not first
    assert s3.renew(OBJECT), "another thread has renewed it"


@pytest.mark.parametrize("href", [BLOB, "s3://sentinel-s2-l2a/tiles/30/B02.jp2", f"{ENDPOINT}/eodata/B02.jp2"])
def test_other_buckets_and_hosts_get_no_signature(clock: Clock, href: str) -> None:
    s3 = S3Signer(ENDPOINT, {}, clock)
    assert s3.sign(href) == href
    assert not s3.renew(href)


@pytest.mark.parametrize("name", ["CDSE_ACCESS_KEY_ID", "CDSE_SECRET_ACCESS_KEY"])
def test_a_missing_key_is_named_and_the_other_is_not_shown(clock: Clock, name: str) -> None:
    environment = {**KEYS, name: " "}
    assert missing_keys(environment) == [name]
    with pytest.raises(ReadError, match=f"needs S3 keys: {name} not in the environment") as caught:
        S3Signer(ENDPOINT, environment, clock).sign(OBJECT)
    assert not any(value in str(caught.value) for value in KEYS.values())


def test_each_href_goes_to_who_signs_it(sas: SasSigner, clock: Clock) -> None:
    both = SignersByHref([sas, S3Signer(ENDPOINT, KEYS, clock)])
    assert "sig=secret1" in both.sign(BLOB)
    assert "X-Amz-Signature" in both.sign(OBJECT)
    assert both.sign("https://example.org/a.tif") == "https://example.org/a.tif"
    assert not both.renew("https://example.org/a.tif")


def test_nothing_writes_out_what_it_knows(sas: SasSigner, clock: Clock) -> None:
    s3 = S3Signer(ENDPOINT, KEYS, clock)
    both = SignersByHref([sas, s3])
    both.sign(BLOB)
    both.sign(OBJECT)
    for one in (both, sas, s3, s3._signed, sas._tokens, s3._store):
        text = f"{one!r} {one}"
        assert not any(secret in text for secret in ("secret1", *KEYS.values(), "X-Amz")), text


def test_s3_is_imported_when_an_object_is_signed_and_not_before() -> None:
    code = "import sys, s2chips_core.signing, s2chips_core.scenes.archives; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
