"""A stand-in for the lgpio functions that gpiozero calls: lines with levels, claims and callbacks.

It records every claim in order, so that a test can see what an actuator would have seen.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

IN, OUT, ALERT = "in", "out", "alert"


class FakeChip:
    """Patch with ``FakeChip().install(mocker)``; ``drive`` moves an input as the wire would."""

    def __init__(self, label: str = "pinctrl-bcm2835", numbers: tuple[int, ...] = (0,)) -> None:
        self.labels = dict.fromkeys(numbers, label)
        self.opened: dict[int, int] = {}
        self.log: list[tuple[str, int, int]] = []
        self.mode: dict[int, str] = {}
        self.level: dict[int, int] = {}
        self.pulls: dict[int, int] = {}
        self.callbacks: dict[int, Any] = {}
        self.busy: set[int] = set()
        self.broken: set[int] = set()
        self.error: type[Exception] = Exception
        self._handles = 0

    def install(self, mocker: Any) -> Any:
        """Replace the functions of the installed lgpio; returns the module."""
        if "LG_WD" not in os.environ:
            os.environ["LG_WD"] = tempfile.mkdtemp(prefix="lgpio-")
        before = Path.cwd()
        import lgpio

        os.chdir(before)
        self.error = lgpio.error
        for name in dir(self):
            if name.startswith(("gpiochip_", "gpio_")) or name == "callback":
                mocker.patch.object(lgpio, name, getattr(self, name))
        mocker.patch("gpiozero.pins.lgpio.LGPIOFactory._get_revision", return_value=0xA02082)
        return lgpio

    def drive(self, pin: int, level: int) -> None:
        if self.level.get(pin) == level:
            return
        self.level[pin] = level
        if pin in self.callbacks:
            self.callbacks[pin](0, pin, level, 0)

    # -- the library's names --------------------------------------------------------------------

    def gpiochip_open(self, number: int) -> int:
        if number not in self.labels:
            raise self.error("can not open gpiochip")
        self._handles += 1
        self.opened[self._handles] = number
        return self._handles

    def gpiochip_close(self, handle: int) -> int:
        del self.opened[handle]
        return 0

    def gpio_get_chip_info(self, handle: int) -> list[Any]:
        number = self.opened[handle]
        return [0, 54, f"gpiochip{number}", self.labels[number]]

    def gpio_claim_input(self, _handle: int, pin: int, flags: int = 0) -> int:
        return self._claim("in", IN, pin, flags)

    def gpio_claim_alert(self, _handle: int, pin: int, _edges: int, flags: int = 0) -> int:
        return self._claim("alert", ALERT, pin, flags)

    def gpio_claim_output(self, _handle: int, pin: int, level: int = 0, _flags: int = 0) -> int:
        self._claim("out", OUT, pin, level)
        self.level[pin] = level
        return 0

    def _claim(self, what: str, mode: str, pin: int, value: int) -> int:
        if pin in self.busy:
            raise self.error("'GPIO busy'")
        self.log.append((what, pin, value))
        self.mode[pin] = mode
        self.level.setdefault(pin, 0)
        if mode != OUT:
            self.pulls[pin] = value
        return 0

    def gpio_free(self, _handle: int, pin: int) -> int:
        if pin not in self.mode:
            raise self.error("'GPIO not allocated'")
        self.log.append(("free", pin, self.level[pin]))
        del self.mode[pin]
        return 0

    def gpio_get_mode(self, _handle: int, pin: int) -> int:
        return (2 if self.mode.get(pin) == OUT else 0) | self.pulls.get(pin, 0)

    def gpio_read(self, _handle: int, pin: int) -> int:
        if pin in self.broken:
            raise self.error("'bad GPIO read'")
        return self.level[pin]

    def gpio_write(self, _handle: int, pin: int, level: int) -> int:
        if pin in self.broken:
            raise self.error("'bad GPIO write'")
        assert self.mode[pin] == OUT
        self.log.append(("write", pin, int(level)))
        self.level[pin] = int(level)
        return 0

    def callback(self, _handle: int, pin: int, _edge: int = 0, func: Any = None) -> Any:
        self.callbacks[pin] = func
        return _Registered(self, pin)


class _Registered:
    def __init__(self, chip: FakeChip, pin: int) -> None:
        self._chip, self._pin = chip, pin

    def cancel(self) -> None:
        self._chip.callbacks.pop(self._pin, None)
