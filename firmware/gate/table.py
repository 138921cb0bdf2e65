"""The gate as a table: ``(state, event) → state, commands``. Everything that changes state is here.

A state fixes every output, the screen and the deadline; a row says where an event leads and which
facts it produces.  ``machine.py`` only turns levels, credits and time into the events named here.
Must never hold a state that drives ``motor_close`` together with anything but ``release``, nor a
timed state without a ``time_up`` or ``jammed`` row (``check`` refuses the table).

Commands: ``count`` (a passage of a grant), ``count-free`` (a passage of nobody's), ``alarm KIND``,
``annul WHY`` (all grants), ``annul-in WHY`` (grants inward only).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from firmware.gate.facts import ENDS
from firmware.gate.passage import STEPS, Steps

SAME = "="  # stay, and keep the running deadline; naming the own state again restarts it
LANES = ("motor", "hand")


@dataclass(frozen=True, slots=True)
class State:
    """``on``: outputs that are active, all others are not. ``refuses``: reason for new grants.

    ``goal``: where the leaf must be at the deadline ("away" or "shut"), else ``jammed``.
    ``out_ok``: the refusal is for the way in only. ``only``: the lane that has this
    state, "" for both. ``keeps``: outputs left as they are, whatever ``on`` says.
    """

    words: str
    on: tuple[str, ...] = ()
    limit: str | None = None
    screen: str = "out-of-order"
    refuses: str | None = None
    goal: str | None = None
    out_ok: bool = False
    only: str = ""
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    to: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One complete description of a gate; the mutation run builds altered copies of it."""

    rows: Mapping[tuple[str, str, str], Row]  # (lane, state, event)
    states: Mapping[str, State]
    standing: tuple[str, ...]
    ends: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ENDS)
    steps: Steps = field(default_factory=lambda: STEPS)


_GO = ("release", "lamp_green")
_WARN = ("release", "lamp_red")

STATES: dict[str, State] = {
    "unknown": State(
        "sensors not read yet: nothing moves, nothing locks",
        ("lamp_red",),
        "sensors_s",
        "starting",
        "gate-fault",
        keeps=("release",),
    ),
    "blind": State("sensors lost: left unlocked", _WARN, refuses="gate-fault"),
    "closed": State("leaf closed and locked, ready", (), screen="idle"),
    "lockdown": State("leaf closed and locked, only the way out opens", ("lamp_red",), screen="lockdown"),
    "obstructed": State("leaf closed, a beam stays broken", ("lamp_red",), refuses="gate-fault", out_ok=True),
    "released": State("unlocked, waits for a push (no motor)", _GO, "pass_s", "push", only="hand"),
    "opening": State("motor opens the leaf", (*_GO, "motor_open"), "open_s", "go", goal="away", only="motor"),
    "retrying": State(
        "leaf did not move: lock and motor rest", ("lamp_red",), "retry_s", "wait", only="motor"
    ),
    "reversing": State("motor rests between closing and opening", _WARN, "reverse_s", "wait", only="motor"),
    "open": State("leaf open, lane clear, waits for people", _GO, "pass_s", "go"),
    "passing": State("somebody is in the beams", _GO, "stand_s", "go"),
    "clearing": State("lane clear, short pause before closing", _WARN, "clear_s", "wait"),
    "closing": State("leaf closes", (*_WARN, "motor_close"), "close_s", "wait", goal="shut"),
    "held": State("lane blocked or leaf held: buzzer", (*_WARN, "buzzer"), "held_s", "blocked"),
    "stuck": State("lane stays blocked: left open, quiet", _WARN, refuses="gate-fault"),
    "free": State("operator leaves it open", _GO, screen="free"),
    "forced": State(
        "leaf left its contact while locked", ("lamp_red", "buzzer"), "forced_s", "forced", "gate-fault"
    ),
    "fault": State(
        "leaf does not obey: left unlocked until 'reset'", _WARN, refuses="gate-fault", only="motor"
    ),
    "fire-stopping": State("fire: the closing motor rests", _GO, "reverse_s", "fire", "fire", only="motor"),
    "fire-opening": State(
        "fire: motor opens the leaf", (*_GO, "motor_open"), "open_s", "fire", "fire", only="motor"
    ),
    "fire": State("fire: unlocked, nothing closes", _GO, screen="fire", refuses="fire"),
    "fire-over": State("fire line quiet again, still open", _GO, "fire_over_s", "fire", "fire"),
}

STANDING = (
    "sensors_open", "sensors_closed", "leaf_closed", "beam_broken", "hold_on", "spent", "lockdown_on",
    "beam_stuck",
)  # fmt: skip
"""Conditions that are looked at again, in this order, after every step: a state is never entered
past one that it has a row for (a beam already broken when the leaf would begin to close)."""

