"""Which reads a frame gets."""

from __future__ import annotations

import numpy as np
import pytest

from hal.sim.scene import render, wall
from hal.vision.activity import Activity
from hal.vision.plan import ACTIVE_SHARE, PATIENCE_S, SLOW_S, UNREAD_S, VARIANTS, Plan

BUSY = ACTIVE_SHARE * 2
PERIOD = 1 / 15


def test_other_binarizer_on_every_second_frame():
    plan = Plan(zbar=False)
    assert [plan.reads(0.0, n * PERIOD).other for n in range(6)] == [False, True] * 3


def test_zbar_only_where_the_board_has_it():
    plan = Plan(zbar=False)
    assert all(plan.reads(1.0, n * PERIOD).zbar is None for n in range(100))


def test_zbar_only_while_something_is_held_up():
    plan = Plan(zbar=True)
    assert plan.reads(ACTIVE_SHARE * 0.9, 0.0).zbar is None
    assert plan.reads(BUSY, PERIOD).zbar == "raw"


def test_zbar_waits_while_zxing_reads():
    plan = Plan(zbar=True)
    plan.reads(BUSY, 10.0)
    plan.read_by_zxing(10.0)
    assert plan.reads(BUSY, 10.0 + UNREAD_S - 0.01).zbar is None
    assert plan.reads(BUSY, 10.0 + UNREAD_S).zbar == "raw"


def test_variants_take_turns_only_when_one_was_taken():
    plan = Plan(zbar=True)
    asked = []
    for number in range(8):
        asked.append(plan.reads(BUSY, number * PERIOD).zbar)
        if number % 2:
            plan.handed_over(number * PERIOD)
    assert asked == [v for v in (*VARIANTS, VARIANTS[0]) for _ in range(2)]


def test_endless_activity_is_a_scene_and_is_looked_at_slowly():
    plan = Plan(zbar=True)
    taken = []
    for number in range(round((PATIENCE_S + 10) / PERIOD)):
        now = number * PERIOD
        if plan.reads(BUSY, now).zbar:
            plan.handed_over(now)
            taken.append(now)
    late = [at for at in taken if at > PATIENCE_S]
    assert 8 <= len(late) <= 11
    assert min(b - a for a, b in zip(late, late[1:], strict=False)) >= SLOW_S - 1e-6


@pytest.mark.parametrize("ended_by", ["zbar reads", "zxing reads", "calm"])
def test_full_rate_returns_after(ended_by):
    plan = Plan(zbar=True)
    now = 0.0
    while now < PATIENCE_S + 5:
        if plan.reads(BUSY, now).zbar:
            plan.handed_over(now)
        now += PERIOD
    if ended_by == "zbar reads":
        plan.read_by_zbar(now)
    elif ended_by == "zxing reads":
        plan.read_by_zxing(now)
        now += UNREAD_S
    else:
        plan.reads(0.0, now)
    asked = []
    for _ in range(5):
        now += PERIOD
        asked.append(plan.reads(BUSY, now).zbar)
        plan.handed_over(now)
    assert None not in asked


class TestActivity:
    def test_noisy_wall_is_calm(self):
        activity = Activity()
        for number in range(20):
            assert activity(wall(noise=6, seed=number), number * PERIOD) < ACTIVE_SHARE / 2

    @pytest.mark.parametrize("share", [0.15, 0.2, 0.4, 0.8])
    def test_code_is_activity(self, share):
        assert Activity()(render("TG1:" + "A1" * 93, height_share=share), 0.0) > ACTIVE_SHARE

    def test_clutter_becomes_habit_and_a_code_before_it_counts_again(self):
        rng = np.random.default_rng(3)
        clutter = np.kron(rng.integers(0, 255, (48, 64)), np.ones((10, 10), int)).astype(np.uint8)
        activity = Activity()
        assert activity(clutter, 0.0) > ACTIVE_SHARE
        for number in range(1, 60 * 15):
            calm = activity(clutter, number * PERIOD)
        assert calm == 0.0
        with_code = clutter.copy()
        with_code[120:360, 200:440] = render("TG1:" + "A1" * 93, noise=0)[120:360, 200:440]
        assert activity(with_code, 61.0) > ACTIVE_SHARE

    def test_changing_and_tiny_sizes(self):
        activity = Activity()
        for shape in ((480, 640), (720, 1280), (1, 1), (0, 0), (3, 5), (5, 9)):
            assert 0.0 <= activity(np.zeros(shape, np.uint8), 1.0) <= 1.0
