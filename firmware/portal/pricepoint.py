"""The price point: which one item is held to the antenna, and what the screen says of it. Pure.

The first read of a tag that is near shows its price at once; what follows only decides whether it stays. One
tag among those on a shelf nearby is told by its strength; two that are held there together are said, not
guessed. Must never show the price of one item for another, nor let a tag that lies there fill the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from firmware.gate.orders import Note, Tell
from firmware.portal import pricetext
from firmware.portal.facts import Tick
from firmware.portal.pricegoods import Goods, goods_of
from firmware.portal.pricerules import Rules
from firmware.wire.pricelist import MAX_EPC_BYTES, PriceEntry
from firmware.wire.record_types import PriceLook
from hal.ports import DeviceBack, DeviceLost, Screen, TagRead

READER = "reader"
PEAK_S = 0.5
"""A tag's strength is its strongest read of about so long: single reads fade by 10 dB and more."""
MORE_MARGIN = 3.0
"""Two items that are said to be two stay two until one is clearly nearer, so that the screen rests."""
MOST_TAGS = 32
MOST_LOOKS = 64
"""Tags of which is remembered when their look was last written."""


@dataclass(frozen=True, slots=True)
class ShowScreen:
    """Put this on the display until the next one comes."""

    screen: Screen


@dataclass(frozen=True, slots=True)
class PricesChanged:
    """The price list is another one, or the day is: what is shown may have to change."""


Order = ShowScreen | Note | Tell
PriceEvent = TagRead | DeviceLost | DeviceBack | PricesChanged | Tick


@dataclass(slots=True)
class _Tag:
    """A tag near the antenna: since when, seen last, and how strong of late."""

    epc: bytes
    first: float
    seen: float
    peak: float
    peak_at: float


_SEVERAL = bytes(MAX_EPC_BYTES + 1)
"""Stands for more than one: no tag has so long an EPC."""


