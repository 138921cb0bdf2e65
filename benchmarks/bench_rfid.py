"""What the reader codecs parse in a second, and what noise costs them. Prints markdown tables.

    python benchmarks/bench_rfid.py

The stream is tag reports of random 96-bit EPCs as each module sends them, in reads of 255 bytes; processor
time, the best of five runs. The line rates are 10 bits a byte. The noisy stream: 5 seeds x 3,000 frames; 2 %
lose a byte, 2 % get one bent bit, 1 % come after 1 to 19 random bytes, the line pauses after about every
tenth frame. "Trust the length" is what most libraries do: cut as the length byte says, go on behind it if the
check fails. Peers are fetched into build/ at the first run. About a quarter of a minute.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import goal, table, title
from benchmarks.rfid_peers import Read, peer
from hal.reader.events import Tag
from hal.reader.families import PROTOCOLS, codec
from tests.support.noise import noisy
from tests.support.readers import spec

SLOW, FAST = 11_520, 92_160
"""Bytes a second at 115,200 and 921,600 baud."""
GOAL = 10 * FAST
FRAMES, CHUNK, RUNS = 20_000, 255, 5
SEEDS, NOISY = 5, 3_000

Bursts = list[bytes]
"""What came between two pauses of the line."""


def length(protocol: str, data: bytes, at: int) -> int | None:
    """Whole length of the frame that the bytes at ``at`` promise; None: no header; 0: not to be seen yet."""
    headers = {"thingmagic": 0xFF, "yrm100": 0xBB, "r2000": 0xA0}
    if data[at] != headers.get(protocol, data[at]):
        return None
    known = data[at : at + 5]
    if protocol == "uhfreader18":
        return known[0] + 1
    if protocol == "yrm100":
        return (known[3] << 8 | known[4]) + 7 if len(known) == 5 else 0
    if len(known) < 2:
        return 0
    return known[1] + (7 if protocol == "thingmagic" else 2)


def trusting(protocol: str, bursts: Bursts, intact: set[bytes], *, pauses: bool) -> int:
    """How many intact frames a parser that trusts the length cuts out; ``pauses``: it begins anew at each."""
    found, rest = 0, b""
    for burst in bursts:
        data, at = rest + burst, 0
        while at < len(data):
            size = length(protocol, data, at)
            if size is None:
                at += 1
            elif size == 0 or at + size > len(data):
                break
            else:
                found += data[at : at + size] in intact
                at += size
        rest = b"" if pauses else data[at:]
    return found


def ours(protocol: str, bursts: Bursts, pauses: bool) -> list[bytes]:
    parser, events = codec(protocol), []
    for burst in bursts:
        events += parser.feed(burst)
        if pauses:
            events += parser.idle()
    events += parser.idle()
    return [event.epc for event in events if isinstance(event, Tag)]


def bad_line(make: Callable[[bytes], bytes], seed: int) -> tuple[Bursts, dict[bytes, bytes], set[bytes]]:
    """The stream, its intact frames by EPC, and every EPC that was sent."""
    rng = random.Random(seed)
    bursts, intact, sent = [bytearray()], {}, set()
    for one in noisy(make, rng, NOISY):
        sent.add(one.epc)
        if one.intact:
            intact[one.epc] = one.frame
        bursts[-1] += one.junk + one.frame
        if rng.random() < 0.1:
            bursts.append(bytearray())
    return [bytes(burst) for burst in bursts], intact, sent


def chunks(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


def rate(read: Read, parts: list[bytes], count: int) -> float:
    """Bytes a second of processor time. Every EPC must come out."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        found = read(parts, False)
        best = min(best, time.process_time() - began)
        if len(found) != count:
            return float("nan")
    return sum(map(len, parts)) / best


def speed() -> None:
    rows: list[list[object]] = []
    for protocol in PROTOCOLS:
        make, rng = spec(protocol).tag, random.Random(1)
        frames = [make(rng.randbytes(12)) for _ in range(FRAMES)]
        parts = chunks(b"".join(frames))
        mine = rate(partial(ours, protocol), parts, FRAMES)
        name, read = peer(protocol)
        theirs = rate(read, parts, FRAMES) if read is not None else 0.0
        rows.append(
            [
                protocol,
                len(frames[0]),
                f"{mine / 1e6:.2f}",
                f"{mine / len(frames[0]):,.0f}",
                f"{mine / SLOW:,.0f} x",
                f"{mine / FAST:,.0f} x",
                goal(mine >= GOAL),
                f"{name}: {theirs / 1e6:.2f}" if read is not None else name,
                f"{mine / theirs:.1f} x" if theirs else "",
            ]
        )
    title(f"Parsing tag reports (goal: at least {GOAL:,} B/s, ten times the line at 921,600 baud)")
    table(
        [
            "protocol",
            "bytes a tag",
            "MB/s",
            "tags/s",
            "of 115,200 baud",
            "of 921,600 baud",
            "goal",
            "peer, MB/s",
            "ours beside it",
        ],
        rows,
    )


def resync() -> None:
    rows: list[list[object]] = []
    for protocol in PROTOCOLS:
        name, read = peer(protocol)
        lost = {"trust": 0, "trust + pause": 0, "ours": 0, "ours + pause": 0, "peer": 0}
        total = invented = 0
        for seed in range(SEEDS):
            bursts, intact, sent = bad_line(spec(protocol).tag, 1000 + seed)
            total += len(intact)
            frames = set(intact.values())
            lost["trust"] += len(intact) - trusting(protocol, bursts, frames, pauses=False)
            lost["trust + pause"] += len(intact) - trusting(protocol, bursts, frames, pauses=True)
            for column, pauses in (("ours", False), ("ours + pause", True)):
                found = ours(protocol, bursts, pauses)
                lost[column] += len(intact.keys() - set(found))
                invented += len(set(found) - sent)
            if read is not None:
                lost["peer"] += len(intact.keys() - set(read(bursts, True)))
        theirs = f"{name}: {lost['peer']:,}" if read is not None else "none"
        counts = [f"{lost[column]:,}" for column in list(lost)[:4]]
        rows.append([protocol, f"{total:,}", *counts, theirs, invented])
    title("Intact frames that were NOT delivered on a noisy line, and tags that nobody sent")
    heads = ["trust the length", "trust + drop at a pause", "ours, no pause seen", "ours", "peer"]
    table(["protocol", "intact", *heads, "invented by ours, both runs"], rows)


if __name__ == "__main__":
    speed()
    resync()
