"""``python -m firmware selftest``: a board's parts, one numbered step each, with what to check.

Drives no output away from its safe value.  Needs the board's own process stopped (it holds the pins, the
camera and the identity at the broker); says so when it is not.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.boardfile import device_tree_fault, load, load_site
from firmware.boardschema import Board, Site
from firmware.gate.admission import House, judge
from firmware.hardware import camera_source, open_hardware, wall_clock
from firmware.loop import Guard
from firmware.sync.documents import Documents, DocumentsError
from firmware.sync.link import Link, LinkSettings
from firmware.wire.refusals import Refusal
from firmware.wire.topics import Topics
from hal.pins.outputs import PinsError
from hal.pins.strict import strict_gpiod_warning
from hal.ports import CodeSeen, DeviceLost, Event, Progress

FRAMES = 10
CAMERA_S = 20.0
CODE_S = 30.0
BROKER_S = 10.0
SLOW_FSYNC_MS = 50.0
LEAST_FREE_MB = 200


@dataclass(frozen=True)
class Result:
    """``ok`` None: not essential, and not as it should be."""

    ok: bool | None
    found: str
    check: str = ""


@dataclass
class Bench:
    """What the steps share."""

    board: Board
    site: Site
    loop: asyncio.AbstractEventLoop
    guard: Guard
    show_code: bool

    def until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Run the loop until ``done()``; False after ``limit_s``."""
        end = self.loop.time() + limit_s
        while not done() and self.loop.time() < end:
            self.loop.run_until_complete(asyncio.sleep(0.05))
        return done()


def _model(bench: Bench) -> Result:
    fault = device_tree_fault(bench.board)
    model = bench.board.board.model
    return Result(fault is None, fault or f"board file for {model}", "use the board file of this model")


def _disk(bench: Bench) -> Result:
    data = Path(bench.site.data)
    check = f"is {data} on the card, writable and not full (df, dmesg)?"
    probe = data / "selftest.tmp"
    times = []
    try:
        data.mkdir(parents=True, exist_ok=True)
        for _ in range(20):
            began = time.perf_counter()
            with probe.open("wb") as file:
                file.write(os.urandom(4096))
                file.flush()
                os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
        probe.unlink()
        stat = os.statvfs(data)
    except OSError as error:
        return Result(False, f"{data}: {error.strerror}", check)
    middle, free = statistics.median(times), stat.f_bavail * stat.f_frsize / 1e6
    found = f"fsync {middle:.1f} ms median, {max(times):.0f} ms worst; {free:.0f} MB free"
    if free < LEAST_FREE_MB:
        return Result(False, found, f"less than {LEAST_FREE_MB} MB are free: clear the card")
    return Result(True if middle < SLOW_FSYNC_MS else None, found, "a slow or dying card: replace it")


def _clock(bench: Bench) -> Result:
    quality = wall_clock(bench.board).quality()
    good = quality != "unsynced"
    return Result(good or None, f"wall clock {quality}", "network, then timedatectl; passes need the time")


def _pins(bench: Bench) -> Result:
    try:
        hardware = open_hardware(bench.board, Path(bench.site.data), bench.loop, stepped=True)
    except PinsError as error:
        return Result(False, str(error), "stop the board's service first; else the wiring named")
    try:
        hardware.pins.start(lambda event: None)
        bench.until(lambda: False, 0.4)
        levels = hardware.pins.read()
    finally:
        hardware.close()
    strict = strict_gpiod_warning() if bench.board.sim is None else None
    if strict is not None:
        return Result(False, strict, "dtparam=strict_gpiod in config.txt, then reboot")
    shown = ", ".join(f"{name} {'active' if level else 'rest'}" for name, level in levels.items())
    if levels.get("fire"):
        return Result(None, shown, "the fire loop is open: fire, or a broken wire")
    if levels.get("beam_outer") or levels.get("beam_inner"):
        return Result(None, shown, "a beam is broken: clear the lane, clean the lenses")
    return Result(True, shown)