SHUT = "closed lockdown obstructed"
IDLE = "unknown blind forced " + SHUT
WALK = "opening reversing retrying open passing held"
FIRE = "fire-stopping fire-opening fire fire-over"
FREE = "free fault " + FIRE

# states | event | next | commands | lane ("" = both; a state that a lane lacks gets no row there)
RULES: tuple[tuple[str, str, str, str, str], ...] = (
    # start, and sensors lost: nothing moves, people can leave
    ("unknown blind", "sensors_closed", "closed", "", ""),
    ("unknown blind", "sensors_open", "clearing", "", ""),
    ("unknown", "time_up", "blind", "alarm sensors-lost", ""),
    ("unknown closed lockdown obstructed", "sensors_lost", "blind", "alarm sensors-lost", ""),
    ("clearing closing free forced", "sensors_lost", "blind", "alarm sensors-lost", ""),
    ("released open passing held stuck", "sensors_lost", "blind", "annul gate-fault, alarm sensors-lost", ""),
    ("opening retrying reversing", "sensors_lost", "blind", "annul gate-fault, alarm sensors-lost", ""),
    (FIRE + " fault", "sensors_lost", SAME, "alarm sensors-lost", ""),
    # fire beats everything
    (IDLE + " clearing free stuck fault fire-over", "fire_on", "fire-opening", "alarm fire", "motor"),
    ("opening retrying open passing held", "fire_on", "fire-opening", "annul fire, alarm fire", "motor"),
    ("closing", "fire_on", "fire-stopping", "alarm fire", "motor"),
    ("reversing", "fire_on", "fire-stopping", "annul fire, alarm fire", "motor"),
    (IDLE + " clearing closing free stuck fire-over", "fire_on", "fire", "alarm fire", "hand"),
    ("released open passing held", "fire_on", "fire", "annul fire, alarm fire", "hand"),
    ("fire-stopping", "time_up", "fire-opening", "", ""),
    ("fire-opening", "time_up", "fire", "", ""),
    ("fire-stopping fire-opening fire", "fire_off", "fire-over", "", ""),
    ("fire-over", "time_up", "unknown", "", ""),
    # a grant
    (SHUT, "granted", "opening", "", "motor"),
    (SHUT, "granted", "released", "", "hand"),
    ("opening reversing retrying passing held", "granted", SAME, "", ""),
    ("released", "granted", "released", "", ""),
    ("open clearing free", "granted", "open", "", ""),
    ("closing", "granted", "reversing", "", "motor"),
    ("closing", "granted", "open", "", "hand"),
    # the leaf opens
    ("opening", "time_up", "open", "", ""),
    ("opening", "jammed", "retrying", "", ""),
    ("opening", "jammed_out", "fault", "annul gate-fault, alarm leaf-stuck", ""),
    ("retrying reversing", "time_up", "opening", "", ""),
    ("released", "time_up", "closed", "annul not-used", ""),
    ("released", "spent", "closed", "", ""),
    ("released", "leaf_opened", "open", "", ""),
    ("retrying", "leaf_opened", "opening", "", ""),
    (SHUT, "leaf_opened", "forced", "alarm forced", ""),
    # people in the lane
    ("open clearing", "beam_broken", "passing", "", ""),
    ("closing", "beam_broken", "reversing", "", "motor"),
    ("closing", "beam_broken", "passing", "", "hand"),
    ("passing held stuck", "beams_clear", "open", "", ""),
    ("open", "spent", "clearing", "", ""),
    ("open", "time_up", "clearing", "annul not-used", ""),
    ("passing", "time_up", "held", "alarm standing", ""),
    ("held", "time_up", "stuck", "annul gate-fault", ""),
    ("opening retrying reversing passing held", "passed", SAME, "count", ""),
    ("released", "passed", SAME, "count, alarm leaf-contact", ""),
    # people nobody admitted: alarms only, the gate never fights a person
    ("opening reversing passing held stuck", "passed_extra", SAME, "alarm tailgate", ""),
    (SHUT + " released retrying forced", "passed_extra", SAME, "alarm intrusion", ""),
    (SHUT + " released forced", "passed_against", SAME, "alarm wrong-way", ""),
    ("opening retrying reversing passing held stuck", "passed_against", SAME, "alarm wrong-way", ""),
    (FREE, "passed_extra", SAME, "count-free", ""),
    (FREE, "passed_against", SAME, "count-free", ""),
    # the leaf closes
    ("clearing", "time_up", "closing", "", ""),
    ("clearing closing forced stuck", "leaf_closed", "closed", "", ""),
    ("held", "leaf_closed", "open", "", ""),
    ("open passing", "leaf_closed", "opening", "", "motor"),
    ("open", "leaf_closed", "released", "", "hand"),
    ("closing", "jammed", "reversing", "", "motor"),
    ("closing", "jammed_out", "fault", "alarm leaf-not-closing", "motor"),
    ("closing", "jammed", "held", "alarm held-open", "hand"),
    ("forced", "time_up", "clearing", "", ""),
    # a beam that stays broken
    ("closed", "beam_stuck", "obstructed", "alarm beam-stuck", ""),
    ("lockdown released opening retrying passing held", "beam_stuck", SAME, "alarm beam-stuck", ""),
    ("stuck forced free fault fire-opening fire fire-over", "beam_stuck", SAME, "alarm beam-stuck", ""),
    ("obstructed", "beams_clear", "closed", "", ""),
    # the operator
    ("closed", "hold_on", "opening", "", "motor"),
    ("closed", "hold_on", "free", "", "hand"),
    ("clearing", "hold_on", "free", "", ""),
    ("lockdown obstructed", "remote_release", "closed", "", ""),
    ("forced", "remote_release", "clearing", "", ""),
    ("closing", "remote_release", "reversing", "", "motor"),
    ("closing", "remote_release", "clearing", "", "hand"),
    ("closed released free clearing stuck " + WALK, "remote_release", SAME, "", ""),
    ("open", "remote_close", "clearing", "annul operator", ""),
    ("released", "remote_close", "closed", "annul operator", ""),
    ("free forced", "remote_close", "clearing", "", ""),
    (SHUT + " clearing closing stuck opening reversing retrying passing held", "remote_close", SAME, "", ""),
    ("closed", "lockdown_on", "lockdown", "", ""),
    ("free", "remote_lockdown", "clearing", "", ""),
    ("released " + WALK, "remote_lockdown", SAME, "annul-in lockdown", ""),
    (IDLE + " clearing closing stuck fault " + FIRE, "remote_lockdown", SAME, "", ""),
    ("lockdown", "remote_unlock", "closed", "", ""),
    ("unknown blind closed obstructed forced released clearing closing", "remote_unlock", SAME, "", ""),
    ("stuck free fault " + WALK + " " + FIRE, "remote_unlock", SAME, "", ""),
    ("fault", "remote_reset", "unknown", "", ""),
    ("unknown blind fault " + FIRE, "remote_release", SAME, "", ""),
    ("unknown blind fault " + FIRE, "remote_close", SAME, "", ""),
    # expected, and nothing to do: listed so that whatever is not listed gets logged
    ("closed lockdown released opening reversing retrying", "beam_broken", SAME, "", ""),
    ("forced " + FREE, "beam_broken", SAME, "", ""),
    ("held stuck", "beam_broken", SAME, "", "hand"),
    ("closed lockdown released opening reversing retrying", "beams_clear", SAME, "", ""),
    ("forced " + FREE, "beams_clear", SAME, "", ""),
    ("opening reversing " + FREE, "leaf_opened", SAME, "", ""),
    ("opening reversing " + FREE, "leaf_closed", SAME, "", ""),
    ("blind", "sensors_lost", SAME, "", ""),
    ("passing", "leaf_opened", SAME, "", "hand"),
    ("passing", "leaf_closed", SAME, "", "hand"),
)


