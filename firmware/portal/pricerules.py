"""Limits of a price point, their ranges and defaults: what the board file may say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

RANGES: Mapping[str, tuple[float, float, str]] = {
    "near_dbm": (-90.0, 0.0, "a tag read at least this strong is held to the antenna, dBm"),
    "near_raw": (-1000.0, 65535.0, "the same in the module's own figure, where it gives no dBm"),
    "hysteresis": (0.0, 30.0, "it stays near until it is this much weaker"),
    "margin": (0.0, 40.0, "of two near tags one that is this much stronger is the one meant"),
    "clear_s": (0.3, 10.0, "the price leaves the screen this long after the last read"),
    "swap_s": (0.05, 0.2, "another item waits at most this long for the one before to be gone"),
    "together_s": (0.25, 5.0, "two tags read within this time are there together"),
    "look_s": (0.0, 5.0, "a price shown this long is a look worth a record"),
    "look_again_s": (1.0, 86400.0, "the same tag is written again no sooner than this"),
    "looks_an_hour": (1, 3600, "no more looks than this are written in an hour"),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of one price point; ranges and meaning in ``RANGES``. ``near_raw`` None: every read of a module
    without dBm is near (its power is set so low that it reads nothing else); larger must be stronger.
    Raises ValueError when out of range."""

    near_dbm: float = -50.0
    near_raw: float | None = None
    hysteresis: float = 6.0
    margin: float = 8.0
    clear_s: float = 1.5
    swap_s: float = 0.1
    together_s: float = 0.6
    look_s: float = 0.5
    look_again_s: float = 60.0
    looks_an_hour: int = 240

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, words = RANGES[field.name]
            if value is not None and not low <= value <= high:
                raise ValueError(
                    f"price point {field.name} = {value!r}: must be {low:g} to {high:g} ({words})"
                )

    @property
    def window_s(self) -> float:
        """``together_s``, where the price is not cleared before that."""
        return min(self.together_s, 0.8 * self.clear_s)
