"""A simulated ThingMagic module (M7E, Nano, Silion), byte exact, with a Gen2 population before it. Pure.

It must never be kinder than the real thing: while it streams it answers only what is wrapped, without a
region its radio is off, and a supply that fails takes every setting. Never loaded on a real board.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hal.reader.events import Command
from hal.reader.thingmagic import OPTION_METADATA, Codec, encode_answer, encode_wrapped_answer
from hal.reader.thingmagic_ops import (
    BAD_OPCODE,
    BAD_PARAMETER,
    GEN2,
    MULTI_START,
    MULTI_STOP,
    MULTI_WRAPPED,
    NO_TAG,
    OK,
    RADIO_OFF,
    REGIONS,
    WRONG_COUNT,
    Op,
    Search,
)
from hal.reader.thingmagic_tags import write_record
from hal.sim.population import Population
from hal.sim.thingmagic_search import Buffer, Stream, Trouble, tag_of
from hal.sim.thingmagic_settings import (
    KINDS,
    PROGRAM_APPLICATION,
    PROGRAM_BOOTLOADER,
    Settings,
)

BOOT_S = 0.65
"""From "boot" to the application's first word."""
GAP_S = 0.05
"""A command that pauses for longer is forgotten."""
_IN_BOOTLOADER = (Op.VERSION, Op.SET_BAUD, Op.HARDWARE)
_REGION_NAMES = {code: name for name, codes in REGIONS.items() for code in codes}


