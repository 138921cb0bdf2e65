"""The camera child as a real process under its supervisor, on the simulated camera."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from hal.camera.port import CameraSettings
from hal.ports import CodeSeen, DeviceBack, DeviceLost, DeviceNote, Event, Progress
from hal.sim.scene import render, wall, write_scene
from hal.vision.protocol import Settings
from hal.vision.supervisor import CameraSource, Limits
from tests.support import qrimages

DEADLINE_S = 30.0
PASS = "TG1:" + "A1" * 93
QUICK = Settings(progress_s=0.05)
SECOND = Settings(progress_s=0.05, zbar=True)


class Watched:
    """A CameraSource with everything it posted."""

    def __init__(self, source: CameraSource) -> None:
        self.source = source
        self.events: list[Event] = []

    async def until(self, met: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not met():
            if time.monotonic() > deadline:
                pytest.fail(f"no {what} within {DEADLINE_S} s; events: {self.events[-10:]}")
            await asyncio.sleep(0.01)

    async def frames(self, count: int) -> None:
        """Wait for so many further frames of the running child."""
        start = self.of(Progress)[-1].count
        await self.until(lambda: self.of(Progress)[-1].count > start + count, f"{count} frames")

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def watch(source: CameraSource, story: Callable[[Watched], Awaitable[None]]) -> Watched:
    """Run ``story`` on a loop with the started source; it is closed whatever happens."""
    watched = Watched(source)

    async def run() -> None:
        source.start(watched.events.append)
        try:
            await story(watched)
        finally:
            source.close()

    asyncio.run(run())
    return watched


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.pgm"
    write_scene(path, wall())
    return path


def test_code_in_the_scene_is_posted_once_and_again_after_it_left(scene):
    source = CameraSource(CameraSettings("simulated", scene=str(scene), fps=30), QUICK)

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)), "progress")
        write_scene(scene, render(PASS))
        await w.until(lambda: len(w.of(CodeSeen)) == 1, "code")
        await w.frames(10)
        write_scene(scene, wall())
        await w.frames(26)
        write_scene(scene, render(PASS))
        await w.until(lambda: len(w.of(CodeSeen)) == 2, "second code")

    w = watch(source, story)
    first, second = w.of(CodeSeen)
    assert first.data == second.data == PASS.encode()
    assert first.source == "camera"
    assert first.decoder == "zxing"
    assert 0.3 < first.share < 0.5
    assert first.at >= first.frame_at
    assert not w.of(DeviceLost)


def test_stopped_child_is_killed_for_its_missing_frames_and_replaced(scene):
    limits = Limits(progress_s=1.5, backoff_s=0.05)
    source = CameraSource(CameraSettings("simulated", scene=str(scene)), QUICK, limits=limits)
    pids: list[int] = []

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)), "progress")
        assert source.pid
        pids.append(source.pid)
        os.kill(source.pid, signal.SIGSTOP)  # hangs like a capture that never returns
        await w.until(lambda: bool(w.of(DeviceBack)), "recovery")
        await w.until(lambda: ended(pids[0]), "end of the hung child")
        write_scene(scene, render(PASS))
        await w.until(lambda: bool(w.of(CodeSeen)), "code from the new child")

    w = watch(source, story)
    assert len(w.of(DeviceLost)) == 1
    assert "no camera frame for 1.5 s" in w.of(DeviceLost)[0].reason
    assert w.of(DeviceLost)[0].check
    assert [note.name for note in w.of(DeviceNote)] == ["camera_restarts"]


def test_code_held_up_while_the_child_is_replaced_counts_once(scene):
    source = CameraSource(
        CameraSettings("simulated", scene=str(scene), fps=30), QUICK, limits=Limits(backoff_s=0.05)
    )
    write_scene(scene, render(PASS))

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(CodeSeen)), "code")
        assert source.pid
        os.kill(source.pid, signal.SIGKILL)
        await w.until(lambda: bool(w.of(DeviceBack)), "recovery")
        await w.frames(10)

    w = watch(source, story)
    assert len(w.of(CodeSeen)) == 1
    assert "SIGKILL" in w.of(DeviceLost)[0].reason


def test_camera_that_never_opens_is_lost_once_with_what_to_check(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    settings = CameraSettings("pictures", inbox=str(blocked / "inbox"))
    source = CameraSource(settings, limits=Limits(backoff_s=0.05))

    async def story(w: Watched) -> None:
        await w.until(lambda: len(w.of(DeviceNote)) >= 3, "restarts")

    w = watch(source, story)
    (lost,) = w.of(DeviceLost)
    assert "cannot be made" in lost.reason
    assert "inbox" in lost.check
    assert not w.of(DeviceBack)


def test_unknown_driver_is_named(tmp_path):
    source = CameraSource(CameraSettings("polaroid"), limits=Limits(backoff_s=0.05))

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(DeviceLost)), "loss")

    (lost,) = watch(source, story).of(DeviceLost)
    assert "polaroid" in lost.reason
    assert "simulated" in lost.check


def mapped(pid: int) -> list[str]:
    """Its mappings of the shared frame and of the decoder: it has bound itself to its parent long before."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in lines if "tallygate-frame" in line or "_zbar" in line]


