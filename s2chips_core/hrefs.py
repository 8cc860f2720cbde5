"""Hrefs: which host one names, whether it may be asked, and how it may be shown.

Here: deciding, by the text of the href alone. Not here: asking (`fetch`).
"""

import dataclasses
import functools
import ipaddress
import re

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from s2chips_core.errors import HostNotAllowedError, ReadError


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes."""

    scheme: str
    """`http` or `https`."""
    host: str
    """Name or number, an IPv6 number without brackets."""
    port: int


def without_query(href: str) -> str:
    """The href as an error or a log may show it: a query can carry a signature, and what is before a host a password."""
    shown = re.sub(r"[?#].*", "", href, flags=re.DOTALL)
    return re.sub(r"//[^/]*@", "//***@", shown)


def host_of(href: str) -> str:
    """What `stac.allowed_hosts` must list for `href`, in lower case.

    Returns:
        `host` for https on its own port, `host:port` for any other port and for plain http, `s3://bucket`, `file://`.

    Raises:
        ReadError: it is no absolute URL, or one that readers understand differently (user name, backslash, blank).
    """
    url = _parse(href)
    if url.scheme == "file":
        return "file://"
    shown = without_query(href)
    if not url.scheme or not url.host:
        raise ReadError(shown, "is no absolute URL, expected https://host/path")
    if url.auth is not None:
        raise ReadError(shown, "carries a user name, expected none")
    host = url.host.lower()
    if url.scheme not in ("http", "https"):
        return f"{url.scheme}://{host}"
    default = 443 if url.scheme == "https" else 80
    port = url.port or default
    return host if url.scheme == "https" and port == 443 else f"{host}:{port}"


def check_listed(href: str, allowed_hosts: tuple[str, ...]) -> str:
    """The host of `href` as `host_of` gives it; refuse an href whose host is not listed.

    Raises:
        HostNotAllowedError: its host is not listed, or it is plain http to something that is not this machine.
        ReadError: it is no plain URL.
    """
    host = host_of(href)
    scheme = href.partition(":")[0].lower()
    listed = {entry.lower() for entry in allowed_hosts}
    if host not in listed and scheme != "file":
        raise HostNotAllowedError(without_query(href), host, allowed_hosts)
    if scheme == "http" and not _is_loopback(host):
        raise HostNotAllowedError(without_query(href), f"http://{host}", allowed_hosts)
    return host


def check_allowed(href: str, allowed_hosts: tuple[str, ...]) -> None:
    """Refuse an href that may not be asked; nothing is connected to.

    Raises:
        HostNotAllowedError: its host is not listed, or it is plain http to something that is not this machine.
        ReadError: it is listed, but this version has no reader for its scheme.
    """
    check_listed(href, allowed_hosts)
    scheme = href.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise ReadError(without_query(href), f"this version has no reader for {scheme}://, expected https://")


@functools.lru_cache(maxsize=4096)
def target_of(href: str, allowed_hosts: tuple[str, ...]) -> tuple[Address, bytes]:
    """Whom to ask for `href`, and the head of the request up to the last header that all requests have.

    Raises:
        HostNotAllowedError, ReadError: as `check_allowed`.
    """
    check_allowed(href, allowed_hosts)
    url = _parse(href)
    host = (url.host or "").lower()
    port = url.port or (443 if url.scheme == "https" else 80)
    name = host if port == (443 if url.scheme == "https" else 80) else f"{host}:{port}"
    head = f"GET {url.request_uri} HTTP/1.1\r\nHost: {name}\r\nAccept-Encoding: identity\r\nUser-Agent: s2chips\r\n"
    return Address(url.scheme or "", host.strip("[]"), port), head.encode("ascii")


def _parse(href: str) -> Url:
    if re.search(r"[\\\s\x00-\x1f\x7f]", href):
        raise ReadError(_hidden(href), "has a blank, backslash or control character, expected a plain URL")
    try:
        return parse_url(href)
    except LocationParseError as error:
        raise ReadError(_hidden(href), "is no URL") from error


def _hidden(href: str) -> str:
    """What is shown of an href in which nobody can tell where a password ends."""
    return without_query(re.sub(r"//.*@", "//***@", href, flags=re.DOTALL))


def _is_loopback(host_port: str) -> bool:
    host = host_port.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
