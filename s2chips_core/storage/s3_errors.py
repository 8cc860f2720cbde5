"""What a bucket's service says when something goes wrong, as errors of ours that hold no key; and asking again.

Not here: what is asked (`s3`, `s3_file`, `s3_lock`).
"""

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from s2chips_core.errors import StorageError

ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN_VARIABLE = "AWS_SESSION_TOKEN"  # noqa: S105 - a name, no token
ATTEMPTS = 3
_STATUS = re.compile(r"status code: [0-9]{3}( [A-Z][A-Za-z ]+)?")
"""Up to here obstore's sentence is its own; behind it the service's answer, which may repeat the keys it was asked with."""
_ROLE_SERVICE = "http://169.254.169.254/"
"""Where a machine of AWS asks for the keys of its role."""


@contextlib.contextmanager
def told(bucket: str, key: str, problem: str) -> Iterator[None]:
    """StorageError of `key` in the place of what obstore raises in the block."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise StorageError(key, f"{problem} in s3://{bucket}: {reason(error)}") from None


def attempt(once: Callable[[], None]) -> None:
    """What may be done twice, up to ATTEMPTS times; refused keys are refused the next time, too."""
    for number in range(1, ATTEMPTS + 1):
        try:
            once()
            return
        except (BaseError, FileNotFoundError) as error:
            if number == ATTEMPTS or isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
                raise
            time.sleep(0.2 * 4**number * random.random())  # noqa: S311 - jitter, no secret


def reason(error: Exception) -> str:
    """What went wrong, without what the service sent: that may name keys."""
    if isinstance(error, FileNotFoundError):
        return "No such object or bucket"
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return f"Access denied (look at {ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE}, or the machine's role)"
    first = str(error).strip().splitlines()[0]
    if _ROLE_SERVICE in first:
        names = f"{ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE}"
        return f"No keys: {names} are not in the environment, and this machine has no role"
    answered = _STATUS.search(first)
    return first[: answered.end() if answered else 300].strip() or type(error).__name__
