"""Bytes and time of a basket record, beside the same facts in other clothes. Prints markdown tables.

    python benchmarks/bench_basket.py [BASKETS]

Shop: ``tests.support.shopmodel``: 300 items of five makers with 7-digit prefixes, popularity by Zipf, serials
in batches of 1,000 an item; every basket comes from a shop of its own. The record has visit, times, verdict;
on the wire 19 bytes of frame (epoch, seq, CRC) stand before it. The others carry the same fields, with epoch
and seq, without a CRC. Sparkplug B is built here by its protobuf schema, the tags as one Bytes metric of
12 bytes each, with metric names or, after a birth message, aliases.

Bound: log2 of the number of tag sets with this basket's shape (how many makers, items of each, tags of each)
when neither side has a catalogue: prefixes out of 10^7, item references out of 10^6, per item a first serial
of 38 bits and the others among the next 999. The shape itself is given free, so no code comes down to it.
About half a minute.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cbor2

from benchmarks.report import goal, percentile, table, title
from firmware.wire import taglist
from firmware.wire.records import Basket, Stamp, decode_body, frame, parse_frame
from tests.support.shopmodel import ShopModel

SIZES = (1, 10, 30, 100)
BASKETS = 500
FIRST_SEED = 70_000
MAX_BYTES, MAX_OVER, MAX_MS = 250, 1.15, 0.5
EPOCH, WALL_MS, MONO_MS = 0x9E3779B97F4A7C15, 1_795_309_000_000, 7_000_000
FRAME = len(frame(EPOCH, 1, b""))
BOOT = bytes.fromhex("5f0e21aa")
UINT32, UINT64, STRING, BYTES = 7, 8, 12, 17
"""Sparkplug B data types."""
RECORD = "record: CBOR, integer keys, packed tags"


def record(tags: list[bytes], seq: int) -> Basket:
    stamp = Stamp(WALL_MS + seq * 9000, MONO_MS + seq * 9000, BOOT, "synced")
    visit = (EPOCH * seq % 2**64).to_bytes(8, "big")
    return Basket(stamp, taglist.encode(tags), len(tags), "", visit, verdict="complete")


def framed(tags: list[bytes], seq: int) -> bytes:
    return frame(EPOCH, seq, record(tags, seq).body())


def read_framed(data: bytes) -> tuple[bytes, ...]:
    found = decode_body(parse_frame(data).body)
    assert isinstance(found, Basket)
    return taglist.decode(found.tags)


def facts(tags: list[bytes], seq: int) -> dict[str, Any]:
    """The same fields by name, tags aside."""
    basket = record(tags, seq)
    return {
        "type": "basket",
        "epoch": EPOCH,
        "seq": seq,
        "wall_ms": basket.stamp.wall_ms,
        "mono_ms": basket.stamp.mono_ms,
        "boot": BOOT,
        "quality": "synced",
        "visit": basket.visit,
        "count": len(tags),
        "verdict": "complete",
    }


def as_json(tags: list[bytes], seq: int) -> bytes:
    fields = {name: v.hex() if isinstance(v, bytes) else v for name, v in facts(tags, seq).items()}
    fields["tags"] = [tag.hex() for tag in tags]
    return json.dumps(fields, separators=(",", ":")).encode()


def deflated(tags: list[bytes], seq: int) -> bytes:
    return zlib.compress(as_json(tags, seq), 9)


def as_cbor_list(tags: list[bytes], seq: int) -> bytes:
    """Integer keys and numbers for words, like ours; only the tags are a list of byte strings."""
    body = {0: 5, 1: WALL_MS + seq, 2: MONO_MS + seq, 3: BOOT, 4: 1, 6: BOOT * 2, 20: tags}
    return cbor2.dumps(body | {21: len(tags), 33: 1, 40: EPOCH, 41: seq})


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    """One protobuf field: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sparkplug(tags: list[bytes], seq: int, *, aliases: bool) -> bytes:
    """Payload: timestamp 1, metrics 2, seq 3. Metric: name 1, alias 2, datatype 4, int 10, long 11, string
    15, bytes 16. Wall time is the payload's timestamp, and there are no timestamps of metrics."""
    values = facts(tags, seq)
    out = field(1, values.pop("wall_ms"))
    for alias, (name, value) in enumerate((values | {"tags": b"".join(tags)}).items()):
        metric = field(2, alias) if aliases else field(1, f"basket/{name}".encode())
        if isinstance(value, int):
            wide = value >> 32 > 0
            metric += field(4, UINT64 if wide else UINT32) + field(11 if wide else 10, value)
        elif isinstance(value, str):
            metric += field(4, STRING) + field(15, value.encode())
        else:
            metric += field(4, BYTES) + field(16, value)
        out += field(2, metric)
    return out + field(3, seq % 256)


