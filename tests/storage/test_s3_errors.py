"""What a service says, as errors that name no key; and asking again."""

import pytest
from obstore.exceptions import BaseError, GenericError, PermissionDeniedError

from s2chips_core.storage import s3_errors
from s2chips_core.storage.s3_errors import ATTEMPTS, attempt


def test_no_keys_at_all_are_named() -> None:
    asked = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 5 ms - 403 Forbidden"
    found = s3_errors.reason(GenericError(asked))
    assert found.startswith("No keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the environment")


@pytest.mark.parametrize(
    ("error", "times"),
    [(GenericError("reset"), ATTEMPTS), (FileNotFoundError("no such upload"), ATTEMPTS), (PermissionDeniedError("no"), 1)],
)
def test_what_may_be_done_twice_is_asked_again_but_not_with_refused_keys(
    error: Exception, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, waited = 0, list[float]()
    monkeypatch.setattr(s3_errors.time, "sleep", waited.append)

    def once() -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises((BaseError, FileNotFoundError)):
        attempt(once)
    assert (calls, len(waited)) == (times, times - 1)
    assert all(0 <= seconds <= 4 for seconds in waited)


def test_what_goes_well_is_done_once() -> None:
    calls: list[int] = []
    attempt(lambda: calls.append(1))
    assert calls == [1]
