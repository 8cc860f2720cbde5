"""What goes wrong on purpose at the sandbox's AIS server, settable while it runs.

Each fault is a method of `AisFaults`. Not here: carrying it out (`ais_connection`, `ais_server`), and what the service
refuses as a rule (`ais_limits`).
"""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from s2chips_core.sandbox.ais_garbage import GARBAGE, too_big_frame

HandshakeKind = Literal["too_many_requests", "refuse", "reset"]
ConnectionKind = Literal["no_confirmation", "late_confirmation", "error", "wrong_key", "close", "silence", "slow_start"]
MessageKind = Literal["garbage", "text_frames", "duplicates", "late", "out_of_order", "too_big"]
Kind = HandshakeKind | ConnectionKind | MessageKind
KINDS: tuple[Kind, ...] = (*get_args(HandshakeKind), *get_args(ConnectionKind), *get_args(MessageKind))
"""The names of all faults."""


@dataclass(slots=True, kw_only=True)
class Rule:
    """One fault that was set, and how often it has struck."""

    kind: Kind
    value: Any
    """What the kind needs: seconds, a text, a code, frames."""
    times: int | None
    probability: float
    after_messages: int
    after_s: float
    dice: random.Random
    done: int = 0
    decided: dict[int, bool] = field(default_factory=dict)
    """Connections it has been thrown for."""

    def throw(self) -> bool:
        """Whether it strikes now; counts."""
        if self.times is not None and self.done >= self.times:
            return False
        strikes = self.probability >= 1.0 or self.dice.random() < self.probability
        self.done += strikes
        return strikes


