"""`day_process` with locks of a bucket that run out in seconds, so that a test need not wait a minute after each kill."""

import subprocess
import sys
from pathlib import Path

from s2chips_core.storage import lease
from tests.flow import day_process

LEASE_S = 8.0


class BucketDayProcesses(day_process.DayProcesses):
    """That script at work."""

    def __init__(self, messages: Path) -> None:
        self.messages = messages
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


if __name__ == "__main__":
    lease.LEASE_S, lease.SURE_S, lease.RENEW_S = LEASE_S, 5.0, 0.7
    day_process._serve()
