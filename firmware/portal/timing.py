"""The portal's times, their ranges and defaults: what the board file's ``[portal]`` may say. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

RANGES: dict[str, tuple[float, float]] = {
    "sensors_s": (1, 60),
    "left_s": (0.2, 10),
    "collect_s": (3, 120),
    "advise_s": (5, 300),
    "write_s": (0.5, 30),
    "retry_s": (0.5, 30),
    "offer_s": (0.5, 10),
    "again_s": (1, 60),
    "pay_s": (10, 600),
    "answer_s": (5, 120),
    "ask_s": (2, 60),
    "declined_s": (1, 30),
    "abandoned_s": (1, 60),
    "crowd_after_s": (0.1, 10),
    "crowd_s": (2, 120),
    "unclear_s": (30, 1800),
    "background_every_s": (1, 600),
    "background_s": (0.2, 60),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Raises ValueError for a value out of range."""

    sensors_s: float = 10.0
    left_s: float = 1.5
    collect_s: float = 15.0
    advise_s: float = 20.0
    write_s: float = 3.0
    retry_s: float = 2.0
    offer_s: float = 3.0
    again_s: float = 5.0
    pay_s: float = 90.0
    answer_s: float = 60.0
    ask_s: float = 5.0
    declined_s: float = 4.0
    abandoned_s: float = 4.0
    crowd_after_s: float = 1.0
    crowd_s: float = 10.0
    unclear_s: float = 180.0
    background_every_s: float = 10.0
    background_s: float = 1.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value, (low, high) = getattr(self, one.name), RANGES[one.name]
            if not low <= value <= high:
                raise ValueError(f"{one.name} is {value:g} s; it must be {low:g} to {high:g}")
        if self.background_s > self.background_every_s:
            raise ValueError("background_s is longer than background_every_s")
