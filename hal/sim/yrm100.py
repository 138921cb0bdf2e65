"""A simulated YRM100 module: byte exact on the wire, with tags in its field and faults on demand.

``Module`` is pure (bytes in, bytes out, time given); ``SimulatedYrm100`` puts it behind a pseudo-terminal
that pyserial opens, at a stable path; ``InlineLine`` connects it to the driver directly for stepped time.
It must never be kinder than the real thing: no tag in a round is an error frame, multi poll ends silently.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hal.reader.yrm100 import (
    COMMAND,
    NO_TAG,
    RESPONSE,
    Cmd,
    Deframer,
    Frame,
    Tag,
    encode,
    encode_tag,
)
from hal.sim.terminal import InlineTerminal, Terminal

ROUND_S = 0.05
BAD_COMMAND = 0x17


@dataclass(slots=True)
class Faults:
    """What is wrong with the wire or the module. Shares are 0..1 per byte sent by the module."""

    drop: float = 0.0
    flip: float = 0.0
    mute: bool = False
    refuse: frozenset[int] = frozenset()
    seed: int = 1


class Module:
    """The M100's side of the protocol. ``per_round``: tags that one round can hold apart.

    ``header`` 0xBB or 0xAA: the framing this module speaks; frames of the other one are not heard.
    """

    def __init__(self, header: int = 0xBB, per_round: int = 8, faults: Faults | None = None) -> None:
        self.header = header
        self.faults = faults if faults is not None else Faults()
        self.tags: list[bytes] = []
        self.heard: deque[Frame] = deque(maxlen=200)
        self._per_round = per_round
        self._random = random.Random(self.faults.seed)
        self._in = Deframer()
        self._turn = 0
        self.power_cycle()

    def power_cycle(self) -> None:
        """A brown-out: settings back to the defaults, inventory over, nothing said about it."""
        self.region = 0x02
        self.power = 0x07D0
        self.hopping = 0xFF
        self.rounds_left = 0
        self._in.reset()

    @property
    def polling(self) -> bool:
        return self.rounds_left > 0

    def status(self) -> dict[str, Any]:
        return {
            "polling": self.polling,
            "tags": len(self.tags),
            "power": self.power,
            "region": self.region,
        }

    def feed(self, data: bytes) -> bytes:
        """What the module answers to these bytes."""
        answer = bytearray()
        for frame in self._in.feed(data):
            if frame.type != COMMAND or frame.header != self.header:
                continue
            self.heard.append(frame)
            answer += self._answer(frame)
        return self._spoil(bytes(answer))

    def round(self) -> bytes:
        """What one inventory round of a running multi poll sends; empty when none runs."""
        if not self.polling:
            return b""
        self.rounds_left -= 1
        return self._spoil(self._inventory())

    # -- the protocol ----------------------------------------------------------------------------

    def _answer(self, frame: Frame) -> bytes:
        if frame.cmd in self.faults.refuse:
            return self._error(BAD_COMMAND)
        params = frame.params
        if frame.cmd == Cmd.INFO and params in (b"\x00", b"\x01", b"\x02"):
            texts = (b"M100 26dBm V1.0", b"V2.3.5", b"MagicRf")
            return self._ok(Cmd.INFO, params + texts[params[0]])
        if frame.cmd == Cmd.SET_REGION and len(params) == 1:
            self.region = params[0]
            return self._ok(Cmd.SET_REGION)
        if frame.cmd == Cmd.GET_REGION:
            return self._ok(Cmd.GET_REGION, bytes((self.region,)))
        if frame.cmd == Cmd.SET_HOPPING and len(params) == 1:
            self.hopping = params[0]
            return self._ok(Cmd.SET_HOPPING)
        if frame.cmd == Cmd.SET_POWER and len(params) == 2:
            self.power = int.from_bytes(params, "big")
            return self._ok(Cmd.SET_POWER)
        if frame.cmd == Cmd.GET_POWER:
            return self._ok(Cmd.GET_POWER, self.power.to_bytes(2, "big"))
        if frame.cmd == Cmd.SINGLE_POLL:
            return self._inventory()
        if frame.cmd == Cmd.MULTI_POLL and len(params) == 3 and params[0] == 0x22:
            self.rounds_left = int.from_bytes(params[1:], "big")
            return b""
        if frame.cmd == Cmd.STOP:
            self.rounds_left = 0
            return self._ok(Cmd.STOP)
        return self._error(BAD_COMMAND)

    def _inventory(self) -> bytes:
        if not self.tags:
            return self._error(NO_TAG)
        count = min(self._per_round, len(self.tags))
        answer = bytearray()
        for index in range(count):
            epc = self.tags[(self._turn + index) % len(self.tags)]
            rssi = -52 - (epc[-1] if epc else 0) % 12 - self._random.randrange(3)
            answer += encode_tag(Tag(epc, len(epc) // 2 << 11, rssi), header=self.header)
        self._turn = (self._turn + count) % len(self.tags)
        return bytes(answer)

    def _ok(self, cmd: int, params: bytes = b"\x00") -> bytes:
        return encode(cmd, params, type=RESPONSE, header=self.header)

    def _error(self, code: int) -> bytes:
        return encode(Cmd.ERROR, bytes((code,)), type=RESPONSE, header=self.header)

    def _spoil(self, data: bytes) -> bytes:
        faults = self.faults
        if faults.mute:
            return b""
        if not (faults.drop or faults.flip):
            return data
        spoiled = bytearray()
        for byte in data:
            if self._random.random() < faults.drop:
                continue
            flip = self._random.random() < faults.flip
            spoiled.append(byte ^ (1 << self._random.randrange(8)) if flip else byte)
        return bytes(spoiled)


class SimulatedYrm100(Terminal):
    """``module`` on a pseudo-terminal, plugged in; see ``Terminal`` for ``port`` and ``link``. Raises OSError
    when the terminal or the link cannot be made."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Path | None = None,
        module: Module | None = None,
        round_s: float = ROUND_S,
    ) -> None:
        super().__init__("yrm100", loop, link)
        self.module = module if module is not None else Module()
        self._round_s = round_s
        self._timer: asyncio.TimerHandle | None = None
        self.plug(True)

    def present(self, epcs: list[bytes]) -> None:
        """Exactly these tags are in the field now."""
        self.module.tags = list(epcs)

    def status(self) -> dict[str, Any]:
        return {"plugged": self.plugged, **self.module.status()}

    def _attach(self) -> None:
        self.module.power_cycle()  # what it was told is forgotten, as without supply
        super()._attach()

    def _detach(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super()._detach()

    def _hear(self, data: bytes) -> None:
        self.send(self.module.feed(data))
        if self.module.polling and self._timer is None:
            self._timer = self._loop.call_later(self._round_s, self._round)

    def _round(self) -> None:
        self._timer = None
        self.send(self.module.round())
        if self.module.polling:
            self._timer = self._loop.call_later(self._round_s, self._round)


class InlineLine(InlineTerminal):
    """``hal.serial_line.Line`` straight into a ``Module``, for stepped time: no terminal between."""

    def __init__(
        self, module: Module, loop: asyncio.AbstractEventLoop, round_s: float = ROUND_S, plugged: bool = True
    ) -> None:
        super().__init__("the simulated reader", loop, plugged)
        self.module = module
        self._round_s = round_s
        self._timer: asyncio.TimerHandle | None = None

    def present(self, epcs: list[bytes]) -> None:
        """Exactly these tags are in the field now."""
        self.module.tags = list(epcs)

    def status(self) -> dict[str, Any]:
        return {"plugged": self._plugged, **self.module.status()}

    def plug(self, plugged: bool) -> None:
        """Pull the module off the line, or put it back without its settings."""
        if plugged and not self._plugged:
            self.module.power_cycle()
        super().plug(plugged)

    def write(self, data: bytes) -> None:
        if self._on_bytes is None or not self._plugged:
            return
        self.send(self.module.feed(data))
        if self.module.polling and self._timer is None:
            self._timer = self._loop.call_later(self._round_s, self._round)

    def close(self, drain: bool = False) -> None:
        super().close(drain)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _round(self) -> None:
        self._timer = None
        data = self.module.round()
        if data:
            self._deliver(self._turn, data)
        if self.module.polling and self._on_bytes is not None and self._timer is None:
            self._timer = self._loop.call_later(self._round_s, self._round)
