"""The second opinion as the camera child sees it: hands frames to the zbar child and bounds it.

Never waits. A request that takes longer than the limit, a death or a broken answer costs the zbar
child its life; a fresh one follows, at most ``MAX_DEATHS`` within ``DEATHS_WINDOW_S``, then a pause.
"""

from __future__ import annotations

import mmap
import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np

from hal.camera.port import Gray
from hal.decoder.port import Code
from hal.vision import child_process
from hal.vision.plan import VARIANTS
from hal.vision.zbar_child import MAX_ANSWER, REQUEST, Answer

MAX_PIXELS = 4 * 1024 * 1024
START_LIMIT_S = 10.0
RESTART_AFTER_S = 0.2
MAX_DEATHS = 10
DEATHS_WINDOW_S = 60.0
PAUSE_S = 60.0


class ZbarProcess:
    """``Second`` by a zbar child. ``note`` gets (counter name, detail) for each restart."""

    def __init__(
        self, note: Callable[[str, str], None], *, limit_s: float = 1.5, recycle_after: int = 200_000
    ) -> None:
        self._note = note
        self._limit_s = limit_s
        self._recycle_after = recycle_after
        self._shared = os.memfd_create("tallygate-frame", os.MFD_CLOEXEC)
        os.ftruncate(self._shared, MAX_PIXELS)
        self._memory = mmap.mmap(self._shared, MAX_PIXELS)
        self._decode = msgspec.msgpack.Decoder(Answer).decode
        self._process: subprocess.Popen[bytes] | None = None
        self._to_child = -1
        self._from_child = -1
        self._buffer = bytearray()
        self._ready = False
        self._pending = 0  # number of the request under way, 0 = none
        self._deadline = 0.0
        self._number = 0
        self._answered = 0
        self._scans = 0
        self._next_start = 0.0
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._useless = False
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The running child's process id, for tests and measurements."""
        return self._process.pid if self._process else None

    def offer(self, gray: Gray, variant: str, now: float) -> bool:
        """See ``Second.offer``."""
        height, width = gray.shape
        if not self._ready or self._pending or not 0 < width * height <= MAX_PIXELS:
            return False
        np.frombuffer(self._memory, np.uint8, width * height).reshape(height, width)[:] = gray
        self._number = self._number % 0xFFFFFFFF + 1
        try:
            os.write(self._to_child, REQUEST.pack(self._number, width, height, VARIANTS.index(variant)))
        except OSError:  # it died meanwhile; poll() sees that
            return False
        self._pending = self._number
        self._deadline = now + self._limit_s
        return True

    def poll(self, now: float) -> list[Code]:
        """See ``Second.poll``; also starts, restarts and recycles the child."""
        if self._process is None:
            if not self._useless and now >= self._next_start:
                self._start(now)
            return []
        codes: list[Code] = []
        try:
            for answer in self._answers():
                codes += self._take(answer)
        except _Died as died:
            self._failed(now, str(died))
            return []
        if now > self._deadline and (self._pending or not self._ready):
            what = "one picture" if self._ready else "its start"
            self._failed(now, f"it spent more than its time limit on {what} and was killed")
        elif self._ready and not self._pending and self._scans >= self._recycle_after:
            self._stop()
            self._next_start = now
            self._note("decoder_recycled", f"zbar child replaced after {self._scans} scans, as planned")
        return codes

    def read(self, gray: Gray, variant: str) -> list[Code] | None:
        """One picture, waiting for the answer: for tools, never in a camera's loop. None when the child is
        not available or was killed over it (``limit_s``)."""
        deadline = time.monotonic() + START_LIMIT_S
        while not self._ready and not self._useless and time.monotonic() < deadline:
            self.poll(time.monotonic())
            self._wait()
        if not self.offer(gray, variant, time.monotonic()):
            return None
        codes: list[Code] = []
        while self._pending:
            self._wait()
            codes = self.poll(time.monotonic())
        return codes if self._answered == self._number else None

    def _wait(self) -> None:
        if self._from_child >= 0:
            select.select([self._from_child], [], [], 0.05)
        else:
            time.sleep(0.02)

    def close(self) -> None:
        """End the child. Idempotent."""
        self._stop()
        if not self._closed:
            self._closed = self._useless = True
            self._memory.close()
            os.close(self._shared)

    def _answers(self) -> list[Answer]:
        ended = False
        while not ended:
            try:
                data = os.read(self._from_child, 65536)
            except BlockingIOError:
                break
            ended = not data
            self._buffer += data
        answers = []
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > MAX_ANSWER:
                raise _Died(f"it announced an answer of {length} bytes (at most {MAX_ANSWER})")
            if len(self._buffer) < 4 + length:
                break
            try:
                answers.append(self._decode(self._buffer[4 : 4 + length]))
            except msgspec.DecodeError as error:
                raise _Died(f"its answer cannot be decoded: {error}") from None
            del self._buffer[: 4 + length]
        if ended and not any(answer.missing for answer in answers):
            raise _Died(self._epitaph())
        return answers

    def _take(self, answer: Answer) -> list[Code]:
        if answer.missing:
            self._useless = True
            raise _Died(f"zbar-py cannot be loaded: {answer.missing}")
        if answer.number == 0:
            self._ready = True
            return []
        if answer.number != self._pending:
            return []
        self._answered, self._pending = self._pending, 0
        self._scans += 1
        codes = []
        for data, v in answer.codes:
            if len(v) == 8:
                codes.append(Code(data, ((v[0], v[1]), (v[2], v[3]), (v[4], v[5]), (v[6], v[7])), "zbar"))
        return codes

    def _start(self, now: float) -> None:
        request_read, self._to_child = os.pipe2(os.O_CLOEXEC)
        self._from_child, answer_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._from_child, False)
        os.set_blocking(self._to_child, False)
        keep = {"requests": request_read, "answers": answer_write, "shared": self._shared}
        arguments = [f"--{name}={number}" for name, number in (*keep.items(), ("size", MAX_PIXELS))]
        try:
            self._process = child_process.start(
                "hal.vision.zbar_child", arguments, keep=list(keep.values()), own_group=False, quiet=True
            )
        except OSError as error:
            self._stop()
            self._next_start = now + PAUSE_S
            self._note(
                "decoder_failed", f"the zbar child cannot be started: {error.strerror}; reading without it"
            )
        finally:
            os.close(request_read)
            os.close(answer_write)
        self._ready, self._pending, self._scans = False, 0, 0
        self._deadline = now + START_LIMIT_S

    def _epitaph(self) -> str:
        if self._process is None:
            return "it was not running"
        try:
            code = self._process.wait(0.05)  # its pipe is closed already: it is on its way out
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return f"it {child_process.ended_how(code)}"

    def _failed(self, now: float, how: str) -> None:
        self._stop()
        if self._useless:
            self._note("decoder_missing", f"{how}; reading with zxing only. Check: install tallygate[zbar]")
            return
        self._deaths.append(now)
        self._next_start = now + RESTART_AFTER_S
        pause = ""
        if len(self._deaths) == MAX_DEATHS and now - self._deaths[0] < DEATHS_WINDOW_S:
            self._next_start = now + PAUSE_S
            self._deaths.clear()
            pause = f"; too many in a row, reading with zxing only for {PAUSE_S:.0f} s"
        self._note("decoder_restarts", f"zbar child: {how}{pause}")

    def _stop(self) -> None:
        if self._process is not None:
            child_process.kill(self._process, group=False)
            try:
                self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                pass  # in the kernel; the next poll of a new one is not affected
        for descriptor in (self._to_child, self._from_child):
            if descriptor >= 0:
                os.close(descriptor)
        self._to_child = self._from_child = -1
        self._process = None
        self._buffer.clear()
        self._ready, self._pending = False, 0


class _Died(Exception):
    """Why the zbar child is taken as dead."""
