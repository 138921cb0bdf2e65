"""Records and frames as a board would send them, for the store's tests."""

from __future__ import annotations

import json
from pathlib import Path

from firmware.wire import taglist
from firmware.wire.records import Admitted, Annulled, Basket, Flags, Passed, Record, Stamp, frame

STAMP = Stamp(wall_ms=1_790_000_000_000, mono_ms=5_000, boot=b"boot", quality="synced")


def visit(number: int) -> bytes:
    return number.to_bytes(8, "big")


def admitted(number: int, uses: int = 1, *, offline: bool = False, kind: str = "entry") -> Admitted:
    flags = Flags.OFFLINE if offline else Flags.NONE
    return Admitted(STAMP, visit(number), "in", uses, kind, campaign=7, placement=2, flags=flags)


def passed(number: int, ref_seq: int) -> Passed:
    return Passed(STAMP, visit(number), "in", ref_seq)


def annulled(number: int, uses: int, ref_seq: int) -> Annulled:
    return Annulled(STAMP, visit(number), "in", uses, ref_seq, "not-used")


def basket(*epcs: bytes, of: int | None = None) -> Basket:
    blob = taglist.encode(epcs)
    whose = None if of is None else visit(of)
    return Basket(STAMP, blob, len(epcs), "quiet", whose, flags=Flags.PROVISIONAL)


def framed(epoch: int, seq: int, record: Record) -> bytes:
    return frame(epoch, seq, record.body())


def visits_of(epoch: int, count: int, first: int = 1) -> list[bytes]:
    """``count`` frames from seq ``first``: an admission on every odd seq, its passage on the next."""
    return [
        framed(epoch, seq, admitted(seq) if seq % 2 else passed(seq - 1, seq - 1))
        for seq in range(first, first + count)
    ]


def state(epoch: int, first_seq: int, last_seq: int, *, online: bool = True) -> bytes:
    told = {"online": online, "state": "ready", "fw": "0.1.0", "epoch": f"{epoch:016x}", "faults": []}
    return json.dumps(told | {"first_seq": first_seq, "last_seq": last_seq}).encode()


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"
