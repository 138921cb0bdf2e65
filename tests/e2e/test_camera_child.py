"""The camera child as a real process under its supervisor, on the simulated camera."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hal.camera.port import CameraSettings
from hal.ports import CodeSeen, DeviceBack, DeviceLost, DeviceNote, Event, Progress
from hal.sim.scene import render, wall, write_scene
from hal.vision.protocol import Settings
from hal.vision.supervisor import CameraSource, Limits

DEADLINE_S = 15.0
PASS = "TG1:" + "A1" * 93


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
    source = CameraSource(CameraSettings("simulated", scene=str(scene), fps=30))

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)), "progress")
        write_scene(scene, render(PASS))
        await w.until(lambda: len(w.of(CodeSeen)) == 1, "code")
        frames = w.of(Progress)[-1].count
        await w.until(lambda: w.of(Progress)[-1].count > frames + 30, "further frames")
        write_scene(scene, wall())
        frames = w.of(Progress)[-1].count
        await w.until(lambda: w.of(Progress)[-1].count > frames + 40, "empty frames")
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
    source = CameraSource(CameraSettings("simulated", scene=str(scene)), limits=limits)
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
        CameraSettings("simulated", scene=str(scene), fps=30), limits=Limits(backoff_s=0.05)
    )
    write_scene(scene, render(PASS))

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(CodeSeen)), "code")
        assert source.pid
        os.kill(source.pid, signal.SIGKILL)
        await w.until(lambda: bool(w.of(DeviceBack)), "recovery")
        progress = len(w.of(Progress))
        await w.until(lambda: len(w.of(Progress)) > progress + 2, "frames of the new child")

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


def test_close_ends_the_child_and_the_zbar_child(scene):
    source = CameraSource(CameraSettings("simulated", scene=str(scene)), Settings(zbar=True))
    pids: list[int] = []

    def children() -> list[int]:
        assert source.pid
        try:
            text = Path(f"/proc/{source.pid}/task/{source.pid}/children").read_text()
        except OSError:
            return []
        return [int(pid) for pid in text.split()]

    async def story(w: Watched) -> None:
        await w.until(lambda: bool(w.of(Progress)) and bool(children()), "zbar child")
        pids.extend([source.pid, *children()])

    watch(source, story)
    deadline = time.monotonic() + DEADLINE_S
    while not all(ended(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.01)
    assert len(pids) == 2
