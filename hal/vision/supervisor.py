"""The camera as the loop sees it: a ``Source`` that keeps a camera child alive by its frames.

Runs on the loop thread and never waits: the child's messages come through ``add_reader``, deadlines
through ``call_later``.  A child that gives no frame for ``progress_s`` is killed and replaced, whatever
it is doing; liveness is frames, not that the process exists.  Imports no numpy, no camera, no decoder.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from dataclasses import dataclass

import msgspec

from hal.camera.port import CameraSettings
from hal.ports import CodeSeen, DeviceBack, DeviceLost, DeviceNote, Post, Progress
from hal.vision import child_process, protocol

READ_AT_ONCE = 65536
HELD_UP_S = 30.0
"""A code counted this recently may still be held up when the child is replaced."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines in seconds. ``start_s``: exec to the first frame. ``progress_s``: between frames
    afterwards. A child that failed is replaced after ``backoff_s``, doubling up to ``backoff_max_s``;
    frames for ``settled_s`` set it back. ``close_s`` bounds ``close``. ``same_code_s``: the code counted last
    does not count again for so long after a replacement."""

    start_s: float = 15.0
    progress_s: float = 5.0
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    settled_s: float = 20.0
    close_s: float = 1.0
    same_code_s: float = 3.0


class CameraSource:
    """``Source`` of CodeSeen, Progress, DeviceLost, DeviceBack and DeviceNote for one camera."""

    def __init__(
        self,
        camera: CameraSettings,
        settings: protocol.Settings | None = None,
        *,
        device: str = "camera",
        limits: Limits | None = None,
    ) -> None:
        self._camera = camera
        self._settings = settings or protocol.Settings()
        self._device = device
        self._limits = limits or Limits()
        self._post: Post = lambda event: None
        self._child: _Child | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._backoff = self._limits.backoff_s
        self._lost = False
        self._closed = True
        self._restarts = 0
        self._last_code = b""  # digest
        self._last_code_at = float("-inf")
        self._same_code_until = float("-inf")

    @property
    def pid(self) -> int | None:
        """The camera child's process id while one runs."""
        return self._child.process.pid if self._child else None

    @property
    def restarts(self) -> int:
        """Children replaced since ``start``."""
        return self._restarts

    def start(self, post: Post) -> None:
        """Start the child. On the loop's thread, once; the child dies with this thread."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._spawn()

    def close(self) -> None:
        """End the child; bounded by ``close_s``. Idempotent."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        if self._child:
            process = self._child.process
            self._drop()
            try:
                process.wait(self._limits.close_s)
            except subprocess.TimeoutExpired:
                pass  # stuck in the kernel: systemd ends the whole control group

    def _spawn(self) -> None:
        try:
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            self._not_started(error)
            return
        os.set_blocking(read_end, False)
        arguments = [
            f"--answers={write_end}",
            f"--camera={msgspec.json.encode(self._camera).decode()}",
            f"--settings={msgspec.json.encode(self._settings).decode()}",
        ]
        try:
            process = child_process.start("hal.vision.child", arguments, keep=[write_end], own_group=True)
        except OSError as error:
            os.close(read_end)
            self._not_started(error)
            return
        finally:
            os.close(write_end)
        now = self._loop.time()
        self._child = _Child(process, read_end, protocol.Unpacker(), now + self._limits.start_s)
        self._loop.add_reader(read_end, self._readable)
        self._watch()

    def _not_started(self, error: OSError) -> None:
        self._failed(
            f"the camera process cannot be started: {error.strerror}", "free memory, processes and open files"
        )

    def _readable(self) -> None:
        child = self._child
        if child is None:
            return
        try:
            data = os.read(child.pipe, READ_AT_ONCE)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(child.pipe)
            self._ended(child)
            return
        try:
            messages = child.unpacker.feed(data)
        except protocol.ProtocolError as error:
            self._failed(f"the camera process sent nonsense: {error}", "is the installation complete")
            return
        for message in messages:
            if self._child is not child:
                return  # it was lost by an earlier message
            self._take(child, message)

    def _take(self, child: _Child, message: protocol.Message) -> None:
        now = self._loop.time()
        match message:
            case protocol.CodeRead():
                self._code(message, now)
            case protocol.Alive():
                self._alive(child, message, now)
            case protocol.Noted():
                self._post(DeviceNote(self._device, message.name, message.detail, now))
            case protocol.Gone():
                self._failed(message.reason, message.check)
            case protocol.Ready():
                child.ready = True

    def _code(self, message: protocol.CodeRead, now: float) -> None:
        """A replaced child sees a code that is still held up as new: it counted already."""
        name = hashlib.sha256(message.data).digest()
        if name == self._last_code and now < self._same_code_until:
            return
        self._last_code, self._last_code_at = name, now
        self._post(
            CodeSeen(message.data, self._device, message.frame_at, now, message.share, message.decoder)
        )

    def _alive(self, child: _Child, message: protocol.Alive, now: float) -> None:
        if message.frames <= child.frames:
            return  # no frame, no life
        child.frames = message.frames
        child.deadline = now + self._limits.progress_s
        if child.alive_since is None:
            child.alive_since = now
            self._watch()  # the deadline is nearer now than the one for the start
        elif now - child.alive_since >= self._limits.settled_s:
            self._backoff = self._limits.backoff_s
        if self._lost:
            self._lost = False
            self._post(DeviceBack(self._device, now))
        self._post(Progress(self._device, message.frames, now))

    def _watch(self) -> None:
        child = self._child
        if child is None or self._closed:
            return
        if self._timer:
            self._timer.cancel()
        now = self._loop.time()
        if now < child.deadline:
            self._timer = self._loop.call_later(child.deadline - now, self._watch)
            return
        if child.frames:
            self._failed(
                f"no camera frame for {self._limits.progress_s:g} s",
                "the camera's cable and supply; the process is replaced by itself",
            )
        elif child.ready:
            self._failed("the camera is open but gives no frame", "the camera's cable and its lens cap")
        else:
            self._failed(
                f"the camera process was not ready within {self._limits.start_s:g} s",
                "is the camera connected, and does another program use it",
            )

    def _ended(self, child: _Child, tries: int = 0) -> None:
        """The pipe is closed; how the process ended is known a moment later."""
        if self._child is not child:
            return
        code = child.process.poll()
        if code is None and tries < 10:
            self._loop.call_later(0.01, self._ended, child, tries + 1)
            return
        how = "closed its pipe" if code is None else child_process.ended_how(code)
        self._failed(f"the camera process {how}", "the log above this line")

    def _failed(self, reason: str, check: str) -> None:
        """Drop the child, tell once, replace it after the back-off."""
        now = self._loop.time()
        if now - self._last_code_at < HELD_UP_S:
            self._same_code_until = now + self._backoff + self._limits.same_code_s
        self._drop()
        if self._closed:
            return
        if not self._lost:
            self._lost = True
            self._post(DeviceLost(self._device, reason, check, now))
        self._restarts += 1
        self._post(DeviceNote(self._device, f"{self._device}_restarts", reason, now))
        self._timer = self._loop.call_later(self._backoff, self._respawn)
        self._backoff = min(self._limits.backoff_max_s, self._backoff * 2)

    def _respawn(self) -> None:
        if not self._closed:
            self._spawn()

    def _drop(self) -> None:
        child, self._child = self._child, None
        if self._timer:
            self._timer.cancel()
        if child is None:
            return
        self._loop.remove_reader(child.pipe)
        os.close(child.pipe)
        child_process.kill(child.process, group=True)
        self._reap(child.process, 0)

    def _reap(self, process: subprocess.Popen[bytes], tries: int) -> None:
        """Collect the killed child without waiting; one stuck in the kernel is reported once."""
        if process.poll() is not None or self._loop.is_closed():
            return
        if tries == 50:
            detail = "a killed camera process does not end: it waits in the kernel; restart the board"
            self._post(DeviceNote(self._device, f"{self._device}_unkillable", detail, self._loop.time()))
        self._loop.call_later(0.01 if tries < 10 else 0.2, self._reap, process, tries + 1)


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    pipe: int
    unpacker: protocol.Unpacker
    deadline: float
    ready: bool = False
    frames: int = 0
    alive_since: float | None = None
