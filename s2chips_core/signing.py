"""Signatures for archives that want one with every request: Planetary Computer's SAS tokens, and S3 keys for CDSE.

Here: who signs which href, and how long a signature is used. Not here: asking with the signed href (`fetch`), which hosts
may be asked (`stac.allowed_hosts`). Tokens and keys are in memory only: no error, log or representation shows them.

Planetary Computer: `GET {service}/{account}/{container}` answers `msft:expiry` and `token`, a query that any blob of the
container is asked with. S3: presigned GET, Signature Version 4, made by obstore.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from s2chips_core.errors import ReadError
from s2chips_core.fetch import without_query

ACCESS_KEY_VARIABLE = "CDSE_ACCESS_KEY_ID"
SECRET_KEY_VARIABLE = "CDSE_SECRET_ACCESS_KEY"  # noqa: S105 - a name, no key
SESSION_TOKEN_VARIABLE = "CDSE_SESSION_TOKEN"  # noqa: S105 - as above
BLOB_STORAGE = ".blob.core.windows.net"
EODATA = "eodata"
"""CDSE's bucket."""
S3_REGION = "default"
"""What CDSE calls its only region."""
PRESIGNED_FOR = timedelta(hours=1)
RENEW_BEFORE = timedelta(minutes=2)
"""A signature is replaced so long before it ends: longer than any request takes."""
YOUNG = timedelta(seconds=2)
"""A signature that is no older was renewed by another thread while this one waited for its answer."""
TOKEN_MOST_CHARS = 8192
"""A token has 200; servers take no longer line than this."""
_ANSWER_EXPECTED = "a JSON object with msft:expiry and token"


class SasSigner:
    """Signs blobs with the tokens of Planetary Computer's token service; safe to share between threads."""

    def __init__(
        self, service: str, ask: Callable[[str], bytes], now: Callable[[], datetime], hosts: Sequence[str] = ()
    ) -> None:
        """Args:
        service: where tokens are had, such as https://planetarycomputer.microsoft.com/api/sas/v1/token.
        ask: the bytes at an href of it; ReadError when they cannot be had.
        now: aware UTC.
        hosts: `host:port` of storage that is not Azure's, as `http://host:port/account/container/blob` (Azurite's form).
        """
        self._service, self._ask, self._now, self._hosts = service, ask, now, frozenset(hosts)
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}
        self._tokens = _Signatures()

    def signs(self, href: str) -> bool:
        """Whether it is a blob that needs a token."""
        return self._container(href) is not None

    def sign(self, href: str) -> str:
        """The href with a token that holds a while longer; as it is, where it needs none.

        Raises:
            ReadError: no token can be had. It names the service and the container.
        """
        container = self._container(href)
        return href if container is None else f"{without_query(href)}?{self._token(container)}"

    def renew(self, href: str) -> bool:
        """Forget the token of the href's container, unless it is new by now; False when the very first was refused."""
        container = self._container(href)
        with self._lock:
            return container is not None and self._tokens.reject(container, self._now())

    def _token(self, container: str) -> str:
        with self._lock:
            asking = self._asking.setdefault(container, threading.Lock())
        with asking:  # one thread asks, the others wait for its answer
            with self._lock:
                known = self._tokens.usable(container, self._now())
            if known is None:
                known, ends = self._ask_token(container)
                with self._lock:
                    self._tokens.keep(container, known, self._now(), ends)
            return known

    def _ask_token(self, container: str) -> tuple[str, datetime]:
        href = f"{self._service}/{container}"
        try:
            answer = json.loads(self._ask(href))
            token, expiry = answer["token"], datetime.fromisoformat(answer["msft:expiry"])
            if not isinstance(token, str) or not 0 < len(token) <= TOKEN_MOST_CHARS or expiry.tzinfo is None:
                raise ValueError
            expiry = expiry.astimezone(UTC)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            # Without its cause: that may quote the answer, and a token with it.
            raise ReadError(href, f"gave no token, expected {_ANSWER_EXPECTED}") from None
        # A token that ends sooner than it would be replaced serves the request that waits for it.
        return token.lstrip("?"), expiry

    def _container(self, href: str) -> str | None:
        parts = urlsplit(without_query(href))
        segments = [part for part in parts.path.split("/") if part]
        host = (parts.netloc or "").lower()
        if parts.scheme == "https" and host.endswith(BLOB_STORAGE) and len(segments) > 1:
            return f"{host.removesuffix(BLOB_STORAGE)}/{segments[0]}"
        if host in self._hosts and len(segments) > 2 and not href.startswith(self._service):
            return f"{segments[0]}/{segments[1]}"
        return None