def children(pid: int | None) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait_ended(pids: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not all(ended(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.01)


def test_close_ends_the_child_and_the_zbar_child(scene):
    source = CameraSource(CameraSettings("simulated", scene=str(scene)), SECOND)
    pids: list[int] = []

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)) and bool(children(source.pid)), "zbar child")
        pids.extend([source.pid or 0, *children(source.pid)])

    watch(source, story)
    assert len(pids) == 2
    wait_ended(pids)
    source.close()  # again: harmless


def test_killed_board_leaves_no_child_behind(scene):
    """PR_SET_PDEATHSIG reaches the camera child, and through it the zbar child, even if both hang."""
    script = f"""
import asyncio
from hal.camera.port import CameraSettings
from hal.vision.protocol import Settings
from hal.vision.supervisor import CameraSource
async def main():
    source = CameraSource(CameraSettings("simulated", scene={str(scene)!r}), Settings(zbar=True))
    source.start(lambda event: print(source.pid, flush=True))
    await asyncio.sleep(60)
asyncio.run(main())
"""
    board = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert board.stdout
        camera = int(board.stdout.readline())
        deadline = time.monotonic() + DEADLINE_S
        while not (zbar := children(camera)):
            assert time.monotonic() < deadline, "no zbar child"
            time.sleep(0.01)
        while len(mapped(zbar[0])) < 3:  # it is past its own start
            assert time.monotonic() < deadline, "the zbar child does not start"
            time.sleep(0.01)
        for pid in (*zbar, camera):
            os.kill(pid, signal.SIGSTOP)
    finally:
        board.kill()
        board.communicate()
    wait_ended([camera, *zbar])


def descriptors(pid: int | None) -> list[str]:
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def test_child_holds_no_descriptor_of_the_board(scene, tmp_path):
    """Whatever the loop process has open, even what it marked as inheritable."""
    source = CameraSource(CameraSettings("simulated", scene=str(scene)), SECOND)
    held: list[str] = []

    async def story(w: Watched) -> None:
        with socket.socket() as link, (tmp_path / "uart").open("wb") as uart:
            os.set_inheritable(link.fileno(), True)
            os.set_inheritable(uart.fileno(), True)
            source.close()
            source.start(w.events.append)
            await w.until(lambda: bool(w.of(Progress)) and bool(children(source.pid)), "both children")
            await w.until(lambda: len(mapped(children(source.pid)[0])) >= 3, "start of the zbar child")
            for pid in (source.pid, *children(source.pid)):
                held.extend(descriptors(pid))

    watch(source, story)
    assert held
    allowed = ("/dev/null", "pipe:", "/memfd:tallygate-frame")
    stderr = str(Path("/proc/self/fd/2").readlink())
    assert [name for name in held if not name.startswith(allowed) and name != stderr] == []


def test_code_that_kills_zbar_costs_one_restart_and_no_frame(scene):
    """A code that only zbar can see and that aborts it, a sheet that hangs it, then a good code for it."""
    source = CameraSource(CameraSettings("simulated", scene=str(scene), fps=30), SECOND)
    stream = qrimages.byte_segment(b"only zbar reads this")

    def restarts(w: Watched) -> list[str]:
        return [note.detail for note in w.of(DeviceNote) if note.name == "decoder_restarts"]

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)), "progress")
        write_scene(scene, qrimages.without_quiet_zone(qrimages.code(qrimages.eci(0) + stream)))
        await w.until(lambda: bool(restarts(w)), "death of the zbar child")
        write_scene(scene, qrimages.finder_mosaic())
        await w.until(
            lambda: any("time limit" in text for text in restarts(w)), "kill of the hung zbar child"
        )
        write_scene(scene, qrimages.without_quiet_zone(qrimages.code(stream)))
        await w.until(lambda: bool(w.of(CodeSeen)), "code read by zbar")

    w = watch(source, story)
    assert "SIGABRT" in restarts(w)[0]
    assert [(code.data, code.decoder) for code in w.of(CodeSeen)] == [(b"only zbar reads this", "zbar")]
    assert not w.of(DeviceLost)
    counts = [event.count for event in w.of(Progress)]
    assert counts == sorted(counts)


def test_hostile_codes_pass_by_and_the_board_still_reads(scene):
    source = CameraSource(CameraSettings("simulated", scene=str(scene), fps=60), QUICK)

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)), "progress")
        hostile = qrimages.hostile()
        for name in ("eci-0", "part-of-structured-append", "finder-mosaic", "one-row", "zero-size", "long"):
            write_scene(scene, hostile[name])
            await w.frames(2)
        write_scene(scene, render(PASS))
        await w.until(lambda: any(code.data == PASS.encode() for code in w.of(CodeSeen)), "the good code")

    w = watch(source, story)
    assert not w.of(DeviceLost)
    assert max(len(code.data) for code in w.of(CodeSeen)) == 513  # the long one, cut but still too long


def test_picture_dropped_into_the_inbox_is_seen_each_time(scene, tmp_path):
    inbox = tmp_path / "inbox"
    settings = CameraSettings("simulated", scene=str(scene), inbox=str(inbox), fps=30)
    source = CameraSource(settings, QUICK)

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)), "progress")
        for number in (1, 2):
            Image.fromarray(render(PASS)).resize((1600, 1200)).save(inbox / f"photo{number}.jpg")
            await w.until(lambda number=number: len(w.of(CodeSeen)) == number, f"code {number}")

    w = watch(source, story)
    assert [code.data for code in w.of(CodeSeen)] == [PASS.encode()] * 2
    assert not w.of(DeviceNote)