class AisFaults:
    """The faults of one server. Every method may be called at any time from any thread, and adds to what was set before.

    Arguments that many share:
        times: how often in all: handshakes, connections or messages. None: always.
        probability: share of the handshakes, connections or messages that are struck.
        after_messages: only on connections that have had so many AIS messages.
        after_s: only on connections whose first subscription is so many seconds old.
        seed: of the dice.

    A fault of a connection (from `no_confirmation` to `slow_start`) strikes those that are already open too, as soon as its
    conditions hold; the dice are thrown once for each connection. `clear` ends silence.
    """

    def __init__(self) -> None:
        self._rules: dict[Kind, list[Rule]] = {}
        self._lock = threading.Lock()
        self.on_messages = False
        """Whether any fault of single messages is set."""
        self.on_connections = False
        """Whether any fault is set that can end or hush a connection."""

    # Handshakes

    def too_many_requests(
        self, *, retry_after_s: int | None = None, times: int | None = None, probability: float = 1.0, seed: int = 0
    ) -> None:
        """HTTP 429 instead of the upgrade, with the body `local_rate_limited`; `Retry-After` only when given."""
        self._add("too_many_requests", retry_after_s, times=times, probability=probability, seed=seed)

    def refuse(self, *, status: int = 503, times: int | None = None, probability: float = 1.0, seed: int = 0) -> None:
        """Another HTTP status instead of the upgrade."""
        self._add("refuse", status, times=times, probability=probability, seed=seed)

    def reset(self, *, times: int | None = None, probability: float = 1.0, seed: int = 0) -> None:
        """A TCP reset instead of an answer to the handshake."""
        self._add("reset", None, times=times, probability=probability, seed=seed)

    # Connections

    def no_confirmation(self, *, times: int | None = None, probability: float = 1.0, seed: int = 0) -> None:
        """No `SubscriptionConfirmation`: AIS messages come first."""
        self._add("no_confirmation", None, times=times, probability=probability, seed=seed)

    def late_confirmation(
        self, *, seconds: float = 2.0, times: int | None = None, probability: float = 1.0, seed: int = 0
    ) -> None:
        """The `SubscriptionConfirmation` comes so many seconds after the subscription, among the AIS messages."""
        self._add("late_confirmation", seconds, times=times, probability=probability, seed=seed)

    def error(
        self,
        text: str,
        *,
        times: int | None = None,
        probability: float = 1.0,
        after_messages: int = 0,
        after_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        """`{"error": text}`, then the connection ends without a close frame (1006)."""
        self._add(
            "error",
            text,
            times=times,
            probability=probability,
            after_messages=after_messages,
            after_s=after_s,
            seed=seed,
        )

    def wrong_key(self, *, times: int | None = None, probability: float = 1.0, seed: int = 0) -> None:
        """A good key is refused like a bad one."""
        self._add("wrong_key", None, times=times, probability=probability, seed=seed)

    def close(
        self,
        *,
        code: int | None = None,
        reason: str = "",
        times: int | None = None,
        probability: float = 1.0,
        after_messages: int = 0,
        after_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        """The connection ends, with a close frame of this code (1000-1003, 1007-1014, 3000-4999) or abruptly (1006)."""
        self._add(
            "close",
            (code, reason),
            times=times,
            probability=probability,
            after_messages=after_messages,
            after_s=after_s,
            seed=seed,
        )

    def silence(
        self,
        *,
        seconds: float | None = None,
        answer_pings: bool = True,
        times: int | None = None,
        probability: float = 1.0,
        after_messages: int = 0,
        after_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        """The connection stays open and delivers nothing, for so many seconds or (None) until `clear`.

        Nothing that was due meanwhile comes later. `answer_pings` false: the server does not even read any more, as when the
        line is cut; that does not end before the connection.
        """
        self._add(
            "silence",
            (seconds, answer_pings),
            times=times,
            probability=probability,
            after_messages=after_messages,
            after_s=after_s,
            seed=seed,
        )

    def slow_start(
        self, *, seconds: float = 10.0, times: int | None = None, probability: float = 1.0, seed: int = 0
    ) -> None:
        """No AIS message in the first so many seconds after the first subscription; the confirmation comes as always."""
        self._add("slow_start", seconds, times=times, probability=probability, seed=seed)

    # Messages

    def garbage(
        self,
        *,
        frames: Sequence[bytes | str] = GARBAGE,
        times: int | None = None,
        probability: float = 1.0,
        after_messages: int = 0,
        seed: int = 0,
    ) -> None:
        """Before a message comes one of these frames, in turn; bytes as a binary frame, str as a text frame."""
        self._add("garbage", tuple(frames), times=times, probability=probability, after_messages=after_messages, seed=seed)

    def text_frames(
        self, *, times: int | None = None, probability: float = 1.0, after_messages: int = 0, seed: int = 0
    ) -> None:
        """The message comes in a text frame instead of a binary one."""
        self._add("text_frames", None, times=times, probability=probability, after_messages=after_messages, seed=seed)

    def duplicates(
        self, *, times: int | None = None, probability: float = 0.4, after_messages: int = 0, seed: int = 0
    ) -> None:
        """The message comes once more, byte for byte. With probability p the share of duplicates is p / (1 + p)."""
        self._add("duplicates", None, times=times, probability=probability, after_messages=after_messages, seed=seed)

    def late(
        self,
        *,
        seconds: tuple[float, float] = (45.0, 120.0),
        times: int | None = None,
        probability: float = 1.0,
        after_messages: int = 0,
        seed: int = 0,
    ) -> None:
        """The message is held back for a random time in this range, seconds, on top of the feed's own delay."""
        self._add("late", seconds, times=times, probability=probability, after_messages=after_messages, seed=seed)

    def out_of_order(
        self,
        *,
        by: int = 3,
        times: int | None = None,
        probability: float = 0.2,
        after_messages: int = 0,
        seed: int = 0,
    ) -> None:
        """The message comes after the next `by` messages of its connection."""
        self._add("out_of_order", by, times=times, probability=probability, after_messages=after_messages, seed=seed)

    def too_big(
        self,
        *,
        size_bytes: int = 2**20 + 1,
        times: int | None = 1,
        probability: float = 1.0,
        after_messages: int = 0,
        seed: int = 0,
    ) -> None:
        """Before a message comes a binary frame of valid JSON of this size, bytes (at least 100)."""
        frame = too_big_frame(size_bytes)
        self._add("too_big", frame, times=times, probability=probability, after_messages=after_messages, seed=seed)

    def clear(self, kind: Kind | None = None) -> None:
        """No more faults, or none of this kind (the name of its method)."""
        with self._lock:
            if kind is None:
                self._rules.clear()
            else:
                self._rules.pop(kind, None)
            self._note()

    # What the server asks

    def next(self, kind: HandshakeKind | MessageKind, *, messages: int = 0) -> Rule | None:
        """The rule that strikes the next handshake or message; `messages` so many went before on its connection."""
        if kind not in self._rules:
            return None
        with self._lock:
            for rule in self._rules.get(kind, ()):
                if messages >= rule.after_messages and rule.throw():
                    return rule
        return None

    def holds(self, kind: ConnectionKind, connection: int, *, messages: int = 0, age_s: float = 0.0) -> Rule | None:
        """The rule that has this connection, once its conditions have held; the dice are thrown once."""
        if kind not in self._rules:
            return None
        with self._lock:
            for rule in self._rules.get(kind, ()):
                if connection not in rule.decided:
                    if messages < rule.after_messages or age_s < rule.after_s:
                        continue
                    rule.decided[connection] = rule.throw()
                if rule.decided[connection]:
                    return rule
        return None

    def _add(
        self,
        kind: Kind,
        value: Any,
        *,
        times: int | None,
        probability: float,
        seed: int,
        after_messages: int = 0,
        after_s: float = 0.0,
    ) -> None:
        rule = Rule(
            kind=kind,
            value=value,
            times=times,
            probability=probability,
            after_messages=after_messages,
            after_s=after_s,
            dice=random.Random(seed),  # noqa: S311 - no secret hangs on it
        )
        with self._lock:
            self._rules.setdefault(kind, []).append(rule)
            self._note()

    def _note(self) -> None:
        self.on_messages = any(kind in self._rules for kind in get_args(MessageKind))
        self.on_connections = any(kind in self._rules for kind in ("error", "close", "silence", "slow_start"))
