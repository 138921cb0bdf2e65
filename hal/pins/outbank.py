"""All outputs of one board: claimed safe, dropped to safe when policy stops renewing them.

The hold limits are enforced by an own thread ("hold-timer"), so also when the loop hangs; in stepped
tests ``tick`` is called instead. Every method may be called from any thread; ``safe`` never raises and
never waits for ever. An output must never be driven by anything but this class.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from hal.pins.factory import Factory, Fault, Pin
from hal.pins.outputs import OPPOSED, HoldLimits, PinOut, PinsError, claimed

LOCK_WAIT_S = 0.5
RETRY_S = 0.02
Expired = Callable[[PinOut, float], None]
"""Told on the hold timer's thread that an output fell to its safe value, and when."""


class OutputBank:
    """Drives the declared outputs through ``factory``. Raises ``PinsError`` when one cannot be claimed."""

    def __init__(
        self,
        outs: Iterable[PinOut],
        factory: Factory,
        *,
        now: Callable[[], float],
        expired: Expired,
        fault: Fault,
        own_thread: bool,
    ) -> None:
        self._outs = {out.name: out for out in outs}
        self._now = now
        self._expired = expired
        self._fault = fault
        self._closed = False
        # Re-entrant: a signal handler may call safe() while this thread is inside set().
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._hold = HoldLimits(self._outs.values())
        self._value = {name: out.safe_value for name, out in self._outs.items()}
        self._pins: dict[str, Pin] = {}
        for out in self._outs.values():
            with claimed(out.name, out.pin):
                self._pins[out.name] = factory.pin(out.pin)
                self._pins[out.name].output_with_state(out.level(out.safe_value))
        self._thread: threading.Thread | None = None
        if own_thread:
            self._thread = threading.Thread(target=self._watch, name="hold-timer", daemon=True)
            self._thread.start()

    @property
    def next_tick(self) -> float | None:
        """When ``tick`` is due, or None: no output is held, or the own thread does it."""
        return None if self._thread is not None else self._hold.next_at()

    def set(self, name: str, active: bool) -> None:
        """Drive an output. Raises ``PinsError`` for an unknown output, a closed bank, a dead pin."""
        with self._lock:
            if name not in self._outs:
                raise PinsError(f"output {name!r} is not on this board; it has {', '.join(self._outs)}")
            if self._closed:
                raise PinsError(f"output {name} cannot be driven: the pins are closed")
            other = OPPOSED.get(name)
            if active and other is not None and self._value.get(other):
                self._drive(other, False)  # never both directions of one motor
            self._drive(name, bool(active))
            self._changed.notify_all()

    def renew(self) -> None:
        with self._lock:
            self._hold.renew(self._now())

    def values(self) -> dict[str, bool]:
        with self._lock:
            return dict(self._value)

    def tick(self, now: float) -> None:
        """Drop every output whose hold limit has passed to its safe value, and say so."""
        dropped: list[PinOut] = []
        with self._lock:
            for name in self._hold.expired(now):
                try:
                    self._drive(name, self._outs[name].safe_value)
                    dropped.append(self._outs[name])
                except PinsError as error:
                    self._fault(f"hold limit of {name}", error)
        for out in dropped:
            self._expired(out, now)

    def safe(self) -> None:
        """Every output to its safe value, whatever else fails."""
        held = self._lock.acquire(timeout=LOCK_WAIT_S)  # a stuck thread must not keep people locked in
        try:
            for name, out in self._outs.items():
                try:
                    self._drive(name, out.safe_value)
                except Exception as error:
                    self._fault(f"output {name} to its safe value", error)
        finally:
            if held:
                self._lock.release()

    def close(self) -> None:
        """``safe``, then refuse every later ``set`` and end the thread. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self.safe()
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _drive(self, name: str, active: bool) -> None:
        if self._closed:
            return
        out = self._outs[name]
        try:
            self._pins[name].state = out.level(active)
        except Exception as error:
            raise PinsError(
                f"output {name} (GPIO {out.pin}) cannot be driven: {error}; "
                f"check that no other process took the pin, then restart the board's program"
            ) from error
        self._value[name] = active
        if active == out.safe_value:
            self._hold.drop(name)
        else:
            self._hold.hold(name, self._now())

    def _watch(self) -> None:
        while True:
            with self._lock:
                next_at = self._hold.next_at()
                # Never at once: a dead pin is retried, not hammered.
                wait = None if next_at is None else max(RETRY_S, next_at - self._now())
                if not self._closed:
                    self._changed.wait(wait)
                if self._closed:
                    return
            try:
                self.tick(self._now())
            except Exception as error:
                self._fault("the hold timer", error)


def assert_safe(outs: Iterable[PinOut], factory: Factory) -> list[str]:
    """Drive every output to its safe level; returns what failed (empty = all safe), never raises.

    For ExecStopPost: the board's program is dead and may have left its outputs driven. The pins are left
    claimed; when this process ends the kernel keeps the safe level or drops to the hardware pull.
    """
    failed: list[str] = []
    for out in outs:
        try:
            with claimed(out.name, out.pin):
                factory.pin(out.pin).output_with_state(out.level(out.safe_value))
        except PinsError as error:
            failed.append(str(error))
    return failed
