"""A simulated YRM100 / R200 module, byte exact, with a Gen2 population before its antenna. Pure.

It must never be kinder than the real thing: no tag in a round is an error frame, a multi poll ends without
a word, a command during sleep is lost with the bytes that woke it, a supply that fails takes every setting.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hal.reader.events import Command
from hal.reader.yrm100 import BAD_COMMAND, NO_TAG, RESPONSE, Cmd, Codec, encode, encode_tag
from hal.reader.yrm100_commands import REGIONS
from hal.sim.population import Population, Round

LEAST_ROUND_S = 0.02
"""The module's own time between two rounds, whatever the field: 80 kHz FM0 and an 8-bit controller."""
GAP_S = 0.05
"""A command that pauses for longer is forgotten."""
WORDS = {0: b"M100 26dBm V1.0", 1: b"V2.3.5", 2: b"MagicRf"}
CODES = {region.code: name for name, region in REGIONS.items()}
DEMOD = bytes.fromhex("030601B0")


class SimModule:
    """``header`` 0xBB or 0xAA: the framing it speaks; frames of the other one are not heard.

    ``refuse``: command numbers it answers with "I do not know this command". ``heard``: the last commands.
    """

    def __init__(self, field: Population, header: int = 0xBB) -> None:
        self.field = field
        self.header = header
        self.refuse: set[int] = set()
        self.heard: deque[Command] = deque(maxlen=200)
        self.power_cycle(0.0)

    def power_cycle(self, now: float) -> bytes:
        """A brown-out: settings back to the defaults, inventory over, nothing said about it."""
        self.region = 0x02
        self.power = 0x07D0
        self.query = 0x1020
        self.hopping = 0xFF
        self.channel = 0
        self.select = b""
        self.select_mode = 0
        self.rounds_left = 0
        self.asleep = False
        self._in = Codec("host", headers=(self.header,))
        self._round: Round | None = None
        self._due = 0.0
        self._fed_at = now
        return b""

    def status(self) -> dict[str, Any]:
        return {
            "inventory": self.rounds_left > 0,
            "tags": len(self.field.epcs),
            "power": self.power,
            "region": CODES.get(self.region, f"{self.region:#04x}"),
            "session": self.query >> 8 & 3,
        }

    def feed(self, data: bytes, now: float) -> bytes:
        if self.asleep and data:
            # The byte that wakes it is eaten, and with it the frame that it began.
            self.asleep = False
            data = data[1:]
        answer = bytearray()
        if now - self._fed_at > GAP_S:
            self._in.reset()
        self._fed_at = now
        for event in self._in.feed(data):
            if isinstance(event, Command):
                self.heard.append(event)
                answer += self._answer(event.cmd, event.data, now)
        return bytes(answer)

    def due(self) -> float | None:
        return self._due if self.rounds_left else None

    def speak(self, now: float) -> bytes:
        """The end of one round of a running poll and the beginning of the next."""
        if not self.rounds_left or now < self._due:
            return b""
        said = self._report(self._round)
        self.rounds_left -= 1
        if self.rounds_left:
            self._begin(now)
        return said

    # -- the air ---------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        self._round = self.field.inventory(now, session=self.query >> 8 & 3)
        self._due = now + max(self._round.duration_s, LEAST_ROUND_S)

    def _report(self, heard: Round | None) -> bytes:
        if heard is None or not heard.reads:
            return self._error(NO_TAG)
        return b"".join(
            encode_tag(one.epc, one.pc, max(-128, min(0, round(one.rssi_dbm))), header=self.header)
            for one in heard.reads
        )

    # -- the protocol ----------------------------------------------------------------------------

    def _answer(self, cmd: int, data: bytes, now: float) -> bytes:
        if cmd in self.refuse:
            return self._error(BAD_COMMAND)
        match cmd, len(data):
            case Cmd.INFO, 1 if data[0] in WORDS:
                return self._ok(cmd, data + WORDS[data[0]])
            case Cmd.SET_REGION, 1 if data[0] in CODES:
                self.region = data[0]
            case Cmd.GET_REGION, 0:
                return self._ok(cmd, bytes((self.region,)))
            case Cmd.SET_HOPPING, 1:
                self.hopping = data[0]
            case Cmd.SET_CHANNEL, 1:
                self.channel = data[0]
            case Cmd.GET_CHANNEL, 0:
                return self._ok(cmd, bytes((self.channel,)))
            case Cmd.SET_POWER, 2:
                self.power = int.from_bytes(data, "big")
            case Cmd.GET_POWER, 0:
                return self._ok(cmd, self.power.to_bytes(2, "big"))
            case Cmd.SET_QUERY, 2:
                self.query = int.from_bytes(data, "big")
            case Cmd.GET_QUERY, 0:
                return self._ok(cmd, self.query.to_bytes(2, "big"))
            case Cmd.SET_SELECT, length if length >= 7:
                self.select = data
            case Cmd.GET_SELECT, 0:
                return self._ok(cmd, self.select or bytes.fromhex("01000000200000"))
            case Cmd.SELECT_MODE, 1:
                self.select_mode = data[0]
                return self._ok(Cmd.SET_SELECT)  # as one of the two documents prints it
            case Cmd.IDLE_SLEEP, 1:
                return self._ok(cmd, data)
            case Cmd.GET_DEMOD, 0:
                return self._ok(cmd, DEMOD)
            case Cmd.SINGLE_POLL, 0:
                self.rounds_left = 1
                self._begin(now)
                return b""
            case Cmd.MULTI_POLL, 3 if data[0] == 0x22 and data[1:] != b"\0\0":
                self.rounds_left = int.from_bytes(data[1:], "big")
                self._begin(now)
                return b""
            case Cmd.STOP, 0:
                self.rounds_left = 0
            case Cmd.SLEEP, 0:
                self.asleep, self.select, self.rounds_left = True, b"", 0
            case Cmd.READ, length if length >= 9:
                return self._error(0x09)  # nobody is singled out here: what a read without its tag says
            case _:
                return self._error(BAD_COMMAND)
        return self._ok(cmd)

    def _ok(self, cmd: int, data: bytes = b"\x00") -> bytes:
        return encode(cmd, data, type=RESPONSE, header=self.header)

    def _error(self, code: int) -> bytes:
        return encode(Cmd.ERROR, bytes((code,)), type=RESPONSE, header=self.header)
