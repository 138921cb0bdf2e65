"""The loop's guard, its stepped clock, and the disk worker."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from firmware.loop import Guard, SteppedLoop
from firmware.worker import InlineWorker, ThreadWorker


@pytest.fixture
def stepped() -> Iterator[SteppedLoop]:
    loop = SteppedLoop()
    yield loop
    loop.close()


def test_stepped_clock_jumps_to_the_next_timer(stepped: SteppedLoop) -> None:
    guard = Guard(stepped, pytest.fail)
    seen: list[float] = []
    guard.at(stepped.time() + 3600, lambda: seen.append(stepped.time()))
    guard.at(stepped.time() + 1800, lambda: seen.append(stepped.time()))
    stepped.advance(7200)
    assert seen == [2800.0, 4600.0]
    assert stepped.time() == 8200.0


def test_clock_stands_while_a_thread_works(stepped: SteppedLoop) -> None:
    guard = Guard(stepped, pytest.fail)
    worker = ThreadWorker(guard)
    release = threading.Event()
    results: list[tuple[float, object]] = []
    stepped.outstanding = lambda: not results
    worker.submit(lambda: release.wait(10), lambda result, error: results.append((stepped.time(), result)))
    threading.Timer(0.05, release.set).start()
    began = stepped.time()
    stepped.advance(5)
    assert results == [(began, True)]
    assert worker.close(5)


def test_exception_in_a_callback_crashes_once_named(stepped: SteppedLoop) -> None:
    crashes: list[str] = []
    guard = Guard(stepped, crashes.append)

    def broken() -> None:
        raise ValueError("coil 3")

    guard.post(broken)
    stepped.advance(0.1)
    assert len(crashes) == 1
    assert "broken" in crashes[0]
    assert "coil 3" in crashes[0]


def test_unguarded_callback_crashes_too(stepped: SteppedLoop) -> None:
    crashes: list[str] = []
    Guard(stepped, crashes.append)
    stepped.call_soon(lambda: 1 / 0)
    stepped.advance(0.1)
    assert crashes == ["division by zero"]


def test_slow_callback_is_named(stepped: SteppedLoop, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(stepped, pytest.fail)

    def heavy() -> None:
        threading.Event().wait(0.03)

    with caplog.at_level(logging.WARNING, logger="loop"):
        guard.call(heavy)
    assert guard.slow == 1
    assert "heavy held the loop" in caplog.text


def test_worker_keeps_order_and_survives_a_failing_job() -> None:
    loop = asyncio.new_event_loop()
    guard = Guard(loop, pytest.fail)
    worker = ThreadWorker(guard)
    got: list[tuple[object, str]] = []

    def done(result: object, error: Exception | None) -> None:
        got.append((result, str(error)))
        if len(got) == 3:
            loop.stop()

    worker.submit(lambda: 1, done)
    worker.submit(lambda: 1 // 0, done)
    worker.submit(lambda: 3, done)
    loop.call_later(10, loop.stop)
    loop.run_forever()
    assert worker.close(5)
    loop.close()
    assert got == [(1, "None"), (None, "integer division or modulo by zero"), (3, "None")]


def test_post_after_close_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    guard = Guard(loop, pytest.fail)
    loop.close()
    guard.post(pytest.fail, "ran on a closed loop")


def test_inline_worker_delays_the_answer(stepped: SteppedLoop) -> None:
    guard = Guard(stepped, pytest.fail)
    worker = InlineWorker(guard)
    worker.delay_s = 0.2
    at: list[float] = []
    worker.submit(lambda: None, lambda result, error: at.append(stepped.time()))
    stepped.advance(1)
    assert at == [pytest.approx(1000.2)]
