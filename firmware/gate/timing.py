"""Time limits of the gate, in seconds, with their allowed ranges.

One field per limit; ``RANGES`` gives each one's bounds and its meaning for the board file and the
reference page.  Must never hold a default that the gate's own table cannot work with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

RANGES: Mapping[str, tuple[float, float, str]] = {
    "sensors_s": (1.0, 30.0, "wait for the first reading of the sensors after a start"),
    "open_s": (0.2, 10.0, "run of the opening motor; the leaf must have left its contact by then"),
    "retry_s": (0.2, 5.0, "pause with lock and motor off before the second try to open"),
    "reverse_s": (0.05, 2.0, "pause of the motor between closing and opening"),
    "pass_s": (2.0, 60.0, "time to start walking through after a grant or a passage"),
    "stand_s": (2.0, 120.0, "longest stay in the beams before it is an alarm"),
    "clear_s": (0.1, 5.0, "pause after the lane is clear before the leaf closes"),
    "close_s": (0.5, 20.0, "the leaf must be on its contact this long after it began to close"),
    "held_s": (5.0, 300.0, "buzzer time of a blocked lane before it is left open, quiet, as a fault"),
    "forced_s": (2.0, 300.0, "buzzer time after the leaf was forced, before it is closed again"),
    "fire_over_s": (5.0, 600.0, "the fire line must be quiet this long before the gate closes again"),
    "stuck_s": (10.0, 3600.0, "a beam broken this long counts as defective or covered"),
}
TRIES: Mapping[str, tuple[int, int, str]] = {
    "open_tries": (1, 10, "tries to open before the gate is a fault"),
    "close_tries": (1, 10, "tries to close before the gate is a fault"),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Limits of one gate. Seconds, except ``*_tries`` (counts). Raises ValueError when out of range."""

    sensors_s: float = 5.0
    open_s: float = 1.5
    retry_s: float = 0.6
    reverse_s: float = 0.2
    pass_s: float = 8.0
    stand_s: float = 10.0
    clear_s: float = 0.4
    close_s: float = 3.0
    held_s: float = 20.0
    forced_s: float = 15.0
    fire_over_s: float = 30.0
    stuck_s: float = 60.0
    open_tries: int = 2
    close_tries: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, words = {**RANGES, **TRIES}[field.name]
            if not low <= value <= high:
                raise ValueError(
                    f"gate timing {field.name} = {value!r}: must be {low:g} to {high:g} ({words})"
                )
        if self.stuck_s <= self.stand_s + self.held_s:
            raise ValueError(
                f"gate timing stuck_s = {self.stuck_s:g}: must be more than stand_s + held_s = "
                f"{self.stand_s + self.held_s:g}, or a person standing in the lane counts as a defective beam"
            )

    def seconds(self, kind: str) -> float:
        """The limit called ``kind``. Raises KeyError when there is none of that name."""
        if kind not in RANGES:
            raise KeyError(kind)
        return float(getattr(self, kind))
