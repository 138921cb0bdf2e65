"""What a board says of itself: the ``state`` and ``health`` messages and Home Assistant's discovery. Pure.

``state`` is for people and monitors (retained JSON), ``health`` is flat and numbers only, so that any
exporter shows it with no adapter.  Figures come from the parts; nothing is made up here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from firmware import __version__
from firmware.wire.topics import Topics

HEARTBEATS = 3
"""The retained state expires after so many heartbeats: a dead board cannot stay "ready"."""


@dataclass(frozen=True)
class Fault:
    """Something a technician must look at: which part, what is wrong, what to check."""

    part: str
    reason: str
    check: str

    def plain(self) -> dict[str, str]:
        return {"part": self.part, "reason": self.reason, "check": self.check}


class Faults:
    """The faults that stand now, by part. ``changed`` is set when the list is another one."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self.changed = False

    def raise_(self, part: str, reason: str, check: str) -> bool:
        """True when this part had no fault before (log once)."""
        fresh = part not in self._faults
        fault = Fault(part, reason, check)
        self.changed |= self._faults.get(part) != fault
        self._faults[part] = fault
        return fresh

    def clear(self, part: str) -> bool:
        """True when there was one (log once)."""
        gone = self._faults.pop(part, None) is not None
        self.changed |= gone
        return gone

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def __len__(self) -> int:
        return len(self._faults)


def state_message(
    *,
    role: str,
    state: str,
    boot: str,
    records: tuple[int, int, int] | None,
    faults: list[Fault],
    last_visit: str | None,
) -> bytes:
    """The retained ``state``: what is wrong, and ``records``: epoch, first and last seq; None where no
    journal could be opened."""
    stand: dict[str, object] = {}
    if records is not None:
        epoch, first, last = records
        stand = {"epoch": f"{epoch:016x}", "first_seq": first, "last_seq": last}
    return _json(
        {
            "online": True,
            "role": role,
            "state": state,
            "fw": __version__,
            "boot": boot,
            **stand,
            "last_visit": last_visit,
            "faults": [fault.plain() for fault in faults],
        }
    )


def will_message(boot: str) -> bytes:
    """What the broker says for a board that has gone: nothing is guessed about its gate."""
    return _json({"online": False, "state": "unknown", "fw": __version__, "boot": boot, "faults": []})


def health_message(figures: Mapping[str, float | int | bool]) -> bytes:
    """Flat JSON, numbers only; booleans become 0 and 1, floats are cut to 3 digits."""
    flat: dict[str, float | int] = {}
    for name, value in figures.items():
        flat[name] = int(value) if isinstance(value, bool | int) else round(value, 3)
    return _json(flat)


Sensor = tuple[str, str, str | None, str | None]
"""Name in ``health``, words, unit, Home Assistant's device class."""

EVERY: tuple[Sensor, ...] = (
    ("queued", "records queued", None, None),
    ("queue_age_s", "oldest record", "s", "duration"),
    ("disk_free_mb", "disk free", "MB", "data_size"),
    ("clock_ok", "clock synchronised", None, None),
    ("faults", "faults", None, None),
)
CAMERA: tuple[Sensor, ...] = (("camera_fps", "camera", "fps", None),)
READER: tuple[Sensor, ...] = (
    ("tag_reads", "tag reads", None, None),
    ("reader_lost", "reader lost", None, None),
    ("reader_resets", "reader resets", None, None),
    ("reader_bad_checks", "reader damaged frames", None, None),
)
GATE: tuple[Sensor, ...] = (
    ("admitted", "admitted", None, None),
    ("refused", "refused", None, None),
    ("tailgates", "tailgates", None, None),
    ("open_ms", "frame to relay", "ms", "duration"),
)
PRICES: tuple[Sensor, ...] = (("prices_items", "goods in the price list", None, None),)
OF_ROLE: Mapping[str, tuple[Sensor, ...]] = {
    "entry": GATE,
    "exit": GATE,
    "portal": (
        ("baskets", "baskets", None, None),
        ("paid", "baskets paid", None, None),
        ("declined", "payments declined", None, None),
        ("abandoned", "baskets abandoned", None, None),
        ("tags_left_out", "tags left out", None, None),
        ("reads_lost", "logs of reads lost", None, None),
        *PRICES,
    ),
    "pricepoint": (("price_shown", "prices shown", None, None), *PRICES),
}
TITLES = {"entry": "gate", "exit": "gate", "portal": "portal", "pricepoint": "price point"}
"""What a role's state is called."""


def sensors(role: str, *, reader: bool, camera: bool) -> tuple[Sensor, ...]:
    """The figures of ``health`` that a board of this role and with these parts has for people."""
    parts = (READER if reader else ()) + (CAMERA if camera else ())
    return OF_ROLE[role] + EVERY + parts


def discovery_message(
    topics: Topics, store: str, board: str, role: str, *, reader: bool, camera: bool
) -> bytes:
    """Home Assistant device discovery (2024.11 and later): one retained message per board."""
    base = f"tallygate-{store}-{board}"
    own = "gate" if role in ("entry", "exit") else role
    parts: dict[str, dict[str, object]] = {
        own: {
            "p": "sensor",
            "uniq_id": f"{base}-{own}",
            "name": TITLES[role],
            "stat_t": topics.state,
            "val_tpl": "{{ value_json.state }}",
        }
    }
    for key, name, unit, device_class in sensors(role, reader=reader, camera=camera):
        part: dict[str, object] = {
            "p": "sensor",
            "uniq_id": f"{base}-{key}",
            "name": name,
            "stat_t": topics.health,
            "val_tpl": f"{{{{ value_json.{key} }}}}",
        }
        if unit:
            part["unit_of_meas"] = unit
        if device_class:
            part["dev_cla"] = device_class
        parts[key] = part
    return _json(
        {
            "dev": {"ids": [base], "name": board, "mf": "Tallygate", "sw": __version__},
            "o": {"name": "tallygate", "sw": __version__},
            "cmps": parts,
            "avty_t": topics.state,
            "avty_tpl": "{{ 'online' if value_json.online else 'offline' }}",
        }
    )


def _json(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
