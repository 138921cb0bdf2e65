"""Every durable fact of a board, one frozen dataclass per type, and its fields' CBOR keys.

The tables here *are* the format; ``docs/records.cddl`` says the same in CDDL and the tests hold the two
against each other. A key, once shipped, never changes its meaning. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, ClassVar

import cbor2

from firmware.wire.record_shapes import MAX_BODY, Choice, Counts, Field, Raw, RecordError, Text, UInt
from firmware.wire.taglist import MAX_BLOB_BYTES, MAX_TAGS

U16, U32, U64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
MAX_USES = 15
"""People on one pass at most (the pass's party field)."""
MAX_MS = (1 << 53) - 1
"""Times stay exact in every JSON reader."""


class Kind(IntEnum):
    """Record type numbers, key 0 of the body."""

    ADMITTED = 1
    PASSED = 2
    ANNULLED = 3
    REFUSED = 4
    BASKET = 5
    PAID_AT_PORTAL = 6
    EXIT = 7
    ALARM = 8
    PRICE_LOOK = 9
    PHOTO = 10
    DAMAGED = 11
    MISSING = 12
    SKIPPED = 13
    STARTED = 14
    BASKET_CLOSED = 15


class Flags(IntFlag):
    """Key 5. OFFLINE: decided with no link to the other gates. IN_MEMORY: the disk did not take it in
    time. PROVISIONAL: a basket closed by a fixed quiet time, not by a decision on its completeness."""

    NONE = 0
    OFFLINE = 1
    IN_MEMORY = 2
    PROVISIONAL = 4


QUALITIES = ("unsynced", "synced", "declared")
DIRECTIONS = ("in", "out")
PASS_KINDS = ("entry", "exit", "staff", "technician")
CODE_KINDS = ("pass", "paycode", "url", "other")
VERDICTS = ("provisional", "complete", "declared", "staff", "uncertain")
"""On what ground a basket was taken: a fixed quiet time, the portal's own decision, the shopper's count that
agreed, a person of the shop, or nothing better (a shopper who left)."""
CLOSED_WHY = ("abandoned", "time-out", "restart", "reader-lost", "sensors-lost", "crowded", "staff")
EXIT_PROOFS = ("settled", "empty", "staff", "open", "remote")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a fact was taken: wall milliseconds since 1970 UTC, monotonic milliseconds since boot, the
    boot's 4 random bytes, and how far the wall time can be trusted (one of ``QUALITIES``)."""

    wall_ms: int
    mono_ms: int
    boot: bytes
    quality: str


STAMP_FIELDS = (
    Field("wall_ms", 1, UInt(0, MAX_MS)),
    Field("mono_ms", 2, UInt(0, MAX_MS)),
    Field("boot", 3, Raw(4, 4)),
    Field("quality", 4, Choice(QUALITIES)),
)
FLAGS_FIELD = Field("flags", 5, UInt(0, 7), required=False, default=0)

_VISIT = Field("visit", 6, Raw(8, 8))
_VISIT_IF_ANY = Field("visit", 6, Raw(8, 8), required=False)
_DIRECTION = Field("direction", 7, Choice(DIRECTIONS))
_USES = Field("uses", 8, UInt(1, MAX_USES))
_REF_SEQ = Field("ref_seq", 12, UInt(0, U32))
_REF_EPOCH = Field("ref_epoch", 13, UInt(0, U64), required=False)
_FIRST = Field("first", 14, UInt(1, U32))
_LAST = Field("last", 15, UInt(1, U32))
_LAST_IF_KNOWN = Field("last", 15, UInt(0, U32))
_COUNTS = Field("counts", 16, Counts(max(Kind)), required=False, default={})


@dataclass(frozen=True)
class Record:
    """Base of all record types. ``flags`` is a ``Flags`` value."""

    KIND: ClassVar[Kind]
    FIELDS: ClassVar[tuple[Field, ...]]

    stamp: Stamp
    flags: Flags = field(default=Flags.NONE, kw_only=True)

    def body(self) -> bytes:
        """The canonical CBOR body, at most 32 KiB. Raises RecordError naming the field out of bounds."""
        out: dict[int, Any] = {0: int(self.KIND)}
        for spec in STAMP_FIELDS:
            out[spec.key] = spec.pack(getattr(self.stamp, spec.name))
        if flags := FLAGS_FIELD.pack(int(self.flags)):
            out[FLAGS_FIELD.key] = flags
        for spec in self.FIELDS:
            value = getattr(self, spec.name)
            if spec.required or value != spec.default:
                out[spec.key] = spec.pack(value)
        body = cbor2.dumps(dict(sorted(out.items())))
        if len(body) > MAX_BODY:
            raise RecordError(f"record body of {len(body)} bytes is over {MAX_BODY}")
        return body

    @property
    def offline(self) -> bool:
        return bool(self.flags & Flags.OFFLINE)


@dataclass(frozen=True)
class Admitted(Record):
    """``uses`` people of this visit may pass now. ``kind`` is the pass's kind, one of ``PASS_KINDS``."""

    KIND = Kind.ADMITTED
    FIELDS = (
        _VISIT,
        _DIRECTION,
        _USES,
        Field("kind", 9, Choice(PASS_KINDS, base=1)),
        Field("campaign", 10, UInt(0, U32), required=False, default=0),
        Field("placement", 11, UInt(0, U16), required=False, default=0),
    )

    visit: bytes
    direction: str
    uses: int
    kind: str
    campaign: int = 0
    placement: int = 0


@dataclass(frozen=True)
class Passed(Record):
    """One person went through. ``ref_seq``: the admission's seq, 0 when that was never journalled.

    ``ref_epoch`` only where the admission stands in an earlier journal (also in ``Annulled``)."""

    KIND = Kind.PASSED
    FIELDS = (_VISIT, _DIRECTION, _REF_SEQ, _REF_EPOCH)

    visit: bytes
    direction: str
    ref_seq: int
    ref_epoch: int | None = None


@dataclass(frozen=True)
class Annulled(Record):
    """``uses`` of an admission were given back, ``why`` in a few words (``not-used``, ``restart``...)."""

    KIND = Kind.ANNULLED
    FIELDS = (_VISIT, _DIRECTION, _USES, _REF_SEQ, _REF_EPOCH, Field("why", 17, Text()))

    visit: bytes
    direction: str
    uses: int
    ref_seq: int
    why: str
    ref_epoch: int | None = None


@dataclass(frozen=True)
class Refused(Record):
    """A code that did not open. ``reason``: the number in the refusal table. Never the code itself."""

    KIND = Kind.REFUSED
    FIELDS = (
        Field("reason", 18, UInt(0, U16)),
        Field("code", 19, Choice(CODE_KINDS)),
        _VISIT_IF_ANY,
    )

    reason: int
    code: str
    visit: bytes | None = None


@dataclass(frozen=True)
class Basket(Record):
    """The tags of one shopper: ``tags`` as ``firmware.wire.taglist`` packs them, ``count`` of them.

    ``reason``: why reading was ended, where the verdict does not say it. Without a visit the store opens an
    anonymous one. A basket whose items changed before it was paid is written again with the next ``version``:
    ``ref_seq`` is then the seq of its first, which with the epoch names the basket, and everything of earlier
    versions is replaced.
    ``missing``: items that the portal believes it did not read; ``declared``: how many the shopper said."""

    KIND = Kind.BASKET
    FIELDS = (
        Field("tags", 20, Raw(1, MAX_BLOB_BYTES)),
        Field("count", 21, UInt(0, MAX_TAGS)),
        Field("reason", 17, Text(), required=False, default=""),
        _VISIT_IF_ANY,
        Field("ref_seq", 12, UInt(1, U32), required=False),
        Field("version", 32, UInt(1, 255), required=False, default=1),
        Field("verdict", 33, Choice(VERDICTS), required=False, default="provisional"),
        Field("missing", 34, UInt(0, U16), required=False, default=0),
        Field("declared", 35, UInt(1, MAX_TAGS), required=False),
    )

    tags: bytes
    count: int
    reason: str = ""
    visit: bytes | None = None
    ref_seq: int | None = None
    version: int = 1
    verdict: str = "provisional"
    missing: int = 0
    declared: int | None = None


@dataclass(frozen=True)
class BasketClosed(Record):
    """A basket (the seq of its first version) will not be paid at this portal; ``why``: of ``CLOSED_WHY``.

    Says nothing about a payment that was under way: the store alone knows how that ended."""

    KIND = Kind.BASKET_CLOSED
    FIELDS = (_REF_SEQ, _REF_EPOCH, Field("why", 36, Choice(CLOSED_WHY)))

    ref_seq: int
    why: str
    ref_epoch: int | None = None


@dataclass(frozen=True)
class PaidAtPortal(Record):
    """The portal was told that a basket is paid. ``order``: the store's order number; fen, not yuan."""

    KIND = Kind.PAID_AT_PORTAL
    FIELDS = (
        _VISIT,
        _REF_SEQ,
        Field("order", 22, Text(32, r"[A-Za-z0-9_-]{1,32}")),
        Field("total_fen", 23, UInt(0, U32)),
    )

    visit: bytes
    ref_seq: int
    order: str
    total_fen: int


@dataclass(frozen=True)
class Exit(Record):
    """Somebody left; ``proof`` says on what ground the exit opened (one of ``EXIT_PROOFS``)."""

    KIND = Kind.EXIT
    FIELDS = (Field("proof", 24, Choice(EXIT_PROOFS)), _VISIT_IF_ANY)

    proof: str
    visit: bytes | None = None


@dataclass(frozen=True)
class Alarm(Record):
    """Something a person must look at. ``kind``: a fixed id such as ``tailgate``; ``detail``: plain words."""

    KIND = Kind.ALARM
    FIELDS = (Field("kind", 25, Text(40, r"[a-z0-9-]{1,40}")), Field("detail", 26, Text()), _VISIT_IF_ANY)

    kind: str
    detail: str
    visit: bytes | None = None


@dataclass(frozen=True)
class PriceLook(Record):
    """An item was held to a price point. ``epc``: 1..62 bytes; the list price shown, if one was."""

    KIND = Kind.PRICE_LOOK
    FIELDS = (
        Field("epc", 27, Raw(1, 62)),
        Field("shown_fen", 28, UInt(0, U32), required=False),
        _VISIT_IF_ANY,
    )

    epc: bytes
    shown_fen: int | None = None
    visit: bytes | None = None


@dataclass(frozen=True)
class Photo(Record):
    """A picture was taken for a visit; the picture itself travels elsewhere, named by its SHA-256."""

    KIND = Kind.PHOTO
    FIELDS = (Field("sha256", 29, Raw(32, 32)), Field("size", 30, UInt(1, U32)), _VISIT_IF_ANY)

    sha256: bytes
    size: int
    visit: bytes | None = None


@dataclass(frozen=True)
class Damaged(Record):
    """Stands in for a record that was lost on the board or refused three times, under its own seq.

    ``first`` and ``last`` are that seq; ``counts`` names its type where it is still known."""

    KIND = Kind.DAMAGED
    FIELDS = (_FIRST, _LAST, _COUNTS)

    first: int
    last: int
    counts: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing(Record):
    """Records first..last of epoch ``ref_epoch`` will never come: their journal was damaged.

    ``last`` = 0: how many there were is unknown. A store goes on behind them."""

    KIND = Kind.MISSING
    FIELDS = (_FIRST, _LAST_IF_KNOWN, _COUNTS, _REF_EPOCH)

    first: int
    last: int
    counts: Mapping[int, int] = field(default_factory=dict)
    ref_epoch: int | None = None


@dataclass(frozen=True)
class Skipped(Record):
    """Facts of low value not kept because the journal was full: how many of each type.

    ``first`` and ``last`` are the seq this record itself takes."""

    KIND = Kind.SKIPPED
    FIELDS = (_FIRST, _LAST, _COUNTS)

    first: int
    last: int
    counts: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Started(Record):
    """The board's program began. ``fw``: its version; ``reason``: why, as far as it is known."""

    KIND = Kind.STARTED
    FIELDS = (Field("fw", 31, Text(40)), Field("reason", 17, Text()))

    fw: str
    reason: str


TYPES: Mapping[int, type[Record]] = {
    cls.KIND: cls
    for cls in (
        Admitted,
        Passed,
        Annulled,
        Refused,
        Basket,
        PaidAtPortal,
        Exit,
        Alarm,
        PriceLook,
        Photo,
        Damaged,
        Missing,
        Skipped,
        Started,
        BasketClosed,
    )
}
