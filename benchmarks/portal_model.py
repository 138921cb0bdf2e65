"""Baskets for the portal benchmark: what a shopper carries, what lies near, what the reader then hears.

Written down before the decision was tuned, and not changed to make it look better. What is assumed:

- The reader (``hal.sim.population``): Gen2 frames of slots, Q adapted after each, session 0 unless a row says
  otherwise: every tag is asked in every round, so reads are as unequal as they get (a tag is heard in 37 % of
  the rounds at best). The module's rate is shared by all tags that answer, strays too, and by all antennas in
  turn, one round each; strong tags do not drown weak ones (no capture). Sixteen channels, a hop every 0.4 s,
  and on each channel other reflections: a tag in a null stays there until the next hop.
- The portal: two antennas inside at about 0.7 m and one that faces away to the shop (the veto), or, where a
  row says so, one antenna and nothing else. A tag inside is heard 12 to 20 dB weaker by the one facing away.
- Levels are RSSI medians in dBm, drawn per tag from a normal distribution (mean, deviation). An easy tag has
  -50 (4.5): -62 is not rare. A hard tag (foil, liquid, pressed against another tag) is weak too, -63 (4), and
  is read as a Poisson process of 1.5 reads/s; a very hard one -66 (4), 0.3 reads/s. What lies on shelves at
  2 m is heard inside with -67 (4), on the antenna facing away with -60 (4): it overlaps with hard tags, and
  the best tag of a shelf is stronger than many of them. Reflections count more for strays (0.35 against 0.2).
- Half of the strays lie on shelves since long before. The others belong to people in groups of one to five
  tags: four of five walk past at 1.5 to 2.5 m, at any time from 1 s before to 6 s after the shopper came in;
  one of five waits there as the next in line. Nearest, their tags have -62 (4) inside, -52 (4) away.
- The shopper walks in at 1 m/s, so that the reader hears the bag before the portal knows of anybody, and
  stands still. Bodies vary the level by 3 dB (deviation) within 0.8 s, per person.
- The board has heard the shelves for ``BEFORE_S`` before, not longer.

Not in it: two tags in one null for good, metal that detunes, tags stuck to one another (silent tags stand for
all that), two shoppers in the portal at once.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from hal.ports import TagRead
from hal.sim.population import Population, SimTag, Walk

BEFORE_S = 6.0
EASY = (-50.0, 4.5)
HARD = (-63.0, 4.0)
VERY_HARD = (-66.0, 4.0)
SHELF = (-67.0, 4.0)
SHELF_AWAY_DB = (7.0, 4.0)
WALKER = (-62.0, 4.0)
WALKER_AWAY_DB = (10.0, 4.0)
HARD_READS_PER_S = 1.5
VERY_HARD_READS_PER_S = 0.3
ANSWER = (0.6, 0.98)
"""Chance that an easy tag's answer is decoded: uniform between these."""
SECOND_DB = (5.0, 4.0)
"""How much weaker the second antenna inside hears a tag: absolute value of a normal distribution."""
VETO_DB = (12.0, 20.0)
VETO_SHARE = 1.25
"""The population spreads a shielded tag's reads over all antennas, and the one facing away hears it in every
other of its turns only: with this factor the rates above are what is measured."""
INSIDE = (1, 2)
AWAY = (3,)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table: how many tags in the basket, reads/s of the module, shares of hard and very hard
    tags, tags near that are not in the basket, silent tags besides, antennas, Gen2 session."""

    tags: int
    rate: float
    hard: float
    strays: int
    very_hard: float = 0.0
    silent: int = 0
    veto: bool = True
    session: int = 0

    @property
    def antennas(self) -> tuple[int, ...]:
        return INSIDE + AWAY if self.veto else (1,)

    @property
    def away(self) -> tuple[int, ...]:
        return AWAY if self.veto else ()


class Basket:
    """One shopper. ``inside``: the tags that are to be charged, ``heard_of``: without the silent ones among
    them, ``strays``: the others that are near.

    The shopper is in the portal from 0.0 on. ``seed`` is any text; the same text, the same reads."""

    def __init__(self, cell: Cell, seed: str) -> None:
        self.cell = cell
        self._draw = draw = random.Random(f"{seed} {cell}")
        self._placed: list[SimTag] = []
        self._field = Population(
            seed=draw.getrandbits(32), rate=cell.rate, antennas=len(cell.antennas), away=cell.away
        )
        hard = round_up_by_chance(cell.tags * cell.hard, draw)
        very_hard = round_up_by_chance(cell.tags * cell.very_hard, draw)
        easy: list[tuple[tuple[float, float], float | None]] = [(EASY, None)] * cell.tags
        kinds: list[tuple[tuple[float, float], float | None]] = []
        kinds += [(VERY_HARD, VERY_HARD_READS_PER_S)] * very_hard + [(HARD, HARD_READS_PER_S)] * hard
        kinds = (kinds + easy)[: cell.tags]
        kinds += [(EASY, 0.0)] * cell.silent
        self.inside = frozenset(self._put_inside(level, reads) for level, reads in kinds)
        self.silent = frozenset(tag.epc for tag in self._placed if tag.reads_per_s == 0)
        self.heard_of = self.inside - self.silent
        shelf = cell.strays // 2 + (cell.strays % 2 and draw.random() < 0.5)
        strays = [self._put_on_shelf() for _ in range(shelf)]
        group = 100
        while len(strays) < cell.strays:
            group += 1
            strays += self._put_on_person(group, min(draw.randint(1, 5), cell.strays - len(strays)))
        self.strays = frozenset(strays)

    def rounds(self, until: float, clock: float = 0.0) -> Iterator[tuple[float, list[TagRead]]]:
        """From ``BEFORE_S`` before the shopper came: when each round ended, and what it heard. ``clock``: the
        board's time when the shopper comes (reads carry it)."""
        now, turn = -BEFORE_S, 0
        antennas = self.cell.antennas
        while now < until:
            antenna = antennas[turn % len(antennas)]
            turn += 1
            done = self._field.inventory(now, antenna, self.cell.session)
            now += done.duration_s
            yield (
                now,
                [TagRead(seen[0], seen[1], antenna, seen[2], 0, seen[5] + clock) for seen in done.reads],
            )

    # -- who is where --------------------------------------------------------------------------

    def _put(self, tag: SimTag) -> bytes:
        self._placed.append(tag)
        self._field.add(tag)
        return tag.epc

    def _epc(self) -> bytes:
        return bytes([0x30, 0x74]) + self._draw.randbytes(10)

    def _put_inside(self, level: tuple[float, float], reads_per_s: float | None) -> bytes:
        draw = self._draw
        second = -abs(draw.gauss(*SECOND_DB))
        gains = [0.0, second] if draw.random() < 0.5 else [second, 0.0]
        gains.append(-draw.uniform(*VETO_DB))
        return self._put(
            SimTag(
                self._epc(),
                level_dbm=draw.gauss(*level),
                gains_db=tuple(gains) if self.cell.veto else (),
                answer=draw.uniform(*ANSWER),
                reads_per_s=reads_per_s and reads_per_s * (VETO_SHARE if self.cell.veto else 1.0),
                group=1,
                shadow_db=3.0,
                walk=Walk(0.0, nearest_m=0.7, speed_m_s=1.0, stays_s=math.inf),
            )
        )

    def _put_on_shelf(self) -> bytes:
        draw = self._draw
        gains = (draw.gauss(0.0, 2.0), draw.gauss(0.0, 2.0), draw.gauss(*SHELF_AWAY_DB))
        return self._put(
            SimTag(
                self._epc(),
                level_dbm=draw.gauss(*SHELF),
                gains_db=gains if self.cell.veto else (),
                answer=draw.uniform(*ANSWER),
                fading=0.35,
                group=2,
            )
        )

    def _put_on_person(self, group: int, count: int) -> list[bytes]:
        draw = self._draw
        stays = math.inf if draw.random() < 0.2 else 0.0
        walk = Walk(draw.uniform(-1.0, 6.0), draw.uniform(1.5, 2.5), draw.uniform(0.8, 1.3), stays)
        return [
            self._put(
                SimTag(
                    self._epc(),
                    level_dbm=draw.gauss(*WALKER),
                    gains_db=(draw.gauss(0.0, 2.0), draw.gauss(0.0, 2.0), draw.gauss(*WALKER_AWAY_DB))
                    if self.cell.veto
                    else (),
                    answer=draw.uniform(*ANSWER),
                    fading=0.35,
                    group=group,
                    shadow_db=3.0,
                    walk=walk,
                )
            )
            for _ in range(count)
        ]


def round_up_by_chance(value: float, draw: random.Random) -> int:
    """``value`` on the average: 0.25 is 1 in every fourth basket (5 % of 5 tags)."""
    whole = int(value)
    return whole + (draw.random() < value - whole)
