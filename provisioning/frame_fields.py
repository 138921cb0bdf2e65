"""What an answer's bytes mean, where a technician looks: model, firmware, power, region, temperature.

Each rule answers only for the lengths it knows; for anything else the bytes alone are shown. Layouts: the
vendors' protocol documents, as this tree's codecs have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[[bytes], dict[str, Any]]

_TM_REGIONS = "na eu kr in jp prc eu2 eu3 kr2 prc2 au nz na2 na3 is"
TM_REGIONS = {**dict(enumerate(_TM_REGIONS.split(), 1)), 255: "open"}
TM_MODELS = {0x18: "M6e", 0x20: "Micro", 0x30: "M6E Nano", 0x38: "M7E Hecto", 0xA1: "Silion", 0x31: "Silion"}
YRM_REGIONS = {1: "cn900", 2: "us", 3: "eu", 4: "cn800", 6: "kr"}
A0_REGIONS = {1: "fcc", 2: "etsi", 3: "chn", 4: "user"}


def fields(protocol: str, cmd: int, data: bytes) -> dict[str, Any]:
    """``{"decoded": {...}}`` where the bytes of this answer are understood, else nothing."""
    rule = RULES.get((protocol, cmd))
    found = rule(data) if rule is not None else {}
    return {"decoded": found} if found else {}


def _tm_version(data: bytes) -> dict[str, Any]:
    if len(data) != 20:
        return {}
    return {
        "model": TM_MODELS.get(data[4], f"0x{data[4]:02X}"),
        "bootloader": data[0:4].hex("."),
        "hardware": data[4:8].hex("."),
        "firmware_date": data[8:12].hex(),
        "firmware": data[12:16].hex("."),
        "protocols": f"0x{data[16:20].hex()}",
    }


def _tm_power(data: bytes) -> dict[str, Any]:
    if len(data) == 3 and data[0] == 0:
        return {"power_dbm": int.from_bytes(data[1:], "big") / 100}
    if len(data) == 7 and data[0] == 1:
        names = ("power_dbm", "max_dbm", "min_dbm")
        return {
            name: int.from_bytes(data[at : at + 2], "big", signed=name == "min_dbm") / 100
            for name, at in zip(names, (1, 3, 5), strict=True)
        }
    return {}


def _tm_hop(data: bytes) -> dict[str, Any]:
    if not data or len(data) % 4:
        return {}
    return {"hop_khz": [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4)]}


def _tm_program(data: bytes) -> dict[str, Any]:
    if len(data) != 1:
        return {}
    return {"program": "bootloader" if data[0] & 3 == 1 else "application"}


def _degrees(data: bytes) -> dict[str, Any]:
    return {"temperature_c": int.from_bytes(data, "big", signed=True)} if len(data) == 1 else {}


def _region(names: dict[int, str]) -> Rule:
    def rule(data: bytes) -> dict[str, Any]:
        return {"region": names.get(data[0], f"0x{data[0]:02X}")} if len(data) == 1 else {}

    return rule


def _yrm_info(data: bytes) -> dict[str, Any]:
    kinds = {0: "hardware", 1: "firmware", 2: "maker"}
    if len(data) < 2 or data[0] not in kinds or not all(32 <= byte < 127 for byte in data[1:]):
        return {}
    return {kinds[data[0]]: data[1:].decode("ascii").strip()}


def _yrm_power(data: bytes) -> dict[str, Any]:
    return {"power_dbm": int.from_bytes(data, "big") / 100} if len(data) == 2 else {}


def _yrm_noise(data: bytes) -> dict[str, Any]:
    if len(data) < 3 or len(data) != data[1] - data[0] + 3:
        return {}
    levels = [byte - 256 if byte > 127 else byte for byte in data[2:]]
    return {"first_channel": data[0], "last_channel": data[1], "dbm": levels}


def _a0_firmware(data: bytes) -> dict[str, Any]:
    return {"firmware": f"{data[0]}.{data[1]}"} if len(data) == 2 else {}


def _a0_degrees(data: bytes) -> dict[str, Any]:
    # The first byte is the sign: 0 is below zero.
    return {"temperature_c": data[1] if data[0] else -data[1]} if len(data) == 2 else {}


def _a0_power(data: bytes) -> dict[str, Any]:
    return {"power_dbm": list(data)} if len(data) in (1, 4, 8) and max(data) <= 40 else {}


def _a0_region(data: bytes) -> dict[str, Any]:
    if len(data) == 3 and data[0] in A0_REGIONS:
        return {"region": A0_REGIONS[data[0]], "first_index": data[1], "last_index": data[2]}
    return {}


def _uhf18_info(data: bytes) -> dict[str, Any]:
    """Version[2], type, protocols, band and highest channel, band and lowest channel, power, scan time."""
    if len(data) < 8:
        return {}
    return {
        "firmware": f"{data[0]}.{data[1]}",
        "type": f"0x{data[2]:02X}",
        "band": (data[4] >> 6) << 2 | data[5] >> 6,
        "first_channel": data[5] & 0x3F,
        "last_channel": data[4] & 0x3F,
        "power_dbm": data[6],
        "scan_ms": data[7] * 100,
    }


RULES: dict[tuple[str, int], Rule] = {
    ("thingmagic", 0x03): _tm_version,
    ("thingmagic", 0x0C): _tm_program,
    ("thingmagic", 0x62): _tm_power,
    ("thingmagic", 0x65): _tm_hop,
    ("thingmagic", 0x67): _region(TM_REGIONS),
    ("thingmagic", 0x72): _degrees,
    ("yrm100", 0x03): _yrm_info,
    ("yrm100", 0x08): _region(YRM_REGIONS),
    ("yrm100", 0xB7): _yrm_power,
    ("yrm100", 0xF2): _yrm_noise,
    ("yrm100", 0xF3): _yrm_noise,
    ("r2000", 0x72): _a0_firmware,
    ("r2000", 0x77): _a0_power,
    ("r2000", 0x79): _a0_region,
    ("r2000", 0x7B): _a0_degrees,
    ("uhfreader18", 0x21): _uhf18_info,
}
