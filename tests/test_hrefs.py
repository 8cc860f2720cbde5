"""Hrefs: which host one names, and what is asked of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.errors import HostNotAllowedError, ReadError
from s2chips_core.hrefs import Address, check_allowed, check_listed, host_of, target_of
from tests.reliability import often


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


LISTED = ("good.example", "127.0.0.1:8080", "s3://eodata", "[::1]:8080")
HOSTILE = [
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file://good.example/etc/passwd",
    "/etc/passwd",
    "../../etc/passwd",
    "C:\\Windows\\win.ini",
    "\\\\good.example\\share\\x.tif",
    "//good.example/x.tif",
    "/vsicurl/https://good.example/x.tif",
    "/vsis3/eodata/x.tif",
    "/vsizip//vsicurl/https://good.example/x.zip",
    "vsicurl://good.example/x.tif",
    "data:image/tiff;base64,SUkqAA==",
    "ftp://good.example/x.tif",
    "gopher://good.example:443/_x",
    "jar:https://good.example/x!/y",
    "javascript:alert(1)",
    "HTTP://good.example/x.tif",
    "http://good.example:443/x.tif",
    "https://good.example.evil.example/x.tif",
    "https://evil.example/good.example/x.tif",
    "https://evil.example?good.example",
    "https://evil.example#good.example",
    "https://xgood.example/x.tif",
    "https://x.good.example/x.tif",
    "https://good.example./x.tif",
    "https://good.example:444/x.tif",
    "https://good@evil.example/x.tif",
    "https://good.example@evil.example/x.tif",
    "https://good.example:443@evil.example/x.tif",
    "https://evil.example\\@good.example/x.tif",
    "https://good.example\\.evil.example/x.tif",
    "https://good.example%2eevil.example/x.tif",
    "https://good.example%00.evil.example/x.tif",
    "https://good.example\t.evil.example/x.tif",
    "https://good.example\r\nHost: evil.example/x.tif",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/",
    "https://[::ffff:169.254.169.254]/latest/",
    "https://[::ffff:a9fe:a9fe]/latest/",
    "https://2852039166/latest/",
    "https://0xa9fea9fe/latest/",
    "https://0251.0376.0251.0376/latest/",
    "https://10.0.0.1/x",
    "https://192.168.0.1/x",
    "https://localhost/x",
    "http://localhost:8080/x",
    "http://127.1:8080/x",
    "http://2130706433:8080/x",
    "http://0177.0.0.1:8080/x",
    "http://0x7f.0.0.1:8080/x",
    "http://[::ffff:127.0.0.1]:8080/x",
    "http://[0:0:0:0:0:0:0:2]:8080/x",
    "http://127.0.0.1:8080.evil.example/x",
    "http://127.0.0.1:80800/x",
    "https://g\u043e\u043ed.example/x.tif",
    "https://\uff47ood.example/x.tif",
    "https://good\u3002example/x.tif",
    "https://good.ex\u00adample/x.tif",
    "https://good.example\u200b/x.tif",
    "https://good.example\ud800/x.tif",
    "s3://eodata.evil/x.jp2",
    "s3://eodata@evil/x.jp2",
    "s3:///eodata/x.jp2",
    "https:good.example/x.tif",
    "https:///good.example/x.tif",
    "https://",
    "",
]


@pytest.mark.parametrize("href", HOSTILE)
def test_no_spelling_leads_elsewhere(href: str) -> None:
    """What is refused is refused by name; what is taken is asked of a listed host, whatever the spelling."""
    try:
        address, head = target_of(href, LISTED)
    except ReadError as error:
        str(error).encode()
        return
    assert address in (
        Address("https", "good.example", 443),
        Address("http", "127.0.0.1", 8080),
        Address("http", "::1", 8080),
    )
    assert head.count(b"\r\n") == 4
    raise AssertionError(f"{href!r} is asked of {address}")


PARTS = [
    "https://",
    "http://",
    "good.example",
    "evil.example",
    "@",
    ":",
    "8080",
    "127.0.0.1",
    "/",
    "\\",
    "?",
    "#",
    ".",
    "[",
    "]",
]


@settings(max_examples=often(400, 20_000), deadline=None)
@given(
    st.lists(st.sampled_from([*PARTS, "%2e", "%00", "\t", "\u3002", "\ud800", "::1", "x"]), max_size=9).map("".join)
    | st.text()
)
def test_any_href_is_refused_or_asked_of_a_listed_host(href: str) -> None:
    try:
        address, head = target_of(href, LISTED)
    except ReadError as error:
        str(error).encode()
    else:
        assert address in (
            Address("https", "good.example", 443),
            Address("http", "127.0.0.1", 8080),
            Address("http", "::1", 8080),
        )
        assert head.count(b"\r\n") == 4
        assert head.count(b"\r") == head.count(b"\n") == 4


@pytest.mark.parametrize(
    "password", ["secret", "se/secret", "se?secret", "se#secret", "se@secret", "se\\secret", "se secret"]
)
def test_no_error_shows_the_password_of_an_href(password: str) -> None:
    """The first part of one with a `/`, `?` or `#` in it is a port by the rules of URLs: that is no number, mostly."""
    for ask in (host_of, lambda href: check_allowed(href, ("a.example",))):
        with pytest.raises(ReadError) as refused:
            ask(f"https://user:{password}@a.example/x?secret")
        assert "secret" not in str(refused.value)
