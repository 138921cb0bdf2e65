"""The Pi camera driver against a stand-in of picamera2 that hangs, blocks, freezes and is busy."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hal.camera.pi import Limits, Pi
from hal.camera.pi_controls import phone_controls
from hal.camera.port import CameraLost, CameraSettings, Frame
from hal.ports import DeviceBack, DeviceLost, Event, Progress
from hal.vision.supervisor import CameraSource
from hal.vision.supervisor import Limits as Deadlines
from tests.support.fakepi import SENSOR, Plan, modules

QUICK = Limits(stall_s=0.05, first_s=0.05, settled_s=0.1)


@pytest.fixture
def plan(mocker) -> Plan:
    made = Plan(fps=240)
    mocker.patch.dict(sys.modules, modules(made))
    return made


@pytest.fixture
def notes() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def camera(plan, notes):
    made = Pi(
        CameraSettings("pi", width=320, height=240, fps=120),
        lambda name, detail: notes.append((name, detail)),
        QUICK,
    )
    yield made
    plan.stop_error = None
    if plan.stop_blocks is not None:
        plan.stop_blocks.set()
    made.close()
    for one in plan.made:
        one._abort.set()


def look(camera: Pi, seconds: float = 10.0) -> Frame:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = camera.frame(0.2)
        if frame is not None:
            return frame
    pytest.fail("no frame")


def lose(camera: Pi) -> CameraLost:
    end = time.monotonic() + 10
    try:
        while time.monotonic() < end:
            camera.frame(0.2)
    except CameraLost as lost:
        return lost
    pytest.fail("it was not lost")


class TestFrames:
    def test_configuration(self, camera, plan):
        camera.open()
        asked = plan.configured
        assert asked["lores"] == {"size": (320, 240), "format": "YUV420"}
        assert asked["main"] == {"size": (640, 480), "format": "YUV420"}
        assert (asked["raw"], asked["buffer_count"], asked["queue"]) == (None, 4, False)

    @pytest.mark.parametrize("padding", [0, 64])
    def test_luma_without_padding(self, camera, plan, padding):
        plan.padding = padding
        plan.picture = np.arange(320 * 240, dtype=np.uint32).reshape(240, 320).astype(np.uint8)
        camera.open()
        frame = look(camera)
        assert frame.gray.flags.c_contiguous
        assert np.array_equal(frame.gray, plan.picture)

    def test_every_request_goes_back(self, camera, plan):
        camera.open()
        for _ in range(30):
            look(camera)
        camera._drop_job()
        assert plan.made[0].free == 4

    def test_frame_kept_while_nobody_looked_is_dropped(self, camera, plan):
        plan.hang_after = 0
        camera.open()
        assert camera.frame(0.0) is None  # its job stays queued
        plan.hang_after = None
        end = time.monotonic() + 10
        while not plan.made[0]._frames and time.monotonic() < end:
            time.sleep(0.001)
        camera._left = 0.0  # the caller was away for long
        before = plan.made[0]._frames
        frame = look(camera)
        assert int(frame.gray[0, 0]) > before
        assert "cancel" in plan.log
        camera._drop_job()
        assert plan.made[0].free == 4

    def test_caller_that_was_away_is_no_stall(self, camera, plan, mocker):
        camera.open()
        look(camera)
        later = time.monotonic() + 1000.0
        mocker.patch("hal.camera.pi.time.monotonic", return_value=later)
        assert camera.frame(1.0)
        assert plan.log == ["open", "start"]

    def test_short_buffers_are_dropped_and_noted_once(self, camera, plan, notes):
        camera.open()
        plan.short = True
        assert camera.frame(0.02) is None
        plan.short = False
        look(camera)
        assert [name for name, _ in notes].count("camera_bad_frames") == 1
        camera._drop_job()
        assert plan.made[0].free == 4


class TestLadder:
    def test_hung_capture_is_cured_by_a_restart(self, camera, plan, notes):
        plan.hang_after, plan.cured_by = 3, "restart"
        camera.open()
        seqs = [look(camera).seq for _ in range(8)]
        assert seqs == list(range(1, 9))
        assert plan.log == ["open", "start", "cancel", "stop", "start"]
        assert [name for name, _ in notes] == ["camera_restarts"]

    def test_hung_capture_is_cured_by_opening_anew(self, camera, plan, notes):
        plan.hang_after, plan.cured_by = 3, "reopen"
        camera.open()
        assert [look(camera).seq for _ in range(8)] == list(range(1, 9))
        assert plan.log[:5] == ["open", "start", "cancel", "stop", "start"]
        assert plan.log[-4:] == ["close", "stop", "open", "start"]
        assert [name for name, _ in notes] == ["camera_restarts", "camera_reopens"]

    def test_incurable_is_lost_without_touching_the_camera_again(self, camera, plan, mocker):
        unregister = mocker.patch("hal.camera.pi.atexit.unregister")
        plan.hang_after = 0
        camera.open()
        lost = lose(camera)
        assert "no new frames" in lost.reason
        assert "ribbon cable" in lost.check
        assert plan.log.count("close") == 1  # of the camera that was opened anew; the last one is left alone
        done = list(plan.log)
        camera.close()
        assert plan.log == done
        unregister.assert_called_once_with(plan.made[-1].close)  # picamera2 would close it at exit

    def test_frozen_stamp_is_no_progress(self, camera, plan):
        camera.open()
        for _ in range(3):
            look(camera)
        plan.frozen = True
        seq = camera._seq
        assert "no new frames" in lose(camera).reason
        assert camera._seq == seq
        assert plan.log.count("open") == 2

    def test_a_long_good_run_forgets_the_rungs(self, camera, plan, notes):
        plan.hang_after, plan.cured_by = 3, "restart"
        camera.open()
        end = time.monotonic() + QUICK.settled_s * 2
        while time.monotonic() < end:
            look(camera)
        plan.hang_after, plan.cured_by = 0, "reopen"
        plan.made[0]._frames = 0
        while len(plan.made) == 1:
            camera.frame(0.2)
        assert [name for name, _ in notes] == ["camera_restarts", "camera_restarts", "camera_reopens"]

    def test_stop_that_fails_leads_to_opening_anew(self, camera, plan, notes):
        plan.hang_after = 1
        camera.open()
        look(camera)
        plan.stop_error = RuntimeError("stop failed")
        assert "busy" in lose(camera).reason  # it could not be closed either
        assert "camera_restarts_failed" in [name for name, _ in notes]

    def test_capture_that_raises_climbs_at_once(self, camera, plan, notes):
        camera.open()
        look(camera)
        plan.capture_error = RuntimeError("Camera Manager is gone")
        lose(camera)
        assert ("camera_capture_failed", "camera 0: Camera Manager is gone") in notes

    def test_blocked_stop_blocks_only_this_thread(self, camera, plan):
        """What ends it is the supervisor (below); the caller waits, nobody else does."""
        plan.hang_after = 1
        plan.stop_blocks = threading.Event()
        camera.open()
        look(camera)
        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(camera.frame(0.5)), daemon=True)
        thread.start()
        end = time.monotonic() + 10
        while "stop" not in plan.log and time.monotonic() < end:
            time.sleep(0.005)
        assert results == []
        plan.stop_blocks.set()
        thread.join(10)
        assert len(results) == 1


class TestOpening:
    def test_missing_package_names_the_apt_packages(self, mocker):
        mocker.patch.dict(sys.modules, {"picamera2": None, "libcamera": None})
        with pytest.raises(CameraLost, match="picamera2 cannot be loaded") as lost:
            Pi(CameraSettings("pi"), lambda *_: None).open()
        assert "apt install python3-picamera2" in lost.value.check
        assert "--system-site-packages" in lost.value.check

    def test_busy(self, camera, plan):
        plan.open_error = RuntimeError("Failed to acquire camera: Device or resource busy")
        with pytest.raises(CameraLost, match="in use: Camera __init__ sequence did not complete") as lost:
            camera.open()
        assert "fuser" in lost.value.check

    def test_other_start_failure_keeps_its_cause(self, camera, plan):
        plan.open_error = RuntimeError("no tuning file")
        with pytest.raises(CameraLost, match="no tuning file"):
            camera.open()

    def test_no_camera(self, camera, plan):
        plan.cameras = 0
        with pytest.raises(CameraLost, match="no camera 0 is connected") as lost:
            camera.open()
        assert "ribbon" in lost.value.check

    def test_configuration_refused_closes_the_camera(self, camera, plan):
        plan.configure_error = RuntimeError("Invalid size")
        with pytest.raises(CameraLost, match="cannot be started: Invalid size"):
            camera.open()
        assert plan.log == ["open", "close"]

    @pytest.mark.parametrize(("device", "number"), [("", 0), ("/dev/video0", 0), ("0", 0), ("1", 1)])
    def test_camera_numbers(self, device, number):
        assert Pi(CameraSettings("pi", device=device), lambda *_: None)._number == number

    @pytest.mark.parametrize("settings", [{"device": "/dev/video7"}, {"fps": 0}, {"fps": 500}])
    def test_settings_that_make_no_sense(self, settings):
        with pytest.raises(CameraLost):
            Pi(CameraSettings("pi", **settings), lambda *_: None)

    def test_large_picture_is_not_doubled(self, plan):
        made = Pi(CameraSettings("pi", width=1280, height=720), lambda *_: None)
        made.open()
        assert plan.configured["main"]["size"] == (1280, 720)
        made.close()


class TestControls:
    ENUMS = modules(Plan())["libcamera"].controls

    def test_all_that_a_module_3_has(self):
        found = phone_controls(SENSOR, self.ENUMS, fps=15, options={"mains_hz": 50})
        assert found == {
            "AfMode": 2, "AfRange": 1, "AfSpeed": 1, "AeExposureMode": 1, "AeConstraintMode": 1,
            "AeMeteringMode": 1, "ExposureValue": -0.5, "AeFlickerMode": 1, "AeFlickerPeriod": 10000,
            "FrameDurationLimits": (66667, 66667),
        }  # fmt: skip

    def test_sixty_hertz_and_fixed_focus(self):
        options = {"mains_hz": 60.0, "lens_position": 12.0}
        found = phone_controls(SENSOR, self.ENUMS, fps=15, options=options)
        assert found["AeFlickerPeriod"] == 8333
        assert (found["AfMode"], found["LensPosition"]) == (0, 10.0)
        assert "AfRange" not in found

    def test_module_without_autofocus_gets_no_such_control(self, camera, plan):
        plan.controls = {name: value for name, value in SENSOR.items() if not name.startswith(("Af", "Lens"))}
        camera.open()
        assert look(camera)
        assert not [name for name in plan.configured["controls"] if name.startswith(("Af", "Lens"))]

    def test_nothing_offered_nothing_set(self):
        assert phone_controls({}, self.ENUMS, fps=15, options={"mains_hz": 50, "lens_position": 3}) == {}

    def test_older_libcamera_without_an_enum(self):
        assert "AeFlickerMode" not in phone_controls(SENSOR, object(), fps=15, options={"mains_hz": 50})

    @pytest.mark.parametrize(("fps", "duration"), [(1, 220000), (15, 66667), (120, 8333), (1000, 8000)])
    def test_rate_is_kept_within_the_sensor_s(self, fps, duration):
        limits = phone_controls(SENSOR, self.ENUMS, fps=fps, options={})["FrameDurationLimits"]
        assert limits == (duration, duration)


def test_supervisor_kills_a_camera_whose_stop_blocks(tmp_path: Path, monkeypatch):
    """The real camera child with the stand-in: frames, a hang, a blocked stop, and a new child."""
    once = tmp_path / "hung-once"
    (tmp_path / "picamera2.py").write_text(
        "import pathlib, threading\n"
        "from tests.support.fakepi import Camera, Plan\n"
        f"once = pathlib.Path({str(once)!r})\n"
        "Camera.plan = Plan(fps=60)\n"
        "if not once.exists():\n"
        "    once.touch()\n"
        "    Camera.plan.hang_after, Camera.plan.stop_blocks = 5, threading.Event()\n"
        "Picamera2 = Camera\n"
    )
    (tmp_path / "libcamera.py").write_text(
        "from tests.support.fakepi import Camera, modules\n"
        "controls = modules(Camera.plan)['libcamera'].controls\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]))

    async def play() -> list[Event]:
        events: list[Event] = []
        source = CameraSource(
            CameraSettings("pi", width=160, height=120, fps=30),
            limits=Deadlines(start_s=20, progress_s=1.2, backoff_s=0.01),
        )
        source.start(events.append)
        end = time.monotonic() + 40
        while not any(isinstance(event, DeviceBack) for event in events):
            assert time.monotonic() < end, events
            await asyncio.sleep(0.01)
        source.close()
        return events

    events = asyncio.run(play())
    assert sum(isinstance(event, DeviceLost) for event in events) == 1
    assert isinstance(next(event for event in events if isinstance(event, Progress)), Progress)
