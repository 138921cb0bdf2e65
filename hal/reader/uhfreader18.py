"""UHFReader18 / 288 / 86 / CF-MU readers (Chafon and relabelled boards): bytes in, events out.

Reply ``Len Adr Cmd Status Data CRClo CRChi``, command the same without Status; Len counts what follows it.
There is no sync byte: ``uhfreader18_scan`` finds the frames. Must hold no port, clock or thread, and never
raise on any input.

Two kinds of reader answer command 01 with other records: "18" ``Num {Len EPC}``, "288" ``Ant Num {Len EPC
RSSI [phase freq]}``. Rule: a form must use up the data exactly, with whole 16-bit words in each EPC, none
empty. Where both would, the model decides that reader info (21) named last; before any was heard, 288.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hal.reader.events import (
    Alive,
    Command,
    Condition,
    Counters,
    ErrorReply,
    Event,
    Response,
    RoundEnd,
    Tag,
)
from hal.reader.uhfreader18_frames import (
    UNPLUGGED,
    ReaderInfo,
    Record,
    encode,
    parse_heartbeat,
    parse_info,
    parse_inventory,
    parse_records,
    reply,
)
from hal.reader.uhfreader18_ops import ERRORS, Cmd, Model, Status, model
from hal.reader.uhfreader18_scan import INVENTORIES, MAX_FRAME, TAGS, Scanner

__all__ = ["MAX_FRAME", "Codec", "encode", "reply"]


class Codec:
    """Frames to events. ``address``: only frames of this reader; None: of any.

    ``model`` is learned from reader info. ``asked``: the antenna of the running inventory, for answers that
    do not name one. ``pushed``, ``pushed_bare``: real-time frames so far, in all and without antenna.
    """

    def __init__(self, direction: Literal["module", "host"] = "module", address: int | None = None) -> None:
        self.counters = Counters()
        self.model = Model("unknown")
        self.heard: int | None = None
        """The address in the last good frame."""
        self.asked: int | None = None
        self.differs: Callable[[ReaderInfo], str | None] | None = None
        """Set by whoever gave the reader its settings: what in reader info contradicts them. Then a reader
        that has lost them is told as a condition (``reset``)."""
        self.unplugged: set[int] = set()
        """Antennas that the last heartbeat called unplugged and that have not been heard since. Heartbeats
        are 30 s apart: every reader info in between says it again."""
        self.pushed = 0
        self.pushed_bare = 0
        self._type: int | None = None
        self._host = direction == "host"
        self._frames = Scanner(self.counters, host=self._host, address=address)

    @property
    def address(self) -> int | None:
        return self._frames.address

    @address.setter
    def address(self, address: int | None) -> None:
        self._frames.address = address

    @property
    def pending(self) -> int:
        return self._frames.pending

    def feed(self, data: bytes) -> list[Event]:
        return self._events(self._frames.feed(data))

    def idle(self) -> list[Event]:
        return self._events(self._frames.feed(b"", final=True))

    def reset(self) -> None:
        self._frames.reset()

    def _events(self, frames: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            self.heard = frame[1]
            if self._host:
                events.append(Command(frame[2], frame[3:-2]))
            else:
                self._reply(events, frame[2], frame[3], frame[4:-2])
        return events

    # -- what a reply says -----------------------------------------------------------------------

    def _reply(self, events: list[Event], cmd: int, status: int, data: bytes) -> None:
        if cmd in INVENTORIES and status in TAGS:
            self._inventory(events, cmd, status, data)
        elif cmd == Cmd.PUSH:
            self._push(events, status, data)
        elif status in (Status.OK, Status.NOT_SAVED) or (status not in ERRORS and cmd != Cmd.UNKNOWN):
            events.append(Response(cmd, data, status))
            self._learn(events, cmd, data)
        else:
            text = ERRORS.get(status, f"error 0x{status:02X}")
            if status == Status.ANTENNA:
                events.append(Condition("antenna-missing", text, antenna=self.asked))
            events.append(ErrorReply(cmd if cmd != Cmd.UNKNOWN else None, status, text, data))

    def _inventory(self, events: list[Event], cmd: int, status: int, data: bytes) -> None:
        ant, records = self.asked, parse_inventory(data, self.model.form)
        if records is not None:
            if records[0] is not None:
                ant = self._antenna(records[0])
            for record in records[1]:
                events.append(_tag(record, ant or 1))
        elif data:
            self.counters.dropped_tags += 1
        if status == Status.MORE:
            return
        if status == Status.ANTENNA:
            events.append(Condition("antenna-missing", ERRORS[status], antenna=ant))
        elif status == Status.MEMORY_FULL:
            events.append(Condition("buffer-full", "more tags than the reader's memory holds", antenna=ant))
        events.append(RoundEnd(cmd, 0 if status == Status.NO_TAG else None, ant))

    def _push(self, events: list[Event], status: int, data: bytes) -> None:
        self.pushed += 1
        if status == Status.HEARTBEAT and (beat := parse_heartbeat(data)) is not None:
            if len(beat.antennas) == 16:
                self.model = Model(self.model.name, self.model.form, 16)
            events.append(Alive("heartbeat", data))
            self.unplugged = {port for port, state in enumerate(beat.antennas, 1) if state == UNPLUGGED}
            self._tell_unplugged(events)
        elif status == Status.OK and len(data) > 1:
            # One length byte and one RSSI beside Ant: with whole words in the EPC the sizes' parity tells.
            one = parse_records(data, 1, 1) if len(data) % 2 else None
            if one is not None:
                antenna = self._antenna(data[0])
                self.unplugged.discard(antenna)
                events.append(_tag(one[0], antenna))
            elif len(data) % 2 == 0 and len(data) <= 62:
                self.pushed_bare += 1
                events.append(_tag(Record(data), 1))
            else:
                self.counters.dropped_tags += 1
        else:
            self.counters.unknown += 1

    def _learn(self, events: list[Event], cmd: int, data: bytes) -> None:
        if cmd == Cmd.INFO and len(data) > 2 and data[2] != self._type:
            self._type = data[2]
            self.model = model(data[2])
        if cmd == Cmd.INFO:
            self._tell_unplugged(events)
        if cmd == Cmd.INFO and self.differs is not None:
            info = parse_info(data, self.model.ports)
            if info is not None and (what := self.differs(info)) is not None:
                events.append(Condition("reset", f"the reader has lost its settings: {what}"))
        elif cmd == Cmd.PORT_POWERS and len(data) in (1, 4, 8, 16) and self.model.form == "288":
            self.model = Model(self.model.name, "288", len(data))
        elif cmd == Cmd.TEMPERATURE and len(data) == 2:
            celsius = float(data[1] if data[0] else -data[1])
            events.append(Condition("temperature", f"{celsius:g} °C", celsius))

    def _tell_unplugged(self, events: list[Event]) -> None:
        for port in sorted(self.unplugged):
            events.append(Condition("antenna-missing", ERRORS[Status.ANTENNA], antenna=port))

    def _antenna(self, byte: int) -> int:
        """A number 0..15 with sixteen ports, else the lowest antenna of the mask; 0 is in no mask."""
        if self.model.ports == 16 or not byte:
            return (byte & 0x0F) + 1
        return (byte & -byte).bit_length()


def _tag(record: Record, antenna: int) -> Tag:
    # The protocol does not carry the PC: its length bits follow from the EPC, the others are not known.
    pc = len(record.epc) // 2 << 11
    return Tag(record.epc, pc, record.rssi or 0, antenna, None, record.freq_khz, record.phase)
