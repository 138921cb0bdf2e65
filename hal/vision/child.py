"""The camera child: ``python -m hal.vision.child``. Opens the camera, decodes, tells the parent.

The only place where camera and decoder libraries run. It holds no pin, no serial line and no socket;
its parent kills it whenever frames stop.  Payloads go into the pipe and nowhere else.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing

import msgspec

from hal.camera.port import Camera, CameraLost, CameraSettings, Frame, build
from hal.decoder.port import Code
from hal.vision import child_process
from hal.vision.protocol import Alive, CodeRead, Gone, Message, Noted, Ready, Settings, pack

FRAME_WAIT_S = 1.0
"""Longest single wait for a frame; the parent judges how long is too long."""
EXIT_LOST = 3
NOTES_PER_MINUTE = 30


class Outlet:
    """Writes messages to the parent's pipe. A vanished parent ends this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._notes: list[float] = []

    def send(self, message: Message) -> None:
        data = pack(message)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            sys.exit("camera child: the parent is gone")

    def note(self, name: str, detail: str) -> None:
        """A bounded number per minute, so that a flapping device cannot flood the parent."""
        now = time.monotonic()
        self._notes = [at for at in self._notes if now - at < 60.0]
        if len(self._notes) < NOTES_PER_MINUTE:
            self._notes.append(now)
            self.send(Noted(name, detail, now))


def run(camera_settings: CameraSettings, settings: Settings, outlet: Outlet) -> None:
    """Self-test, open, look until the camera is lost. Raises CameraLost."""
    from hal.decoder.zxing import Zxing
    from hal.vision.eye import Eye
    from hal.vision.selftest import check

    first, other = Zxing(), Zxing(second_binarizer=True)
    check(first, other)
    camera = build(camera_settings, outlet.note)
    second = None
    if settings.zbar:
        from hal.vision.second import ZbarProcess

        second = ZbarProcess(outlet.note, limit_s=settings.zbar_limit_s, recycle_after=settings.zbar_recycle)
    eye = Eye(first, other, second)
    with closing(camera):
        camera.open()
        outlet.send(Ready(os.getpid(), "zxing+zbar" if second else "zxing"))
        _watch(camera, eye.look, outlet, settings.progress_s)


def _watch(camera: Camera, look: Callable[[Frame], Code | None], outlet: Outlet, progress_s: float) -> None:
    frames = 0
    told_at = float("-inf")
    while True:
        frame = camera.frame(FRAME_WAIT_S)
        if frame is None:
            continue
        frames += 1
        code = look(frame)
        now = time.monotonic()
        if code is not None:
            outlet.send(CodeRead(code.data, frame.at, now, code.share, code.decoder))
        if now - told_at >= progress_s:
            told_at = now
            outlet.send(Alive(frames, now))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hal.vision.child", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="process id of the starting process")
    parser.add_argument("--answers", type=int, required=True, help="descriptor of the pipe to it")
    parser.add_argument("--camera", required=True, help="camera settings as JSON")
    parser.add_argument("--settings", default="{}", help="other settings as JSON")
    args = parser.parse_args()
    child_process.bind(args.parent)
    outlet = Outlet(args.answers)
    try:
        camera_settings = msgspec.json.decode(args.camera, type=CameraSettings)
        run(camera_settings, msgspec.json.decode(args.settings, type=Settings), outlet)
    except CameraLost as lost:
        outlet.send(Gone(lost.reason, lost.check, time.monotonic()))
    except msgspec.ValidationError as error:
        outlet.send(
            Gone(f"camera settings: {error}", "the [camera] part of the board file", time.monotonic())
        )
    except ImportError as error:
        check = "install the board's packages again: python -m pip install tallygate"
        outlet.send(Gone(f"a library is missing in the camera process: {error}", check, time.monotonic()))
    except Exception as error:
        outlet.send(
            Gone(
                f"the camera process failed: {type(error).__name__}: {error}",
                "the log above this line",
                time.monotonic(),
            )
        )
        raise
    return EXIT_LOST


if __name__ == "__main__":
    sys.exit(main())
