"""A module's own state as it lasts: hot, an antenna missing. Told when it begins and when it is over. Pure.

Modules repeat a fault as long as it lasts and never say that it has ended: it is over when it has not been
repeated for some time, or when a tag was read past it. Two antennas with the same fault are one condition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hal.ports import DeviceCondition
from hal.reader.events import CONDITIONS, Condition

HOLD_S = 1.0
"""A tag ends a condition that was not repeated for so long: strong tags are read past a bad antenna too."""
RUNNING_S = 5.0
"""Not repeated for so long while an inventory runs: it is over."""
RESTING_S = 30.0
"""The same while none runs: nobody was asked, so this is only so that it does not stand for ever."""
LASTING = {
    "hot": "ventilation and power_dbm; let the module cool down",
    "return-loss": "the antenna's cable, connector and the antenna itself; switch off before unplugging",
    "antenna-missing": "the antenna's cable and the antennas in the board file",
}
"""Conditions that last, and what to check; every other one of ``CONDITIONS`` is a moment or a figure."""


@dataclass
class Conditions:
    """What is wrong with the module called ``device`` now. Every method returns what has to be told."""

    device: str
    _last: dict[str, dict[int, tuple[float, str]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._last)

    def seen(self, event: Condition, now: float) -> list[DeviceCondition]:
        """The module says it (again)."""
        ports = self._last.setdefault(event.name, {})
        new = (event.antenna or 0) not in ports
        ports[event.antenna or 0] = (now, event.text or CONDITIONS.get(event.name, event.name))
        return [self._told(event.name, True, now)] if new else []

    def tag(self, antenna: int, now: float) -> list[DeviceCondition]:
        """A tag was read on ``antenna``: it transmits and it hears."""
        return self._drop(lambda port, last: port in (0, antenna) and now - last >= HOLD_S, now)

    def time(self, now: float, *, running: bool) -> list[DeviceCondition]:
        """Call about once a second while there is a condition."""
        return self._drop(lambda _, last: now - last >= (RUNNING_S if running else RESTING_S), now)

    def lost(self, now: float) -> list[DeviceCondition]:
        """The module itself is gone or was set up anew: what it said before counts no more."""
        return self._drop(lambda _port, _last: True, now)

    def _drop(self, over: Callable[[int, float], bool], now: float) -> list[DeviceCondition]:
        told = []
        for name, ports in list(self._last.items()):
            gone = [port for port, (last, _) in ports.items() if over(port, last)]
            if len(gone) == len(ports):
                told.append(self._told(name, False, now))
                del self._last[name]
            elif gone:
                for port in gone:
                    del ports[port]
                told.append(self._told(name, True, now))
        return told

    def _told(self, name: str, active: bool, now: float) -> DeviceCondition:
        ports = self._last[name]
        text = next(text for _, text in ports.values())
        numbers = ", ".join(str(port) for port in sorted(ports) if port)
        where = f"antenna {numbers}: " if numbers else ""
        return DeviceCondition(self.device, name, active, where + text, LASTING.get(name, ""), now)
