"""Which of the codes in view counts, and when again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hal.decoder.port import Code, corners_of
from hal.vision.tracker import MAX_CODES, REARM_S, Tracker

PERIOD = 1 / 15


def code(data: bytes, side: float = 0.4, x: float = 0.5, y: float = 0.5) -> Code:
    left, right, top, bottom = x - side / 2, x + side / 2, y - side / 2, y + side / 2
    return Code(data, ((left, top), (right, top), (right, bottom), (left, bottom)), "zxing")


class Frames:
    """Shows frames at 15 per second and collects what counted."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.now = 100.0
        self.counted: list[bytes] = []

    def show(self, *codes: Code, frames: int = 1) -> Frames:
        for _ in range(frames):
            self.now += PERIOD
            found = self.tracker.update(codes, self.now)
            if found:
                self.counted.append(found.data)
        return self


def test_code_in_view_counts_once():
    assert Frames().show(code(b"a"), frames=100).counted == [b"a"]


def test_flicker_does_not_count_again():
    frames = Frames()
    for _ in range(10):
        frames.show(code(b"a")).show(frames=round(REARM_S / PERIOD) - 1)
    assert frames.counted == [b"a"]


def test_code_that_left_counts_again():
    frames = Frames().show(code(b"a")).show(frames=round(REARM_S / PERIOD) + 1).show(code(b"a"))
    assert frames.counted == [b"a", b"a"]


def test_stalled_camera_re_arms_nothing():
    frames = Frames().show(code(b"a"))
    frames.now += 60.0
    assert frames.show().show(code(b"a")).counted == [b"a"]


def test_clock_that_stands_still_or_goes_back_is_harmless():
    tracker = Tracker()
    assert tracker.update([code(b"a")], 5.0)
    for at in (5.0, 4.0, 3.0, 5.0):
        assert tracker.update([code(b"a")], at) is None


def test_largest_counts_and_the_poster_waits_until_it_left():
    phone, poster = code(b"phone", 0.5), code(b"poster", 0.2, 0.9, 0.1)
    frames = Frames().show(poster, phone, frames=5)
    assert frames.counted == [b"phone"]
    frames.show(poster, frames=5)  # the phone blurs
    assert frames.counted == [b"phone"]
    frames.show(poster, frames=round(REARM_S / PERIOD) + 1)
    assert frames.counted == [b"phone", b"poster"]


def test_of_like_size_the_central_one_counts():
    frames = Frames().show(code(b"side", 0.41, 0.2), code(b"central", 0.4, 0.55), frames=5)
    assert frames.counted == [b"central"]


def test_next_phone_counts_at_once_when_it_replaces_the_first():
    frames = Frames().show(code(b"first", 0.4)).show(code(b"second", 0.35))
    assert frames.counted == [b"first", b"second"]


def test_larger_code_counts_while_a_smaller_one_stays_in_view():
    poster = code(b"poster", 0.2, 0.9, 0.1)
    frames = Frames().show(poster, frames=20).show(poster, code(b"phone", 0.5), frames=3)
    assert frames.counted == [b"poster", b"phone"]


def test_rotated_code_of_the_same_pass_is_a_new_code():
    assert Frames().show(code(b"step 1")).show(code(b"step 2")).counted == [b"step 1", b"step 2"]


def test_many_codes_are_bounded():
    codes = [code(b"%d" % number, 0.01) for number in range(1000)] + [code(b"large", 0.3)]
    tracker = Tracker()
    found = tracker.update(codes, 1.0)
    assert found
    assert found.data == b"large"
    assert MAX_CODES >= 36


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.floats(0.05, 1)), max_size=4), max_size=9
    )
)
def test_what_counts_was_shown_and_counts_once_within_the_re_arm_time(frames):
    tracker = Tracker()
    counted = []
    for number, shown in enumerate(frames):
        found = tracker.update([code(data, side) for data, side in shown], number * PERIOD)
        if found:
            assert found.data in {data for data, _ in shown}
            counted.append(found.data)
    assert len(counted) == len(set(counted))


def test_corners_of_anything():
    assert corners_of([], 10, 10) == ((0, 0), (0, 0), (0, 0), (0, 0))
    box = corners_of([(1, 2), (5, 8), (3, 3)], 10, 10)
    assert box == ((0.1, 0.2), (0.5, 0.2), (0.5, 0.8), (0.1, 0.8))
    assert "secret" not in repr(code(b"secret"))
