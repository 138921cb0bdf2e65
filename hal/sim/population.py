"""Tags in the field of a simulated UHF reader: who answers in a Gen2 inventory round, how strong, and when.

Slotted inventory after EPC Gen2 (ISO/IEC 18000-63): 2^Q slots, collisions, sessions S0-S3 with their flags,
hopping channels; above it what makes a portal hard: fading, bodies, shielded tags, shelves, people who walk
past. Simulated modules frame what it says and benchmarks count on it. It must never be kinder than a shop:
what a real module would not have heard is not in a round. Fixed seed, fixed answers; never on a real board.

Simplifications: a round is one frame of slots (no QueryAdjust within it), no capture of the stronger of two
colliding tags, and the air time of a slot depends on the rate of the module alone, not on the EPC's length.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

EMPTY_SLOT = 0.15
COLLISION_SLOT = 0.4
ROUND_START = 0.5
"""Air times as shares of a slot with one answer (ACK, EPC): an empty slot ends after T3, a collision after
the garbled RN16; a round begins with the Query and the carrier's settling."""
_BEST_COST = 1.0 + EMPTY_SLOT + COLLISION_SLOT * 0.72
"""Air time a read at the best Q (slots = tags: 37 % single, 37 % empty, 26 % collided)."""
MAX_Q = 10
CHANNELS_KHZ = tuple(range(920_625, 924_376, 250))
"""The sixteen channels of the Chinese band 920.5-924.5 MHz."""
HOP_S = 0.4
FLOOR_DBM = -72.0
"""A tag whose answer would be weaker than this has not enough power to answer at half of the tries."""
_FLOOR_DB = 1.2
SHADOW_S = 0.8
"""Time in which a moving body's shadow is forgotten."""
_STEP_S = 0.05


class Seen(NamedTuple):
    """One answer of a tag. ``phase`` 0..180 degrees, ``at`` monotonic seconds."""

    epc: bytes
    pc: int
    rssi_dbm: float
    phase: int
    freq_khz: int
    at: float


class Round(NamedTuple):
    """What one inventory round heard, in order of time, and its slots by kind (single = the rest)."""

    reads: tuple[Seen, ...]
    duration_s: float
    slots: int
    empty: int
    collisions: int


@dataclass(frozen=True, slots=True)
class Walk:
    """A straight way past the antennas at ``speed_m_s``: at ``at`` it is nearest, ``nearest_m`` away, and
    stays there for ``stays_s`` (0: walks past; infinite: came to stay)."""

    at: float
    nearest_m: float = 1.5
    speed_m_s: float = 1.2
    stays_s: float = 0.0

    def loss_db(self, now: float) -> float:
        """Weaker than at the nearest point by this much: backscatter falls with the 4th power of distance."""
        beside_s = self.at - now if now < self.at else max(0.0, now - self.at - self.stays_s)
        away = beside_s * self.speed_m_s / self.nearest_m
        return 20.0 * math.log10(1.0 + away * away)


@dataclass(frozen=True, slots=True)
class SimTag:
    """One tag and its place in the field.

    ``level_dbm``: its middle RSSI on the antenna that hears it best. ``gains_db``: per antenna, what that one
    hears more or less (0 where none is given). ``answer``: chance that an answer is decoded, apart from
    level. ``reads_per_s``: None: as often as the module asks; > 0: shielded, read as a Poisson process of
    this rate (over all antennas that hear it); 0: silent, never read. ``fading``: how much reflections count
    beside the direct way (0.2 in the open, 0.4 behind things). ``group``: tags of one group stand in the
    shadow of the same body, which varies by ``shadow_db``. ``since``, ``until``: there only between.
    """

    epc: bytes
    pc: int | None = None
    level_dbm: float = -50.0
    gains_db: tuple[float, ...] = ()
    answer: float = 0.9
    reads_per_s: float | None = None
    fading: float = 0.2
    group: int = 0
    shadow_db: float = 2.0
    since: float = -math.inf
    until: float = math.inf
    walk: Walk | None = None


