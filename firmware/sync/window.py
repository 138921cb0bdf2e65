"""Which record is sent when: the send window, its resends and the reconnect delays. Pure.

Time (monotonic seconds) is an argument, events come in as method calls, what to do comes back as a list of
actions. A record leaves this window only by the store's cumulative ack (``receipt="store"``) or, by name,
by the broker's PUBACK (``receipt="broker"``). It must never send outside a connection, never more than the
broker's receive maximum, never a younger record before an older one that waits. Rules: ``docs/protocol.md``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random

Key = tuple[int, int]
"""(epoch, seq): one record of this board."""

IN_FLIGHT = 20
"""At most so many records without PUBACK."""
UNACKED = 500
"""At most so many records that the store has not acked."""
CHUNK = 60
"""At most so many rows are asked of the journal at once."""
RESERVE = 2
"""Of the broker's receive maximum, kept for state, claims and other messages with QoS 1."""
NO_SUBSCRIBER = 0x10


@dataclass(frozen=True, slots=True)
class Send:
    """Publish this record now, with QoS 1."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class NeedRows:
    """Read the next rows behind ``after`` (None: from the oldest unsettled) and answer with ``rows``."""

    after: Key | None
    limit: int


@dataclass(frozen=True, slots=True)
class Settled:
    """``receipt="broker"`` only: every record up to ``through`` of this epoch has its PUBACK."""

    epoch: int
    through: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Drop this connection: the broker does not answer."""

    reason: str


Action = Send | NeedRows | Settled | Reconnect


class _Row(Enum):
    QUEUED = 1
    SENT = 2
    TAKEN = 3  # the broker has said PUBACK


