"""The trace: every event that reached policy and every order it gave, as JSON lines in a ring of files.

A trace holds no secret: codes are judged before policy sees them, so no payment code and no preimage is
in it.  Files rotate only while the gate is idle, so each file can be replayed from its first line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from firmware.gate import facts
from firmware.gate.admission import Admissible, Verdict
from firmware.gate.orders import Claimed, CommitFailed, Committed, Restored
from firmware.wire.refusals import Refusal
from hal.ports import DeviceBack, DeviceLost, InputChanged

FILES = 4
"""Files in the ring."""
EVENTS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        Verdict,
        Claimed,
        Committed,
        CommitFailed,
        Restored,
        InputChanged,
        DeviceLost,
        DeviceBack,
        facts.Tick,
        facts.Levels,
        facts.Remote,
        facts.Grant,
    )
}


class TraceError(Exception):
    """A trace file cannot be read; says which line and why."""


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        return value.__name__
    raise TypeError(f"an order holds a {type(value).__name__}, which has no plain form")


def order_text(order: object) -> Any:
    """An order as plain data, for writing and for comparing."""
    return [type(order).__name__, msgspec.to_builtins(order, enc_hook=_plain)]


class TraceWriter:
    """Collects lines on the loop; ``write`` (on a worker thread) stores them."""

    def __init__(self, folder: Path, limit_bytes: int, header: Callable[[], dict[str, Any]]) -> None:
        self._folder = folder
        # A file is closed at rest, so it may grow to twice this before events are left out.
        self._each = max(4096, limit_bytes // FILES // 2)
        self._header = header
        self._lines: list[bytes] = []
        self._size = 0
        self._fresh = True
        self._gap = False
        self.lost = 0
        """Times that events are missing: the disk failed, or the gate never came to rest."""

    def begin(self) -> None:
        """Called before an event is handled: a new file begins with the policy as it is now."""
        if self._fresh:
            self._fresh = False
            self._lines.append(b"\n")  # marks a rotation for write()
            self._line({"header": self._header()})

    @property
    def fresh(self) -> bool:
        """The next event begins a file."""
        return self._fresh

    def note(self, event: object, now: float, orders: Sequence[object], idle: bool, **more: object) -> None:
        """One event and its orders. ``idle``: the policy rests after it, a file may begin here. ``more``:
        further keys of the line."""
        if not self._gap:
            name, plain = type(event).__name__, [order_text(order) for order in orders]
            self._line({"at": now, "type": name, "event": event, "orders": plain, **more})
        if idle and (self._gap or self._size > self._each):
            self._fresh, self._gap, self._size = True, False, 0
        elif self._size > 2 * self._each and not self._gap:
            self.failed()

    def failed(self) -> None:
        """Events are missing from here on: the next file begins when the gate is at rest."""
        self._gap = True
        self.lost += 1

    def _line(self, data: Any) -> None:
        line = msgspec.json.encode(data, enc_hook=_plain)
        self._lines.append(line)
        self._size += len(line)

    def take(self) -> list[bytes]:
        """The lines collected so far, on the loop thread."""
        lines, self._lines = self._lines, []
        return lines

    def write(self, lines: list[bytes]) -> None:
        """Append ``lines``, on a worker thread. Raises OSError on a full disk: the trace is then lost."""
        self._folder.mkdir(parents=True, exist_ok=True)
        current = self._folder / "trace-0.jsonl"
        chunk: list[bytes] = []
        for line in lines:
            if line == b"\n":
                _append(current, chunk)
                chunk = []
                for number in range(FILES - 2, -1, -1):
                    path = self._folder / f"trace-{number}.jsonl"
                    if path.exists():
                        path.replace(self._folder / f"trace-{number + 1}.jsonl")
            else:
                chunk.append(line)
        _append(current, chunk)


def _append(path: Path, lines: list[bytes]) -> None:
    if lines:
        with path.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a trace: first ``{"header"}``, then events. Raises TraceError."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            data = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            if number == len(lines):
                return  # the power was cut in the middle of the last line
            raise TraceError(f"{path}: line {number}: {error}") from None
        if not isinstance(data, dict) or ("header" not in data) == (number == 1):
            raise TraceError(f"{path}: line {number} is no trace line")
        yield data


def event_of(data: dict[str, Any], events: Mapping[str, Any] = EVENTS) -> Any:
    """The event of one trace line (``events``: a gate's). Raises TraceError for an unknown type."""
    cls = events.get(str(data.get("type")))
    if cls is None:
        raise TraceError(f"unknown event type {data.get('type')!r}; the trace is from another version")
    try:
        event = data["event"]
        return _verdict(event) if cls is Verdict else msgspec.convert(event, cls)
    except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{data.get('type')}: {error}") from None


def _verdict(event: Any) -> Verdict:
    """Its outcome is one of two shapes, which the converter cannot tell apart by itself."""
    outcome = event["outcome"]
    kind: type[Admissible | Refusal] = Refusal if "reason" in outcome else Admissible
    visit = event["visit"]
    return Verdict(
        event["code"],
        msgspec.convert(outcome, kind),
        None if visit is None else msgspec.convert(visit, bytes),
        msgspec.convert(event["mark"], bytes),
    )
