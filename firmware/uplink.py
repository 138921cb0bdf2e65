"""The board's side of the link: state and health out, commands, tables, claims in. Loop thread.

Records go by themselves (``firmware.sync.link``); this module says what the board is, obeys commands that
are fresh, and answers claims between gates.  With no link it stays quiet and the gate works on.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from firmware.boardfile import GATES
from firmware.health import (
    HEARTBEATS,
    discovery_message,
    health_message,
    state_message,
    will_message,
)
from firmware.logwriter import Seldom
from firmware.memory import Values
from firmware.sync.disk_port import DiskPort
from firmware.sync.journal import JournalStats
from firmware.sync.link import Arrived, Link, LinkDown, LinkEvent, LinkSettings, LinkUp
from firmware.sync.tables import Tables
from firmware.wallclock import WallClock
from firmware.wire.asks import EXPIRY_S, TIME_QUESTION, AskError, decode_time_answer
from firmware.wire.commands import Command, CommandRefused, Inbox
from firmware.wire.tables import Snapshot

if TYPE_CHECKING:
    from firmware.app import App

log = logging.getLogger("uplink")

ASK_TIME_S = 60.0
FLOOR_S = 600.0
"""The floor of the clock is written this often."""
SOON_S = 0.2
"""A changed state is sent this long after the change: one message for a burst of changes."""
OBEY_S = 1.0
"""A command is carried out after this although the disk has not taken its id, s."""
EARLY = 16
"""Commands kept until it is known which were carried out before the restart."""
FILLED = {
    "high": "over half of the records that this board can keep wait for the shop",
    "full": "the journal is at its bound: no sales until the shop takes records",
}
SHOP_STATES = {"open-shop": "open", "close-shop": "closed", "lockdown": "lockdown"}


class Uplink:
    def __init__(self, app: App) -> None:
        self._app = app
        self._guard = app.guard
        self._loop = app.loop
        self._inbox = Inbox()
        self._refusals = Seldom(log, "commands refused")
        self._stats: JournalStats | None = None
        self._asking = False
        self._remembers = False
        self._shop_told = False
        self._early: list[Arrived] = []
        self._next_beat = 0.0
        self._soon: Any = None
        self._asked: tuple[bytes, float] | None = None
        self._ask_at = 0.0
        self._floor_at = 0.0
        site, section = app.site, app.board.link
        broker = site.broker
        settings = LinkSettings(
            site.store,
            site.board,
            broker.host,
            broker.port,
            offline_state=will_message(app.boot.hex()),
            ca=_path(broker.ca),
            cert=_path(broker.cert),
            key=_path(broker.key),
            receipt=section.receipt,
            keepalive_s=section.keepalive_s,
            puback_s=section.puback_s,
            tables=tuple(app.station.tables),
            claims=app.board.board.role in GATES,
        )
        self.link = Link(
            app.guard,
            settings,
            DiskPort(app.worker, app.desk),
            self._event,
            clock_synced=lambda: app.clock.quality() != "unsynced",
        )
        self.topics = self.link.topics
        path = app.data / "tables.sqlite"
        self.tables = Tables(
            app.guard,
            app.papers,
            path,
            self.link,
            self._check_table,
            self._table_changed,
            names=app.station.tables,
        )

    @property
    def app(self) -> App:
        return self._app

    def start(self) -> None:
        self.link.start()

    def close(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        self.tables.close()
        self.link.close()

    # -- out -----------------------------------------------------------------------------------

    def written(self) -> None:
        """The journal has a new record."""
        self.link.appended()
        self.soon()

    def journal_opened(self, stats: JournalStats) -> None:
        self._stats = stats
        self.link.appended()
        self.soon()

    def live(self, fields: dict[str, Any]) -> None:
        """One event for pages and the log; lost when the link is down."""
        fields["wall_ms"] = self._app.clock.wall_ms()
        self.link.publish(self.topics.live, msgspec.json.encode(fields))
        if fields["event"] in ("state", "opened"):
            self.soon()

    def soon(self) -> None:
        """Send state and health shortly."""
        if self._soon is None and self.link.up:
            self._soon = self._guard.at(self._loop.time() + SOON_S, self._beat)

    def second(self) -> None:
        """Called every second: the heartbeat, and what changed meanwhile."""
        self.link.clock_changed()
        self.link.check_pulse()
        self._keep_time()
        self._refusals.second(self._loop.time())
        self.tables.second()
        if self.tables.fault is not None:
            check = "the card (dmesg, df); the shop sends its tables again by itself"
            self._app.station.faults.raise_("tables", self.tables.fault, check)
        else:
            self._app.station.faults.clear("tables")
        self._app.station.second()
        if self._app.station.faults.changed:
            self._app.station.faults.changed = False
            self.soon()
        if self._loop.time() >= self._next_beat and self._soon is None:
            self._beat()  # with no link too: a journal that fills is a fault in time

    def _keep_time(self) -> None:
        """A board without a battery asks the shop for the time, and remembers how late it has been."""
        clock, now = self._app.clock, self._loop.time()
        if not isinstance(clock, WallClock):
            return
        if clock.wants_time and self.link.up and now >= self._ask_at:
            self._ask_at = now + ASK_TIME_S
            self._asked = (os.urandom(8), now)
            answer = self.topics.ans("time")
            ask = self.topics.ask("time")
            self.link.publish(ask, TIME_QUESTION, 0, False, EXPIRY_S, answer, self._asked[0])
        if now >= self._floor_at and (floor := clock.floor()) is not None:
            self._floor_at = now + FLOOR_S
            self._app.memory.keep("clock", {"floor_ms": floor})

    def _time_told(self, event: Arrived) -> None:
        asked, clock = self._asked, self._app.clock
        if asked is None or event.correlation != asked[0] or not isinstance(clock, WallClock):
            return
        self._asked = None
        try:
            wall_ms = decode_time_answer(event.payload)
        except AskError as error:
            log.warning("%s", error)
            return
        if clock.told(wall_ms, self._loop.time() - asked[1]):
            log.info("the clock is set by the shop")

    def _beat(self) -> None:
        self._soon = None
        if self._asking:
            self._send()  # the disk does not answer: say what is known
            return
        self._asking = True
        data = self._app.data
        self._app.desk.run(lambda journal: (journal.stats(), shutil.disk_usage(data).free), self._found)

    def _found(self, found: tuple[JournalStats, int] | None, error: Exception | None) -> None:
        self._asking = False
        if found is None:
            self._send()
            return
        self._stats, free = found
        filled = FILLED.get(self._stats.level)
        if filled is None:
            self._app.station.faults.clear("records")
        else:
            check = "network, broker and the shop's store process"
            self._app.station.faults.raise_("records", filled, check)
        self._send(free)

    def _send(self, free: int | None = None) -> None:
        app, heartbeat = self._app, self._app.board.link.heartbeat_s
        self._next_beat = self._loop.time() + heartbeat
        known = self._stats
        expiry = int(heartbeat * HEARTBEATS)
        state = state_message(
            role=app.board.board.role,
            state=app.station.state,
            boot=app.boot.hex(),
            records=(known.epoch, known.first_seq, known.last_seq) if known is not None else None,
            faults=list(app.station.faults),
            last_visit=app.station.last_visit,
        )
        self.link.publish(self.topics.state, state, 1, True, expiry)
        figures = app.figures()
        if free is not None:
            figures["disk_free_mb"] = free / 1e6
        if known is not None:
            figures |= {
                "queued": known.queued,
                "queue_age_s": known.oldest_age_s,
                "queue_full": int(known.level == "full"),
                "journal_mb": known.bytes / 1e6,
                "records_skipped": known.skipped,
                "records_damaged": known.damaged,
            }
        figures |= self.tables.figures() | self.link.health()
        self.link.publish(self.topics.health, health_message(figures), 0, True, expiry)

    # -- in ------------------------------------------------------------------------------------

    def _event(self, event: LinkEvent) -> None:
        if isinstance(event, LinkUp):
            self._next_beat = 0.0
            board, site = self._app.board, self._app.site
            parts = {"reader": board.reader is not None, "camera": board.camera is not None}
            discovery = discovery_message(self.topics, site.store, site.board, board.board.role, **parts)
            self.link.publish(self.topics.discovery, discovery, 1, True)
            self._app.station.faults.clear("link")
            self._app.station.connected()
            self.tables.connected()
            self.soon()
        elif isinstance(event, LinkDown):
            check = "network cable or Wi-Fi, broker address in the site file, the shop computer"
            self._app.station.faults.raise_("link", event.reason, check)
            self._app.station.disconnected()
        elif event.kind == "cmd":
            self._command(event)
        elif event.kind == "ans" and event.names == ("time",):
            self._time_told(event)
        elif event.kind in ("table", "delta") or (event.kind == "ans" and event.names == ("table",)):
            self.tables.arrived(event)
        else:
            self._app.station.arrived(event)

    def _table_changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        self._app.station.table_changed(name, buckets)
        self.soon()

    def _check_table(self, name: str, snapshot: Snapshot) -> str | None:
        return self._app.station.check_table(name, snapshot)

    def _command(self, event: Arrived) -> None:
        if not self._remembers:
            if len(self._early) < EARLY:
                self._early.append(event)
            return
        clock = self._app.clock
        found = self._inbox.accept(
            event.payload,
            retained=event.retained,
            now_ms=clock.wall_ms(),
            quality=clock.quality(),
            topic_name=event.names[0],
        )
        if isinstance(found, CommandRefused):
            line = f"command {'/'.join(event.names)} refused: {found.reason} ({found.detail})"
            self._refusals.warn(found.reason, line, self._loop.time())
            self.live({"event": "command-refused", "why": found.reason})
            return

        waiting = [found]

        def kept(written: bool) -> None:
            # Without the disk a repeat across a restart could not be told: a command is still obeyed, the
            # operator stands before the same fault.
            if not waiting:
                return
            waiting.clear()
            log.warning("command %s (%s) is carried out", found.name, found.id)
            self.live({"event": "command", "name": found.name, "id": found.id, "kept": written})
            self._obey(found)

        seen = [[id_, expires] for id_, expires in self._inbox.seen()]
        self._app.memory.keep("commands", {"seen": seen}, kept)
        self._guard.at(self._loop.time() + OBEY_S, kept, False)

    def remembered(self, values: Values) -> None:
        """What the board knew before it was restarted.

        Until this is called the shop counts as closed. Documents that cannot be read, or hang, do not keep
        customers out: once that is told as a fault, the shop counts as open until it says otherwise. What
        it says meanwhile is newer than documents that come late.
        """
        self._app.memory.judge(self._app.station.faults, self._loop.time())
        try:
            seen = [(str(id_), int(expires)) for id_, expires in values.get("commands", {}).get("seen", [])]
        except (TypeError, ValueError) as error:
            log.error("the commands obeyed before the restart are not known: %s", error)
            seen = []
        self._inbox.restore(seen + self._inbox.seen())  # more than none only when this comes late
        floor = values.get("clock", {}).get("floor_ms")
        if isinstance(self._app.clock, WallClock) and isinstance(floor, int):
            self._app.clock.set_floor(floor)
        state = values.get("shop", {}).get("state")
        if not self._shop_told:
            self._app.station.shop(state if state in ("open", "closed", "lockdown") else "open")
        self._remembers = True
        early, self._early = self._early, []
        for event in early:
            self._command(event)

    def remember_nothing(self) -> None:
        """The documents hang: go on without them. They are still taken when they come."""
        if not self._remembers:
            self.remembered({})

    def _obey(self, command: Command) -> None:
        station = self._app.station
        if command.name in SHOP_STATES:
            state = SHOP_STATES[command.name]
            self._shop_told = True
            station.shop(state)
            self._app.memory.keep("shop", {"state": state})
        elif command.name == "resend-from":
            if self._stats is not None and int(command.args["epoch"], 16) == self._stats.epoch:
                self.link.resend_from(command.args["seq"])
        elif command.name == "locate":
            station.locate(float(command.args.get("seconds", 5)))
        elif command.name == "reload":
            self._app.reload()
        else:
            station.command(command)


def _path(name: str | None) -> Path | None:
    return Path(name) if name is not None else None
