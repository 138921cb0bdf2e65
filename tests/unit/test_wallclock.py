"""The wall clock of a board without a battery: kernel, shop, floor."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from firmware.wallclock import WallClock

NOW = 1_790_000_000_000


@dataclass
class Kernel:
    ms: int
    state: str = "unsynced"

    def wall_ms(self) -> int:
        return self.ms

    def quality(self) -> str:
        return self.state


@dataclass
class Boot:
    ms: int = 5_000

    def __call__(self) -> int:
        return self.ms


def test_the_kernels_synchronised_time_is_the_time() -> None:
    clock = WallClock(Kernel(NOW, "synced"), Boot())
    assert (clock.wall_ms(), clock.quality(), clock.wants_time) == (NOW, "synced", False)


def test_a_board_in_1970_is_unsure_and_stands_on_its_floor() -> None:
    boot = Boot()
    clock = WallClock(Kernel(60_000), boot)
    clock.set_floor(NOW)
    boot.ms += 7_000
    assert (clock.wall_ms(), clock.quality()) == (NOW + 7_000, "unsynced")
    assert clock.floor() is None


def test_the_shops_time_counts_on_with_the_boot_clock() -> None:
    boot, kernel = Boot(), Kernel(60_000)
    clock = WallClock(kernel, boot)
    assert clock.told(NOW, 0.2)
    assert clock.wall_ms() == NOW + 100
    boot.ms += 3_600_000
    kernel.ms = 5  # whatever the kernel's clock does meanwhile
    assert (clock.wall_ms(), clock.quality()) == (NOW + 100 + 3_600_000, "synced")


def test_a_slow_or_past_answer_is_not_used() -> None:
    clock = WallClock(Kernel(60_000), Boot())
    clock.set_floor(NOW)
    assert not clock.told(NOW + 1000, 2.5)
    assert not clock.told(NOW - 1, 0.1)
    assert clock.quality() == "unsynced"


def test_a_kernel_behind_the_floor_is_not_believed() -> None:
    clock = WallClock(Kernel(NOW - 365 * 86_400_000, "synced"), Boot())
    clock.set_floor(NOW)
    assert clock.quality() == "unsynced"


@given(st.lists(st.integers(0, 2 * NOW)))
def test_the_floor_never_goes_back(told: list[int]) -> None:
    kernel = Kernel(0, "synced")
    clock = WallClock(kernel, Boot())
    highest = 0
    for ms in told:
        kernel.ms = ms
        floor = clock.floor()
        assert (floor is None) == (ms < highest)
        highest = max(highest, ms)
        if floor is not None:
            assert floor == highest
