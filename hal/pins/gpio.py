"""The board's pins on gpiozero: debounced inputs, and outputs that fall safe by themselves.

Levels are re-read every 100 ms; edges only make that prompt, because lgpio loses edges in bursts and
its callbacks come on its own thread. A level that cannot be read is reported as a lost device: no value
is ever guessed. Nothing here may decide what an input means or an output does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from hal.pins.debounce import Debounce
from hal.pins.factory import Factory, Fault, Pin, lgpio_factory, mock_factory
from hal.pins.outbank import OutputBank, assert_safe
from hal.pins.outputs import PinIn, PinOut, PinsError, check_pins, claimed
from hal.ports import DeviceBack, DeviceLost, DeviceNote, Event, InputChanged, Post

__all__ = ["GpioPins", "PinIn", "PinOut", "PinsError", "assert_safe", "open_pins"]

POLL_S = 0.1
CHECK = "the wiring and supply of the board's inputs; then restart the board's program"


def open_pins(
    kind: Literal["lgpio", "mock"],
    ins: Iterable[PinIn],
    outs: Iterable[PinOut],
    *,
    loop: asyncio.AbstractEventLoop,
    work_dir: Path | None = None,
    hold_timer: bool = True,
    fault: Fault | None = None,
    poll_s: float = POLL_S,
) -> GpioPins:
    """The pins of one board on the named factory; every output is at its safe value on return.

    ``work_dir`` is lgpio's writable folder (needed for "lgpio" only). ``fault`` is told of failures on
    other threads. ``hold_timer=False`` for stepped time. Raises ``PinsError``.
    """
    if kind == "mock":
        factory = mock_factory()
        return GpioPins(ins, outs, factory, loop=loop, hold_timer=hold_timer, fault=fault, poll_s=poll_s)
    if kind != "lgpio":
        raise PinsError(f"pin factory {kind!r} is not known; use lgpio (Raspberry Pi) or mock (simulation)")
    if work_dir is None:
        raise PinsError("lgpio needs a writable folder: give the unit's RuntimeDirectory")
    late = _LateFault(fault)
    factory = lgpio_factory(work_dir, late)
    try:
        pins = GpioPins(ins, outs, factory, loop=loop, hold_timer=hold_timer, fault=fault, poll_s=poll_s)
    except PinsError:
        factory.close()
        raise
    late.to = pins.report_fault
    return pins


class GpioPins:
    """Implements ``hal.ports.Pins``. Constructed on the loop's thread; closes the factory it is given."""

    def __init__(
        self,
        ins: Iterable[PinIn],
        outs: Iterable[PinOut],
        factory: Factory,
        *,
        loop: asyncio.AbstractEventLoop,
        hold_timer: bool = True,
        fault: Fault | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self.factory = factory
        ins, outs = list(ins), list(outs)
        check_pins(ins, outs)
        self._ins = {wire.name: wire for wire in ins}
        self._loop = loop
        self._home = threading.get_ident()
        self._fault = fault
        self._poll_s = poll_s
        self._post: Post | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._woken = False
        self._lost = False
        self._closed = False
        # Outputs first: every moment before the claim belongs to the hardware pull alone. The loop's
        # clock is CLOCK_MONOTONIC in real time, so the bank's thread may read it too.
        self._bank = OutputBank(
            outs,
            factory,
            now=loop.time,
            expired=self._hold_expired,
            fault=self.report_fault,
            own_thread=hold_timer,
        )
        self._pins: dict[str, Pin] = {}
        self._debounce: dict[str, Debounce] = {}
        try:
            for wire in self._ins.values():
                with claimed(wire.name, wire.pin):
                    self._pins[wire.name] = factory.pin(wire.pin)
                    self._pins[wire.name].input_with_pull("floating" if wire.pull == "none" else wire.pull)
                self._debounce[wire.name] = Debounce(wire.debounce_s, self._active(wire))
        except PinsError:
            self._bank.close()
            raise

    # -- the port --------------------------------------------------------------------------------

    def start(self, post: Post) -> None:
        """Begin to report. Raises ``PinsError`` when an input cannot be watched for edges."""
        self._post = post
        for wire in self._ins.values():
            with claimed(wire.name, wire.pin):
                self._pins[wire.name].when_changed = self._edge
        self._on_timer()

    def read(self) -> dict[str, bool]:
        return {name: one.value for name, one in self._debounce.items()}

    def set(self, name: str, active: bool) -> None:
        """Drive an output. Raises ``PinsError``: unknown output, closed driver, or a pin that failed."""
        self._bank.set(name, active)

    def renew(self) -> None:
        self._bank.renew()

    def outputs(self) -> dict[str, bool]:
        return self._bank.values()

    def safe(self) -> None:
        self._bank.safe()

    def close(self) -> None:
        if self._closed:
            return
        self._bank.close()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            for pin in self._pins.values():
                pin.when_changed = None
            self.factory.close()
        except Exception as error:
            self.report_fault("closing the pins", error)

    # -- inputs ----------------------------------------------------------------------------------

    def poll(self, now: float) -> None:
        """Re-read every input and report what changed and stayed. Called by the loop's timer."""
        try:
            raw = {name: self._active(wire) for name, wire in self._ins.items()}
        except PinsError as error:
            if not self._lost:
                self._lost = True
                self._send(DeviceLost("pins", str(error), CHECK, now))
            return
        if self._lost:
            self._lost = False
            self._send(DeviceBack("pins", now))
        for name, one in self._debounce.items():
            if one.feed(raw[name], now):
                self._send(InputChanged(name, one.value, now))

    def _on_timer(self) -> None:
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        self.poll(now)
        hold_at = self._bank.next_tick
        if hold_at is not None and hold_at <= now:
            self._bank.tick(now)
            hold_at = self._bank.next_tick
        waits = [one.due for one in self._debounce.values()]
        due = [at for at in (hold_at, *waits) if at is not None and at > now]
        self._timer = self._loop.call_at(min([now + self._poll_s, *due]), self._on_timer)

    def _edge(self, _ticks: object = None, _state: object = None) -> None:
        """An edge somewhere: wake the loop. On lgpio's thread, where an exception ends all callbacks."""
        try:
            if not self._woken and not self._closed:
                self._woken = True
                self._loop.call_soon_threadsafe(self._wake)
        except Exception as error:
            self.report_fault("an input's edge", error)

    def _wake(self) -> None:
        self._woken = False  # before reading: an edge from here on must wake again
        self._on_timer()

    def _active(self, wire: PinIn) -> bool:
        try:
            return wire.active(bool(self._pins[wire.name].state))
        except Exception as error:
            raise PinsError(f"input {wire.name} (GPIO {wire.pin}) cannot be read: {error}") from error

    # -- reports ---------------------------------------------------------------------------------

    def report_fault(self, what: str, error: BaseException) -> None:
        """A failure that nobody up the stack can catch: to the hook, else as a note. Never raises."""
        try:
            if self._fault is not None:
                self._fault(what, error)
            else:
                self._send(DeviceNote("pins", "pin_faults", f"{what}: {error!r}", self._loop.time()))
        except Exception:
            pass  # the hook itself failed; the outputs matter more

    def _hold_expired(self, out: PinOut, now: float) -> None:
        detail = f"output {out.name} was not renewed for {out.hold_limit_s:g} s and fell to its safe value"
        self._send(DeviceNote("pins", "hold_expired", detail, now))

    def _send(self, event: Event) -> None:
        if self._post is None or self._closed:
            return
        if threading.get_ident() == self._home:
            self._post(event)
            return
        try:
            self._loop.call_soon_threadsafe(self._post, event)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to tell


class _LateFault:
    """lgpio's pins exist before the driver does: passes faults on once the driver is there."""

    def __init__(self, to: Fault | None) -> None:
        self.to = to

    def __call__(self, what: str, error: BaseException) -> None:
        if self.to is not None:
            self.to(what, error)
