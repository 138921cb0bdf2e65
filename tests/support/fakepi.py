"""A stand-in for picamera2 and libcamera: as much of their behaviour as ``hal.camera.pi`` relies on.

Written after picamera2 0.3.38: captures are jobs on an event-loop thread, a waiting capture raises
TimeoutError while its job stays queued, a request that is not released starves the camera, and a second
open fails in words. ``Camera.plan`` tells the next cameras how to misbehave.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from time import monotonic, monotonic_ns  # its own clock, also where a test moves time.monotonic
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

SENSOR = {
    "AfMode": (0, 2, 0), "AfRange": (0, 2, 0), "AfSpeed": (0, 1, 0), "LensPosition": (0.0, 10.0, 1.0),
    "AeExposureMode": (0, 3, 0), "AeConstraintMode": (0, 3, 0), "AeMeteringMode": (0, 3, 0),
    "ExposureValue": (-8.0, 8.0, 0.0), "AeFlickerMode": (0, 1, 0), "AeFlickerPeriod": (100, 1000000, None),
    "FrameDurationLimits": (8000, 220000, None),
}  # fmt: skip
"""What a Camera Module 3 offers, in the order of picamera2's ``camera_controls``."""


@dataclass
class Plan:
    """How the cameras of one test behave."""

    controls: dict[str, Any] = field(default_factory=lambda: dict(SENSOR))
    cameras: int = 1
    fps: float = 120.0
    padding: int = 0
    hang_after: int | None = None
    """Frames after which no request ever finishes (the camera front end timed out)."""
    cured_by: str = ""
    """What ends the hang: "restart", "reopen" or nothing."""
    frozen: bool = False
    picture: np.ndarray | None = None
    open_error: Exception | None = None
    stop_error: Exception | None = None
    configure_error: Exception | None = None
    capture_error: Exception | None = None
    stop_blocks: threading.Event | None = None
    short: bool = False
    log: list[str] = field(default_factory=list)
    made: list[Camera] = field(default_factory=list)
    configured: dict[str, Any] = field(default_factory=dict)