class S3Signer:
    """Signs s3://bucket/key as a URL of the bucket's endpoint; safe to share between threads."""

    def __init__(
        self,
        endpoint: str,
        environment: Mapping[str, str],
        now: Callable[[], datetime],
        *,
        bucket: str = EODATA,
        presigned_for: timedelta = PRESIGNED_FOR,
    ) -> None:
        """Args:
        endpoint: https://host of the S3 service; buckets are the first part of its paths.
        environment: holds the user's keys.
        now: aware UTC, the machine's: obstore signs with that.
        bucket: whose hrefs are signed.
        presigned_for: how long a signature holds.
        """
        self._endpoint, self._bucket, self._now, self._presigned_for = endpoint, bucket, now, presigned_for
        self._environment = environment
        self._store: Any = None
        self._lock = threading.Lock()
        self._signed = _Signatures()

    def signs(self, href: str) -> bool:
        """Whether it is an object of the bucket."""
        parts = urlsplit(href)
        return parts.scheme == "s3" and parts.netloc == self._bucket

    def sign(self, href: str) -> str:
        """The URL to ask, with a signature that holds a while longer; the href as it is, where it is of no such object.

        Raises:
            ReadError: there are no keys. It names the variables.
        """
        if not self.signs(href):
            return href
        with self._lock:
            now = self._now()
            known = self._signed.usable(href, now)
            if known is None:
                known = self._presign(href)
                self._signed.keep(href, known, now, now + self._presigned_for)
        return known

    def renew(self, href: str) -> bool:
        """Forget the signature, unless it is new by now; False when the very first was refused: the keys are wrong."""
        with self._lock:
            return self.signs(href) and self._signed.reject(href, self._now())

    def _presign(self, href: str) -> str:
        # Imported when the first object is asked for: most users have no such archive.
        import obstore
        from obstore.store import S3Store

        if self._store is None:
            missing = missing_keys(self._environment)
            if missing:
                raise ReadError(without_query(href), f"needs S3 keys: {' and '.join(missing)} not in the environment")
            config: dict[str, Any] = {
                "endpoint": self._endpoint,
                "region": S3_REGION,
                "access_key_id": self._environment[ACCESS_KEY_VARIABLE].strip(),
                "secret_access_key": self._environment[SECRET_KEY_VARIABLE].strip(),
                "virtual_hosted_style_request": False,
            }
            if self._environment.get(SESSION_TOKEN_VARIABLE):
                config["session_token"] = self._environment[SESSION_TOKEN_VARIABLE].strip()
            self._store = S3Store(self._bucket, **config)
        key = unquote(urlsplit(href).path).lstrip("/")
        signed: str = obstore.sign(self._store, "GET", key, self._presigned_for)
        return signed


def missing_keys(environment: Mapping[str, str]) -> list[str]:
    """The names of the variables with S3 keys that are not set."""
    return [name for name in (ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE) if not environment.get(name, "").strip()]


class SignersByHref:
    """Several signers as one: the first that knows an href signs it; what none knows is asked as it is."""

    def __init__(self, signers: Sequence[SasSigner | S3Signer]) -> None:
        self._signers = tuple(signers)

    def sign(self, href: str) -> str:
        """What to ask for `href`."""
        signer = self._of(href)
        return href if signer is None else signer.sign(href)

    def renew(self, href: str) -> bool:
        """Whether another signature may be better than the one that was refused."""
        signer = self._of(href)
        return signer is not None and signer.renew(href)

    def _of(self, href: str) -> SasSigner | S3Signer | None:
        return next((signer for signer in self._signers if signer.signs(href)), None)


class _Signatures:
    """What was signed, by what it is for. No dataclass, and no representation: nothing may write it out."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, datetime, datetime]] = {}
        """Text, when it was made, when it ends."""
        self._made: Counter[str] = Counter()

    def usable(self, name: str, now: datetime) -> str | None:
        """The one that holds a while longer."""
        text, _, ends = self._known.get(name, ("", now, now))
        return text if ends > now + RENEW_BEFORE else None  # not `ends - …`: a service may say the year 1

    def keep(self, name: str, text: str, now: datetime, ends: datetime) -> None:
        """Until it ends or is rejected."""
        self._known[name] = text, now, ends
        self._made[name] += 1

    def reject(self, name: str, now: datetime) -> bool:
        """Forget it; whether another may be accepted."""
        if name not in self._known:
            return True  # another thread has forgotten it: who asks now gets a new one
        young = now - self._known[name][1] < YOUNG
        if young:
            # It is what another thread got for the one that was rejected; but for the first there was no such one.
            return self._made[name] > 1
        del self._known[name]
        return True
