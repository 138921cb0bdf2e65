"""Claims between gates: no two gates grant the same use while both reach the broker. Pure.

Before a grant a gate publishes a claim and waits for its own echo: the broker gives every gate all claims in
one order, so each finds the same first claimant. What a gate has granted it shows as a retained snapshot.
No echo in 100 ms means "offline": the caller decides by its own journal and flags the record. Must never
answer "won" without having seen its own claim come back. Layouts: ``docs/protocol.md``.

claim     CBOR [1, boot, number, visit, side]: side 0 = in, 1 = out; number counts up from 1 within a boot
snapshot  CBOR [1, boot, decided, {visit: [in, out]}]: every claim up to ``decided`` is in these counts
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

ECHO_S = 0.1
"""A claim that did not come back by then is answered "offline"."""
HOLD_S = 10.0
"""Another gate's claim stands so long without a snapshot that decides it: longer than any disk answer."""
KEEP_S = int(2.5 * 3600)
"""Expiry of a snapshot, s: the longest pass and half an hour."""
MAX_KEYS = 4000
"""Visits in one snapshot: 2.5 h at one every 2.25 s; 52 KB."""
MAX_BYTES = 60_000
MAX_BOARDS = 64
MAX_OPEN = 256
_DIRECTIONS = ("in", "out")
_Use = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``outcome``: "won", "lost" (another gate claimed first) or "offline" (no echo in time)."""

    visit: bytes
    direction: str
    outcome: str


@dataclass(slots=True)
class _Other:
    """What another board's snapshot says."""

    boot: bytes
    decided: int
    used: dict[bytes, tuple[int, int]]


@dataclass(slots=True)
class _Claim:
    """A claim that stands: first of its use in the broker's order, and not decided yet."""

    board: str
    boot: bytes
    number: int
    at: float


class ClaimError(ValueError):
    """Bytes that are neither a claim nor a snapshot."""


