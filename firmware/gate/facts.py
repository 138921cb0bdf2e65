"""What goes into the gate and what comes out of it: events, commands, facts. Values only.

Inputs are ``hal.ports.InputChanged``, ``DeviceLost`` and ``DeviceBack`` of the device "pins", and the
events below.  Nothing here may know a device, the time of day or a disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hal.ports import DeviceBack, DeviceLost, InputChanged, Screen

# -- events in -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Levels:
    """One full reading of the sensors: level by name, as in ``hal.ports.INPUTS``.

    Needed once at the start and once after "pins" came back. "help" may be missing.
    """

    levels: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Grant:
    """An admission that is already recorded: ``party`` passages in ``direction`` ("in" or "out").

    ``visit`` is the pass's 8 bytes, None for an opening without a pass; ``ref`` is the seq of the
    admitted record and comes back in ``Passed`` and ``Annulled``.
    """

    visit: bytes | None
    ref: int
    party: int
    direction: str
    kind: str = "entry"

    def __post_init__(self) -> None:
        if self.direction not in ("in", "out"):
            raise ValueError(f"grant direction {self.direction!r}: must be 'in' or 'out'")
        if not 1 <= self.party <= 15:
            raise ValueError(f"grant party {self.party}: must be 1 to 15")


@dataclass(frozen=True, slots=True)
class Remote:
    """An operator's command, already checked for age and repetition. Names in ``REMOTE``."""

    name: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: sent when ``Gate.deadline()`` is due. Harmless at any other time."""


GateEvent = InputChanged | DeviceLost | DeviceBack | Levels | Grant | Remote | Tick

REMOTE: Mapping[str, str] = {
    "open": "let one person through without a pass",
    "close": "end 'release', or close an open gate that nobody is using",
    "release": "open and stay open until 'close'",
    "lockdown": "nobody in, everybody out, until 'unlock'",
    "unlock": "end 'lockdown'",
    "reset": "leave the fault: look at the sensors again and work",
}

# -- what comes out ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drive:
    """Set one output; names in ``hal.ports.OUTPUTS``. Switching off always comes before on."""

    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """One person went through in ``direction``; ``remaining`` passages are left of the same grant.

    ``visit`` None and ``ref`` 0: nobody's admission, while the gate stood open on purpose.
    """

    visit: bytes | None
    ref: int
    direction: str
    remaining: int


@dataclass(frozen=True, slots=True)
class Annulled:
    """``unused`` passages of a grant are given back. ``why``: a key of ``ANNULLED``."""

    visit: bytes | None
    ref: int
    unused: int
    why: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """``kind`` is a key of ``ALARMS``; ``detail`` adds what is known, without personal data."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class AlarmOver:
    """The condition of an earlier alarm has ended."""

    kind: str


@dataclass(frozen=True, slots=True)
class Show:
    """The gate's own screen changed; ``key`` is a key of ``SCREENS``."""

    key: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StateChanged:
    state: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A pair that the table does not have: nothing changed. Sent once per pair, counted always."""

    state: str
    event: str


Out = Drive | Passed | Annulled | Alarm | AlarmOver | Show | StateChanged | Ignored

ANNULLED: Mapping[str, str] = {
    "not-used": "nobody walked through in time",
    "fire": "the fire line opened",
    "gate-fault": "the gate could not serve it",
    "lockdown": "the shop went into lockdown",
    "operator": "an operator closed the gate",
}

ALARMS: Mapping[str, str] = {
    "tailgate": "more people than admitted went through: look at the camera picture",
    "intrusion": "somebody went through a closed gate: look at the leaf and over it",
    "wrong-way": "somebody went through against the lane's direction",
    "forced": "the leaf left its contact while locked: check the lock, the contact and its cable",
    "held-open": "the leaf does not come back to its contact: is it propped open? check the spring",
    "standing": "somebody or something stays in the lane: clear the lane, clean the beam lenses",
    "beam-stuck": "a beam is broken for too long: clean the lenses, check alignment, cable and supply",
    "leaf-stuck": "the leaf did not leave its contact: check bolt, motor fuse, motor and contact cable",
    "leaf-not-closing": "the leaf does not reach its contact: look for an object, check motor and contact",
    "leaf-contact": "people pass but the leaf contact never moved: check its magnet and its cable",
    "sensors-lost": "leaf contact, beams and fire line cannot be read: check the pin driver and the wiring",
    "fire": "the fire line is open: fire, or a broken wire of the fire loop",
    "help": "the help button was pressed",
}

ENDS: Mapping[str, tuple[str, ...]] = {
    "leaf_closed": ("forced", "held-open", "leaf-not-closing"),
    "leaf_opened": ("leaf-stuck", "leaf-contact"),
    "beams_clear": ("standing", "beam-stuck"),
    "sensors_read": ("sensors-lost",),
    "fire_off": ("fire",),
    "help_off": ("help",),
}
"""Which fact ends which alarms. Tailgate, intrusion and wrong-way are moments and have no end."""

MOMENTS = frozenset({"tailgate", "intrusion", "wrong-way"})

SCREENS: Mapping[str, Screen] = {
    "starting": Screen("wait", ("One moment", "The gate is starting")),
    "idle": Screen("idle", ("Welcome", "Please show your code")),
    "go": Screen("go", ("Please walk through",)),
    "push": Screen("go", ("Please push", "and walk through")),
    "wait": Screen("wait", ("One moment", "The gate is closing")),
    "blocked": Screen("alarm", ("Please step", "out of the lane")),
    "out-of-order": Screen("stop", ("Out of order", "Please ask for help")),
    "lockdown": Screen("stop", ("No entry now", "The way out is open")),
    "free": Screen("go", ("Gate is open",)),
    "forced": Screen("alarm", ("Please let go", "of the gate")),
    "fire": Screen("alarm", ("Leave the shop", "The gate is open")),
    "help": Screen("wait", ("Help is on the way",)),
}
