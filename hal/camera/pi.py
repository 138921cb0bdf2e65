"""A Raspberry Pi camera module through picamera2 and libcamera, which come with the operating system.

picamera2 can wait for ever: a capture after a camera time-out never returns, ``stop`` can hang in the
kernel, a stream can go on with one frozen frame. So every wait here has an end, progress is the sensor's
time stamp moving on, and recovery climbs a ladder: restart the stream, open the camera anew, give up. A
rung that hangs itself is ended from outside: the supervisor kills this process when frames stay out.
"""

from __future__ import annotations

import atexit
import time
from concurrent.futures import CancelledError, InvalidStateError
from dataclasses import dataclass
from typing import Any

from hal.camera.pi_controls import phone_controls
from hal.camera.planes import PlaneError, luma
from hal.camera.port import Camera, CameraLost, CameraSettings, Frame, Gray, Note

BUFFERS = 4
MAIN_MAX = (1920, 1440)
CABLE = "the ribbon cable at both ends, and `rpicam-hello --list-cameras`"
PACKAGES = (
    "sudo apt install python3-picamera2 python3-libcamera python3-kms++, "
    "and make the environment with --system-site-packages"
)
BUSY = "another program that uses the camera (rpicam-*, motion): sudo fuser -v /dev/media*"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. ``stall_s``: without a new frame the next rung is climbed. ``first_s``: the same after a
    start, when the sensor's first frames are dropped. ``settled_s``: so long a run of frames forgets the
    rungs that were climbed."""

    stall_s: float = 0.8
    first_s: float = 1.5
    settled_s: float = 10.0


class Pi:
    """``Camera`` number ``settings.device`` (text; "" and the board file's default mean the first)."""

    def __init__(self, settings: CameraSettings, note: Note, limits: Limits | None = None) -> None:
        if not 0 < settings.fps <= 120:
            raise CameraLost(f"fps = {settings.fps} is outside 0..120", "camera.fps in the board file")
        device = "0" if settings.device in ("", "/dev/video0") else settings.device
        if not device.isdecimal():
            raise CameraLost(
                f"camera.device = {device!r} is no number of a Pi camera", '"0" is the first one'
            )
        self._number = int(device)
        self._settings = settings
        self._note = note
        self._limits = limits if limits is not None else Limits()
        self._stall_s = max(self._limits.stall_s, 4 / settings.fps)
        self._camera: Any = None
        self._job: Any = None
        self._size = (0, 0)
        self._stride = 0
        self._stamp = -1
        self._seq = 0
        self._rung = 0
        self._climbed_at = 0.0
        self._due = 0.0
        self._left = 0.0
        self._told: set[str] = set()

    # -- opening -----------------------------------------------------------------------------------

    def open(self) -> None:
        self._claim()
        self._rung = 0

    def _claim(self) -> None:
        try:
            from libcamera import controls as enums
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraLost(f"picamera2 cannot be loaded: {error}", PACKAGES) from error
        try:
            camera = Picamera2(self._number)
        except Exception as error:  # libcamera raises RuntimeError, IndexError and its own
            raise self._refused(error) from error
        self._camera = camera
        try:
            self._configure(camera, enums)
            camera.start()
        except CameraLost:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise CameraLost(
                f"camera {self._number} cannot be started: {_words(error)}",
                "camera.width, height and fps in the board file; free memory (CMA) in dmesg",
            ) from error
        self._left = time.monotonic()
        self._due = self._left + max(self._limits.first_s, self._stall_s)

    def _configure(self, camera: Any, enums: Any) -> None:
        """Main and lores of one shape: lores is a scaled main, another shape would squash the codes. Main is
        twice as large where it may be, so that libcamera does not choose a sensor mode that sees less."""
        width, height = (side - side % 2 for side in (self._settings.width, self._settings.height))
        twice = (width * 2, height * 2)
        main = twice if twice[0] <= MAIN_MAX[0] and twice[1] <= MAIN_MAX[1] else (width, height)
        configuration = camera.create_video_configuration(
            main={"size": main, "format": "YUV420"},
            lores={"size": (width, height), "format": "YUV420"},
            raw=None,
            buffer_count=BUFFERS,
            queue=False,  # else a capture returns the frame kept from before it was asked for
            controls=phone_controls(
                camera.camera_controls, enums, fps=self._settings.fps, options=self._settings.options
            ),
        )
        camera.configure(configuration)
        agreed = camera.camera_configuration()["lores"]
        self._size = (int(agreed["size"][0]), int(agreed["size"][1]))
        self._stride = int(agreed["stride"])
        if self._stride < self._size[0]:
            raise CameraLost(
                f"camera {self._number} says rows of {self._stride} bytes for {self._size[0]} pixels",
                "sudo apt full-upgrade: picamera2 and libcamera must fit each other",
            )
        if self._size != (self._settings.width, self._settings.height):
            asked = f"{self._settings.width} x {self._settings.height}"
            self._once("camera_size", f"{self._size[0]} x {self._size[1]} instead of {asked}")

    def _refused(self, error: Exception) -> CameraLost:
        words = _words(error)
        if isinstance(error, IndexError) or "No camera number" in words:
            return CameraLost(
                f"no camera {self._number} is connected", f"{CABLE}; camera_auto_detect=1 in config.txt"
            )
        if "busy" in words.lower() or "acquire" in words:
            return CameraLost(f"camera {self._number} is in use: {words}", BUSY)
        return CameraLost(f"camera {self._number} cannot be opened: {words}", f"{CABLE}; {BUSY}")

    # -- frames ------------------------------------------------------------------------------------

    def frame(self, wait_s: float) -> Frame | None:
        now = time.monotonic()
        deadline = now + wait_s
        self._due += now - self._left  # only time spent waiting for frames counts as a stall
        if self._job is not None and now - self._left > 2 / self._settings.fps:
            self._drop_job()  # what it holds was current when nobody was looking
        try:
            while True:
                request = self._capture(deadline - now)
                frame = self._take(request) if request is not None else None
                now = time.monotonic()
                if frame is not None:
                    self._moved_on(now)
                    return frame
                if now >= self._due:
                    self._climb()
                    now = time.monotonic()
                if now >= deadline:
                    return None
        finally:
            self._left = time.monotonic()

    def _capture(self, wait_s: float) -> Any:
        """The next finished request, or None when there is none within ``wait_s`` or before the stall's end.

        An unfinished job stays for the next call: dropping it would lose the request it is given later.
        """
        if self._camera is None:
            raise CameraLost(f"camera {self._number} is not open", "this is a defect: see the log")
        wait_s = max(0.0, min(wait_s, self._due - time.monotonic()))
        try:
            if self._job is None:
                self._job = self._camera.capture_request(wait=False)
            request = self._camera.wait(self._job, timeout=wait_s)
        except TimeoutError:
            return None
        except CancelledError:
            self._job = None
            return None
        except Exception as error:
            self._job = None
            self._once("camera_capture_failed", _words(error))
            self._due = time.monotonic()  # climb now
            return None
        self._job = None
        return request

    def _take(self, request: Any) -> Frame | None:
        """Its gray picture, if the sensor took it after the last one. The request always goes back."""
        now = time.monotonic()
        try:
            stamp = request.get_metadata().get("SensorTimestamp")
            if stamp is not None and stamp <= self._stamp:
                return None  # frozen: the same frame again
            picture = self._gray(request)
        except PlaneError as error:
            self._once("camera_bad_frames", f"frames are dropped: {error}")
            return None
        finally:
            request.release()
        if stamp is not None:
            self._stamp = stamp
        self._seq += 1
        return Frame(picture, now, self._seq)

    def _gray(self, request: Any) -> Gray:
        # The luma plane comes first in YUV420; its rows may be longer than the picture is wide.
        return luma(memoryview(request.make_buffer("lores")), *self._size, self._stride)

    def _moved_on(self, now: float) -> None:
        self._due = now + self._stall_s
        if self._rung and now - self._climbed_at >= self._limits.settled_s:
            self._rung = 0

    # -- the ladder --------------------------------------------------------------------------------

    def _climb(self) -> None:
        """No progress: do more than the last time. Raises CameraLost at the top."""
        self._rung += 1
        self._climbed_at = time.monotonic()
        if self._rung == 1:
            self._note("camera_restarts", f"no new frame for {self._stall_s:g} s: the stream is restarted")
            try:
                self._drop_job()
                self._camera.stop()
                self._camera.start()
                self._due = time.monotonic() + max(self._limits.first_s, self._stall_s)
                return
            except Exception as error:
                self._note("camera_restarts_failed", _words(error))
                self._rung = 2
        if self._rung == 2:
            self._note("camera_reopens", "still no new frame: the camera is opened anew")
            self.close()
            self._claim()
            return
        self._abandon()
        raise CameraLost(
            f"camera {self._number} gives no new frames, also after it was opened anew", f"{CABLE}, and dmesg"
        )

    def _drop_job(self) -> None:
        """Cancel what is pending. A request that was finished meanwhile goes back."""
        job, self._job = self._job, None
        if job is None:
            return
        try:
            self._camera.cancel_all_and_flush()
        except InvalidStateError:
            pass  # it was finished in this very moment
        try:
            self._camera.wait(job, timeout=0).release()
        except (TimeoutError, CancelledError):
            pass

    def _abandon(self) -> None:
        """Leave the camera as it is: closing one that is stuck could hang before anybody is told why."""
        camera, self._camera = self._camera, None
        self._job = None
        if camera is not None:
            atexit.unregister(camera.close)

    def _once(self, name: str, detail: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._note(name, f"camera {self._number}: {detail}")

    # -- closing -----------------------------------------------------------------------------------

    def close(self) -> None:
        """May hang in the kernel (picamera2 issue 1275); the supervisor ends this process then."""
        camera = self._camera
        if camera is None:
            return
        try:
            self._drop_job()
        except Exception as error:
            self._once("camera_close_failed", _words(error))
        self._camera = None
        try:
            camera.close()
        except Exception as error:
            self._once("camera_close_failed", _words(error))


def _words(error: BaseException) -> str:
    """An error with its causes: picamera2's own words name the cause only there."""
    found, seen = [], 0
    next_error: BaseException | None = error
    while next_error is not None and seen < 4:
        found.append(str(next_error) or type(next_error).__name__)
        next_error = next_error.__cause__
        seen += 1
    return ": ".join(found)


def build(settings: CameraSettings, note: Note) -> Camera:
    """Raises CameraLost for settings that make no sense."""
    return Pi(settings, note)
