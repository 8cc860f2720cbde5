"""Whether Dagster can be reached and its daemons run: the check `dagster` of `s2chips doctor`.

Here: opening the instance. Not here: the other checks (`doctor`), what heartbeats mean (`findings`).
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from s2chips_dagster.findings import Beat, Finding, failed, judge_beats
from s2chips_dagster.runs import HOME_VARIABLE, find_home, open_instance


def check_dagster(now: datetime) -> Finding:
    """Dagster's home, and the heartbeats of its daemons.

    Args:
        now: of this machine's clock, aware.
    """
    find_home()
    home = os.environ.get(HOME_VARIABLE, "")
    if not home:
        said = f"{HOME_VARIABLE} is not set, and there is no dagster.yaml here"
        return failed("dagster", said, f"run s2chips in the checkout, or let {HOME_VARIABLE} name the folder")
    if not (Path(home) / "dagster.yaml").is_file():
        said = f"{HOME_VARIABLE} is {home}, which has no dagster.yaml"
        return failed("dagster", said, "name the folder that has it: the checkout")
    try:
        with open_instance() as instance:
            last = instance.get_daemon_heartbeats()
            beats = [_beat(name, last.get(name)) for name in instance.get_required_daemon_types()]
    except Exception as error:  # noqa: BLE001 - Dagster, SQLAlchemy and YAML each have their own
        said = f"the instance of {home} cannot be opened: {type(error).__name__}: {error}"
        return failed("dagster", said, "correct dagster.yaml, or the rights to its folder")
    return judge_beats(home, beats, now)


def _beat(daemon: str, last: Any) -> Beat:
    if last is None:
        return Beat(daemon=daemon, at=None)
    errors = tuple(str(error.message) for error in last.errors or ())
    return Beat(daemon=daemon, at=datetime.fromtimestamp(last.timestamp, UTC), errors=errors)