class _State:
    """What a tag remembers, and what is known of its way to each antenna on each channel."""

    __slots__ = ("flags", "fixed", "levels", "pc", "phase", "tag")

    def __init__(self, tag: SimTag, draw: random.Random) -> None:
        self.tag = tag
        self.pc = tag.pc if tag.pc is not None else (len(tag.epc) // 2) << 11
        self.flags: dict[int, float] = {}
        """Session → until when its inventoried flag is B; gone = A."""
        self.levels: dict[int, float] = {}
        self.phase = draw.uniform(0.0, 180.0)
        self.fixed = tag.reads_per_s is None


class Population:
    """``rate``: tags per second that the module reads when Q fits (a Nano at M4: 170). ``antennas``: how many
    it has. ``away``: those that face away from the portal (they hear ``present``'s tags 18 dB weaker).
    ``dual``: in S1-S3 the module asks for A and B in turn, else for A alone. Raises ValueError."""

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float = 150.0,
        antennas: int = 1,
        away: Sequence[int] = (),
        dual: bool = True,
        floor_dbm: float = FLOOR_DBM,
    ) -> None:
        if not 1.0 <= rate <= 2000.0:
            raise ValueError(f"population rate = {rate!r}: must be 1 to 2000 tags/s")
        if not 1 <= antennas <= 16:
            raise ValueError(f"population antennas = {antennas!r}: must be 1 to 16")
        self.rate = rate
        self.antennas = antennas
        self._gains = tuple(-18.0 if port in away else 0.0 for port in range(1, antennas + 1))
        self._dual = dual
        self._floor = floor_dbm
        self._draw = random.Random(seed)
        self._tags: dict[bytes, _State] = {}
        self._q: dict[tuple[int, int], float] = {}
        self._target_b: dict[int, bool] = {}
        self._quiet: dict[int, int] = {}
        self._last = -math.inf
        self._took = 0.0
        self._channel = 0
        self._hop_at = -math.inf
        self._shadows: dict[int, float] = {}
        self._shadow_at = -math.inf

    # -- who is there --------------------------------------------------------------------------

    @property
    def epcs(self) -> tuple[bytes, ...]:
        return tuple(self._tags)

    def present(self, epcs: Sequence[bytes]) -> None:
        """Exactly these tags, all easy to read, stand in the portal; those who stood there already stay."""
        wanted = dict.fromkeys(epcs)
        for epc in [epc for epc in self._tags if epc not in wanted]:
            del self._tags[epc]
        for epc in wanted:
            if epc not in self._tags:
                self.add(SimTag(epc, level_dbm=-50.0 + self._draw.gauss(0.0, 3.0), gains_db=self._gains))

    def add(self, tag: SimTag) -> None:
        """One more tag; the same EPC again takes the place of the earlier one."""
        self._tags[tag.epc] = _State(tag, self._draw)

    def remove(self, epc: bytes) -> None:
        """Take it away; nothing happens when it is not there."""
        self._tags.pop(epc, None)

    def clear(self) -> None:
        self._tags.clear()

    # -- one round -----------------------------------------------------------------------------

    def inventory(
        self, now: float, antenna: int = 1, session: int = 0, limit_s: float | None = None
    ) -> Round:
        """One inventory round on one antenna (from 1), begun at ``now``, cut off after ``limit_s``.

        Session 0: the carrier pauses between rounds, every tag is A again. Raises ValueError."""
        if not 1 <= antenna <= self.antennas:
            raise ValueError(f"antenna {antenna!r}: this population has 1 to {self.antennas}")
        if not 0 <= session <= 3:
            raise ValueError(f"session {session!r}: must be 0 to 3")
        self._tick(now)
        single_s = 1.0 / (self.rate * _BEST_COST)
        q_of = self._q.get((antenna, session), 4.0)
        slots = 1 << max(0, min(MAX_Q, round(q_of)))
        taken = self._answers(now, antenna, session, slots)
        reads: list[Seen] = []
        at = now + ROUND_START * single_s
        end = now + limit_s if limit_s is not None else math.inf
        empty = collisions = singles = following = shielded = 0
        for slot in sorted(taken):
            gap = max(0, int(slot) - following)
            empty += gap
            at += gap * EMPTY_SLOT * single_s
            if at >= end:
                break
            who = taken[slot]
            if not isinstance(slot, int):
                # A shielded tag, when a reflection happens to reach it: between two slots, none's rival.
                following = max(following, int(slot))
                shielded += 1
                at += single_s
                if who is not None and at < end:
                    reads.append(self._seen(who[0], who[1], session, at))
                continue
            following = slot + 1
            if who is None:
                collisions += 1
                at += COLLISION_SLOT * single_s
                continue
            singles += 1
            at += single_s
            if at < end and self._decoded(who[0]):
                reads.append(self._seen(who[0], who[1], session, at))
        else:
            empty += slots - following
            at += (slots - following) * EMPTY_SLOT * single_s
        duration = min(at, end) - now
        self._adapt((antenna, session), singles, collisions, empty, q_of)
        self._turn(session, singles + collisions + shielded)
        self._last, self._took = now, duration
        return Round(tuple(reads), duration, slots + shielded, empty, collisions)

    def _answers(
        self, now: float, antenna: int, session: int, slots: int
    ) -> dict[float, tuple[_State, float] | None]:
        """Slot → the one tag that answers in it and its level (None: several); shielded tags in between."""
        chance = self._draw.random
        taken: dict[float, tuple[_State, float] | None] = {}
        want_b = session > 0 and self._target_b.get(session, False)
        # As long as the last round took, or since it began when rounds follow each other.
        exposed = min(max(now - self._last, 0.0), self._took + 0.1)
        floor = self._floor
        for state in self._tags.values():
            tag = state.tag
            if not tag.since <= now < tag.until or tag.reads_per_s == 0:
                continue
            level = self._level(state, antenna, now)
            if session > 0 and self._is_b(state, session, now, level > floor) != want_b:
                continue
            if not state.fixed:
                # The rate is that of the tag, over all antennas in turn, not one for every antenna.
                mean_s = 1.0 / (tag.reads_per_s or 1.0)
                after = -math.log(1.0 - chance()) * mean_s
                while after < exposed and level > floor - 6.0:
                    taken[int(after / exposed * slots) + 0.01 + 0.98 * chance()] = (state, level)
                    after -= math.log(1.0 - chance()) * mean_s
                continue
            over = (level - floor) / _FLOOR_DB
            if over < 5.0 and chance() >= 1.0 / (1.0 + math.exp(-max(over, -30.0))):
                continue
            slot = int(chance() * slots)
            taken[slot] = None if slot in taken else (state, level)
        return taken

    def _decoded(self, state: _State) -> bool:
        return self._draw.random() < state.tag.answer

    def _level(self, state: _State, antenna: int, now: float) -> float:
        key = antenna * 64 + self._channel
        level = state.levels.get(key)
        tag = state.tag
        if level is None:
            gauss = self._draw.gauss
            way = math.hypot(1.0 + gauss(0.0, tag.fading), gauss(0.0, tag.fading))
            gain = tag.gains_db[antenna - 1] if antenna <= len(tag.gains_db) else 0.0
            # There and back over the same way: twice its decibels.
            level = state.levels[key] = tag.level_dbm + gain + 40.0 * math.log10(max(way, 0.03))
        shadow = self._shadows.get(tag.group)
        if shadow is None:
            shadow = self._shadows[tag.group] = self._draw.gauss(0.0, 1.0)
        level += shadow * tag.shadow_db
        walk = tag.walk
        if walk is None or walk.at <= now <= walk.at + walk.stays_s:
            return level
        return level - walk.loss_db(now)

    def _seen(self, state: _State, level: float, session: int, at: float) -> Seen:
        draw = self._draw
        if session > 0:
            if session in state.flags:
                del state.flags[session]
            else:
                state.flags[session] = at + (draw.uniform(0.5, 5.0) if session == 1 else 1e9)
        # A swaying body turns the phase slowly; each channel has its own (another wavelength).
        turn = state.phase + 37.0 * self._channel + 25.0 * math.sin(at * 1.7 + state.phase) + draw.gauss(0, 4)
        rssi = level + draw.gauss(0.0, 0.8)
        return Seen(state.tag.epc, state.pc, rssi, int(turn) % 180, CHANNELS_KHZ[self._channel], at)

    @staticmethod
    def _is_b(state: _State, session: int, now: float, powered: bool) -> bool:
        until = state.flags.get(session)
        if until is None:
            return False
        if now >= until:
            del state.flags[session]
            return False
        if session >= 2:
            # S2 and S3 hold as long as there is power, and at least 2 s without.
            state.flags[session] = 1e9 if powered else min(until, now + 4.0)
        return True

    # -- what changes by itself ----------------------------------------------------------------

    def _tick(self, now: float) -> None:
        if now >= self._hop_at:
            self._channel = self._draw.randrange(len(CHANNELS_KHZ))
            self._hop_at = now + HOP_S
        passed = now - self._shadow_at
        if passed >= _STEP_S:
            keep = math.exp(-min(passed, 60.0) / SHADOW_S)
            spread = math.sqrt(1.0 - keep * keep)
            for group, value in self._shadows.items():
                self._shadows[group] = value * keep + self._draw.gauss(0.0, spread)
            self._shadow_at = now

    def _adapt(self, key: tuple[int, int], singles: int, collisions: int, empty: int, q_of: float) -> None:
        """Q for the next round, from this one's slots (2.39 tags behind each collision, Schoute 1983)."""
        waiting = 2.39 * collisions + (singles if key[1] == 0 else 0)
        target = math.log2(waiting) if waiting > 1.0 else 0.0
        full = collisions > 0 and collisions > 0.6 * (collisions + empty + singles)
        self._q[key] = min(float(MAX_Q), q_of + 2.0 if full else 0.5 * q_of + 0.5 * target)

    def _turn(self, session: int, answers: int) -> None:
        """Nobody of this target answered, twice: ask for the other one."""
        if session == 0 or not self._dual:
            return
        quiet = 0 if answers else self._quiet.get(session, 0) + 1
        if quiet >= 2:
            self._target_b[session] = not self._target_b.get(session, False)
            quiet = 0
        self._quiet[session] = quiet
