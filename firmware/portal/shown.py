"""What a code shown to a portal's camera means there. Pure.

A pass says whose basket it is; a payment code pays; the code on an item adds it; a count card says how many
items there are. Anything else is refused with a reason. The payment code itself is never returned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from firmware.portal import facts
from firmware.wire.codes import classify
from firmware.wire.epc import EpcError, from_digital_link
from firmware.wire.passes import MAX_SHOWN_BYTES, verify
from firmware.wire.refusals import Refusal

COUNT = re.compile(rb"TGN:([1-9][0-9]{0,2})")
"""A card beside the portal, or the phone page: so many items."""
OWN_KINDS = ("entry", "staff", "technician")

Shown = facts.PassShown | facts.PaycodeShown | facts.ItemShown | facts.CountShown | facts.CodeRefused


def judge(
    data: bytes,
    *,
    store_id: str,
    keys: Mapping[int, bytes],
    revoked: frozenset[bytes],
    wall_s: float,
    unsynced: bool,
) -> Shown:
    """``unsynced``: the wall clock cannot be trusted, so no pass can be either."""
    if len(data) > MAX_SHOWN_BYTES:
        return facts.CodeRefused("too-long")
    if found := COUNT.fullmatch(data):
        return facts.CountShown(int(found[1]))
    code = classify(data)
    if code == "paycode":
        return facts.PaycodeShown()
    if code == "url":
        return _item(data)
    if code != "pass":
        return facts.CodeRefused("not-a-pass")
    if unsynced:
        return facts.CodeRefused("clock-unsure")
    shown = verify(data, store_id=store_id, keys=keys, now_s=wall_s)
    if isinstance(shown, Refusal):
        return facts.CodeRefused(shown.reason)
    if shown.visit in revoked:
        return facts.CodeRefused("revoked")
    if shown.kind not in OWN_KINDS:
        return facts.CodeRefused("wrong-kind")
    return facts.PassShown(shown.visit, shown.kind)


def _item(data: bytes) -> Shown:
    """A GS1 Digital Link on a label: an item without a tag."""
    try:
        return facts.ItemShown(from_digital_link(data.decode("ascii")))
    except (EpcError, UnicodeDecodeError):
        return facts.CodeRefused("url-here")