class Backoff:
    """Growing delays with jitter, so that boards do not come back together: half to whole of
    ``low_s``, twice that, … at most ``high_s``."""

    def __init__(self, low_s: float, high_s: float, rng: Random) -> None:
        self._low, self._high, self._rng = low_s, high_s, rng
        self._step = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        whole = min(self._high, self._low * 2.0 ** min(self._step, 30))
        self._step += 1
        return max(self._low, whole * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        self._step = 0


class Window:
    """Counters: ``sent``, ``resent``, ``taken`` (PUBACK success), ``refused`` by PUBACK reason code,
    ``stalls`` (no ack progress in time), ``strays`` (answers that fit nothing in flight)."""

    def __init__(
        self,
        rng: Random,
        *,
        receipt: str = "store",
        puback_s: float = 5.0,
        stall_s: float = 3.0,
        stall_max_s: float = 30.0,
        refusal_s: float = 1.0,
        refusal_max_s: float = 30.0,
    ) -> None:
        if receipt not in ("store", "broker"):
            raise ValueError(f'receipt is "store" or "broker", not {receipt!r}')
        self._by_broker = receipt == "broker"
        self._puback_s = puback_s
        self._stall_low, self._stall_max, self._stall_s = stall_s, stall_max_s, stall_s
        self._refusal = Backoff(refusal_s, refusal_max_s, rng)
        self._rows: dict[Key, _Row] = {}  # in the journal's order, oldest first
        self._queue: deque[Key] = deque()  # those QUEUED, same order
        self._flight: dict[Key, float] = {}  # without PUBACK: when sent, oldest first
        self._taken = 0  # rows TAKEN
        self._after: Key | None = None
        self._more = True  # the journal may hold rows behind _after
        self._reading = False
        self._stale = False  # the read under way began before a reset
        self._epochs: set[int] = set()  # of the rows that were read
        self._through: dict[int, int] = {}
        self._highest: dict[int, int] = {}  # highest seq ever sent, by epoch
        self._room = 0  # records the broker may hold un-PUBACKed; 0 = not connected
        self._others = 0
        self._receive_max = 0
        self._online: bool | None = None
        self._hold_until = float("-inf")
        self._progress_at = 0.0
        self.sent = self.resent = self.taken = self.stalls = self.strays = 0
        self.refused: Counter[int] = Counter()

    # -- events ------------------------------------------------------------------------------

    def connected(self, now: float, receive_max: int, online: bool | None = None) -> list[Action]:
        """CONNACK came and the subscriptions stand. Everything unsettled is sent again from the oldest.
        ``online``: see ``store_online``."""
        self._receive_max = max(1, receive_max)
        self._room = min(IN_FLIGHT, max(1, self._receive_max - RESERVE))
        self._flight.clear()
        self._online = online
        self._hold_until = float("-inf")
        return self.reset(now)

    def disconnected(self) -> None:
        """Nothing is in flight any more; nothing is sent until ``connected``."""
        self._room = 0
        self._flight.clear()

    def others(self, count: int, now: float) -> list[Action]:
        """So many other QoS 1 messages of this client wait for their PUBACK."""
        self._others = count
        return self._pump(now)

    def puback(self, key: Key, code: int, now: float) -> list[Action]:
        """The broker answered one record. ``code``: MQTT 5 reason; 0x10 and 0x80 up = not delivered."""
        if self._flight.pop(key, None) is None:
            self.strays += 1
            return []
        row = self._rows.get(key)
        if code == NO_SUBSCRIBER or code >= 0x80:
            self.refused[code] += 1
            if now >= self._hold_until:  # one step for a whole window of refusals
                self._hold_until = now + self._refusal.next()
            if row is _Row.SENT:
                self._rows[key] = _Row.QUEUED
                self._requeue()
            return self._pump(now)
        self.taken += 1
        self._refusal.reset()
        if row is _Row.SENT:
            if self._taken == 0:
                self._progress_at = now
            self._rows[key] = _Row.TAKEN
            self._taken += 1
        return [*self._settle_taken(), *self._pump(now)]

    def ack(self, epoch: int, through: int, now: float) -> list[Action]:
        """The store holds everything up to ``through``. Late and repeated acks change nothing."""
        if through <= self._through.get(epoch, 0):
            return []
        if epoch not in self._epochs:
            self.strays += 1  # of an earlier journal, or made up; where it was ours it comes again
            return []
        self._through[epoch] = through
        gone = []
        for key in self._rows:
            if key[0] == epoch and key[1] <= through:
                gone.append(key)
            elif key[0] == epoch:
                break
        for key in gone:
            if self._rows.pop(key) is _Row.TAKEN:
                self._taken -= 1
        while self._queue and self._queue[0] not in self._rows:
            self._queue.popleft()
        if gone:
            self._progress_at = now
            self._stall_s = self._stall_low
        return self._pump(now)

    def knows(self, epoch: int) -> bool:
        """Whether the journal has given rows of this epoch."""
        return epoch in self._epochs

    def wants_nack(self, key: Key) -> bool:
        """Whether a nack for ``key`` can be true: it was sent and neither settled nor queued again."""
        return key in self._flight or self._rows.get(key) is _Row.TAKEN

    def store_online(self, online: bool | None, now: float) -> list[Action]:
        """What the store's workers say: one is online, all are offline, or no status at all (None)."""
        if online and not self._online:  # it came back: what was refused may pass now
            self._hold_until = float("-inf")
            self._refusal.reset()
            self._stall_s = self._stall_low
        self._online = online
        return self._pump(now)

    def appended(self, now: float) -> list[Action]:
        """The journal has a new row."""
        self._more = True
        return self._pump(now)

    def rows(self, keys: Iterable[Key], limit: int, now: float) -> list[Action]:
        """The answer to ``NeedRows``: keys in the order of sending; fewer than ``limit`` = no more."""
        self._reading = False
        if self._stale:
            self._stale = False
            return self._pump(now)
        count = 0
        for key in keys:
            count += 1
            self._after = key
            self._epochs.add(key[0])
            if key in self._rows or key[1] <= self._through.get(key[0], 0):
                continue
            if key in self._flight:
                self._rows[key] = _Row.SENT
            else:
                self._rows[key] = _Row.QUEUED
                self._queue.append(key)
        if count < limit:
            self._more = False
        return self._pump(now)

    def unread(self) -> None:
        """The read asked for by ``NeedRows`` failed; the next ``tick`` asks again."""
        self._reading = self._stale = False

    def rewind(self, now: float) -> list[Action]:
        """Only the journal knows what is settled (a restored store asks again, an ack was not true or could
        not be written): forget the acks too and read from its oldest unsettled row."""
        self._through.clear()
        return self.reset(now)

    def reset(self, now: float) -> list[Action]:
        """Forget the rows and read again from the oldest unsettled; what is in flight stays so."""
        self._rows.clear()
        self._queue.clear()
        self._taken = 0
        self._after = None
        self._more = True
        self._stale = self._reading
        return self._pump(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed: call at ``due()`` or more often."""
        if not self._room:
            return []
        oldest = self._oldest()
        if oldest is not None and now >= oldest + self._puback_s:
            return [Reconnect(f"no PUBACK for {self._puback_s:g} s")]
        if not self._by_broker and self._taken and now >= self._progress_at + self._stall_s:
            self.stalls += 1
            self._stall_s = min(self._stall_max, self._stall_s * 2)
            self._progress_at = now
            return self.reset(now)
        return self._pump(now)

    def due(self) -> float | None:
        """When ``tick`` has something to do by time alone; None: nothing waits."""
        if not self._room:
            return None
        times = []
        oldest = self._oldest()
        if oldest is not None:
            times.append(oldest + self._puback_s)
        if self._taken and not self._by_broker:
            times.append(self._progress_at + self._stall_s)
        if self._queue and self._online is not False and self._hold_until != float("-inf"):
            times.append(self._hold_until)
        return min(times, default=None)

    @property
    def in_flight(self) -> int:
        """Records without PUBACK."""
        return len(self._flight)

    def holds(self, key: Key) -> bool:
        """Whether the bytes of ``key`` are still needed here."""
        return key in self._flight or self._rows.get(key) is _Row.QUEUED

    # -- inside ------------------------------------------------------------------------------

    def _oldest(self) -> float | None:
        return next(iter(self._flight.values()), None)

    def _pump(self, now: float) -> list[Action]:
        if not self._room:
            return []
        actions: list[Action] = []
        room = min(self._room, self._receive_max - self._others) - len(self._flight)
        if self._online is not False and now >= self._hold_until:
            while room > 0 and self._queue:
                key = self._queue.popleft()
                if self._rows.get(key) is not _Row.QUEUED or key in self._flight:
                    continue
                self._rows[key] = _Row.SENT
                self._flight[key] = now
                self.sent += 1
                if key[1] <= self._highest.get(key[0], 0):
                    self.resent += 1
                else:
                    self._highest[key[0]] = key[1]
                room -= 1
                actions.append(Send(*key))
        limit = min(CHUNK, UNACKED - len(self._rows))
        if self._more and not self._reading and limit > 0 and len(self._queue) < CHUNK // 2:
            self._reading = True
            actions.append(NeedRows(self._after, limit))
        return actions

    def _requeue(self) -> None:
        self._queue = deque(key for key, state in self._rows.items() if state is _Row.QUEUED)

    def _settle_taken(self) -> list[Action]:
        if not self._by_broker:
            return []
        through: dict[int, int] = {}
        while self._rows and self._rows[front := next(iter(self._rows))] is _Row.TAKEN:
            del self._rows[front]
            self._taken -= 1
            through[front[0]] = self._through[front[0]] = front[1]
        return [Settled(epoch, seq) for epoch, seq in through.items()]
