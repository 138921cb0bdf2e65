"""What the gate's policy asks its surroundings to do, and what they answer. Values only. Pure.

``token`` numbers one admission from its code to its last passage; the station maps it to the
journal's seq once that exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from firmware.wire.record_types import Flags, Record

# -- orders: policy to station ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """Tell the other gates that this visit is about to pass; answered by ``Claimed``."""

    token: int
    visit: bytes
    direction: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Write the spent key and the admission in one transaction; answered by ``Committed``.

    ``party`` 0: the pass has no spent key (staff), the record alone is written with one use.
    """

    token: int
    visit: bytes
    direction: str
    party: int
    kind: str
    campaign: int
    placement: int
    flags: Flags = Flags.NONE
    granted: int = 0
    """So many people were let through already: kept until the disk takes it, and not answered."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Write that ``uses`` of an admission were not used, and give them back to the visit."""

    token: int
    visit: bytes
    direction: str
    uses: int
    why: str
    ref: tuple[int, int | None] | None = None
    """(seq, epoch) of an admission of an earlier start; epoch None = the journal's own."""


@dataclass(frozen=True, slots=True)
class Note:
    """Write a record: its type and fields but for the stamp; ``token`` becomes ``ref_seq``."""

    kind: type[Record]
    fields: dict[str, Any] = field(default_factory=dict)
    token: int | None = None
    flags: Flags = Flags.NONE


@dataclass(frozen=True, slots=True)
class Say:
    """Show a screen by key; ``detail`` fills it (a refusal's reason, remaining people...)."""

    key: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Drive:
    """Drive an output (names in hal.ports.OUTPUTS)."""

    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Something for the live topic and the log: one line per event. Never needed for correctness."""

    event: str
    fields: dict[str, Any] = field(default_factory=dict)


Order = Claim | Commit | GiveBack | Note | Say | Drive | Tell

# -- answers and reports: station to policy --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claimed:
    """``outcome``: "won", "lost", or "offline" (nobody answered)."""

    token: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The admission is on the disk with ``uses`` people; 0 = the pass was used up already."""

    token: int
    uses: int


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """The disk did not take it."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class Unused:
    """An admission of an earlier start that nobody walked through, as the journal has it."""

    visit: bytes
    direction: str
    uses: int
    seq: int
    epoch: int | None


@dataclass(frozen=True, slots=True)
class Restored:
    """The journal is open: ``spent`` holds (visit, direction, uses) of this gate."""

    spent: tuple[tuple[bytes, str, int], ...] = ()
    unused: tuple[Unused, ...] = ()
