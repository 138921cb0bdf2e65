"""One tag record of the Mercury serial protocol, both ways: metadata by its bits, then PC, EPC and tag CRC.

Source: the vendor's public serial API. A record whose bits are not all known cannot be measured, so the
rest of its frame is given up; a tag whose own CRC does not hold is never reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hal.reader.crc import genibus
from hal.reader.events import Tag
from hal.reader.thingmagic_ops import GEN2, Meta

PC_XPC = 0x0200
"""PC bit: XPC_W1 follows; its own top bit: XPC_W2 too."""

_SIZES = (
    (Meta.COUNT, 1),
    (Meta.RSSI, 1),
    (Meta.ANTENNA, 1),
    (Meta.FREQUENCY, 3),
    (Meta.TIME, 4),
    (Meta.PHASE, 2),
    (Meta.PROTOCOL, 1),
)
_AFTER_DATA = Meta.GPIO, Meta.GEN2_Q, Meta.GEN2_LF, Meta.GEN2_TARGET
_KNOWN = 0x3FFF


@dataclass(frozen=True, slots=True)
class Extras:
    """What a module can put beside a tag that ``Tag`` does not hold; for the simulation."""

    data: bytes = b""
    gpio: int = 0
    q: int = 4
    lf: int = 0
    target: int = 0
    protocol: int = GEN2


@lru_cache(maxsize=64)
def _plan(flags: int) -> tuple[tuple[int, ...], int, bool, int, bool, bool] | None:
    """Offsets of the fixed fields (-1: not there), their total, data?, bytes behind it, type?, brand?"""
    if flags & ~_KNOWN:
        return None
    offsets, total = [], 0
    for bit, size in _SIZES:
        offsets.append(total if flags & bit else -1)
        total += size if flags & bit else 0
    behind = sum(1 for bit in _AFTER_DATA if flags & bit)
    return (
        tuple(offsets),
        total,
        bool(flags & Meta.DATA),
        behind,
        bool(flags & Meta.TAG_TYPE),
        bool(flags & Meta.BRAND),
    )


def read_record(data: bytes, at: int, flags: int) -> tuple[Tag | None, int]:
    """The record that begins at ``at``, and where it ends. (None, end): not a tag to report (empty EPC, tag
    CRC wrong, no Gen2 tag). (None, -1): it cannot be measured, or is longer than ``data``."""
    plan = _plan(flags)
    if plan is None:
        return None, -1
    (count, rssi, antenna, frequency, time, phase, protocol), fixed, has_data, behind, has_type, brand = plan
    size, end = len(data), at + fixed
    try:
        if has_data:
            end += 2 + ((data[end] << 8 | data[end + 1]) + 7 >> 3)
        end += behind
        if has_type:
            while data[end] & 0x80:
                end += 1
            end += 1
        tag_at = end + 2
        end = tag_at + ((data[end] << 8 | data[end + 1]) + 7 >> 3)
    except IndexError:
        return None, -1
    if end > size:
        return None, -1
    if protocol >= 0 and data[at + protocol] != GEN2:
        return None, end
    tag = data[tag_at:end]
    if len(tag) < 6:
        return None, end
    stored = tag[-2] << 8 | tag[-1]
    if genibus(tag[:-2]) == stored:
        epc_end = -4 if brand else -2
    elif brand and genibus(tag[:-4]) == stored:
        epc_end = -4  # whether the tag's CRC covers the brand id is not documented
    else:
        return None, end
    epc_at = 2
    if tag[0] & PC_XPC >> 8:
        epc_at = 6 if tag[2] & 0x80 else 4
    epc = tag[epc_at:epc_end]
    if not epc:
        return None, end
    raw = data[at + rssi] if rssi >= 0 else 0
    return (
        Tag(
            epc,
            tag[0] << 8 | tag[1],
            raw,
            (data[at + antenna] >> 4 or 16) if antenna >= 0 else 1,
            (float(raw - 256 if raw > 127 else raw)) if rssi >= 0 else None,
            int.from_bytes(data[at + frequency : at + frequency + 3], "big") if frequency >= 0 else None,
            (data[at + phase] << 8 | data[at + phase + 1]) if phase >= 0 else None,
            data[at + count] if count >= 0 else 1,
            int.from_bytes(data[at + time : at + time + 4], "big") if time >= 0 else None,
        ),
        end,
    )


def write_record(tag: Tag, flags: int, extras: Extras | None = None, xpc: bytes = b"") -> bytes:
    """The record a module sends for ``tag`` with metadata ``flags`` (bits up to 0FFF). ``xpc``: the words
    that follow the PC where its XPC bit is set. Raises ValueError for other flags."""
    if flags & ~0x0FFF:
        raise ValueError(f"metadata {flags:#06x}: bits above 0800 cannot be written")
    extras = extras if extras is not None else Extras()
    nibble = tag.antenna & 0x0F
    fields = (
        (Meta.COUNT, bytes((tag.read_count & 0xFF,))),
        (Meta.RSSI, bytes((tag.rssi_raw & 0xFF,))),
        (Meta.ANTENNA, bytes((nibble << 4 | nibble,))),
        (Meta.FREQUENCY, (tag.freq_khz or 0).to_bytes(3, "big")),
        (Meta.TIME, ((tag.module_ms or 0) & 0xFFFFFFFF).to_bytes(4, "big")),
        (Meta.PHASE, ((tag.phase or 0) & 0xFFFF).to_bytes(2, "big")),
        (Meta.PROTOCOL, bytes((extras.protocol,))),
        (Meta.DATA, (len(extras.data) * 8).to_bytes(2, "big") + extras.data),
        (Meta.GPIO, bytes((extras.gpio,))),
        (Meta.GEN2_Q, bytes((extras.q,))),
        (Meta.GEN2_LF, bytes((extras.lf,))),
        (Meta.GEN2_TARGET, bytes((extras.target,))),
    )
    body = tag.pc.to_bytes(2, "big") + xpc + tag.epc
    return (
        b"".join(part for bit, part in fields if flags & bit)
        + ((len(body) + 2) * 8).to_bytes(2, "big")
        + body
        + genibus(body).to_bytes(2, "big")
    )