def _commands(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def expand(rules: Iterable[tuple[str, str, str, str, str]]) -> dict[tuple[str, str, str], Row]:
    """Rules → one row per (lane, state, event). Raises ValueError on a pair given twice."""
    rows: dict[tuple[str, str, str], Row] = {}
    for states, event, to, commands, only in rules:
        for lane in (only,) if only else LANES:
            for state in states.split():
                if STATES[state].only not in ("", lane):
                    continue
                if (lane, state, event) in rows:
                    raise ValueError(f"gate table: {lane} lane has two rows for ({state}, {event})")
                rows[lane, state, event] = Row(to, _commands(commands))
    return rows


def check(table: Table) -> None:
    """Refuse a table that could hang or drive both ways. Raises ValueError naming the state."""
    for (lane, state, event), row in table.rows.items():
        for name in (state, row.to):
            if name != SAME and name not in table.states:
                raise ValueError(f"gate table: ({lane}, {state}, {event}) names no state: {name!r}")
    for name, spec in table.states.items():
        if {"motor_open", "motor_close"} <= set(spec.on):
            raise ValueError(f"gate table: state {name} drives the motor both ways")
        lanes = (spec.only,) if spec.only else LANES
        ends = "jammed" if spec.goal == "shut" else "time_up"
        if spec.limit and not all((lane, name, ends) in table.rows for lane in lanes):
            raise ValueError(f"gate table: timed state {name} has no {ends} row")


TABLE = Table(rows=expand(RULES), states=STATES, standing=STANDING)
check(TABLE)
