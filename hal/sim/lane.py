"""The simulated lane: a leaf, a lock, a motor, two beams and people, moved by the board's own pins.

A physical model on a given clock: it reads the mock output pins and drives the mock input pins, so the
board cannot tell it from wiring. It knows nothing of passes or policy. It never lets the leaf through
a person: a leaf that is *driven* against somebody is counted in ``struck`` (tests hold it at 0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from hal.pins.outputs import PinIn, PinOut
from hal.sim.person import Person, Walk
from hal.sim.stage import WorldError, flag, unknown

STEP_S = 0.01


@dataclass(frozen=True, slots=True)
class Shape:
    """The lane's places in metres from the street, and the leaf's times in seconds for full travel.

    The beams are closer together than a person is deep: both are broken in between, which is how a walk
    is told from two people who each break one beam.

    ``push_s``: opening by hand; ``closer_s``: a spring brings the leaf back, only where no motor closes
    it. ``clear_at``: the share of opening that a person fits through.
    """

    start_m: float = -0.8
    outer_m: float = 0.85
    leaf_m: float = 1.0
    inner_m: float = 1.1
    end_m: float = 2.2
    open_s: float = 0.8
    close_s: float = 1.0
    push_s: float = 0.6
    closer_s: float = 1.5
    clear_at: float = 0.7


@dataclass(slots=True)
class Tally:
    """What happened in the lane, for the tour's table and for tests."""

    entered: int = 0
    left: int = 0
    turned_back: int = 0
    gave_up: int = 0
    struck: int = 0
    both_motors: int = 0
    openings: int = 0


@dataclass(slots=True)
class _Signals:
    released: bool = False
    motor_open: bool = False
    motor_close: bool = False


@dataclass(slots=True)
class _Leaf:
    position: float = 0.0  # 0 closed .. 1 open
    against: bool = False  # held off by a person at this moment
    pushed: bool = False

    @property
    def closed(self) -> bool:
        return self.position <= 0.02


