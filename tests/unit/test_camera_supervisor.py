"""The supervisor against children that misbehave: stand-ins written for each fault."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from hal.camera.port import CameraSettings
from hal.ports import CodeSeen, DeviceBack, DeviceLost, DeviceNote, Event, Progress
from hal.vision import child_process
from hal.vision.protocol import Alive, CodeRead, Gone, Ready, pack
from hal.vision.supervisor import CameraSource, Limits

QUICK = Limits(start_s=20, progress_s=10, backoff_s=0.02, backoff_max_s=0.08, settled_s=0.2)
HASTY = Limits(start_s=0.3, progress_s=10, backoff_s=0.02)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Event]]:
    """Run a source whose children are the given scripts (the last one repeats) until ``met(events)``."""

    def go(scripts: list[str], met: Callable[[list[Event]], bool], limits: Limits = QUICK) -> list[Event]:
        started: list[str] = []
        processes: list[subprocess.Popen[bytes]] = []

        def start(module, arguments, *, keep, own_group):
            script = scripts[min(len(started), len(scripts) - 1)]
            started.append(script)
            if script == "OSError":
                raise OSError(11, "Resource temporarily unavailable")
            # -S -E: these need no packages and should start fast
            process = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", f"import os, time, signal\npipe = {keep[0]}\n{script}"],
                pass_fds=keep,
                process_group=0 if own_group else None,
            )
            processes.append(process)
            return process

        monkeypatch.setattr(child_process, "start", start)
        events: list[Event] = []
        source = go.source = CameraSource(CameraSettings("simulated"), limits=limits)

        async def story() -> None:
            source.start(events.append)
            deadline = time.monotonic() + 10
            while not met(events):
                assert time.monotonic() < deadline, events
                await asyncio.sleep(0.005)
            source.close()
            source.close()

        asyncio.run(story())
        for process in processes:
            process.wait(5)  # killed, whatever it was doing
        return events

    return go


def of(events: list[Event], kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


def restarts(count: int) -> Callable[[list[Event]], bool]:
    return lambda events: len(of(events, DeviceNote)) >= count


READY = f"os.write(pipe, {pack(Ready(1, 'zxing'))!r})"
ALIVE = f"os.write(pipe, {pack(Alive(5, 1.0))!r})"
FRAMES = "\n".join(f"os.write(pipe, {pack(Alive(n, 1.0))!r}); time.sleep(0.05)" for n in range(1, 10))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise SystemExit(7)", "exit code 7"),
        ("os.abort()", "SIGABRT"),
        ("os.write(pipe, b'\\xff\\xff nonsense'); time.sleep(60)", "nonsense"),
        ("os.write(pipe, b'\\x00\\x03\\xc1\\xc1\\xc1'); time.sleep(60)", "nonsense"),
        ("os.close(pipe); time.sleep(60)", "closed its pipe"),
        ("OSError", "cannot be started: Resource temporarily unavailable"),
    ],
)
def test_every_way_to_fail_is_one_loss_with_what_to_check_and_is_retried(run, script, reason):
    events = run([script], restarts(2))
    (lost,) = of(events, DeviceLost)
    assert reason in lost.reason
    assert lost.check
    assert not of(events, DeviceBack)


def test_no_descriptor_for_the_pipe_is_a_lost_camera(run, monkeypatch):
    def none(_flags: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.pipe2", none)
    (lost,) = of(run(["never started"], restarts(2), HASTY), DeviceLost)
    assert "Too many open files" in lost.reason


@pytest.mark.parametrize(
    "script", ["time.sleep(60)", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
)
def test_child_that_is_never_ready_is_killed_and_retried(run, script):
    events = run([script], restarts(2), HASTY)
    (lost,) = of(events, DeviceLost)
    assert "not ready within 0.3 s" in lost.reason
    assert lost.check


def test_open_camera_without_a_first_frame_is_told_apart(run):
    events = run([f"{READY}; time.sleep(60)"], restarts(1), Limits(start_s=1.5))
    assert "open but gives no frame" in of(events, DeviceLost)[0].reason


@pytest.mark.parametrize("script", [f"{ALIVE}; time.sleep(60)", f"while True: {ALIVE}; time.sleep(0.02)"])
def test_frames_that_stop_are_a_loss_even_if_the_child_goes_on_talking(run, script):
    events = run([script], restarts(1), Limits(start_s=60.0, progress_s=0.3, backoff_s=0.02))
    (lost,) = of(events, DeviceLost)
    assert lost.reason == "no camera frame for 0.3 s"
    assert len(of(events, Progress)) == 1


def test_back_after_a_loss_is_told_once_with_the_first_frame(run):
    events = run(["raise SystemExit(1)", FRAMES], lambda events: len(of(events, Progress)) > 3)
    kinds = [type(event) for event in events if not isinstance(event, DeviceNote)]
    assert kinds[:3] == [DeviceLost, DeviceBack, Progress]
    assert kinds.count(DeviceBack) == 1


def test_first_start_is_no_return(run):
    events = run([FRAMES], lambda events: len(of(events, Progress)) > 3)
    assert {type(event) for event in events} == {Progress}


def test_back_off_grows_to_its_limit_and_is_set_back_by_frames(run):
    events = run(["raise SystemExit(1)"], restarts(6))
    at = [note.at for note in of(events, DeviceNote)]
    gaps = [b - a for a, b in zip(at, at[1:], strict=False)]
    assert all(gap >= wait for gap, wait in zip(gaps, (0.02, 0.04, 0.08, 0.08, 0.08), strict=False))
    events = run(["raise SystemExit(1)"] * 5 + [f"{FRAMES}\nraise SystemExit(1)"], restarts(6))
    assert len(of(events, DeviceLost)) == 2
    assert run.source._backoff == 2 * QUICK.backoff_s


def test_messages_after_a_loss_in_the_same_read_are_dropped(run):
    stream = pack(Gone("cable", "the cable", 1.0)) + pack(CodeRead(b"late", 1.0, 1.0, 0.4, "zxing"))
    events = run([f"os.write(pipe, {stream!r}); time.sleep(60)"], restarts(2))
    assert not of(events, CodeSeen)
    assert [(lost.reason, lost.check) for lost in of(events, DeviceLost)] == [("cable", "the cable")]


def test_killed_child_that_does_not_end_is_reported(run, monkeypatch):
    """Stuck in the kernel (blocked camera stop): poll never answers."""
    monkeypatch.setattr(subprocess.Popen, "poll", lambda self: None)
    monkeypatch.setattr(subprocess.Popen, "wait", lambda self, timeout=None: None)
    real = asyncio.BaseEventLoop.call_later
    monkeypatch.setattr(
        asyncio.BaseEventLoop,
        "call_later",
        lambda self, delay, *rest: real(self, delay if delay > 0.2 else min(delay, 0.002), *rest),
    )
    events = run(
        ["time.sleep(60)"], lambda es: any(n.name == "camera_unkillable" for n in of(es, DeviceNote)), HASTY
    )
    assert "kernel" in next(n.detail for n in of(events, DeviceNote) if n.name == "camera_unkillable")


def test_loop_process_loads_no_decoder_no_numpy_and_no_simulation():
    script = (
        "import sys, hal.vision.supervisor\n"
        "found = {'numpy', 'zxingcpp', 'zbar', 'PIL', 'segno', 'cv2', 'picamera2'} & set(sys.modules)\n"
        "ours = ('hal.sim', 'hal.decoder.z', 'firmware')\n"
        "print(*found, *(name for name in sys.modules if name.startswith(ours)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def code(data: bytes) -> str:
    return f"os.write(pipe, {pack(CodeRead(data, 1.0, 1.0, 0.4, 'zxing'))!r})"


def test_replaced_child_may_not_count_the_same_code_again_but_any_other(run):
    first = f"{code(b'held')}; {code(b'held')}; raise SystemExit(1)"
    second = f"{code(b'held')}; {code(b'other')}; time.sleep(60)"
    events = run([first, second], lambda events: any(e.data == b"other" for e in of(events, CodeSeen)))
    assert [event.data for event in of(events, CodeSeen)] == [b"held", b"held", b"other"]
