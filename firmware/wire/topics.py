"""Every MQTT topic of the product, built and taken apart in one place. Pure.

``tallygate/1/<store>/<board>/…``; the board id ``store`` is reserved for topics that the whole shop
shares. Nothing else in the product may spell a topic. Rows: ``docs/protocol.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

ROOT = "tallygate/1"
SHARED = "store"
_ID = re.compile(r"[a-z0-9-]{1,32}")
_PLAIN = ("state", "health", "rec", "ack", "nack", "live")
_NAMED = ("ask", "ans", "cmd")


def check_id(value: str, what: str) -> str:
    """``value`` if it is 1 to 32 of a-z, 0-9 and -, else ValueError naming ``what``."""
    if not _ID.fullmatch(value):
        raise ValueError(f"{what} {value!r} must be 1 to 32 characters of a-z, 0-9 and -")
    return value


def check_board_id(value: str) -> str:
    """As ``check_id``; also refuses the reserved id ``store``."""
    if value == SHARED:
        raise ValueError(f"board id {value!r} is reserved for the shop: choose another one")
    return check_id(value, "board id")


@dataclass(frozen=True, slots=True)
class StoreTopics:
    """The topics a whole shop shares, and the filters that reach all its boards.

    Raises ValueError for an id that is none.
    """

    store_id: str

    def __post_init__(self) -> None:
        check_id(self.store_id, "store id")

    @property
    def prefix(self) -> str:
        return f"{ROOT}/{self.store_id}"

    def of(self, board: str) -> Topics:
        return Topics(self.store_id, board)

    def every(self, kind: str, name: str | None = None) -> str:
        """The filter for one kind of topic of all boards: "rec", "state", "ask" ...; of "ask", "ans" and
        "cmd" all names, or just ``name``."""
        if kind in _PLAIN and name is None:
            return f"{self.prefix}/+/{kind}"
        if kind in _NAMED:
            return f"{self.prefix}/+/{kind}/{check_id(name, kind) if name is not None else '+'}"
        raise ValueError(f"{kind!r} is no kind of topic; known: {', '.join(_PLAIN + _NAMED)}")

    def status(self, worker: str) -> str:
        """Retained presence of one store worker; also its will."""
        return f"{self.prefix}/{SHARED}/status/{check_id(worker, 'store worker')}"

    @property
    def every_status(self) -> str:
        return f"{self.prefix}/{SHARED}/status/+"

    @property
    def every_used(self) -> str:
        return f"{self.prefix}/{SHARED}/used/+"

    @property
    def every_claim(self) -> str:
        return f"{self.prefix}/{SHARED}/used/+/claim"

    def table(self, name: str, bucket: str = "0") -> str:
        """The retained snapshot of one bucket of a table."""
        return f"{self.prefix}/{SHARED}/tables/{check_id(name, 'table')}/{check_id(bucket, 'bucket')}"

    def delta(self, name: str, bucket: str = "0") -> str:
        """Changes of one bucket since its snapshot."""
        return f"{self.table(name, bucket)}/d"

    def every_bucket(self, name: str) -> str:
        """Snapshots and deltas of one table."""
        return f"{self.prefix}/{SHARED}/tables/{check_id(name, 'table')}/#"

    @property
    def every_table(self) -> str:
        """Snapshots and deltas of all tables: what a board may read; it asks for those it uses."""
        return f"{self.prefix}/{SHARED}/tables/#"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one board. Raises ValueError for an id that is none, or reserved."""

    store_id: str
    board: str

    def __post_init__(self) -> None:
        check_id(self.store_id, "store id")
        check_board_id(self.board)

    @property
    def store(self) -> StoreTopics:
        return StoreTopics(self.store_id)

    @property
    def prefix(self) -> str:
        return f"{ROOT}/{self.store_id}/{self.board}"

    @property
    def state(self) -> str:
        return f"{self.prefix}/state"

    @property
    def health(self) -> str:
        return f"{self.prefix}/health"

    @property
    def rec(self) -> str:
        return f"{self.prefix}/rec"

    @property
    def ack(self) -> str:
        return f"{self.prefix}/ack"

    @property
    def nack(self) -> str:
        return f"{self.prefix}/nack"

    @property
    def live(self) -> str:
        return f"{self.prefix}/live"

    def ask(self, name: str) -> str:
        return f"{self.prefix}/ask/{check_id(name, 'question')}"

    def ans(self, name: str) -> str:
        return f"{self.prefix}/ans/{check_id(name, 'question')}"

    def cmd(self, name: str) -> str:
        return f"{self.prefix}/cmd/{check_id(name, 'command')}"

    @property
    def every_ans(self) -> str:
        return f"{self.prefix}/ans/+"

    @property
    def every_cmd(self) -> str:
        return f"{self.prefix}/cmd/+"

    @property
    def used(self) -> str:
        """This board's retained snapshot of spent keys."""
        return f"{self.store.prefix}/{SHARED}/used/{self.board}"

    @property
    def claim(self) -> str:
        """This board's claim of a use, before it grants it."""
        return f"{self.used}/claim"

    @property
    def discovery(self) -> str:
        """Home Assistant's device discovery."""
        return f"homeassistant/device/tallygate-{self.store_id}-{self.board}/config"


class Parsed(NamedTuple):
    """An incoming topic. ``kind`` is state, health, rec, ack, nack, live, ask, ans, cmd for a board,
    status, used, claim, table, delta where ``board`` is ``store``. ``rest``: the names behind it."""

    store: str
    board: str
    kind: str
    rest: tuple[str, ...]


def parse(topic: str) -> Parsed | None:
    """The parts of a topic, or None where it is not exactly one of the table's rows."""
    levels = topic.split("/")
    if (
        len(levels) < 5
        or "/".join(levels[:2]) != ROOT
        or not all(_ID.fullmatch(level) for level in levels[2:])
    ):
        return None
    store, board, kind, rest = levels[2], levels[3], levels[4], tuple(levels[5:])
    if board == SHARED:
        return _parse_shared(store, kind, rest)
    if (kind in _PLAIN and not rest) or (kind in _NAMED and len(rest) == 1):
        return Parsed(store, board, kind, rest)
    return None


def _parse_shared(store: str, kind: str, rest: tuple[str, ...]) -> Parsed | None:
    match (kind, *rest):
        case ("status" | "used", _):
            return Parsed(store, SHARED, kind, rest)
        case ("used", board, "claim"):
            return Parsed(store, SHARED, "claim", (board,))
        case ("tables", name, bucket):
            return Parsed(store, SHARED, "table", (name, bucket))
        case ("tables", name, bucket, "d"):
            return Parsed(store, SHARED, "delta", (name, bucket))
    return None
