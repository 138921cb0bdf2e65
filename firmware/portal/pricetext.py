"""The words and figures of the price point's screens. Pure.

At most three lines (``hal.ports.Screen``); the display wraps and shrinks what is long. Money is integer fen
and is never divided as a float.
"""

from __future__ import annotations

import unicodedata

from firmware.wire.pricelist import PriceEntry
from hal.ports import Screen

MAX_LINE = 40
"""Characters of a name on the screen: two rows on a small panel at a size that is read from a metre."""
LONGEST_WORD = 18
"""Characters; longer words are broken."""
DATES = {"15": "best before", "16": "sell by", "17": "use by"}
"""Which dates of a tag (GS1 application identifiers) are for the shopper; the others are the maker's."""

IDLE = Screen("price", ("Price check", "Hold one item here"))
SEVERAL = Screen("wait", ("One item", "at a time, please"))
OUT_OF_ORDER = Screen("stop", ("Out of order", "Please ask for help"))
NO_LIST = Screen("wait", ("No price list yet", "Please ask for help"))
UNKNOWN = Screen("wait", ("Not in the price list", "Please ask for help"))
UNPROGRAMMED = Screen("wait", ("No item on this tag", "Please ask for help"))
"""Also for a tag of somebody else, a library's: it is not empty."""


def yuan(fen: int) -> str:
    """``fen`` (0 or more) as people write it: 1280 → "¥ 12.80"."""
    return f"¥ {fen // 100}.{fen % 100:02d}"


def _broken(word: str) -> str:
    """A long word with a hyphen and a space where it may be broken: the display shrinks the price until the
    longest word fits. Chinese is broken anywhere."""
    if len(word) <= LONGEST_WORD or any(unicodedata.east_asian_width(sign) in "WF" for sign in word):
        return word
    step = LONGEST_WORD - 1
    return "- ".join(word[at : at + step] for at in range(0, len(word), step))


def short(name: str, most: int = MAX_LINE) -> str:
    """``name`` cut behind a word, with an ellipsis; a first word that is too long (Chinese has no spaces) is
    cut itself."""
    name = " ".join(_broken(word) for word in name.split(" "))
    if len(name) <= most:
        return name
    cut = name[:most]  # one more than fits beside the ellipsis: a space here ends a whole word
    words = cut[: cut.rfind(" ")].rstrip() if " " in cut else ""
    if len(words) < most // 2:
        words = name[: most - 1].rstrip()
    return words + "…"


def price(entry: PriceEntry, date_type: str | None, date: str | None) -> Screen:
    """The price, which is drawn largest, then the name, then unit price and date where there are any."""
    more = []
    if entry.unit_fen is not None:
        more.append(f"{yuan(entry.unit_fen)} / {entry.unit}")
    if date is not None and date_type in DATES:
        more.append(f"{DATES[date_type]} {date}")
    lines = yuan(entry.price_fen), short(entry.name), ", ".join(more)
    return Screen("price", lines if more else lines[:2])


def expired(entry: PriceEntry, date_type: str, date: str) -> Screen:
    """For goods past the date that their tag carries: no price, they are not to be sold."""
    when = f"{DATES[date_type]} {date}, please take another"
    return Screen("stop", ("Past its date", short(entry.name), when))
