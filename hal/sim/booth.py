"""The simulated portal: who stands inside, and the help button, on the board's own mock inputs.

It knows nothing of baskets or policy; which tags are in the field is the simulated module's matter. A board
without inputs (a price point) has a booth as well, in which nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hal.pins.outputs import PinIn
from hal.sim.stage import WorldError, flag

HELP_S = 0.5
MOST_INSIDE = 5


class Booth:
    """Construct after the board's pins: ``factory`` is their mock factory, None without pins. Seconds."""

    name = "booth"

    def __init__(self, ins: Iterable[PinIn], factory: Any, now: float) -> None:
        self._ins = {wire.name: (wire, factory.pin(wire.pin)) for wire in ins}
        self.inside = 0
        self._help_until = float("-inf")
        self._now = now
        self._drive()

    def stand(self, people: int) -> None:
        """So many people are inside from now on. Raises WorldError."""
        if not 0 <= people <= MOST_INSIDE:
            raise WorldError(f"inside: {people} people; give 0 to {MOST_INSIDE}")
        self.inside = people
        self._drive()

    def press_help(self) -> None:
        self._help_until = self._now + HELP_S
        self._drive()

    def step(self, now: float) -> None:
        self._now = now
        self._drive()

    @property
    def moving(self) -> bool:
        return self._now < self._help_until

    def status(self) -> dict[str, Any]:
        return {"inside": self.inside}

    def requests(self) -> dict[str, Callable[[Any], None]]:
        return {"inside": self._inside, "help": self._help}

    def _inside(self, value: Any) -> None:
        if type(value) is not int:
            raise WorldError(f"inside: give a number of people, not {value!r}")
        self.stand(value)

    def _help(self, value: Any) -> None:
        if flag("help", value):
            self.press_help()

    def _drive(self) -> None:
        self._level("occupied", self.inside > 0)
        self._level("crowded", self.inside > 1)
        self._level("help", self.moving)

    def _level(self, name: str, active: bool) -> None:
        if name not in self._ins:
            return
        wire, pin = self._ins[name]
        level = wire.level(active)
        if pin.function == "input" and bool(pin.state) != level:
            pin.drive_high() if level else pin.drive_low()
