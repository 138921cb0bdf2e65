"""What the serial driver and the tools need of one reader protocol. Types only.

``hal.reader.serial_reader`` drives any ``Family``; which one is chosen in ``hal.reader.families``. A family
holds no port, no clock and no thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hal.reader.bringup import Row
from hal.reader.events import Counters, Event


class Codec(Protocol):
    """Bytes to events. ``feed`` never raises, whatever comes; the buffer never outgrows a longest frame."""

    counters: Counters

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""

    def feed(self, data: bytes) -> list[Event]:
        """Events of every frame that is whole now."""

    def idle(self) -> list[Event]:
        """The line was quiet for longer than a frame may pause: give up what is incomplete."""

    def reset(self) -> None:
        """Forget what is incomplete: the line was opened anew."""


class Meaning(Enum):
    """What an event says about a running inventory."""

    ALIVE = "alive"
    """It runs."""
    AGAIN = "again"
    """It has ended by itself: send ``inventory()`` again."""
    WRONG = "wrong"
    """The module is not doing what it was told (reset, streaming for somebody else): set it up again."""
    NOTHING = "nothing"
    """The event says nothing about it."""


class ReaderSettings(Protocol):
    """What the board file says of a reader (``[reader]``)."""

    @property
    def protocol(self) -> str: ...
    @property
    def baud(self) -> int: ...
    @property
    def region(self) -> str: ...
    @property
    def power_dbm(self) -> float: ...
    @property
    def power_offset_db(self) -> float: ...
    @property
    def antennas(self) -> Sequence[int]:
        """Ports to use, from 1."""

    @property
    def session(self) -> int:
        """Gen2 session 0..3."""

    @property
    def inventory(self) -> str:
        """The protocol's way to take inventory, "" = its default (each family names its own)."""

    @property
    def address(self) -> int:
        """The module's bus address, where the protocol has one; -1 = the protocol's default."""


@dataclass(frozen=True)
class Settings:
    """``ReaderSettings`` as a plain value, with what most modules come with."""

    protocol: str
    baud: int = 115200
    region: str = "cn900"
    power_dbm: float = 20.0
    power_offset_db: float = 0.0
    antennas: Sequence[int] = (1,)
    session: int = 0
    inventory: str = ""
    address: int = -1


class Family(Protocol):
    """One protocol, told what the board file wants. Constructed with ``ReaderSettings``; raises ValueError
    naming the key, what was given and what is allowed."""

    codec: Codec
    gap_s: float
    """A frame that pauses for longer is given up, s."""
    silence_s: float
    """A running inventory says something at least this often (keep-alive, round end), s. The driver asks
    after that, and opens the port anew after three times."""
    round_pause_s: float
    """Wait before ``inventory()`` is sent again after an AGAIN, s (0: at once)."""

    def stop_rows(self) -> list[Row[Event]]:
        """Stop whatever runs, and drain."""

    def setup_rows(self, info: dict[str, str]) -> list[Row[Event]]:
        """Stop-and-drain, identify (into ``info``: model, firmware...), settings, and their reading back."""

    def check_rows(
        self, forgotten: Callable[[], None], *, polling: bool, timeout_s: float
    ) -> list[Row[Event]]:
        """Is the module there, and does it still have our settings? ``forgotten()`` when it answers with
        others. ``polling``: an inventory should be running."""

    def inventory(self) -> bytes:
        """Starts the inventory, or its next round."""

    def judge(self, event: Event) -> Meaning: ...

    def other_framing(self) -> bool:
        """Nothing at all was understood: speak the protocol's other framing from now on. False: none left."""
