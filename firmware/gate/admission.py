"""Who may pass: judges one code that was shown, before anything is claimed or written. Pure.

The verdict is a value: either an ``Admissible`` pass or a ``Refusal`` with its reason code.  Nothing a
shopper can show raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from firmware.wire.codes import classify
from firmware.wire.passes import MAX_SHOWN_BYTES, Pass, verify
from firmware.wire.refusals import Refusal

CARRIES_GOODS = ("staff", "technician")
"""Pass kinds that open in every shop state but lockdown and may be used again and again."""


@dataclass(frozen=True)
class Shop:
    """What the shop says of itself. ``inside`` and ``limit``: people; limit 0 = none."""

    state: str = "open"
    inside: int = 0
    limit: int = 0


@dataclass(frozen=True)
class House:
    """The rules of one gate: whose shop, which way, which keys, which visits are revoked."""

    store_id: str
    direction: str
    keys: Mapping[int, bytes]
    revoked: frozenset[bytes] = frozenset()
    unsynced: str = "refuse"
    shop: Shop = field(default_factory=Shop)


@dataclass(frozen=True)
class Admissible:
    """``party`` people of this visit may pass. ``unsure``: the wall clock was not synchronised and the
    site accepts that."""

    visit: bytes
    party: int
    kind: str
    campaign: int = 0
    placement: int = 0
    unsure: bool = False
    left: int | None = None
    """Of the party, who may still pass when uses here and at other gates are taken off; None = all."""


@dataclass(frozen=True)
class Verdict:
    """``code``: pass, paycode, url or other; ``outcome``: the pass, or why not."""

    code: str
    outcome: Admissible | Refusal
    visit: bytes | None = None
    mark: bytes = b""
    """Tells one showing of a rotating pass from the next: 4 bytes of the code's hash, never the code."""


def judge(
    data: bytes,
    house: House,
    *,
    wall_s: float,
    quality: str,
    used: Callable[[bytes], int] = lambda visit: 0,
) -> Verdict:
    """The verdict on one code. ``used(visit)``: uses of it already spent in this direction."""
    if len(data) > MAX_SHOWN_BYTES:
        return Verdict("other", Refusal("too-long"))
    code = classify(data)
    if code == "paycode":
        return Verdict(code, Refusal("paycode-here"))
    if code == "url":
        return Verdict(code, Refusal("url-here"))
    if code != "pass":
        return Verdict(code, Refusal("not-a-pass"))
    shown = verify(data, store_id=house.store_id, keys=house.keys, now_s=wall_s)
    if isinstance(shown, Refusal):
        return Verdict(code, shown)
    kind = shown.kind
    mark = sha256(data).digest()[:4]
    refusal = _house_rules(shown, kind, house, quality, used)
    if refusal is not None:
        return Verdict(code, refusal, shown.visit, mark)
    unsure = quality == "unsynced"
    left = None if kind in CARRIES_GOODS else shown.party - used(shown.visit)
    good = Admissible(shown.visit, shown.party, kind, shown.campaign, shown.placement, unsure, left)
    return Verdict(code, good, shown.visit, mark)


def _house_rules(
    shown: Pass, kind: str, house: House, quality: str, used: Callable[[bytes], int]
) -> Refusal | None:
    trusted = kind in CARRIES_GOODS
    if quality == "unsynced" and house.unsynced == "refuse":
        return Refusal("clock-unsure")
    if shown.visit in house.revoked:
        return Refusal("revoked")
    if house.direction == "out":
        if not trusted and not (kind == "exit" and shown.settled):
            return Refusal("wrong-kind")
    else:
        if not trusted and kind != "entry":
            return Refusal("wrong-kind")
        if house.shop.state == "lockdown":
            return Refusal("lockdown")
        if house.shop.state == "closed" and not trusted:
            return Refusal("shop-closed")
        if house.shop.limit and not trusted and house.shop.inside + 1 > house.shop.limit:
            return Refusal("shop-full")
    if not trusted and used(shown.visit) >= shown.party:
        return Refusal("used")
    return None
