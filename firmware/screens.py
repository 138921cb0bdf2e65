"""Which words stand on the shopper's screen: the gate's own, a refusal's, or "one moment". Pure."""

from __future__ import annotations

from firmware.gate.facts import SCREENS
from firmware.wire.refusals import REASONS
from hal.ports import Screen

REFUSAL_S = 4.0
"""A refusal stays on the screen so long, s; then the gate's own screen returns."""
ONE_MOMENT = Screen("wait", ("One moment",))


def screen_for(key: str, detail: str = "") -> Screen:
    """The screen of a key: "refused" (``detail``: the reason), "one-moment", or one of the gate's.

    Raises KeyError for a key that has no words: a test shows every key that is ever said.
    """
    if key == "refused":
        return Screen("stop", REASONS[detail].words)
    if key == "one-moment":
        return ONE_MOMENT
    return SCREENS[key]
