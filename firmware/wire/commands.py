"""Remote commands to a board: the codec, and the inbox that refuses what must not be obeyed. Pure.

An "open" left retained on a broker must not open a door at the next start: a command carries an id,
an issue time and an expiry, and a retained, late or repeated one is refused. Carrying a command out
is policy's; time, its quality and persistence are the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from firmware.wire.acks import MAX_SEQ
from firmware.wire.strictjson import JsonError, dump, exact_keys, hex_u64, integer, parse_object

MAX_BYTES = 4096
MAX_LIFETIME_MS = 60_000
MAX_AHEAD_MS = 30_000
MAX_TIME_MS = 2**53 - 1  # what every JSON reader keeps exact
REMEMBERED = 256
MAX_ITEMS = 200
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "retained": "it was left on the broker; commands are never sent with the retain flag",
        "too-long": f"longer than {MAX_BYTES} bytes",
        "malformed": "not a command; see docs/protocol.md",
        "unknown-name": "this firmware has no such command; compare versions",
        "wrong-topic": "the name in the topic and in the payload differ",
        "long-lived": f"it may be valid for at most {MAX_LIFETIME_MS // 1000} s",
        "clock-unsure": "the board's clock is not synchronised, so it cannot tell a late command",
        "late": "it had expired on arrival; check the sender's and the board's clock and the link",
        "future": f"issued over {MAX_AHEAD_MS // 1000} s in the board's future; check both clocks",
        "repeated": "its id was carried out before",
        "flood": f"{REMEMBERED} commands are still within their time",
    }
)


def _no_args(args: dict[str, Any]) -> None:
    exact_keys(args, ())


def _open_args(args: dict[str, Any]) -> None:
    exact_keys(args, args.keys() & {"visit"})
    if "visit" in args:
        hex_u64(args, "visit")


def _locate_args(args: dict[str, Any]) -> None:
    exact_keys(args, args.keys() & {"seconds"})
    if "seconds" in args:
        integer(args, "seconds", 1, 60)


def _count_args(args: dict[str, Any]) -> None:
    exact_keys(args, ("items",))
    integer(args, "items", 1, MAX_ITEMS)


def _resend_args(args: dict[str, Any]) -> None:
    exact_keys(args, ("epoch", "seq"))
    hex_u64(args, "epoch")
    integer(args, "seq", 1, MAX_SEQ)


@dataclass(frozen=True, slots=True)
class _Spec:
    check_args: Callable[[dict[str, Any]], None]
    harmless: bool = False
    """Obeyed although the clock is unsure: done twice or late it opens nothing and locks nobody in."""


NAMES: Mapping[str, _Spec] = MappingProxyType(
    {
        "open": _Spec(_open_args),  # admit one passage; args.visit joins it to a visit
        "close": _Spec(_no_args),
        "release": _Spec(_no_args),  # let everybody out, hold the gate free
        "lockdown": _Spec(_no_args, harmless=True),  # nobody in, everybody out
        "reset": _Spec(_no_args),  # leave the gate's fault: look at the sensors again
        "accept": _Spec(_no_args),  # a portal's basket as it is: somebody has looked at the items
        "count": _Spec(_count_args),  # how many items the shopper says there are
        "open-shop": _Spec(_no_args),
        "close-shop": _Spec(_no_args),
        "reload": _Spec(_no_args),  # read the board file again while idle
        "resend-from": _Spec(_resend_args, harmless=True),  # the store lost records
        "locate": _Spec(_locate_args, harmless=True),  # blink and beep so that a technician finds it
    }
)


class CommandError(ValueError):
    """Not a command. ``reason`` is a key of ``REASONS``."""

    def __init__(self, reason: str, detail: str, id: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.id = id


@dataclass(frozen=True, slots=True)
class Command:
    """``args``: as ``NAMES`` says; visit and epoch are 16 hex digits. Times: unix milliseconds."""

    id: str
    name: str
    issued_at_ms: int
    expires_at_ms: int
    args: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The payload. Raises CommandError where a board would not decode it."""
        payload = dump(
            {
                "id": self.id,
                "name": self.name,
                "issued_at_ms": self.issued_at_ms,
                "expires_at_ms": self.expires_at_ms,
                "args": dict(self.args),
            }
        )
        decode(payload)
        return payload


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """``reason``: a key of ``REASONS``; ``detail`` for the log; ``id`` "" where none could be read."""

    reason: str
    detail: str
    id: str = ""


