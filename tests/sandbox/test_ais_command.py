import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from s2chips_core.sandbox.ais_command import main, set_fault
from s2chips_core.sandbox.ais_faults import AisFaults
from s2chips_core.sandbox.ais_message import parse_time_utc_s
from s2chips_core.sandbox.passes import PASSES, fleet_of_pass
from tests.sandbox.ais_client import CONFIRMATION, numbered, subscription

OFFSET_S = -86_400.0 * 400


def _run(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "s2chips_core.sandbox.ais_server", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _mmsi(frame: str | bytes) -> int:
    mmsi = json.loads(frame)["MetaData"]["MMSI"]
    assert isinstance(mmsi, int)
    return mmsi


def test_a_server_in_another_process(tmp_path: Path) -> None:
    ships = {ship.mmsi for ship in fleet_of_pass(PASSES[1], ships_per_tile=3, seed=4)}
    path = tmp_path / "messages.jsonl"
    path.write_text("\n".join(map(json.dumps, numbered(5))), encoding="utf-8")
    fleet = ("--demo-fleet", PASSES[1].day, "--ships-per-tile", 3, "--seed", 4)
    replay = ("--replay", path, "--rate", 100, "--box", -6, 35, -5, 36, "--copies", 2)
    others = ("--clock-offset-s", OFFSET_S, "--key", "k1", "--key", "k2", "--fault", "text_frames:times=2")
    with _run("--port", 0, *fleet, *replay, *others) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with connect(url, compression=None) as client:
            client.send(subscription(APIKey="k2"))
            frames: list[Any] = [client.recv(5) for _ in range(60)]
            while not ships & set(map(_mmsi, frames[1:])):
                frames.append(client.recv(5))
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=20)
    assert err == ""
    assert server.returncode == 0
    assert json.loads(frames[0]) == CONFIRMATION
    assert [isinstance(frame, str) for frame in frames[:4]] == [False, True, True, False]
    messages = [json.loads(frame) for frame in frames[1:]]
    mmsis = set(map(_mmsi, frames[1:]))
    assert len(mmsis & set(range(244_000_000, 245_000_000))) == 10
    counted = json.loads(out)
    assert counted["messages"] >= 59
    at_s, status = counted["attempts"][0]
    assert (status, counted["subscriptions"], counted["errors"]) == (101, 1, [])
    assert at_s > 0
    expected_s = time.time() + OFFSET_S
    times = [parse_time_utc_s(message["MetaData"]["time_utc"]) for message in messages]
    assert expected_s - 60 < min(times) <= max(times) < expected_s + 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--fault", "silnce"), "no fault 'silnce'; known: too_many_requests, refuse"),
        (("--fault", "silence:second=3"), "silence has no argument 'second=3'"),
        (("--fault", "error"), "missing 1 required positional argument: 'text'"),
        (("--demo-fleet", "2025-10-28"), "no pass on 2025-10-28: the archive has 2025-10-12, 2025-10-27"),
        (("--replay", "nowhere.jsonl"), "nowhere.jsonl: got 'No such file"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--duration-s", "0", *arguments])
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err


def test_faults_as_text() -> None:
    faults = AisFaults()
    set_fault(faults, "close:after_messages=5,code=1001,reason=on plan")
    set_fault(faults, "late:seconds=[1, 2.5],times=3")
    set_fault(faults, "no_confirmation")
    rule = faults.holds("close", 1, messages=5)
    assert rule is not None
    assert (rule.value, rule.after_messages) == ((1001, "on plan"), 5)
    assert faults.holds("no_confirmation", 1)
    late = faults.next("late")
    assert late is not None
    assert (late.value, late.times) == ([1, 2.5], 3)