class PricePoint:
    """``start()`` once, then ``handle`` for what happens; ``deadline()`` says when to call with ``Tick``.

    ``look(epc)``: the price list's entry. ``complete()``: the whole list is there. ``today()``: the date as
    "2026-12-01", None while the clock cannot be trusted (no date is judged then).
    """

    def __init__(
        self,
        rules: Rules,
        look: Callable[[bytes], PriceEntry | None],
        complete: Callable[[], bool],
        today: Callable[[], str | None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._rules, self._look, self._complete, self._today = rules, look, complete, today
        self._tags: dict[bytes, _Tag] = {}
        self._shown: bytes | None = None  # an EPC, _SEVERAL, or None: idle
        self._goods: Goods | None = None
        self._note_at: float | None = None
        self._noted: dict[bytes, float] = {}
        self._looks_left, self._looks_since = float(rules.looks_an_hour), 0.0
        self._down = False
        self._due: float | None = None
        self._out: list[Order] = []

    @property
    def shown(self) -> bytes | None:
        """The tag whose price is on the screen; None for any other screen."""
        return None if self._shown == _SEVERAL else self._shown

    def deadline(self) -> float | None:
        """Monotonic time of the next ``Tick``, s; None: nothing will happen by itself."""
        return self._due

    def start(self) -> list[Order]:
        """The first screen."""
        return [ShowScreen(pricetext.IDLE), Tell("price", {"shows": "idle"})]

    def handle(self, event: PriceEvent, now: float) -> list[Order]:
        """What to do about ``event`` at ``now`` (monotonic, s). No tag and no reader makes it raise."""
        self._out = []
        if isinstance(event, TagRead):
            if not self._read(event, now):
                return []
        elif isinstance(event, DeviceLost | DeviceBack):
            if event.device != READER or self._down == isinstance(event, DeviceLost):
                return []
            self._down = isinstance(event, DeviceLost)
            self._tags.clear()
            self._shown = self._goods = self._note_at = None
            self._say(*(("out-of-order", pricetext.OUT_OF_ORDER) if self._down else ("idle", pricetext.IDLE)))
        elif isinstance(event, PricesChanged):
            self._refresh()
        if not self._down:
            self._decide(now)
        self._schedule(now)
        return self._out

    # -- which tag -------------------------------------------------------------------------------

    def _read(self, read: TagRead, now: float) -> bool:
        """Whether it was the read of a tag that is near."""
        rules = self._rules
        near: float | None
        if read.rssi_dbm is not None:
            strength, near = read.rssi_dbm, rules.near_dbm
        else:
            strength, near = float(read.rssi_raw), rules.near_raw
        tag = self._tags.get(read.epc)
        if near is not None and strength < (near if tag is None else near - rules.hysteresis):
            self.counts["far_reads"] += 1
            return False
        self.counts["near_reads"] += 1
        if tag is None:
            if len(self._tags) >= MOST_TAGS:
                del self._tags[min(self._tags.values(), key=lambda one: one.seen).epc]
            self._tags[read.epc] = _Tag(read.epc, now, now, strength, now)
            return True
        if now >= tag.seen + rules.window_s:
            tag.first = now  # it was away: held there anew
        tag.seen = now
        if strength >= tag.peak or now >= tag.peak_at + PEAK_S:
            tag.peak, tag.peak_at = strength, now
        return True

    def _decide(self, now: float) -> None:
        rules = self._rules
        for tag in [one for one in self._tags.values() if now >= one.seen + rules.clear_s]:
            del self._tags[tag.epc]
        recent = [tag for tag in self._tags.values() if now < tag.seen + rules.window_s]
        if not recent:
            self._put(self._shown if self._tags else None, now)
            return
        margin = rules.margin + (MORE_MARGIN if self._shown == _SEVERAL else 0.0)
        strongest = max(tag.peak for tag in recent)
        meant = [tag for tag in recent if tag.peak > strongest - margin]
        if any(_together(one, other) for one, other in combinations(meant, 2)):
            self._put(_SEVERAL, now)
            return
        newest = max(meant, key=lambda tag: tag.first)
        before = next((tag for tag in meant if tag.epc == self._shown), newest)
        waits = before is not newest and now < before.seen + rules.swap_s
        self._put(before.epc if waits else newest.epc, now)

    def _schedule(self, now: float) -> None:
        rules = self._rules
        after = (rules.clear_s,) if len(self._tags) == 1 else (rules.swap_s, rules.window_s, rules.clear_s)
        times = [tag.seen + wait for tag in self._tags.values() for wait in after]
        if self._note_at is not None:
            times.append(self._note_at)
        self._due = min((time for time in times if time > now), default=None)

    # -- what is said of it ------------------------------------------------------------------------

    def _put(self, which: bytes | None, now: float) -> None:
        """Show a tag, _SEVERAL, or None: nothing is held there."""
        if which == self._shown:
            if self._note_at is not None and now >= self._note_at:
                self._write(now)
            return
        self._shown, self._goods, self._note_at = which, None, None
        if which is None:
            self._say("idle", pricetext.IDLE)
        elif which == _SEVERAL:
            self.counts["several"] += 1
            self._say("several", pricetext.SEVERAL)
        else:
            self.counts["shown"] += 1
            self._goods = self._known(which)
            self._say_goods(which, self._goods)
            self._note_at = now + self._rules.look_s

    def _refresh(self) -> None:
        if self._shown is not None and self._shown != _SEVERAL:
            goods = self._known(self._shown)
            if goods != self._goods:
                self._goods = goods
                self._say_goods(self._shown, goods)

    def _known(self, epc: bytes) -> Goods:
        return goods_of(epc, self._look(epc), self._complete(), self._today())

    def _say_goods(self, epc: bytes, goods: Goods) -> None:
        told: dict[str, object] = {"epc": epc.hex()}
        if goods.entry is not None:
            told |= {"name": goods.entry.name, "fen": goods.entry.price_fen}
        self._say(goods.shows, goods.screen, told)

    def _say(self, shows: str, screen: Screen, told: dict[str, object] | None = None) -> None:
        self._out += [ShowScreen(screen), Tell("price", {"shows": shows, **(told or {})})]

    def _write(self, now: float) -> None:
        """The look as a record: once for a presentation, the same tag and all tags together bounded."""
        self._note_at = None
        epc, goods, rules = self._shown, self._goods, self._rules
        if not epc or goods is None or len(epc) > MAX_EPC_BYTES:
            return  # a tag with an empty EPC bank has nothing to be written down
        gained = (now - self._looks_since) * rules.looks_an_hour / 3600
        self._looks_left = min(rules.looks_an_hour, self._looks_left + gained)
        self._looks_since = now
        last = self._noted.pop(epc, None)
        if last is not None and now < last + rules.look_again_s:
            self._noted[epc] = last
            self.counts["looks_again"] += 1
        elif self._looks_left < 1:
            self.counts["looks_over"] += 1
        else:
            self._looks_left -= 1
            while len(self._noted) >= MOST_LOOKS:
                del self._noted[next(iter(self._noted))]
            self._noted[epc] = now
            self.counts["looks"] += 1
            self._out.append(Note(PriceLook, {"epc": epc, "shown_fen": goods.shown_fen}))


def _together(one: _Tag, other: _Tag) -> bool:
    """Each was read after the other had come: they are there at the same time."""
    return one.seen >= other.first and other.seen >= one.first
