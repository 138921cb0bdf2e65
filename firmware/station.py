"""What every board does whatever its role: devices and their faults, screen, buzzer, figures. Loop thread.

A role adds its policy in ``firmware/stations``. No decision is taken here; what comes from drivers goes to
the role's hooks, what the role orders goes to devices, disk, link and display.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firmware.boardschema import Board, Site
from firmware.budget import Budget
from firmware.desk import Opened
from firmware.gate.orders import Claimed, CommitFailed, Committed, Note
from firmware.health import Faults
from firmware.loop import Guard
from firmware.portal.facts import SubmitFailed, Submitted
from firmware.recorder import Recorder
from firmware.sync.link import Arrived, Link
from firmware.wire.commands import Command
from firmware.wire.record_types import Alarm
from firmware.wire.tables import Snapshot
from firmware.worker import Worker
from hal.ports import (
    Clock,
    CodeSeen,
    DeviceBack,
    DeviceCondition,
    DeviceLost,
    DeviceNote,
    Display,
    Event,
    InputChanged,
    Pins,
    Progress,
    Screen,
    TagRead,
    TagReader,
)

if TYPE_CHECKING:
    from firmware.trace import TraceWriter  # knows the gate's passes: only a board that writes one loads it

log = logging.getLogger("station")

LOST_AN_HOUR = 12
"""Alarm records that one device may write in an hour; how often it was lost beyond that is a figure."""


@dataclass
class Kit:
    """What a station works with; ``app`` chooses it."""

    board: Board
    site: Site
    guard: Guard
    clock: Clock
    pins: Pins
    display: Display
    boot: bytes
    tell: Callable[[dict[str, Any]], None]
    """One event for the live topic."""
    papers: Worker
    """For files that nobody waits for."""


class Station(ABC):
    """One role. ``tables``: names of the pushed tables that it uses."""

    tables: tuple[str, ...] = ()

    def __init__(self, kit: Kit, idle: Screen) -> None:
        self.kit = kit
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        """Devices' own conditions by the names of their notes: counters for ``health``."""
        self.progress: dict[str, Progress] = {}
        self.heard: dict[str, float] = {}
        """When a device's driver last said anything, loop time."""
        self.last_visit: str | None = None
        self.alarms_unwritten = 0
        self.trace: TraceWriter | None = None
        self.recorder: Recorder  # set by app: the two know each other
        self._lost_budget = Budget(LOST_AN_HOUR, 3600.0)
        self._loop: asyncio.AbstractEventLoop = kit.guard.loop
        self._base: Screen = idle
        self._revert: asyncio.TimerHandle | None = None
        self._beep: asyncio.TimerHandle | None = None
        self._wanted: dict[str, bool] = {}
        self._outputs = frozenset(kit.pins.outputs())
        self._closed = False

    # -- what a role adds ------------------------------------------------------------------------

    @property
    @abstractmethod
    def state(self) -> str:
        """One word for the ``state`` message."""

    @abstractmethod
    def idle(self) -> bool:
        """Nobody is being served: a changed board file may be applied."""

    @abstractmethod
    def figures(self) -> dict[str, float | int]:
        """The role's own part of ``health``."""

    @abstractmethod
    def code(self, seen: CodeSeen) -> None: ...
    @abstractmethod
    def tag(self, read: TagRead) -> None: ...
    @abstractmethod
    def device(self, event: InputChanged | DeviceLost | DeviceBack | DeviceCondition) -> None:
        """An input changed, or a device was lost, came back or changed its condition; its fault is raised
        or cleared already."""

    @abstractmethod
    def levels(self, levels: dict[str, bool]) -> None:
        """All inputs, after a start or after the pins came back."""

    @abstractmethod
    def restored(self, opened: Opened, *, lost: bool) -> None:
        """The journal is open. ``lost``: it is new, or was read out of a damaged file."""

    def answer(self, answer: Committed | CommitFailed | Submitted | SubmitFailed | Claimed) -> None:
        """The recorder's word on a ``Commit`` or a ``Submit``."""
        raise NotImplementedError(f"nobody here waits for the disk: {answer}")

    def command(self, command: Command) -> None:
        """A fresh command of the shop that only some roles know."""

    def shop(self, state: str) -> None:
        """The shop is open, closed, or in lockdown."""

    def reader(self, reader: TagReader) -> None:
        """The reader that runs from now on: it reads all the time, where a role says nothing else."""
        reader.begin()

    def linked(self, link: Link) -> None:
        """The link that exists from now on."""

    def connected(self) -> None: ...
    def disconnected(self) -> None: ...
    def arrived(self, event: Arrived) -> None:
        """A message for a role: claims between gates, answers to its questions."""

    def second(self) -> None:
        """Called every second."""

    def trace_header(self) -> dict[str, Any]:
        """What ``tallygate replay`` needs to make the policy as it is now."""
        return {"role": self.kit.board.board.role}

    def check_table(self, name: str, snapshot: Snapshot) -> str | None:
        """Why this content cannot be used; None where it can."""
        return None

    def table_changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        """Content that is on the disk: in force from here on."""

    # -- events --------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """The drivers' door, on the loop thread; guarded."""
        self.kit.guard.call(self.event, event)

    def event(self, event: Event) -> None:
        if self._closed:
            return
        if isinstance(event, Progress | DeviceNote | DeviceLost | DeviceBack):
            self.heard[event.device] = self._loop.time()
        if isinstance(event, CodeSeen):
            self.counts["codes"] += 1
            self.code(event)
        elif isinstance(event, InputChanged):
            self.device(event)
        elif isinstance(event, TagRead):
            self.counts["tag_reads"] += 1
            self.tag(event)
        elif isinstance(event, Progress):
            self.progress[event.device] = event
        elif isinstance(event, DeviceNote):
            self.notes[event.name] += 1
            log.info("%s: %s", event.device, event.detail)
            if event.name == "hold_expired":
                self._drive_again()
        elif isinstance(event, DeviceCondition):
            self._condition(event)
        elif isinstance(event, DeviceLost):
            self._lost(event)
        elif isinstance(event, DeviceBack):
            if self.faults.clear(event.device):
                log.warning("%s is back", event.device)
            self.device(event)
            if event.device == "pins":
                self.levels(self.kit.pins.read())

    def _lost(self, event: DeviceLost) -> None:
        if self.faults.raise_(event.device, event.reason, event.check):
            log.error("%s is lost: %s; check: %s", event.device, event.reason, event.check)
            self._alarm_of(event.device, f"{event.device}-lost", event.reason)
        self.device(event)

    def _condition(self, event: DeviceCondition) -> None:
        part = f"{event.device}-{event.name}"
        if not event.active:
            if self.faults.clear(part):
                log.warning("%s: %s is over", event.device, event.name)
        elif self.faults.raise_(part, event.reason, event.check):
            log.error("%s: %s; check: %s", event.device, event.reason, event.check)
            self._alarm_of(part, part, event.reason)
        self.device(event)

    def _alarm_of(self, budget: str, kind: str, reason: str) -> None:
        if self._lost_budget.take(budget, self._loop.time()):
            self.note(Note(Alarm, {"kind": kind, "detail": reason[:200]}))
        else:
            self.alarms_unwritten += 1

    def note(self, note: Note) -> None:
        """A record of the board itself, such as an alarm."""
        self.recorder.put(note)

    # -- outputs and screen ----------------------------------------------------------------------

    def drive(self, name: str, active: bool) -> None:
        self._wanted[name] = active
        if name in self._outputs:
            self.kit.pins.set(name, active)

    def _drive_again(self) -> None:
        """The driver let an output fall because the loop was late; policy still wants it."""
        for name, active in self._wanted.items():
            if name in self._outputs:
                self.kit.pins.set(name, active)

    def show(self, screen: Screen, for_s: float | None = None) -> None:
        """Until the next one; or ``for_s`` seconds, then what stood there before."""
        if self._revert is not None:
            self._revert.cancel()
            self._revert = None
        if for_s is None:
            self._base = screen
        else:
            self._revert = self.kit.guard.at(self._loop.time() + for_s, self._show_base)
        self.kit.display.show(screen)

    def _show_base(self) -> None:
        self._revert = None
        self.kit.display.show(self._base)

    def locate(self, seconds: float) -> None:
        """Beep so that a technician finds this board among others."""
        self.sound(seconds)

    def sound(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        if "buzzer" not in self._outputs or (self._beep is not None and self._beep.when() >= until):
            return
        if self._beep is not None:
            self._beep.cancel()
        self.kit.pins.set("buzzer", True)
        self._beep = self.kit.guard.at(until, self._silence)

    def _silence(self) -> None:
        self._beep = None
        self.kit.pins.set("buzzer", self._wanted.get("buzzer", False))

    def close(self) -> None:
        """No event, answer or timer drives anything from here on."""
        self._closed = True
        for timer in (self._revert, self._beep):
            if timer is not None:
                timer.cancel()