def decode(payload: bytes) -> Command:
    """The command in ``payload``, its times not judged. Raises CommandError."""
    if len(payload) > MAX_BYTES:
        raise CommandError("too-long", f"{len(payload)} bytes, at most {MAX_BYTES} are read")
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, ("id", "name", "issued_at_ms", "expires_at_ms", "args"))
        id_, name, args = value["id"], value["name"], value["args"]
        if not isinstance(id_, str) or not _ID.fullmatch(id_):
            raise JsonError("id must be 8 to 64 of A-Z, a-z, 0-9, _ and -")
        if not isinstance(name, str):
            raise JsonError("name must be text")
        if not isinstance(args, dict):
            raise JsonError("args must be an object")
        issued, expires = (integer(value, key, 0, MAX_TIME_MS) for key in ("issued_at_ms", "expires_at_ms"))
        if expires <= issued:
            raise JsonError("expires_at_ms must be later than issued_at_ms")
    except JsonError as error:
        raise CommandError("malformed", f"command: {error}") from None
    spec = NAMES.get(name)
    if spec is None:
        raise CommandError("unknown-name", f"known commands: {', '.join(NAMES)}", id_)
    try:
        spec.check_args(args)
    except JsonError as error:
        raise CommandError("malformed", f"command {name}: args: {error}", id_) from None
    return Command(id_, name, issued, expires, args)


class Inbox:
    """Decides which commands are obeyed, each at most once.

    The caller persists ``seen()`` after an accepted command and before it acts on it, and hands it
    to ``restore`` at the next start: then a repeat is refused across a restart too.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, bool]] = {}  # id -> expiry, harmless; oldest first

    def seen(self) -> list[tuple[str, int]]:
        """(id, expires_at_ms) of remembered commands, oldest first; at most ``REMEMBERED``."""
        return [(id_, expires) for id_, (expires, _harmless) in self._seen.items()]

    def restore(self, seen: list[tuple[str, int]]) -> None:
        """Take up what ``seen`` gave. Only the newest ``REMEMBERED`` are kept."""
        self._seen = {id_: (expires, False) for id_, expires in seen[-REMEMBERED:]}

    def accept(
        self, payload: bytes, *, retained: bool, now_ms: int, quality: str, topic_name: str | None = None
    ) -> Command | CommandRefused:
        """The command to carry out, or why not. Never raises on ``payload``.

        ``quality``: as ``hal.ports.Clock.quality``; "unsynced" lets only harmless commands through.
        ``topic_name``: the last level of the topic, which must agree with the name inside.
        """
        if retained:
            return _refused("retained")
        try:
            command = decode(payload)
        except CommandError as error:
            return CommandRefused(error.reason, str(error), error.id)
        harmless = NAMES[command.name].harmless
        reason = self._reason_against(command, harmless, now_ms, quality, topic_name)
        if reason is not None:
            return _refused(reason, command.id)
        if not self._remember(command, harmless, now_ms, quality != "unsynced") and not harmless:
            return _refused("flood", command.id)
        return command

    def _reason_against(
        self, command: Command, harmless: bool, now_ms: int, quality: str, topic_name: str | None
    ) -> str | None:
        if topic_name is not None and topic_name != command.name:
            return "wrong-topic"
        if command.expires_at_ms - command.issued_at_ms > MAX_LIFETIME_MS:
            return "long-lived"
        if command.id in self._seen:
            return "repeated"
        if quality == "unsynced":
            if not harmless:
                return "clock-unsure"
        elif now_ms >= command.expires_at_ms:
            return "late"
        elif command.issued_at_ms > now_ms + MAX_AHEAD_MS:
            return "future"
        return None

    def _remember(self, command: Command, harmless: bool, now_ms: int, timed: bool) -> bool:
        """Room is made by forgetting an expired or a harmless command, never one that could still be
        repeated; an unsure clock expires nothing. False where there is no room."""
        if len(self._seen) >= REMEMBERED:
            for id_, (expires_at_ms, was_harmless) in self._seen.items():
                if was_harmless or (timed and now_ms >= expires_at_ms):
                    del self._seen[id_]
                    break
            else:
                return False
        self._seen[command.id] = (command.expires_at_ms, harmless)
        return True


def _refused(reason: str, id_: str = "") -> CommandRefused:
    return CommandRefused(reason, REASONS[reason], id_)