class _Request:
    def __init__(self, camera: Camera, stamp: int, turn: int) -> None:
        self._camera, self._stamp, self._turn = camera, stamp, turn
        self.released = False

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self._stamp, "ExposureTime": 5000}

    def make_buffer(self, name: str) -> np.ndarray:
        assert not self.released
        stream = self._camera.camera_configuration()[name]
        (width, height), stride = stream["size"], stream["stride"]
        rows = np.full((height * 3 // 2, stride), 0x5A, np.uint8)
        picture = self._camera.plan.picture
        rows[:height, :width] = self._turn % 256 if picture is None else picture
        flat = rows.reshape(-1)
        return flat[: stride * height // 2] if self._camera.plan.short else flat

    def release(self) -> None:
        assert not self.released, "released twice"
        self.released = True
        self._camera.free += 1


class Camera:
    """``picamera2.Picamera2``."""

    plan = Plan()

    def __init__(self, camera_num: int = 0) -> None:
        plan = self.plan
        plan.log.append("open")
        if camera_num >= plan.cameras:
            raise RuntimeError(f"No camera number {camera_num} found - use rpicam-hello")
        if plan.open_error is not None or any(made.is_open for made in plan.made):
            cause = plan.open_error or RuntimeError("Failed to acquire camera: Device or resource busy")
            raise RuntimeError("Camera __init__ sequence did not complete.") from cause
        self.camera_controls = plan.controls
        self.is_open = True
        self.started = False
        self.free = 0
        self._jobs: list[Future[_Request]] = []
        self._lock = threading.Lock()
        self._configuration: dict[str, Any] = {}
        self._abort = threading.Event()
        self._frames = 0
        plan.made.append(self)
        if plan.cured_by == "reopen" and len(plan.made) > 1:
            plan.hang_after = None
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def create_video_configuration(self, **given: Any) -> dict[str, Any]:
        self.plan.configured.update(given)
        unknown = set(given["controls"]) - set(self.camera_controls)
        if unknown:
            raise RuntimeError(f"Control {unknown} is not advertised by libcamera")
        return given

    def configure(self, configuration: dict[str, Any]) -> None:
        if self.plan.configure_error is not None:
            raise self.plan.configure_error
        self._configuration = {
            name: {**configuration[name], "stride": configuration[name]["size"][0] + self.plan.padding}
            for name in ("main", "lores")
        }
        self._buffers = configuration["buffer_count"]

    def camera_configuration(self) -> dict[str, Any]:
        return self._configuration

    def start(self) -> None:
        self.plan.log.append("start")
        self.free = self._buffers
        if self.plan.cured_by == "restart" and self.plan.log.count("start") > 1:
            self.plan.hang_after = None
        self.started = True

    def stop(self) -> None:
        if not self.started:
            return
        self.plan.log.append("stop")
        if self.plan.stop_blocks is not None:
            self.plan.stop_blocks.wait(60)
        if self.plan.stop_error is not None:
            raise self.plan.stop_error
        self.started = False

    def close(self) -> None:
        if not self.is_open:
            return
        self.plan.log.append("close")
        self.stop()
        self._abort.set()
        self.is_open = False

    def capture_request(self, wait: Any = None) -> Any:
        assert wait is not None, "a capture without wait= can hang for ever"
        assert wait is not True
        if self.plan.capture_error is not None:
            raise self.plan.capture_error
        job: Future[_Request] = Future()
        job.set_running_or_notify_cancel()
        with self._lock:
            self._jobs.append(job)
        return job if wait is False else job.result(wait)

    def wait(self, job: Future[_Request], timeout: float | None = None) -> _Request:
        assert timeout is not None, "a capture without a time limit can hang for ever"
        return job.result(timeout)

    def cancel_all_and_flush(self) -> None:
        self.plan.log.append("cancel")
        with self._lock:
            for job in self._jobs:
                job.set_exception(CancelledError())
            self._jobs = []

    def _loop(self) -> None:
        due = monotonic()
        while not self._abort.is_set():
            due = max(due + 1 / self.plan.fps, monotonic())
            self._abort.wait(max(0.0, due - monotonic()))
            if not self.started or not self.free:
                continue
            if self.plan.hang_after is not None and self._frames >= self.plan.hang_after:
                continue
            self._frames += 1
            with self._lock:
                if self._jobs:
                    self.free -= 1
                    stamp = 1 if self.plan.frozen else monotonic_ns()
                    self._jobs.pop(0).set_result(_Request(self, stamp, self._frames))


def modules(plan: Plan) -> dict[str, ModuleType]:
    """picamera2 and libcamera for ``sys.modules``."""
    Camera.plan = plan
    picamera2, libcamera = ModuleType("picamera2"), ModuleType("libcamera")
    picamera2.Picamera2 = Camera  # type: ignore[attr-defined]
    enums = {
        "AfModeEnum": {"Manual": 0, "Auto": 1, "Continuous": 2},
        "AfRangeEnum": {"Normal": 0, "Macro": 1, "Full": 2},
        "AfSpeedEnum": {"Normal": 0, "Fast": 1},
        "AeExposureModeEnum": {"Normal": 0, "Short": 1, "Long": 2},
        "AeConstraintModeEnum": {"Normal": 0, "Highlight": 1, "Shadows": 2},
        "AeMeteringModeEnum": {"CentreWeighted": 0, "Spot": 1, "Matrix": 2},
        "AeFlickerModeEnum": {"Off": 0, "Manual": 1},
    }
    libcamera.controls = SimpleNamespace(  # type: ignore[attr-defined]
        **{name: SimpleNamespace(**members) for name, members in enums.items()}
    )
    return {"picamera2": picamera2, "libcamera": libcamera}
