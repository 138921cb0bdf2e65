"""One strict JSON object from bytes that somebody else wrote. Pure.

Refuses what the standard decoder lets through: a key given twice, NaN, anything but an object at
the top, and any size or depth that would cost the loop time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


class JsonError(ValueError):
    """Not one strict JSON object. The message never repeats the input."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("a key is given twice")
    return found


def _constant(name: str) -> Any:
    raise JsonError(f"{name} is not JSON")


def parse_object(data: bytes, max_bytes: int) -> dict[str, Any]:
    """The object in ``data`` (UTF-8, at most ``max_bytes``). Raises JsonError."""
    if len(data) > max_bytes:
        raise JsonError(f"{len(data)} bytes, at most {max_bytes} are read")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
    except JsonError:
        raise
    except UnicodeDecodeError:
        raise JsonError("not UTF-8") from None
    except (ValueError, RecursionError):  # a number of thousands of digits is a plain ValueError
        raise JsonError("not JSON") from None
    if not isinstance(value, dict):
        raise JsonError("not a JSON object")
    return value


def exact_keys(value: dict[str, Any], required: Iterable[str]) -> None:
    """Raises JsonError unless ``value`` has exactly these keys."""
    wanted = set(required)
    missing = sorted(wanted - value.keys())
    if missing:
        raise JsonError(f"missing key {missing[0]}")
    if len(value) > len(wanted):
        raise JsonError(f"{len(value) - len(wanted)} unknown key(s); known: {', '.join(sorted(wanted))}")


def integer(value: dict[str, Any], key: str, low: int, high: int) -> int:
    """``value[key]`` as an int in low..high; a bool or a float is none. Raises JsonError."""
    found = value[key]
    if type(found) is not int or not low <= found <= high:
        raise JsonError(f"{key} must be an integer from {low} to {high}")
    return found


def hex_u64(value: dict[str, Any], key: str) -> int:
    """``value[key]`` as 64 bits from 16 lower-case hex digits. Raises JsonError."""
    found = value[key]
    if type(found) is not str or len(found) != 16 or not set(found) <= set("0123456789abcdef"):
        raise JsonError(f"{key} must be 16 lower-case hex digits")
    return int(found, 16)


def dump(value: dict[str, Any]) -> bytes:
    """Compact JSON bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