WAYS: dict[str, Callable[[list[bytes], int], bytes]] = {
    RECORD: lambda tags, seq: record(tags, seq).body(),
    "the same in its frame": framed,
    "CBOR, integer keys, list of EPCs": as_cbor_list,
    "JSON, hex EPCs": as_json,
    "the same, deflated": deflated,
    "Sparkplug B, names": lambda tags, seq: sparkplug(tags, seq, aliases=False),
    "Sparkplug B, aliases": lambda tags, seq: sparkplug(tags, seq, aliases=True),
}


def bits(of: int, chosen: int) -> float:
    """log2 of the number of ways to choose."""
    return (math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)) / math.log(2)


def bound_bytes(tags: list[bytes]) -> float:
    makers: dict[int, Counter[int]] = defaultdict(Counter)
    for tag in tags:
        item = int.from_bytes(tag, "big") >> 38
        makers[item >> 20][item & 0xFFFFF] += 1
    total = bits(10**7, len(makers))
    for items in makers.values():
        total += bits(10**6, len(items)) + sum(38 + bits(999, count - 1) for count in items.values())
    return total / 8


def timed(call: Callable[[], Any]) -> float:
    """ms, the best of three: what the work costs, not what else the machine did."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return min(took) * 1000


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else BASKETS
    baskets = {
        size: [sorted(ShopModel(FIRST_SEED + seed).basket(size)) for seed in range(count)] for size in SIZES
    }
    title(f"A basket record, mean of {count} baskets")
    mean = {
        (name, size): statistics.mean(len(way(tags, seq + 1)) for seq, tags in enumerate(baskets[size]))
        for name, way in WAYS.items()
        for size in SIZES
    }
    table(
        ["bytes, by tags", *map(str, SIZES)],
        [[name, *(f"{mean[name, size]:.0f}" for size in SIZES)] for name in WAYS],
    )
    packed = {size: statistics.mean(len(taglist.encode(tags)) for tags in baskets[size]) for size in SIZES}
    bound = {size: statistics.mean(map(bound_bytes, baskets[size])) for size in SIZES}
    table(
        ["tag part, bytes, by tags", *map(str, SIZES)],
        [
            ["packed", *(f"{packed[size]:.1f}" for size in SIZES)],
            ["bound", *(f"{bound[size]:.1f}" for size in SIZES)],
            ["over the bound", *(f"{packed[size] / bound[size] - 1:.1%}" for size in SIZES)],
            ["12 bytes each", *(str(12 * size) for size in SIZES)],
        ],
    )
    rows: list[list[object]] = []
    slowest = 0.0
    for size in SIZES:
        encodes, decodes = [], []
        for seq, tags in enumerate(baskets[size]):
            data = framed(tags, seq + 1)
            assert list(read_framed(data)) == tags
            encodes.append(timed(lambda tags=tags, seq=seq: framed(tags, seq + 1)))  # type: ignore[misc]
            decodes.append(timed(lambda data=data: read_framed(data)))  # type: ignore[misc]
        figures = [percentile(v, p) for v in (encodes, decodes) for p in (50, 99)]
        slowest = max(slowest, *figures) if size <= 30 else slowest
        rows.append([size, *(f"{figure:.3f}" for figure in figures)])
    table(["tags", "encode, ms p50", "p99", "decode, ms p50", "p99"], rows)
    whole, over = mean[RECORD, 30], packed[30] / bound[30]
    print(f"Goal, at most {MAX_BYTES} bytes a record of 30 tags: {goal(whole <= MAX_BYTES)}", end=" ")
    print(f"({whole:.0f}; in its frame {whole + FRAME:.0f})")
    print(f"Goal, tag part at most 15 % over the bound at 30 tags: {goal(over <= MAX_OVER)} ({over - 1:.1%})")
    print(
        f"Goal, encode and decode under {MAX_MS} ms at 30 tags: {goal(slowest < MAX_MS)} ({slowest:.3f} p99)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
