"""Pin factories: gpiozero on lgpio (a Raspberry Pi) or on its mock (the simulation).

The only file that imports gpiozero and lgpio, inside functions. The kind is always named by the board
file: it must never fall back to another factory. The lgpio pins here close that library's traps: an
output is claimed at its level in one call, an input is never claimed floating first, a callback that
raises does not end lgpio's only callback thread, and the process keeps its working folder.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hal.pins.outputs import PinsError

CHIP_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""Labels of the chip that owns the 40-pin header: Pi 5, Pi 4, and earlier with Zero 2 W."""
LGPIO_MIN = (0, 2, 2)
Fault = Callable[[str, BaseException], None]
"""Where a driver's background failure goes: what was being done, and the exception."""


class Pin(Protocol):
    """The part of a gpiozero pin that the driver uses."""

    state: Any
    when_changed: Any

    def output_with_state(self, state: bool) -> None: ...
    def input_with_pull(self, pull: str) -> None: ...
    def close(self) -> None: ...


class Factory(Protocol):
    """The part of a gpiozero factory that the driver uses."""

    def pin(self, name: int) -> Any: ...
    def close(self) -> None: ...


def mock_factory(on_output: Callable[[], None] | None = None) -> Any:
    """gpiozero's MockFactory, one per simulated board; ``on_output`` is called when a level changes."""
    from gpiozero.pins.mock import MockFactory, MockPin

    class WatchedPin(MockPin):  # type: ignore[misc]
        def _change_state(self, value: bool) -> bool:
            changed: bool = super()._change_state(value)
            if changed and self.factory.on_output is not None and self._function == "output":
                self.factory.on_output()
            return changed

        def output_with_state(self, state: bool) -> None:
            # One step, as the real driver does it: the pin never shows the other level.
            self._function = "output"
            self._change_state(bool(state))

    factory = MockFactory(pin_class=WatchedPin)
    factory.on_output = on_output
    return factory


def lgpio_factory(work_dir: Path, fault: Fault, *, dev: Path = Path("/dev")) -> Any:
    """gpiozero's LGPIOFactory with safe pins on the header's chip.

    ``work_dir``: a writable folder for lgpio's notification pipe (a systemd RuntimeDirectory).
    Raises ``PinsError`` with what to check.
    """
    lgpio = _import_lgpio(work_dir)
    chip = find_chip(lgpio, dev)
    from gpiozero.pins.lgpio import LGPIOFactory

    try:
        factory = LGPIOFactory(chip=chip)
    except Exception as error:
        raise PinsError(
            f"gpiozero cannot open gpiochip{chip}: {error}; is this a Raspberry Pi, and is the user "
            f"in the gpio group?"
        ) from error
    factory.pin_class = _safe_pin_class(lgpio, fault)
    return factory


def find_chip(lgpio: Any, dev: Path = Path("/dev")) -> int:
    """The number of the gpiochip that owns the header, found by label (numbers differ by kernel)."""
    seen: list[str] = []
    # Pi OS links gpiochip4 to gpiochip0 on a Pi 5: look at each device once.
    paths = {path.resolve() for path in dev.glob("gpiochip*") if path.name[8:].isdigit()}
    for number in sorted(int(path.name[8:]) for path in paths if path.name[8:].isdigit()):
        try:
            handle = lgpio.gpiochip_open(number)
        except Exception as error:
            seen.append(f"gpiochip{number} ({error})")
            continue
        try:
            label = lgpio.gpio_get_chip_info(handle)[3]
        finally:
            lgpio.gpiochip_close(handle)
        label = label.decode("ascii", "replace") if isinstance(label, bytes) else str(label)
        if label.rstrip("\0") in CHIP_LABELS:
            return number
        seen.append(f"gpiochip{number} is {label}")
    raise PinsError(
        f"no GPIO chip labelled {', '.join(CHIP_LABELS)} ({'; '.join(seen) or 'no gpiochip device at all'}); "
        f"is this a Raspberry Pi, and may this user read /dev/gpiochip*?"
    )


def _import_lgpio(work_dir: Path) -> Any:
    if not (work_dir.is_dir() and os.access(work_dir, os.W_OK | os.X_OK)):
        raise PinsError(
            f"lgpio needs a writable folder; {work_dir} is not: check RuntimeDirectory= of the unit"
        )
    os.environ["LG_WD"] = str(work_dir)  # read by the C library when it is loaded
    with _same_folder():
        try:
            lgpio = importlib.import_module("lgpio")
        except Exception as error:
            raise PinsError(f"lgpio cannot be loaded: {error}; install lgpio 0.2.2 or newer") from error
    # PyPI holds an empty lgpio 0.0.0.2: it imports and has nothing in it.
    version = str(getattr(lgpio, "get_module_version", lambda: "none")()).rpartition("_")[2]
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if numbers < LGPIO_MIN:
        raise PinsError(f"lgpio is version {version}; 0.2.2 or newer is needed: pip install 'lgpio>=0.2.2'")
    return lgpio


@contextmanager
def _same_folder() -> Iterator[None]:
    """Loading lgpio moves the whole process to LG_WD; relative paths elsewhere must not notice."""
    try:
        before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        before = -1  # the folder is gone or unreadable: there is nothing to return to
    try:
        yield
    finally:
        if before >= 0:
            os.fchdir(before)
            os.close(before)


def _safe_pin_class(lgpio: Any, fault: Fault) -> Any:
    from gpiozero.pins.lgpio import LGPIOPin
    from gpiozero.pins.local import LocalPiPin

    pulls = {"up": lgpio.SET_PULL_UP, "down": lgpio.SET_PULL_DOWN, "floating": lgpio.SET_PULL_NONE}

    class SafePin(LGPIOPin):  # type: ignore[misc]
        def __init__(self, factory: Any, info: Any) -> None:
            # LGPIOPin claims the line as a floating input here: an actuator would see no level.
            LocalPiPin.__init__(self, factory, info)
            self._pwm = None
            self._bounce = None
            self._callback: Any = None
            self._edges = lgpio.BOTH_EDGES

        def output_with_state(self, state: bool) -> None:
            # The inherited way claims low first: an active-low output would pulse.
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(bool(state)))

        def input_with_pull(self, pull: str) -> None:
            lgpio.gpio_claim_input(self.factory._handle, self._number, pulls[pull])

        def close(self) -> None:
            # Freed, not turned into a floating input: where the kernel keeps outputs, the safe level
            # stays; where it does not, the hardware pull decides.
            if self._callback is not None:
                self._callback.cancel()
                self._callback = None
            if self.factory._handle is not None:
                try:
                    lgpio.gpio_free(self.factory._handle, self._number)
                except lgpio.error:
                    pass  # never claimed

        def _call_when_changed(self, chip: int, gpio: int, level: int, ticks: int) -> None:
            try:
                super()._call_when_changed(chip, gpio, level, ticks)
            except Exception as error:
                fault(f"edge of GPIO {gpio}", error)

    return SafePin
