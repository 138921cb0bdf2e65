"""What the frames of a UHFReader18 / 288 carry (tag records, reader info, heartbeat), and their making. Pure.

Layouts from the vendor's "UHF RFID Reader Series User Manual" v2.20; the antenna bytes of reader info with
more than four ports from public drivers. Nothing here raises on bytes that came in.
"""

from __future__ import annotations

from dataclasses import dataclass

from hal.reader.crc import mcrf4xx
from hal.reader.uhfreader18_ops import model

TID_BYTES = 12
HAS_TID, HAS_PHASE = 0x80, 0x40
UNPLUGGED = 2
"""A heartbeat's word for an antenna that is not there (0 idle, 1 ok)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One tag in an answer. ``rssi`` is raw (its unit is documented nowhere), None in the 18 form; ``phase``
    and ``freq_khz`` only where the request asked for them."""

    epc: bytes
    rssi: int | None = None
    phase: int | None = None
    freq_khz: int | None = None


@dataclass(frozen=True, slots=True)
class ReaderInfo:
    """The answer to 21. ``antennas``: bit mask, bit 0 = antenna 1; None where the model does not say."""

    version: str
    type: int
    band: int
    max_channel: int
    min_channel: int
    power: int
    scan_time: int
    antennas: int | None
    checks_antennas: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``number`` and ``total`` (tags since the mode began) wrap at 2^32; ``antennas``: status per port."""

    number: int
    antennas: bytes
    total: int


def parse_inventory(data: bytes, form: str = "288") -> tuple[int | None, list[Record]] | None:
    """The antenna byte (None in the 18 form) and the tags; ``form`` is tried first. None: neither holds."""
    for one in (form, "18" if form == "288" else "288"):
        if one == "288":
            if len(data) >= 2 and (tags := parse_records(data, 2, data[1])) is not None:
                return data[0], tags
        elif data and (tags := parse_records(data, 1, data[0], rssi=False)) is not None:
            return None, tags
    return None


def parse_records(data: bytes, at: int, count: int, rssi: bool = True) -> list[Record] | None:
    """``count`` records that use ``data`` up from ``at``; None when they do not."""
    records: list[Record] = []
    end = len(data)
    for _ in range(count):
        if at >= end:
            return None
        head = data[at]
        stop = at + 1 + (head & 0x3F)
        epc = data[at + 1 : stop - TID_BYTES] if head & HAS_TID else data[at + 1 : stop]
        at = stop
        if not epc or len(epc) & 1 or (not rssi and head & (HAS_TID | HAS_PHASE)):
            return None
        if not rssi:
            records.append(Record(epc))
            continue
        at += 1
        phase = freq = None
        if head & HAS_PHASE:
            phase, freq = (
                int.from_bytes(data[at : at + 4], "big"),
                int.from_bytes(data[at + 4 : at + 7], "big"),
            )
            at += 7
        if at > end:
            return None
        records.append(Record(epc, data[stop], phase, freq))
    return records if at == end else None


def parse_info(data: bytes, ports: int | None = None) -> ReaderInfo | None:
    """Version[2] Type TrType dmaxfre dminfre Power ScanTime [Ant Beep Ant9..16 CheckAnt]; None: too short.

    ``ports``: of this reader, where more is known than its type byte says."""
    if len(data) < 8:
        return None
    antennas = None
    if len(data) >= 9 and model(data[2]).form == "288":
        antennas = data[8] & 0x0F
        if len(data) >= 11 and (ports or model(data[2]).ports) > 4:
            antennas = data[10] << 8 | data[8]
    return ReaderInfo(
        f"{data[0]}.{data[1]}",
        data[2],
        data[4] >> 6 << 2 | data[5] >> 6,
        data[4] & 0x3F,
        data[5] & 0x3F,
        data[6] & 0x7F,
        data[7],
        antennas,
        len(data) >= 12 and data[11] == 1,
    )


def parse_heartbeat(data: bytes) -> Heartbeat | None:
    """PacketNo u32, one status per port (1, 4, 8 or 16 of them), TotalCount u32; None: another length."""
    if len(data) - 8 not in (1, 4, 8, 16):
        return None
    return Heartbeat(int.from_bytes(data[:4], "big"), data[4:-4], int.from_bytes(data[-4:], "big"))


# -- frames -------------------------------------------------------------------------------------------


def encode(cmd: int, data: bytes = b"", *, address: int = 0) -> bytes:
    """A command. Raises ValueError for an address or a length that does not fit."""
    return _frame(bytes((address & 0xFF, cmd)) + data, address)


def reply(cmd: int, status: int, data: bytes = b"", *, address: int = 0) -> bytes:
    """A reader's answer. Raises ValueError for an address or a length that does not fit."""
    return _frame(bytes((address & 0xFF, cmd, status)) + data, address)


def _frame(body: bytes, address: int) -> bytes:
    if not 0 <= address <= 0xFF:
        raise ValueError(f"address is {address}; it must be 0 to 254, or 255 for all readers")
    if len(body) + 2 > 0xFF:
        raise ValueError(f"command 0x{body[1]:02X}: {len(body)} bytes; at most 253 fit into a frame")
    frame = bytes((len(body) + 2,)) + body
    return frame + mcrf4xx(frame).to_bytes(2, "little")


def record_bytes(record: Record, tid: bytes = b"") -> bytes:
    """One tag as it stands in an answer; without RSSI the 18 form. ``tid``: 12 bytes, appended to the EPC.

    Raises ValueError for more than 63 bytes of EPC and TID, or a TID of another length."""
    data = record.epc + tid
    if len(data) > 0x3F or len(tid) not in (0, TID_BYTES):
        raise ValueError(f"EPC of {len(record.epc)} and TID of {len(tid)} bytes; at most 63, TID 0 or 12")
    if record.rssi is None:
        return bytes((len(data),)) + data
    head = len(data) | (HAS_TID if tid else 0) | (HAS_PHASE if record.phase is not None else 0)
    tail = b""
    if record.phase is not None:
        tail = record.phase.to_bytes(4, "big") + (record.freq_khz or 0).to_bytes(3, "big")
    return bytes((head,)) + data + bytes((record.rssi,)) + tail