class Claims:
    """One gate's view. ``boot``: drawn anew at each start. ``bad``: unreadable messages."""

    def __init__(self, board: str, boot: bytes) -> None:
        self._board, self._boot = board, boot
        self._number = 0
        self._waiting: dict[int, tuple[_Use, float]] = {}  # own claims without an echo: use, when sent
        self._undecided: dict[int, tuple[_Use, float]] = {}  # own claims, until the next snapshot
        self._standing: dict[_Use, _Claim] = {}
        self._others: dict[str, _Other] = {}
        self._echoes = False
        self._shown = False  # an own snapshot of this start has come back
        self.before: Mapping[bytes, tuple[int, int]] | None = None
        """What the broker kept of an earlier start of this board: visit to (in, out). Only a board that
        has lost its journal needs it."""
        self.twin = False
        """A second board writes under this one's id: its snapshot came after our own."""
        self.bad = 0

    @property
    def online(self) -> bool:
        """Whether the last claim came back: else a new one is answered "offline" at once."""
        return self._echoes

    def connected(self) -> None:
        """The link is up and subscribed: the next claim may wait for its echo."""
        self._echoes = True

    def disconnected(self, now: float) -> list[Outcome]:
        """The link is lost: whoever waits is offline."""
        self._echoes = False
        return self._give_up(now, all_of_them=True)

    def claim(self, visit: bytes, direction: str, now: float) -> tuple[bytes, list[Outcome]]:
        """The payload to publish (QoS 1, not retained) before this use is granted, and what is known at once:
        "offline" while no echo returns. Publish it in any case: its echo ends that condition."""
        use = (visit, _DIRECTIONS.index(direction))
        self._number += 1
        self._undecided[self._number] = (use, now)
        self._expire(now)
        payload = cbor2.dumps([1, self._boot, self._number, visit, use[1]])
        if not self._echoes:
            return payload, [Outcome(visit, direction, "offline")]
        self._waiting[self._number] = (use, now)
        return payload, []

    def decided(self, visit: bytes, direction: str) -> None:
        """The claim of this use is over (written, refused or given up): the next ``snapshot`` says so. Where
        nobody calls this, the claim stands in the others' way for ``HOLD_S``."""
        use = (visit, _DIRECTIONS.index(direction))
        for number in [n for n, (its, _) in self._undecided.items() if its == use]:
            del self._undecided[number]

    def on_claim(self, board: str, payload: bytes, now: float) -> list[Outcome]:
        """A claim of any board, this one's own echo included, in the order the broker gave it."""
        try:
            boot, number, visit, side = _read_claim(payload)
        except ClaimError:
            self.bad += 1
            return []
        own = board == self._board
        if own and boot != self._boot:
            self.bad += 1  # of an earlier start, or of a second board with this identity
            return []
        self._expire(now)
        use = (visit, side)
        first = self._standing.get(use)
        if first is None or first.board == board:
            if len(self._standing) >= MAX_OPEN:
                del self._standing[next(iter(self._standing))]
            self._standing[use] = _Claim(board, boot, number, now)
        if not own:
            return []
        self._echoes = True
        waited = self._waiting.pop(number, None)
        lost = first is not None and first.board != board
        if lost:
            self._undecided.pop(number, None)
        if waited is None:
            return []  # answered "offline" before it came back
        return [Outcome(visit, _DIRECTIONS[side], "lost" if lost else "won")]

    def tick(self, now: float) -> list[Outcome]:
        """Answers "offline" to claims whose echo is overdue; call at ``due()``."""
        return self._give_up(now, all_of_them=False)

    def due(self) -> float | None:
        """When ``tick`` has something to say; None: nobody waits."""
        return min((sent + ECHO_S for _, sent in self._waiting.values()), default=None)

    def snapshot(self, spent: Mapping[tuple[bytes, str], int]) -> bytes:
        """This gate's spent keys to publish retained with ``KEEP_S``. ``spent`` as ``Journal.spent()``."""
        used: dict[bytes, list[int]] = {}
        for (visit, direction), count in spent.items():
            if count > 0:
                used.setdefault(visit, [0, 0])[_DIRECTIONS.index(direction)] = min(count, 255)
        newest = dict(list(used.items())[-MAX_KEYS:])
        decided = min(self._undecided, default=self._number + 1) - 1
        return cbor2.dumps([1, self._boot, decided, newest])

    def on_snapshot(self, board: str, payload: bytes) -> None:
        """A board's spent keys; empty = it was removed. This board's own echo matters for its place in the
        order only: from there on a claim of this gate stands no more, here as at every other gate."""
        if not payload:
            self._others.pop(board, None)
            return
        try:
            found = _read_snapshot(payload)
        except ClaimError:
            self.bad += 1
            return
        if board == self._board and found.boot != self._boot:
            if self._shown:
                self.twin = True
            elif self.before is None:
                self.before = found.used
            return
        if board == self._board:
            self._shown = True
        if board != self._board:
            if board not in self._others and len(self._others) >= MAX_BOARDS:
                self.bad += 1
                return
            self._others[board] = found
        for use, claim in list(self._standing.items()):
            # A board that started anew has no claim of before: its journal has the last word.
            if claim.board == board and (claim.boot != found.boot or claim.number <= found.decided):
                del self._standing[use]

    def used(self, visit: bytes, direction: str) -> int:
        """Uses of this visit that the other gates have granted; add this gate's own."""
        side = _DIRECTIONS.index(direction)
        return sum(other.used[visit][side] for other in self._others.values() if visit in other.used)

    def _give_up(self, now: float, *, all_of_them: bool) -> list[Outcome]:
        outcomes = []
        for number, ((visit, side), sent) in list(self._waiting.items()):
            if all_of_them or now >= sent + ECHO_S:
                del self._waiting[number]
                self._echoes = False
                outcomes.append(Outcome(visit, _DIRECTIONS[side], "offline"))
        return outcomes

    def _expire(self, now: float) -> None:
        for use, claim in list(self._standing.items()):
            if now >= claim.at + HOLD_S:
                del self._standing[use]
        for number, (_, sent) in list(self._undecided.items()):
            if now >= sent + HOLD_S:
                del self._undecided[number]


def _load(payload: bytes, length: int) -> list[Any]:
    if len(payload) > MAX_BYTES:
        raise ClaimError(f"{len(payload)} bytes, at most {MAX_BYTES}")
    try:
        value = cbor2.loads(payload)
    except Exception as error:  # cbor2 raises many kinds for hostile input
        raise ClaimError(f"not CBOR: {error}") from None
    if not isinstance(value, list) or len(value) != length or value[0] != 1:
        raise ClaimError(f"not a list of {length} that begins with version 1")
    boot, number = value[1], value[2]
    if type(boot) is not bytes or not 1 <= len(boot) <= 16 or not _is_int(number, 1 << 32):
        raise ClaimError("boot or number out of range")
    return value


def _is_int(value: object, below: int) -> bool:
    return type(value) is int and 0 <= value < below


def _read_claim(payload: bytes) -> tuple[bytes, int, bytes, int]:
    _, boot, number, visit, side = _load(payload, 5)
    if type(visit) is not bytes or len(visit) != 8 or not _is_int(side, 2):
        raise ClaimError("visit or side out of range")
    return boot, number, visit, side


def _read_snapshot(payload: bytes) -> _Other:
    _, boot, decided, used = _load(payload, 4)
    if not isinstance(used, dict) or len(used) > MAX_KEYS:
        raise ClaimError(f"not a map of at most {MAX_KEYS} visits")
    for visit, counts in used.items():
        if type(visit) is not bytes or len(visit) != 8:
            raise ClaimError("a visit is not 8 bytes")
        if not isinstance(counts, list) or len(counts) != 2 or not all(_is_int(n, 256) for n in counts):
            raise ClaimError("a count is not [in, out]")
    return _Other(boot, decided, {visit: (counts[0], counts[1]) for visit, counts in used.items()})