class Lane:
    """Construct after the board's pins: ``factory`` is their mock factory. ``now`` in seconds."""

    name = "lane"

    def __init__(
        self,
        ins: Iterable[PinIn],
        outs: Iterable[PinOut],
        factory: Any,
        now: float,
        shape: Shape | None = None,
    ) -> None:
        self._ins = {wire.name: (wire, factory.pin(wire.pin)) for wire in ins}
        self._outs = {out.name: (out, factory.pin(out.pin)) for out in outs}
        self.shape = shape if shape is not None else Shape()
        self._spring = "motor_close" not in self._outs
        self.tally = Tally()
        self.people: list[Person] = []
        self.fire = False
        self._help_until = float("-inf")
        self._now = now
        self._leaf = _Leaf()
        self._both = False
        self._drive()

    # -- what a test, the tour or the control socket does ------------------------------------------

    def walk(self, walk: Walk) -> None:
        """Let somebody come: the first after ``delay_s``, each next one ``gap_m`` behind the one before."""
        self.people.extend(
            Person.group(walk, self._now, self.shape.start_m, self.shape.end_m, self.shape.leaf_m)
        )

    def set_fire(self, on: bool) -> None:
        """Open (or close) the fire loop: it also cuts the lock's supply, whatever the board does."""
        self.fire = on
        self._drive()

    def press_help(self, hold_s: float = 0.5) -> None:
        self._help_until = self._now + hold_s
        self._drive()

    def clear_people(self) -> None:
        """Everybody is gone, at once."""
        self.people.clear()
        self._drive()

    # -- time ------------------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Move the model to ``now``, in steps of at most 10 ms; inputs are driven after each."""
        while self._now < now:
            if not self.moving:
                self._now = now
                break
            dt = min(STEP_S, now - self._now)
            self._now = now if now - self._now <= STEP_S else self._now + dt
            self._tick(dt)
        self._drive()

    @property
    def moving(self) -> bool:
        """False while time alone changes nothing."""
        signals = self._signals()
        leaf = self._leaf.position
        return (
            bool(self.people)
            or (signals.motor_open and leaf < 1)
            or (signals.motor_close and leaf > 0)
            or (self._spring and leaf > 0)
            or self._now < self._help_until
            or self._both != (signals.motor_open and signals.motor_close)
        )

    def inputs(self) -> dict[str, bool]:
        """The logical inputs that the lane presents now (before any debouncing)."""
        return {
            "leaf": self._leaf.closed,
            "beam_outer": self._broken(self.shape.outer_m),
            "beam_inner": self._broken(self.shape.inner_m),
            "fire": self.fire,
            "help": self._now < self._help_until,
        }

    def status(self) -> dict[str, Any]:
        """The lane as plain JSON values."""
        return {
            "leaf": round(self._leaf.position, 3),
            "inputs": self.inputs(),
            "outputs": {name: self._on(name) for name in self._outs},
            "people": [
                {"at_m": round(one.front, 2), "heading": "in" if one.heading > 0 else "out"}
                for one in self.people
            ],
            "moving": self.moving,
            **{name: getattr(self.tally, name) for name in Tally.__slots__},
        }

    # -- requests over the control socket ----------------------------------------------------------

    def requests(self) -> dict[str, Callable[[Any], None]]:
        """As ``hal.sim.stage.Stage`` has it."""
        return {"walk": self._asked_walk, "fire": self._asked_fire} | {
            "help": lambda value: self.press_help() if flag("help", value) else None,
            "clear": lambda value: self.clear_people() if flag("clear", value) else None,
        }

    def _asked_walk(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise WorldError('walk: give an object such as {"people": 1, "delay_s": 0.3}')
        known = [one.name for one in fields(Walk)]
        for name in value:
            if name not in known:
                raise WorldError(unknown("walk", name, known))
        self.walk(Walk(**value))

    def _asked_fire(self, value: Any) -> None:
        self.set_fire(flag("fire", value))

    # -- the model -------------------------------------------------------------------------------

    def _tick(self, dt: float) -> None:
        signals = self._signals()
        both = signals.motor_open and signals.motor_close
        self.tally.both_motors += both and not self._both
        self._both = both
        was_closed = self._leaf.closed
        self._leaf.pushed = False
        for index, one in enumerate(self.people):
            self._move(one, self._ahead(index), signals, dt)
        self._swing(signals, dt)
        self.tally.openings += was_closed and not self._leaf.closed
        self.people = [one for one in self.people if not self._gone(one)]
        self._drive()

    def _move(self, one: Person, ahead: Person | None, signals: _Signals, dt: float) -> None:
        if not one.ready(self._now):
            return
        limit = self._limit(one, signals)
        if ahead is not None and ahead.heading == one.heading:
            limit = min(limit, one.along(ahead.back) - one.gap)
        walked = one.advance(limit, self._now, dt)
        if walked:
            return
        at_leaf = abs(one.front - self.shape.leaf_m) < 0.2
        by_hand = signals.released and not (signals.motor_open or signals.motor_close)
        if at_leaf and by_hand and self._leaf.position < 1:
            self._leaf.position = min(1.0, self._leaf.position + dt / self.shape.push_s)
            self._leaf.pushed = True
        elif one.impatient(self._now):
            self.tally.gave_up += 1
            one.turn()

    def _limit(self, one: Person, signals: _Signals) -> float:
        """How far along their way this person goes now: to the leaf, or to just before the beam."""
        leaf = one.along(self.shape.leaf_m)
        if self._leaf.position >= self.shape.clear_at or one.along(one.front) > leaf:
            return float("inf")
        beam = one.along(self.shape.outer_m if one.heading > 0 else self.shape.inner_m)
        waits_outside = not signals.released and self._leaf.closed and one.along(one.front) < beam
        return beam - 0.15 if waits_outside else leaf - 0.1

    def _swing(self, signals: _Signals, dt: float) -> None:
        leaf, shape = self._leaf, self.shape
        wanted = leaf.position
        if signals.motor_open and not signals.motor_close:
            wanted += dt / shape.open_s
        elif signals.motor_close and not signals.motor_open:
            wanted -= dt / shape.close_s
        elif self._spring and not leaf.pushed:
            wanted -= dt / shape.closer_s
        if leaf.position <= 0 and not signals.released:
            wanted = min(wanted, 0.0)  # the lock holds a closed leaf only
        in_the_way = any(one.covers(shape.leaf_m - 0.05, shape.leaf_m + 0.05) for one in self.people)
        if in_the_way and wanted < leaf.position and wanted < shape.clear_at:
            if signals.motor_close and not leaf.against:
                self.tally.struck += 1
            leaf.against = True
            return
        leaf.against = False
        leaf.position = max(0.0, min(1.0, wanted))

    def _gone(self, one: Person) -> bool:
        if one.heading > 0 and one.back > self.shape.end_m:
            self.tally.entered += one.origin > 0
            self.tally.turned_back += one.origin < 0
            return True
        if one.heading < 0 and one.back < self.shape.start_m:
            self.tally.left += one.origin < 0
            self.tally.turned_back += one.origin > 0 and not one.gave_up
            return True
        return False

    def _ahead(self, index: int) -> Person | None:
        return self.people[index - 1] if index else None

    def _broken(self, at_m: float) -> bool:
        return any(one.covers(at_m, at_m) for one in self.people)

    # -- the wiring ------------------------------------------------------------------------------

    def _signals(self) -> _Signals:
        # A cut supply opens either kind of lock: the release is wired for that, not programmed.
        return _Signals(self.fire or self._on("release"), self._on("motor_open"), self._on("motor_close"))

    def _on(self, name: str) -> bool:
        """The logical value on the wire; an unclaimed pin is at its hardware pull, the safe value."""
        if name not in self._outs:
            return False
        out, pin = self._outs[name]
        return out.active(bool(pin.state)) if pin.function == "output" else out.safe_value

    def _drive(self) -> None:
        values = self.inputs()
        for name, (wire, pin) in self._ins.items():
            if pin.function != "input":
                continue
            level = wire.level(values[name])
            if bool(pin.state) != level:
                pin.drive_high() if level else pin.drive_low()
