"""What a board file may say of a portal and of a price point: sections, keys, ranges and defaults. Data only.

Part of ``firmware.boardschema``; the docstring under each key is its line in ``docs/boards.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Company = Annotated[str, Meta(pattern=r"^[0-9]{6,12}$")]
Antenna = Annotated[int, Meta(ge=1, le=16)]


class PortalSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A checkout portal. Its times end the states of firmware/portal/table.py."""

    payment: Literal["store", "count"] = "count"
    """``store``: the shop makes an offer and the shopper pays here; ``count``: count and record only."""
    companies: tuple[Company, ...] = ()
    """GS1 company prefixes of the shop's goods; none: every GS1 item counts. What the price list has counts
    always; other tags are left out, counted and named."""
    unprogrammed: Literal["ignore", "report"] = "report"
    """Tags without a GS1 code that the price list does not have: left out in silence, or reported."""
    veto_antennas: tuple[Antenna, ...] = ()
    """Antennas that face away from the portal: a tag that is stronger there is not in it."""
    sensors_s: Annotated[float, Meta(ge=1, le=60)] = 10.0
    """Wait for inputs and reader after a start, s."""
    left_s: Annotated[float, Meta(ge=0.2, le=10)] = 1.5
    """The portal counts as left after nobody was inside for so long, s."""
    collect_s: Annotated[float, Meta(ge=3, le=120)] = 15.0
    """Longest reading before the shopper gets advice, s."""
    advise_s: Annotated[float, Meta(ge=5, le=300)] = 20.0
    """Advice that did not help for so long calls a person of the shop, s."""
    write_s: Annotated[float, Meta(ge=0.5, le=30)] = 3.0
    """The disk takes longer than this for a basket: no sales for the moment, s."""
    retry_s: Annotated[float, Meta(ge=0.5, le=30)] = 2.0
    """Pause before a basket that the disk did not take is written again, s."""
    offer_s: Annotated[float, Meta(ge=0.5, le=10)] = 3.0
    """Wait for the shop's offer, s."""
    again_s: Annotated[float, Meta(ge=1, le=60)] = 5.0
    """Pause before the shop is asked for an offer again, s."""
    pay_s: Annotated[float, Meta(ge=10, le=600)] = 90.0
    """Time to show the payment code, s."""
    answer_s: Annotated[float, Meta(ge=5, le=120)] = 60.0
    """Wait for the answer to a payment before it is asked for, s."""
    ask_s: Annotated[float, Meta(ge=2, le=60)] = 5.0
    """Pause between questions how a payment stands, s."""
    declined_s: Annotated[float, Meta(ge=1, le=30)] = 4.0
    """The reason of a refused payment is shown so long, s."""
    abandoned_s: Annotated[float, Meta(ge=1, le=60)] = 4.0
    """Whoever is still inside after an unpaid basket begins anew after this, s."""
    crowd_s: Annotated[float, Meta(ge=2, le=120)] = 10.0
    """More than one person inside for so long is an alarm, s."""
    unclear_s: Annotated[float, Meta(ge=30, le=1800)] = 180.0
    """A payment that stays unclear for so long is left to the shop, with an alarm, s."""
    background_every_s: Annotated[float, Meta(ge=1, le=600)] = 10.0
    """While nobody is inside, the shelves around are looked at this often, s."""
    background_s: Annotated[float, Meta(ge=0.2, le=60)] = 1.0
    """Length of such a look, s; the module rests in between."""
    reads_mb: Annotated[float, Meta(ge=0.1, le=2000)] = 64.0
    """The log of raw reads keeps at most so much, MB (for disputes: tallygate replay)."""
    reads_days: Annotated[float, Meta(ge=0.1, le=365)] = 30.0
    """The log of raw reads keeps them so long, days."""


class PricepointSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shelf price point: one tag near the antenna, its price on the display."""

    near_dbm: Annotated[float, Meta(ge=-90, le=0)] = -50.0
    """A tag counts as held to the antenna from this level on, dBm."""
    near_raw: Annotated[float, Meta(ge=0, le=255)] | None = None
    """The same for modules whose level has no unit; absent: every tag that is read is near."""
    hysteresis: Annotated[float, Meta(ge=0, le=30)] = 6.0
    """A tag stays near until it is weaker than that by so much, dB."""
    margin: Annotated[float, Meta(ge=0, le=40)] = 8.0
    """A tag this much stronger than all others is the one that is held there, dB."""
    clear_s: Annotated[float, Meta(ge=0.3, le=10)] = 1.5
    """The price is taken away after no read for so long, s."""
    looks_an_hour: Annotated[int, Meta(ge=1, le=3600)] = 240
    """At most so many price looks become records; the rest is only counted."""
