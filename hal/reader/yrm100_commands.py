"""What a host says to a YRM100 module: regions, power, query word, select, polls. Pure.

Layouts and numbers after the vendor's protocol document; frames are made by ``yrm100.encode``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hal.reader.yrm100 import MULTI_POLL_MAX, Cmd

SELECT_ALWAYS, SELECT_NEVER, SELECT_NOT_FOR_POLLS = 0, 1, 2
"""Parameter of ``Cmd.SELECT_MODE``: when the stored select goes out before a command."""


@dataclass(frozen=True, slots=True)
class Region:
    """``code`` on the wire; channel n is ``first_mhz + n * step_mhz``."""

    code: int
    first_mhz: float
    step_mhz: float

    def channel(self, mhz: float) -> int:
        """The channel whose middle is ``mhz``. Raises ValueError when none is (0 to 255)."""
        number = round((mhz - self.first_mhz) / self.step_mhz)
        if not 0 <= number <= 255 or abs(self.first_mhz + number * self.step_mhz - mhz) > 0.001:
            raise ValueError(
                f"{mhz:g} MHz is no channel: they are at {self.first_mhz:g} + n x {self.step_mhz:g} MHz"
            )
        return number


REGIONS = {
    "cn900": Region(0x01, 920.125, 0.25),
    "cn800": Region(0x04, 840.125, 0.25),
    "us": Region(0x02, 902.25, 0.5),
    "eu": Region(0x03, 865.1, 0.2),
    "kr": Region(0x06, 917.1, 0.2),
}


def multi_poll(rounds: int = MULTI_POLL_MAX) -> tuple[int, bytes]:
    """Command and parameters of ``rounds`` inventory rounds (1..65535); it ends without a word."""
    if not 1 <= rounds <= MULTI_POLL_MAX:
        raise ValueError(f"rounds is {rounds}; it must be 1 to {MULTI_POLL_MAX}")
    return Cmd.MULTI_POLL, b"\x22" + rounds.to_bytes(2, "big")


def power_value(power_dbm: float, offset_db: float = 0.0) -> int:
    """The number on the wire for ``power_dbm`` at the antenna connector: (dBm - offset) x 100.

    ``offset_db`` is the module's own amplifier: 6 for the 26 dBm YRM100 (its guide maps 20.00 to 26 dBm),
    0 where the protocol document is right as printed. Raises ValueError outside 0..30 dBm on the wire.
    """
    value = round((power_dbm - offset_db) * 100)
    if not 0 <= value <= 3000:
        raise ValueError(
            f"power_dbm {power_dbm:g} with power_offset_db {offset_db:g} is {value / 100:g} dBm on the wire; "
            f"it must be 0 to 30"
        )
    return value


def query_word(session: int, q: int = 4, target: int = 0) -> int:
    """Gen2 Query as the module stores it: DR 1 bit (0: 8), M 2 (0: FM0), TRext 1 (1), Sel 2 (0: all),
    Session 2, Target 1 (0: A), Q 4, 3 bits unused. Raises ValueError."""
    for name, value, most in (("session", session, 3), ("q", q, 15), ("target", target, 1)):
        if not 0 <= value <= most:
            raise ValueError(f"{name} is {value}; it must be 0 to {most}")
    return 1 << 12 | session << 8 | target << 7 | q << 3


def select(mask: bytes, bank: int = 1, pointer_bits: int = 0x20, *, action: int = 0) -> tuple[int, bytes]:
    """Command and parameters that store a Gen2 Select: only tags whose ``bank`` holds ``mask`` from bit
    ``pointer_bits`` on (bank 1 bit 32 is where an EPC begins). Raises ValueError for more than 31 bytes."""
    if len(mask) > 31 or not 0 <= bank <= 3 or not 0 <= action <= 7:
        raise ValueError(f"select of {len(mask)} bytes in bank {bank}, action {action}: 31, 0-3, 0-7 at most")
    head = bytes((action << 2 | bank,)) + pointer_bits.to_bytes(4, "big") + bytes((len(mask) * 8, 0))
    return Cmd.SET_SELECT, head + mask
