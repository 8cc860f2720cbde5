"""Hrefs: which host one names, and what is asked of it."""

import pytest

from s2chips_core.errors import HostNotAllowedError, ReadError
from s2chips_core.hrefs import Address, check_allowed, check_listed, host_of, target_of


@pytest.mark.parametrize(
    ("href", "host"),
    [
        ("https://Sentinel-COGs.s3.us-west-2.amazonaws.com/a/B02.tif", "sentinel-cogs.s3.us-west-2.amazonaws.com"),
        ("https://a.example:443/x", "a.example"),
        ("https://a.example:8443/x", "a.example:8443"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://a.example/x", "a.example:80"),
        ("http://[::1]:81/x", "[::1]:81"),
        ("s3://sentinel-s2-l2a/tiles/x.jp2", "s3://sentinel-s2-l2a"),
        ("file:///etc/passwd", "file://"),
        ("gs://bucket/x", "gs://bucket"),
    ],
)
def test_host_of(href: str, host: str) -> None:
    assert host_of(href) == host


@pytest.mark.parametrize(
    "href",
    [
        "B02.tif",
        "/vsicurl/https://a.example/x",
        "https://a.example@evil.example/x",
        "https://a.example\\@evil.example/x",
        "https://a.example /x",
        "https:///x",
        "http://a.example:99999/x",
    ],
)
def test_hrefs_that_readers_understand_differently_are_refused(href: str) -> None:
    with pytest.raises(ReadError):
        host_of(href)


@pytest.mark.parametrize(
    "href", ["http://127.0.0.1:80/x", "http://localhost:80/x", "http://[::1]:80/x", "https://a.example/x"]
)
def test_allowed(href: str) -> None:
    check_allowed(href, ("127.0.0.1:80", "LOCALHOST:80", "[::1]:80", "a.example"))


def test_a_listed_host_may_have_a_scheme_that_only_a_signer_reads() -> None:
    assert check_listed("s3://eodata/x.jp2", ("S3://EODATA",)) == "s3://eodata"
    with pytest.raises(ReadError, match="no reader for s3"):
        check_allowed("s3://eodata/x.jp2", ("s3://eodata",))
    with pytest.raises(HostNotAllowedError):
        check_listed("http://a.example/x", ("a.example:80",))


@pytest.mark.parametrize(
    ("href", "address", "line", "name"),
    [
        ("https://A.example/x y".replace(" ", "%20"), ("https", "a.example", 443), "/x%20y", "a.example"),
        ("https://a.example:8443/x?sig=a%2Bb", ("https", "a.example", 8443), "/x?sig=a%2Bb", "a.example:8443"),
        ("http://127.0.0.1:80/", ("http", "127.0.0.1", 80), "/", "127.0.0.1"),
        ("http://[::1]:81/x", ("http", "::1", 81), "/x", "[::1]:81"),
        ("https://a.example/x#part", ("https", "a.example", 443), "/x", "a.example"),
    ],
)
def test_target_of(href: str, address: tuple[str, str, int], line: str, name: str) -> None:
    where, head = target_of(href, ("a.example", "a.example:8443", "127.0.0.1:80", "[::1]:81"))
    assert where == Address(*address)
    assert head.decode().splitlines() == [
        f"GET {line} HTTP/1.1",
        f"Host: {name}",
        "Accept-Encoding: identity",
        "User-Agent: s2chips",
    ]
