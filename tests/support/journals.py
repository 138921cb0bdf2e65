"""A journal under test: a clock that is moved by hand, and bodies for the facts it keeps."""

from __future__ import annotations

from pathlib import Path

from firmware.sync.journal import Granted, Journal, Limits
from firmware.wire.records import (
    Admitted,
    Annulled,
    Basket,
    Kind,
    Passed,
    PriceLook,
    Record,
    Refused,
    Stamp,
    Started,
    decode_body,
    parse_frame,
)

DAY_S = 86_400.0


class HandClock:
    """Wall and monotonic time in seconds, moved by the test."""

    def __init__(self) -> None:
        self.wall_s = 1_795_000_000.0
        self.mono_s = 1000.0
        self.boot = b"boot"
        self.quality = "synced"

    def __call__(self) -> Stamp:
        return Stamp(int(self.wall_s * 1000), int(self.mono_s * 1000), self.boot, self.quality)

    def pass_time(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds

    def reboot(self, boot: bytes) -> None:
        self.boot, self.mono_s = boot, 10.0


class Bench:
    """One journal file that can be opened again and again."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.path = folder / "journal.sqlite"
        self.clock = HandClock()
        self.limits = limits
        self.journal = self.open()

    def open(self) -> Journal:
        return Journal.open(self.path, clock=self.clock, limits=self.limits)

    def again(self) -> Journal:
        self.journal.close()
        self.journal = self.open()
        return self.journal

    @property
    def epoch(self) -> int:
        return self.journal.stats().epoch

    def started(self, reason: str = "") -> int:
        return self.journal.append(Started(self.clock(), "1.0", reason).body(), Kind.STARTED)

    def price_look(self) -> int:
        return self.journal.append(PriceLook(self.clock(), b"\x30" * 12).body(), Kind.PRICE_LOOK)

    def refused(self) -> int:
        return self.journal.append(Refused(self.clock(), 3, "pass").body(), Kind.REFUSED)

    def basket(self) -> int:
        return self.journal.append(Basket(self.clock(), b"\x00", 0, "quiet").body(), Kind.BASKET)

    def admit(self, visit: bytes, party: int = 1, direction: str = "in") -> Granted | None:
        def body(uses: int) -> bytes:
            return Admitted(self.clock(), visit, direction, uses, "entry").body()

        granted = self.journal.admit(visit, direction, party, body)
        return granted if isinstance(granted, Granted) else None

    def passed(self, visit: bytes, ref_seq: int, direction: str = "in") -> int:
        return self.journal.append(Passed(self.clock(), visit, direction, ref_seq).body(), Kind.PASSED)

    def annul(self, visit: bytes, uses: int, ref_seq: int, ref_epoch: int | None = None) -> int:
        record = Annulled(self.clock(), visit, "in", uses, ref_seq, "not-used", ref_epoch)
        return self.journal.annul(visit, "in", uses, record.body())

    def pending(self) -> list[tuple[int, int, Record]]:
        """Everything pending, read in small bites as the link does, decoded."""
        out: list[tuple[int, int, Record]] = []
        epoch, seq = None, 0
        while bite := self.journal.pending(seq, 7, epoch=epoch):
            for of_epoch, of_seq, data in bite:
                parsed = parse_frame(data)
                assert (parsed.epoch, parsed.seq) == (of_epoch, of_seq)
                out.append((of_epoch, of_seq, decode_body(parsed.body)))
            epoch, seq, _ = bite[-1]
        return out

    def seqs(self) -> list[int]:
        return [seq for _, seq, _ in self.pending()]


def visit(n: int) -> bytes:
    return n.to_bytes(8, "big")
