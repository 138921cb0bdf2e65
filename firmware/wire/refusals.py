"""Why a shown code was refused: one table of reasons, and the value that carries one.

The number goes into records and is never given a second meaning; the words go on the shopper's
screen; the hint goes to the technician. A refusal is a value, never an exception, and never holds
the code that was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Reason:
    """One row. ``words``: one to three lines of at most 28 characters, the first is the largest."""

    number: int
    words: tuple[str, ...]
    hint: str


# Numbers are part of the record format: add rows, never renumber or reuse.
REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "not-a-pass": Reason(
            1,
            ("This is not a pass", "Open your pass on the phone"),
            "The code is not one of ours; nothing to check unless shoppers hold a printed poster.",
        ),
        "damaged": Reason(
            2,
            ("Cannot read this pass", "Reload it on your phone"),
            "It begins like a pass but does not decode. If frequent: clean the lens, check the light.",
        ),
        "unknown-version": Reason(
            3,
            ("Pass not known here yet", "Please ask for help"),
            "The pass has a newer format than this firmware reads. Update the board.",
        ),
        "foreign": Reason(
            4,
            ("This pass is for", "another shop"),
            "The store tag differs. Compare store_id in the site file with the shop that issues passes.",
        ),
        "unknown-key": Reason(
            5,
            ("Pass not accepted", "Reload it on your phone"),
            "Signed with a key this board does not hold, or a revoked one. Check the key table's age.",
        ),
        "bad-signature": Reason(
            6,
            ("Pass not accepted", "Reload it on your phone"),
            "The signature does not verify. One: a misread or a forgery. All: wrong public key on the board.",
        ),
        "expired": Reason(
            7,
            ("This pass has expired", "Get a new one on the phone"),
            "Past its valid-for time and one step of 30 s. If all passes expire: check the board's clock.",
        ),
        "not-yet-valid": Reason(
            8,
            ("This pass is not valid yet", "Please wait a moment"),
            "Issued more than 30 s in this board's future. Check the clocks of the board and of the shop.",
        ),
        "stale-code": Reason(
            9,
            ("Show the live pass,", "not a screenshot"),
            "The rotating part is older or newer than one step. If all are: check the board's clock.",
        ),
        "revoked": Reason(
            10,
            ("This pass was withdrawn", "Please ask for help"),
            "The visit is in the table of revocations.",
        ),
        "used": Reason(
            11,
            ("This pass was already used", "Get a new one on the phone"),
            "Every admission of this visit in this direction was spent, here or at another gate.",
        ),
        "wrong-kind": Reason(
            12,
            ("This pass is not", "for this door"),
            "For instance an exit pass shown at the entry. Check the door's role in the board file.",
        ),
        "shop-closed": Reason(
            13,
            ("The shop is closed",),
            "The shop state is closed. An operator opens it with the command open-shop.",
        ),
        "lockdown": Reason(
            14,
            ("No entry right now", "Please keep the door clear"),
            "Lockdown is on: nobody in, everybody out. An operator ends it with open-shop or close-shop.",
        ),
        "shop-full": Reason(
            15,
            ("The shop is full", "Please wait a moment"),
            "The occupancy limit is reached. If the shop is empty: stale visits, close them at the store.",
        ),
        "clock-unsure": Reason(
            16,
            ("Please wait", "The gate checks its clock"),
            "The clock is not synchronised and the board file says refuse. Check network and time source.",
        ),
        "disk-fault": Reason(
            17,
            ("Gate out of order", "Please ask for help"),
            "The journal cannot be written. Check free space, read-only mount and the card's health.",
        ),
        "gate-fault": Reason(
            18,
            ("Gate out of order", "Please ask for help"),
            "The gate's state is unknown or faulty. Check leaf contact, beams and motor.",
        ),
        "fire": Reason(
            19,
            ("Fire alarm", "Do not enter"),
            "The fire loop is open: a fire, or a broken wire.",
        ),
        "paycode-here": Reason(
            20,
            ("Do not show your pay code", "Show the entry pass"),
            "A payment code at a door that does not resolve them. It was not stored.",
        ),
        "url-here": Reason(
            21,
            ("Scan that with your phone", "then show your pass here"),
            "A web link, most likely a poster's campaign code.",
        ),
        "too-long": Reason(
            22,
            ("This is not a pass", "Open your pass on the phone"),
            "The code holds more than 512 bytes; no code of ours does.",
        ),
        "busy": Reason(
            23,
            ("One moment please", "Show it again in a second"),
            "Codes came faster than they could be handled. If frequent: look at loop lateness in health.",
        ),
    }
)
NAME_BY_NUMBER: Mapping[int, str] = MappingProxyType({row.number: name for name, row in REASONS.items()})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused code. ``reason`` is a key of ``REASONS``; another one raises ValueError."""

    reason: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(
                f"{self.reason!r} is not a reason in firmware.wire.refusals.REASONS: add a row there"
            )

    @property
    def number(self) -> int:
        return REASONS[self.reason].number

    @property
    def words(self) -> tuple[str, ...]:
        return REASONS[self.reason].words

    @property
    def hint(self) -> str:
        return REASONS[self.reason].hint
