"""What a portal calls a person for, in words, and how often it may write the same into the journal. Pure."""

from __future__ import annotations

ALARMS = {
    "portal-sensors": "the portal's inputs cannot be read: check the pin driver and the wiring",
    "portal-crowded": "more than one person stays in the portal",
    "portal-uncertain": "the portal is not sure that it has read everything: somebody must look",
    "payment-unclear": "the shop did not say how a payment ended: look it up before charging again",
    "duplicate-tags": "two tags carry the same EPC: one of the items needs a new tag",
    "help": "the help button was pressed",
}
EVERY_S = {"portal-sensors": 60.0, "portal-crowded": 60.0, "portal-uncertain": 60.0, "help": 10.0}
"""These are not written again within so long, s: a loose plug or a child at the button fills no journal.
The others are about one basket, and always written."""


class Bell:
    """``ring(kind, now)``: whether the alarm is to be written."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.silent = 0
        """Alarms that were not written."""

    def ring(self, kind: str, now: float) -> bool:
        """Raises KeyError for a kind that has no words."""
        ALARMS[kind]
        if now - self.last.get(kind, float("-inf")) < EVERY_S.get(kind, 0.0):
            self.silent += 1
            return False
        self.last[kind] = now
        return True
