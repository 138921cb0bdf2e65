"""One shopper in a simulated portal, its decision on record: what raw-read logs are tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firmware.portal.decision import Decision, DecisionRules, Verdict
from firmware.portal.presence import PresenceRules
from firmware.rawdecision import RecordedDecision
from firmware.rawreads import RawReads
from firmware.rawstory import pack
from firmware.wire.epc import encode_sgtin96
from hal.ports import TagRead
from hal.sim.population import Population, SimTag

VETO = 3
RULES = DecisionRules(presence=PresenceRules(veto=frozenset({VETO})))
GTINS = ("06901234567892", "06901234000009", "06954321000017", "00614141123452")


def epc(number: int) -> bytes:
    """A different item each: four GTINs, serials as a printer counts."""
    return encode_sgtin96(GTINS[number % 4], 70_000_000 + 37 * number, 7)


class Portal:
    """``items`` in the portal, ``shelf`` on shelves beside it since before; looks at two antennas, and one
    that faces away. ``run`` serves one shopper; ``log`` is then the file's content."""

    def __init__(
        self,
        items: int,
        shelf: int = 0,
        *,
        seed: int = 1,
        rate: float = 150.0,
        rules: DecisionRules = RULES,
        raw: RawReads | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.field = Population(seed=seed, rate=rate, antennas=VETO)
        self.items = [epc(n) for n in range(items)]
        for number in range(shelf):
            self.field.add(SimTag(epc(1000 + number), level_dbm=-60.0, gains_db=(0, -2, 3), fading=0.4))
        self.bodies: list[bytes] = []
        known = about if about is not None else {"board": "portal-1", "wall_ms": 1_790_000_000_000}
        self.decision: Decision = RecordedDecision(
            rules, done=self.bodies.append, about=lambda: known, raw=raw
        )
        self.verdicts: list[Verdict] = []
        self._now, self._antenna = 1000.0, 1

    @property
    def log(self) -> bytes:
        return pack(self.bodies[-1])

    def listen(self, seconds: float) -> Sequence[TagRead]:
        """What the reader reports in this time, one antenna after the other."""
        found, until = [], self._now + seconds
        while self._now < until:
            heard = self.field.inventory(self._now, self._antenna)
            found += [
                TagRead(
                    one.epc,
                    one.pc,
                    self._antenna,
                    float(round(one.rssi_dbm)),
                    round(one.rssi_dbm) + 129,
                    one.at,
                    one.phase,
                    one.freq_khz,
                )
                for one in heard.reads
            ]
            self._now += heard.duration_s
            self._antenna = self._antenna % VETO + 1
        return found

    def run(self, seconds: float = 5.0, declared: int | None = None, shown: bytes | None = None) -> Verdict:
        """One shopper; the last verdict."""
        for read in self.listen(6.0):
            self.decision.background(read)
        for one in self.items:
            self.field.add(SimTag(one, level_dbm=-47.0, gains_db=(0, -1, -20)))
        began = look_at = self._now
        self.decision.begin(began)
        for read in self.listen(seconds):
            while look_at <= read.at:
                verdict = self.decision.judge(look_at)
                self.verdicts.append(verdict)
                look_at = max(verdict.next_at, look_at + 0.02)
            self.decision.add(read)
            if declared is not None and read.at > began + 1.0:
                self.decision.declare(declared)
                declared = None
            if shown is not None and read.at > began + 1.0:
                self.decision.add_item(shown, read.at)
                shown = None
        self.verdicts.append(self.decision.judge(self._now))
        self.decision.end(self._now)
        return self.verdicts[-1]