class SimModule:
    """``model``: one of ``KINDS``. ``bootloader``: where it starts after power-up (then without a word).

    ``refuse``: commands it answers with 0101. ``heard``: the last commands. ``trouble``: see there.
    ``connected``: the ports on which it detects an antenna (all at first)."""

    def __init__(
        self, field: Population, model: str = "m7e", bootloader: bool = False, empty_epc_every: int = 0
    ) -> None:
        self.field = field
        self.kind = KINDS[model]
        self.starts_in_bootloader = bootloader
        self.connected = set(range(1, field.antennas + 1))
        self.trouble = Trouble(empty_epc_every=empty_epc_every)
        self.celsius = 28
        self.refuse: set[int] = set()
        self.heard: deque[Command] = deque(maxlen=200)
        self.power_cycle(0.0)

    def power_cycle(self, now: float) -> bytes:
        self.settings = Settings(self.kind, self.field.antennas, self.connected)
        self._in = Codec("host")
        self._fed_at = now
        self._stream: Stream | None = None
        self._buffer = Buffer()
        self._bootloader = self.starts_in_bootloader
        self._boots_at: float | None = None
        return b"" if self._bootloader else encode_answer(Op.BOOT, self.kind.version)

    def status(self) -> dict[str, Any]:
        own = self.settings
        return {
            "inventory": self._stream is not None,
            "tags": len(self.field.epcs),
            "power": own.read_power,
            "region": "none" if own.region is None else _REGION_NAMES.get(own.region, f"{own.region:#04x}"),
            "session": own.session,
            "antennas": list(own.antennas),
            "model": self.kind.name,
            "bootloader": self._bootloader,
            "celsius": self.celsius,
            "hot": self.trouble.hot,
            "return_loss": self.trouble.return_loss,
        }

    def feed(self, data: bytes, now: float) -> bytes:
        if now - self._fed_at > GAP_S:
            self._in.reset()
        self._fed_at = now
        answer = bytearray()
        for event in self._in.feed(data):
            if isinstance(event, Command):
                self.heard.append(event)
                answer += self._hear(event.cmd, event.data, now)
        return bytes(answer)

    def due(self) -> float | None:
        if self._boots_at is not None:
            return self._boots_at
        if self._stream is not None:
            return self._stream.due()
        return self._buffer.ends if self._searching else None

    def speak(self, now: float) -> bytes:
        self.settings.celsius = self.celsius
        if self._boots_at is not None:
            if now < self._boots_at:
                return b""
            self._boots_at = None
            self._bootloader = False
            return encode_answer(Op.BOOT, self.kind.version)
        if self._stream is not None:
            said = self._stream.speak(now, self.field, self.trouble)
            if self._stream.done:
                self._stream = None
            return said
        if self._searching and now >= self._buffer.ends:
            return self._buffer.finish(self.field, self.settings, self.trouble)
        return b""

    @property
    def _searching(self) -> bool:
        return self._buffer.ends != float("inf")

    # -- commands ----------------------------------------------------------------------------------

    def _hear(self, op: int, data: bytes, now: float) -> bytes:
        if self._boots_at is not None or self._searching:
            return b""  # lost: it is busy
        if op in self.refuse:
            return encode_answer(op, status=BAD_OPCODE)
        if op == Op.MULTI and not self._bootloader:
            return self._multi(data, now)
        if self._stream is not None:
            return b""  # whoever asks now gets the stream's frames for an answer
        if op == Op.PROGRAM:
            return encode_answer(op, PROGRAM_BOOTLOADER if self._bootloader else PROGRAM_APPLICATION)
        if self._bootloader:
            return self._in_bootloader(op, data, now)
        if op == Op.BOOTLOADER:
            self.power_cycle(now)
            self._bootloader = True
            return encode_answer(op)
        if op in (Op.READ_MULTIPLE, Op.READ_SINGLE):
            return self._search(op, data, now)
        if op == Op.GET_BUFFER:
            if len(data) != 3 or data[0] & 0xF0:
                return encode_answer(op, status=BAD_PARAMETER if len(data) == 3 else WRONG_COUNT)
            return self._buffer.read(data[0] << 8 | data[1])
        if op == Op.CLEAR_BUFFER:
            self._buffer.clear()
            return encode_answer(op)
        status, reply = self._setting(op, data)
        return encode_answer(op, reply, status)

    def _setting(self, op: int, data: bytes) -> tuple[int, bytes]:
        self.settings.celsius = self.celsius
        return self.settings.answer(op, data)

    def _in_bootloader(self, op: int, data: bytes, now: float) -> bytes:
        if op == Op.BOOT:
            self._boots_at = now + BOOT_S
            return b""
        if op not in _IN_BOOTLOADER:
            return encode_answer(op, status=BAD_OPCODE)
        status, reply = self._setting(op, data)
        return encode_answer(op, reply, status)

    def _multi(self, data: bytes, now: float) -> bytes:
        """Start and stop of continuous reading, and commands wrapped for a module that reads."""
        what = data[2] if len(data) >= 3 else 0
        if what == MULTI_STOP and len(data) == 3:
            if self._stream is None:
                return encode_answer(Op.MULTI, bytes((MULTI_STOP,)))
            self._stream.stop(now)
            return b""
        if what == MULTI_WRAPPED and len(data) >= 5 and len(data) == 5 + data[3]:
            status, reply = self._setting(data[4], data[5:])
            return encode_wrapped_answer(data[4], reply, status)
        if self._stream is not None:
            return b""
        if what != MULTI_START or len(data) < 16 or data[7] != len(data) - 9:
            return encode_answer(Op.MULTI, status=WRONG_COUNT)
        return self._start(data[8:], data[6], now)

    def _start(self, body: bytes, protocol: int, now: float) -> bytes:
        """``body``: 22, option, flags, on-time, metadata and, where the flags say so, statistics."""
        search = int.from_bytes(body[2:4], "big")
        on_ms, metadata = int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
        if len(body) != (10 if search & Search.STATS else 8):
            return encode_answer(Op.MULTI, status=WRONG_COUNT)
        understood = body[0] == Op.READ_MULTIPLE and body[1] == OPTION_METADATA and protocol == GEN2
        if not understood or not search & Search.STREAM or not on_ms or metadata & 0xF000:
            return encode_answer(Op.MULTI, status=BAD_PARAMETER)
        if self.settings.region is None:
            return encode_answer(Op.MULTI, status=RADIO_OFF)
        stats = int.from_bytes(body[8:10], "big")
        self._stream = Stream(now, search, metadata, on_ms / 1000, stats, self.settings)
        return encode_answer(Op.MULTI, bytes((MULTI_START, Op.READ_MULTIPLE, 0, 0)))

    def _search(self, op: int, data: bytes, now: float) -> bytes:
        """The two searches with an end: one tag at once, or many into the buffer."""
        if len(data) < (2 if op == Op.READ_SINGLE else 5):
            return encode_answer(op, status=WRONG_COUNT)
        if self.settings.region is None:
            return encode_answer(op, status=RADIO_OFF)
        if op == Op.READ_MULTIPLE:
            search = data[1] << 8 | data[2]
            self._buffer.begin(now, (data[3] << 8 | data[4]) / 1000, search & ~Search.STREAM)
            return b""
        antenna = self.settings.antennas[0]
        heard = self.field.inventory(now, antenna, self.settings.session)
        if not heard.reads:
            return encode_answer(op, status=NO_TAG)
        # EPC and the tag's CRC: the record without metadata, less its bit count and PC.
        return encode_answer(op, write_record(tag_of(heard.reads[0], antenna), 0)[4:], OK)
