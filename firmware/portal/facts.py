"""What the portal's policy is told and what it asks for: values only. Pure.

``token`` numbers one submission of a basket; the recorder answers with the record's place in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firmware.gate.orders import Drive, Note, Tell
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, InputChanged, TagRead

# -- told to the policy ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come to ``deadline()``."""


@dataclass(frozen=True, slots=True)
class Levels:
    """All inputs at once, logical: after a start, or after the pins came back."""

    levels: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class PassShown:
    """A good pass of this shop was shown: whose basket this is."""

    visit: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class PaycodeShown:
    """A payment code was shown. The code itself stays with the station: policy and traces never hold it."""


@dataclass(frozen=True, slots=True)
class ItemShown:
    """The code on an item was shown: it is in the portal for certain."""

    epc: bytes


@dataclass(frozen=True, slots=True)
class CountShown:
    """The shopper says how many items there are."""

    count: int


@dataclass(frozen=True, slots=True)
class CodeRefused:
    """A code that means nothing here; ``reason`` is of the refusal table."""

    reason: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The basket is in the journal. ``first``: seq of its first version; ``frame``: the record as it goes
    over the wire."""

    token: int
    epoch: int
    first: int
    version: int
    frame: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class SubmitFailed:
    """The disk did not take it; ``full``: the journal is at its bound, sales stop."""

    token: int
    reason: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """The shop's offer for the basket with ``token``. ``settled``: there is nothing (more) to pay."""

    token: int
    total_fen: int
    list_fen: int
    settled: bool = False


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """The shop makes no offer for it; ``reason`` in words for a person."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class PayAnswer:
    """How a payment stands. ``state``: "paid", "declined", "pending"; ``order``: the shop's number.

    ``attempt``: of the ``AskPay`` that this answers. A refusal of an earlier attempt says nothing about a
    later one; that a basket is paid is true whatever was asked."""

    token: int
    state: str
    order: str = ""
    total_fen: int = 0
    visit: bytes = bytes(8)
    why: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """A basket of before the restart that was neither paid nor closed."""

    epoch: int
    first: int


@dataclass(frozen=True, slots=True)
class ShopState:
    state: str


@dataclass(frozen=True, slots=True)
class StaffAccepts:
    """Somebody of the shop has looked: take the basket as it is."""


Told = (
    Tick
    | Levels
    | InputChanged
    | TagRead
    | DeviceLost
    | DeviceBack
    | DeviceCondition
    | PassShown
    | PaycodeShown
    | ItemShown
    | CountShown
    | CodeRefused
    | Submitted
    | SubmitFailed
    | Offered
    | OfferRefused
    | PayAnswer
    | LeftOpen
    | ShopState
    | StaffAccepts
)

# -- asked by the policy ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit:
    """Write the basket's record; answered by ``Submitted`` or ``SubmitFailed``.

    ``first``: token of its first version (its own for version 1). ``verdict``: of the record's choices."""

    token: int
    first: int
    version: int
    items: tuple[bytes, ...]
    verdict: str
    missing: int
    declared: int | None
    visit: bytes | None
    reason: str


@dataclass(frozen=True, slots=True)
class CloseBasket:
    """Write that the basket whose first version is ``first`` will not be paid here."""

    first: int
    why: str
    ref: tuple[int, int] | None = None
    """(epoch, seq) of a basket of before the restart."""


@dataclass(frozen=True, slots=True)
class AskOffer:
    """Ask the shop what the basket with ``token`` costs."""

    token: int


@dataclass(frozen=True, slots=True)
class AskPay:
    """Ask the shop to charge ``total_fen`` with the code that was just shown; ``again``: only ask how the
    payment stands, with no code. ``attempt`` numbers the codes that were shown."""

    token: int
    version: int
    total_fen: int
    again: bool = False
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Paid:
    """Write that the basket is paid. ``order``: the shop's number; ``SETTLED`` where nothing was to pay."""

    first: int
    visit: bytes
    order: str
    total_fen: int


@dataclass(frozen=True, slots=True)
class Listen:
    """Take inventory, or let the module rest."""

    on: bool


@dataclass(frozen=True, slots=True)
class Show:
    """A screen by its key, with what fills it; the station has the words and the prices."""

    key: str
    fields: dict[str, Any] = field(default_factory=dict)


SETTLED = "settled"

Asked = Submit | CloseBasket | AskOffer | AskPay | Paid | Listen | Show | Drive | Note | Tell
