"""The camera: do frames come, and what would the board say to the code that somebody shows it?"""

from __future__ import annotations

import time
from pathlib import Path

from firmware.gate.admission import House
from firmware.gate.admission import judge as judge_at_gate
from firmware.hardware import camera_source, wall_clock
from firmware.portal.facts import CodeRefused
from firmware.portal.shown import judge as judge_at_portal
from firmware.selftest.bench import Bench, Result
from firmware.wire.refusals import Refusal
from hal.ports import CodeSeen, DeviceLost, Event, Progress

FRAMES = 10
CAMERA_S = 20.0
CODE_S = 30.0


def camera(bench: Bench) -> Result:
    if bench.board.camera is None:
        return Result(True, "no camera in the board file")
    events: list[Event] = []
    source = camera_source(bench.board, Path(bench.site.data))
    bench.loop.call_soon(source.start, events.append)
    first = time.monotonic()

    def frames() -> int:
        return max((event.count for event in events if isinstance(event, Progress)), default=0)

    def lost() -> DeviceLost | None:
        return next((event for event in events if isinstance(event, DeviceLost)), None)

    try:
        bench.until(lambda: frames() >= FRAMES or lost() is not None, CAMERA_S)
        took = time.monotonic() - first
        gone = lost()
        if gone is not None:
            return Result(False, gone.reason, gone.check)
        if frames() < FRAMES:
            return Result(False, f"{frames()} frames in {took:.0f} s", "camera cable, and its service")
        found = f"{frames()} frames, the first {FRAMES} within {took:.1f} s of the start"
        return _code(bench, events, found) if bench.show_code else Result(True, found)
    finally:
        bench.loop.call_soon(source.close)
        bench.until(lambda: False, 0.1)


def _code(bench: Bench, events: list[Event], found: str) -> Result:
    """The last word of the test: a person shows a pass, and reads what the gate would say."""
    print(f"     show a pass to the camera now ({CODE_S:g} s)", flush=True)

    def seen() -> CodeSeen | None:
        return next((event for event in events if isinstance(event, CodeSeen)), None)

    bench.until(lambda: seen() is not None, CODE_S)
    code = seen()
    if code is None:
        return Result(None, f"{found}; no code was read", "distance, light and focus")
    share = f"code of {code.share:.0%} of the height read by {code.decoder}"
    return Result(True, f"{found}; {share}: {_said(bench, code.data)}")


def _said(bench: Bench, data: bytes) -> str:
    """What this board would say to the code, in its own words; the code itself is not shown."""
    clock, site = wall_clock(bench.board), bench.site
    keys = {int(number): bytes.fromhex(key) for number, key in site.pass_keys.items()}
    wall_s, quality = clock.wall_ms() / 1000, clock.quality()
    if bench.role == "portal":
        refuses = quality == "unsynced" and bench.board.admission.on_unsynced_clock == "refuse"
        shown = judge_at_portal(
            data, store_id=site.store, keys=keys, revoked=frozenset(), wall_s=wall_s, unsynced=refuses
        )
        if isinstance(shown, CodeRefused):
            return f"refused: {shown.reason}"
        return f"taken as {type(shown).__name__.removesuffix('Shown').lower()}"
    house = House(site.store, "in", keys, unsynced="accept-flagged")
    outcome = judge_at_gate(data, house, wall_s=wall_s, quality=quality).outcome
    return f"refused: {outcome.reason}" if isinstance(outcome, Refusal) else "would open"
