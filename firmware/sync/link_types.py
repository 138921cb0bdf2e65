"""What the link is given and what it tells: settings, events, and the journal as it sees it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firmware.sync.window import Key
from firmware.wire.tables import SPECS


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Of the site file and the board file's ``[link]``. Seconds where the name ends in ``_s``.

    ``offline_state``: payload of the retained ``state`` when this board is gone (also the will). ``tables``:
    names of those it has a use for. ``claims``: it hears the other gates' spent passes and claims. What is
    not asked for is not sent: the price list alone is over 2 MB."""

    store_id: str
    board: str
    host: str
    port: int
    offline_state: bytes = b'{"online":false,"state":"unknown"}'
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    receipt: str = "store"
    keepalive_s: int = 30
    puback_s: float = 5.0
    stall_s: float = 3.0
    refusal_s: float = 1.0
    retry_s: float = 1.0
    retry_max_s: float = 60.0
    connect_s: float = 5.0
    tables: tuple[str, ...] = tuple(SPECS)
    claims: bool = True


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Connected and subscribed: publish the state now."""

    at: float


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection was lost (sent once per loss, not per attempt)."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message for the board. ``kind`` is "cmd", "ans", "used", "claim", "table" or "delta"; ``names`` the
    topic's levels behind it. ``payload`` is not decoded and not trusted."""

    kind: str
    names: tuple[str, ...]
    payload: bytes
    retained: bool
    correlation: bytes | None
    at: float


LinkEvent = LinkUp | LinkDown | Arrived
Row = tuple[int, int, bytes]
"""(epoch, seq, frame)"""


class JournalPort(Protocol):
    """The journal as the link sees it. Calls return at once, ``done`` comes on the loop thread."""

    def fetch(self, after: Key | None, limit: int, done: Callable[[Sequence[Row] | None], None]) -> None:
        """The next unsettled rows behind ``after`` in the order of sending, older epochs first; None = the
        disk failed, asked again later."""

    def ack(self, epoch: int, through: int, done: Callable[[bool | None], None]) -> None:
        """True = written; False = it cannot be true (beyond the last record); None = the disk failed."""

    def nacked(self, epoch: int, seq: int, done: Callable[[bool], None]) -> None:
        """The store could not read this row. False = the disk failed."""

    def resend_from(self, seq: int, done: Callable[[bool], None]) -> None:
        """Rows of the own epoch from ``seq`` on are due again. False = the disk failed."""
