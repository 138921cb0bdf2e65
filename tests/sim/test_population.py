"""The simulated field: rounds, sessions, shielded tags, walls of probability. Counted, not timed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.sim.population import CHANNELS_KHZ, Population, Seen, SimTag, Walk


def epc(number: int) -> bytes:
    return bytes([0x30]) + number.to_bytes(11, "big")


def listen(field: Population, begin: float, end: float, antenna: int = 1, session: int = 0) -> list[Seen]:
    now, reads = begin, []
    while now < end:
        done = field.inventory(now, antenna, session)
        assert done.duration_s > 0
        reads += done.reads
        now += done.duration_s
    return reads


def count(reads: list[Seen], which: bytes) -> int:
    return sum(seen.epc == which for seen in reads)


def test_the_same_seed_gives_the_same_rounds() -> None:
    def reads(seed: int) -> list[Seen]:
        field = Population(seed=seed)
        field.present([epc(n) for n in range(20)])
        return listen(field, 0.0, 1.0)

    assert reads(7) == reads(7)
    assert reads(7) != reads(8)


@pytest.mark.parametrize("rate", [50.0, 150.0, 240.0])
def test_many_tags_share_the_rate_of_the_module(rate: float) -> None:
    field = Population(rate=rate)
    field.present([epc(n) for n in range(30)])
    reads = listen(field, 0.0, 6.0)
    assert 0.75 * rate * 6 < len(reads) <= rate * 6
    assert {seen.epc for seen in reads} == set(field.epcs)


def test_present_says_exactly_who_is_there() -> None:
    field = Population()
    field.present([epc(1), epc(2)])
    field.present([epc(2), epc(3)])
    assert set(field.epcs) == {epc(2), epc(3)}
    field.remove(epc(2))
    field.remove(epc(9))
    assert field.epcs == (epc(3),)
    field.clear()
    assert field.epcs == ()
    empty = field.inventory(0.0)
    assert empty.reads == ()
    assert empty.duration_s > 0


def test_a_shielded_tag_is_read_as_often_as_said_and_a_silent_one_never() -> None:
    field = Population(seed=3)
    field.present([epc(n) for n in range(10)])
    field.add(SimTag(epc(100), level_dbm=-63, reads_per_s=1.5))
    field.add(SimTag(epc(101), reads_per_s=0.0))
    reads = listen(field, 0.0, 60.0)
    assert 60 < count(reads, epc(100)) < 125
    assert count(reads, epc(101)) == 0


def test_a_shielded_tag_is_not_read_more_often_after_a_pause() -> None:
    field = Population(seed=3)
    field.add(SimTag(epc(1), level_dbm=-60, reads_per_s=1.5))
    listen(field, 0.0, 1.0)
    assert len(field.inventory(1000.0).reads) <= 1


def test_session_0_asks_everybody_every_round_and_single_target_s2_only_once() -> None:
    again, once = Population(), Population(dual=False)
    for field in (again, once):
        field.present([epc(1), epc(2)])
    assert len(listen(again, 0.0, 2.0, session=0)) > 50
    assert len(listen(once, 0.0, 2.0, session=2)) == 2


def test_dual_target_reads_all_in_turn() -> None:
    field = Population(dual=True)
    field.present([epc(n) for n in range(20)])
    reads = listen(field, 0.0, 3.0, session=2)
    counts = [count(reads, epc(n)) for n in range(20)]
    assert min(counts) >= 5
    assert max(counts) - min(counts) <= 6


def test_a_flag_of_session_1_is_forgotten_within_five_seconds() -> None:
    field = Population(dual=False)
    field.present([epc(1)])
    reads = listen(field, 0.0, 30.0, session=1)
    gaps = [later.at - earlier.at for earlier, later in zip(reads, reads[1:], strict=False)]
    assert len(reads) >= 5
    assert min(gaps) >= 0.5


def test_an_antenna_facing_away_hears_the_portal_weaker() -> None:
    field = Population(antennas=2, away=(2,))
    field.present([epc(n) for n in range(5)])
    inside, away = listen(field, 0.0, 3.0, 1), listen(field, 3.0, 6.0, 2)
    assert sum(s.rssi_dbm for s in inside) / len(inside) > sum(s.rssi_dbm for s in away) / len(away) + 10


def test_who_walks_past_gets_stronger_and_weaker_and_is_gone() -> None:
    field = Population()
    field.add(SimTag(epc(1), level_dbm=-55, walk=Walk(5.0, 1.5, 1.2)))
    reads = listen(field, 0.0, 20.0)

    def level(begin: float, end: float) -> float:
        some = [seen.rssi_dbm for seen in reads if begin <= seen.at < end]
        return sum(some) / len(some)

    assert level(4.5, 5.5) > level(2.0, 3.0) + 3
    assert level(4.5, 5.5) > level(7.0, 8.0) + 3
    assert not [seen for seen in reads if seen.at > 17.0]


def test_who_comes_to_stay_stays() -> None:
    walk = Walk(2.0, 1.0, 1.0, stays_s=3.0)
    assert walk.loss_db(2.0) == walk.loss_db(5.0) == 0.0
    assert walk.loss_db(0.0) == pytest.approx(walk.loss_db(7.0))


def test_a_tag_too_weak_is_not_heard() -> None:
    field = Population()
    field.add(SimTag(epc(1), level_dbm=-85, fading=0.1))
    assert listen(field, 0.0, 5.0) == []


def test_a_tag_is_there_only_between() -> None:
    field = Population()
    field.add(SimTag(epc(1), since=1.0, until=2.0))
    times = [seen.at for seen in listen(field, 0.0, 3.0)]
    assert times
    assert min(times) >= 1.0
    assert max(times) <= 2.2


def test_a_round_is_cut_off_at_its_limit() -> None:
    field = Population(rate=50.0)
    field.present([epc(n) for n in range(40)])
    done = field.inventory(0.0, limit_s=0.05)
    assert done.duration_s <= 0.05
    assert all(seen.at < 0.05 for seen in done.reads)


@given(
    tags=st.integers(0, 60),
    rate=st.sampled_from([20.0, 150.0, 700.0]),
    session=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_rounds_add_up(tags: int, rate: float, session: int, seed: int) -> None:
    field = Population(seed=seed, rate=rate)
    field.present([epc(n) for n in range(tags)])
    now = 0.0
    for _ in range(12):
        done = field.inventory(now, 1, session)
        assert len(done.reads) + done.empty + done.collisions <= done.slots
        assert len({seen.epc for seen in done.reads}) == len(done.reads)
        times = [seen.at for seen in done.reads]
        assert times == sorted(times)
        assert all(now < at <= now + done.duration_s + 1e-9 for at in times)
        assert all(0 <= seen.phase < 180 and seen.freq_khz in CHANNELS_KHZ for seen in done.reads)
        now += done.duration_s


@pytest.mark.parametrize(
    ("given_", "words"),
    [({"rate": 0.0}, "rate = 0.0"), ({"antennas": 17}, "antennas = 17")],
)
def test_nonsense_is_refused(given_: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Population(**given_)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="antenna 2"):
        Population().inventory(0.0, 2)
    with pytest.raises(ValueError, match="session 4"):
        Population().inventory(0.0, 1, 4)