def _camera(bench: Bench) -> Result:
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
    clock = wall_clock(bench.board)
    keys = {int(number): bytes.fromhex(key) for number, key in bench.site.pass_keys.items()}
    house = House(bench.site.store, "in", keys, unsynced="accept-flagged")
    verdict = judge(code.data, house, wall_s=clock.wall_ms() / 1000, quality=clock.quality())
    outcome = verdict.outcome
    said = f"refused: {outcome.reason}" if isinstance(outcome, Refusal) else "would open"
    return Result(True, f"{found}; code of {code.share:.0%} of the height read by {code.decoder}: {said}")


class _NoJournal:
    """The link is tested without a record."""

    def fetch(self, after: Any, limit: int, done: Callable[[Sequence[Any]], None]) -> None:
        done([])

    def ack(self, epoch: int, through: int, done: Callable[[bool | None], None]) -> None:
        done(False)

    def nacked(self, epoch: int, seq: int, done: Callable[[bool], None]) -> None:
        done(True)

    def resend_from(self, seq: int, done: Callable[[bool], None]) -> None:
        done(True)


def _broker(bench: Bench) -> Result:
    site, broker = bench.site, bench.site.broker
    where = f"{broker.host}:{broker.port}"
    ca, cert, key = (Path(name) if name else None for name in (broker.ca, broker.cert, broker.key))
    settings = LinkSettings(site.store, site.board, broker.host, broker.port, b"", ca=ca, cert=cert, key=key)
    lost: list[str] = []

    def post(event: Any) -> None:
        if hasattr(event, "reason"):
            lost.append(event.reason)

    link = Link(bench.guard, settings, _NoJournal(), post)
    bench.loop.call_soon(link.start)
    try:
        if not bench.until(lambda: link.up, BROKER_S):
            reason = lost[-1] if lost else f"no answer for {BROKER_S:g} s"
            alone = broker.ca is None and "refused" in reason
            check = "network, address in the site file, certificate"
            if alone:
                check = "no broker on this machine: the gate works alone, records wait for one"
            return Result(
                None if alone else False, reason if where in reason else f"{where}: {reason}", check
            )
        other = Topics(site.store, f"not-{site.board}"[:32]).live
        link.publish(link.topics.live, b'{"event":"selftest"}', 1)
        link.publish(other, b"{}", 1)
        refused = bench.until(lambda: link.health().get("link_refused_other", 0) == 1, 3.0)
        if not refused:
            return Result(False, f"{where}: another board's topic may be written", "the broker's access list")
        return Result(True, f"{where}: connected, own topics allowed, another board's refused")
    finally:
        link.close()


STEPS: tuple[tuple[str, Callable[[Bench], Result]], ...] = (
    ("model", _model),
    ("disk", _disk),
    ("clock", _clock),
    ("broker", _broker),
    ("pins", _pins),
    ("camera", _camera),
)


def selftest(path: Path, site_path: Path, show_code: bool = False) -> int:
    """Print one line per step; exit code 1 when an essential one failed. Raises BoardFileError."""
    board, site = load(path), load_site(site_path)
    loop = asyncio.new_event_loop()
    failures: list[str] = []
    bench = Bench(board, site, loop, Guard(loop, failures.append), show_code)
    report: dict[str, Any] = {}
    failed = 0
    for number, (name, step) in enumerate(STEPS, 1):
        try:
            result = step(bench)
        except Exception as error:
            result = Result(False, f"{type(error).__name__}: {error}", "this is a defect: report it")
        if failures:
            result = Result(False, failures.pop(), "this is a defect: report it")
        word = {True: "PASS", None: "LOOK", False: "FAIL"}[result.ok]
        failed += result.ok is False
        print(f"{number}. {name:<8} {word}  {result.found}", flush=True)
        if result.ok is not True and result.check:
            print(f"     check: {result.check}", flush=True)
        report[name] = {"result": word, "found": result.found}
    loop.close()
    try:
        documents = Documents.open(Path(site.data) / "board.json")
        documents.put("selftest", "last", {"wall_ms": time.time_ns() // 1_000_000, "steps": report})
        documents.close()
    except (DocumentsError, OSError) as error:
        print(f"the report could not be kept: {error}")
    print("all essential parts work" if not failed else f"{failed} of {len(STEPS)} parts failed")
    return 1 if failed else 0
