"""What a ThingMagic module is told at a start and what its words mean: on the simulated module, no driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hal.reader.bringup import Row, Sequence
from hal.reader.events import Alive, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.port import Meaning, Settings
from hal.reader.thingmagic import encode_answer
from hal.reader.thingmagic_family import Family
from hal.reader.thingmagic_ops import Op, Search
from hal.sim.population import Population
from hal.sim.thingmagic import SimModule

BASE = Settings("thingmagic", region="cn900", power_dbm=24)


def run(family: Family, module: SimModule, rows: list[Row[Event]]) -> Sequence[Event]:
    """Go through ``rows`` with the module on a perfect line; time passes where somebody waits."""
    now = 10.0
    answers: list[bytes] = []

    def send(data: bytes) -> None:
        answers.append(module.feed(data, now))

    sequence = Sequence(rows, send, now)
    for _ in range(500):
        if sequence.done:
            return sequence
        if not answers:
            due = module.due()
            now = min(sequence.deadline, due if due is not None else sequence.deadline)
            sequence.time(now)
            answers.append(module.speak(now))
        data = answers.pop(0)
        if data:
            sequence.traffic(now)
        for event in family.codec.feed(data):
            sequence.event(event, now)
    raise AssertionError("it does not come to an end")


def set_up(model: str = "m7e", *, module: SimModule | None = None, **changes: Any) -> tuple[Any, ...]:
    settings = replace(BASE, **changes)
    family = Family(settings)
    if module is None:
        module = SimModule(Population(antennas=max(settings.antennas)), model)
    info: dict[str, str] = {}
    return run(family, module, family.setup_rows(info)), module, info, family


@pytest.mark.parametrize(
    ("model", "region", "code"),
    [
        ("nano", "cn900", 0x06),
        ("m7e", "cn900", 0x06),
        ("silion", "cn900", 0x06),
        ("silion", "cn800", 0x0A),
        ("nano", "us", 0x0D),
        ("m7e", "us", 0x01),
        ("nano", "eu", 0x08),
        ("m7e", "kr", 0x09),
        ("m7e", "jp", 0x05),
        ("m7e", "in", 0x04),
        ("m7e", "au", 0x0B),
    ],
)
def test_the_region_is_one_that_the_module_has(model: str, region: str, code: int) -> None:
    sequence, module, info, _ = set_up(model, region=region)
    assert sequence.failed is None
    assert module.settings.region == code
    assert info["regions"]


def test_a_region_that_the_module_has_not_is_said_in_words() -> None:
    sequence, module, _, _ = set_up("silion", region="jp")
    assert sequence.failed is not None
    assert "no region for 'jp', only PRC, PRC2, NA, EU3, KR2" in sequence.failed
    assert "region" in sequence.check
    assert module.settings.region is None


def test_everything_is_set_and_read_back_in_order() -> None:
    sequence, module, info, _ = set_up(antennas=(1, 3), session=2, power_dbm=22.25)
    assert (sequence.failed, sequence.skipped) == (None, [])
    own = module.settings
    assert (own.antennas, own.session, own.read_power, own.protocol) == ((1, 3), 2, 2225, 5)
    assert own.gen2[1] == b"\x00\x00"  # target: A, then B
    assert not own.filters_repeats
    assert [f"{one.cmd:02X}{one.data.hex().upper()}" for one in module.heard] == [
        "2F000002", "03", "0C", "9800", "100040", "71", "9706", "67", "930005", "6105", "910201010303",
        "6201", "9208B1", "6200", "9B050002", "6B0500", "9B05010000", "9A010C00", "6A010C",
    ]  # fmt: skip
    assert info["model"] == "M7E Hecto"
    assert info["firmware"] == "02.01.06.08"
    assert info["power"] == "0 to 27 dBm"
    assert info["antennas"] == "1: seen, 2: seen, 3: seen"
    assert info["serial"] == "16230067927167269+"


def test_session_0_asks_for_a_alone() -> None:
    _, module, _, _ = set_up(session=0)
    assert module.settings.gen2[1] == b"\x01\x00"


def test_power_that_the_module_cannot_do_is_said_with_its_limits() -> None:
    for model, dbm, limits in (("m7e", 28.0, "0 to 27 dBm"), ("silion", 4.0, "5 to 30 dBm")):
        sequence, module, _, _ = set_up(model, power_dbm=dbm)
        assert sequence.failed is not None
        assert f"{dbm:g} dBm is wanted and the module does {limits}" in sequence.failed
        assert "power_dbm" in sequence.check
        assert module.settings.read_power == 2000  # untouched


def test_a_module_without_limits_refuses_too_much_itself() -> None:
    class Old(SimModule):
        def _setting(self, op: int, data: bytes) -> tuple[int, bytes]:
            return (0x0105, b"") if (op, data) == (Op.GET_READ_POWER, b"\x01") else super()._setting(op, data)

    sequence, old, _, _ = set_up(module=Old(Population()), power_dbm=20)
    assert sequence.failed is None
    sequence, old, _, _ = set_up(module=Old(Population()), power_dbm=29)
    assert "power is above" in str(sequence.failed)


def test_a_module_that_rounds_its_power_is_not_called_forgetful() -> None:
    class Half(SimModule):
        def _setting(self, op: int, data: bytes) -> tuple[int, bytes]:
            if op == Op.SET_READ_POWER:
                data = (int.from_bytes(data, "big") // 50 * 50).to_bytes(2, "big")
            return super()._setting(op, data)

    sequence, module, _, family = set_up(module=Half(Population()), power_dbm=22.3)
    assert sequence.failed is None
    assert module.settings.read_power == 2200
    calls: list[int] = []
    rows = family.check_rows(lambda: calls.append(1), polling=False, timeout_s=0.5)
    assert run(family, module, rows).failed is None
    assert calls == []
    module.settings.read_power = 2700
    run(family, module, family.check_rows(lambda: calls.append(1), polling=False, timeout_s=0.5))
    assert calls == [1]


def test_the_firmware_is_started_where_only_the_bootloader_runs() -> None:
    sequence, module, info, _ = set_up(module=SimModule(Population(), bootloader=True))
    assert sequence.failed is None
    assert [one.cmd for one in module.heard][:5] == [Op.MULTI, Op.VERSION, Op.PROGRAM, Op.BOOT, Op.VERSION]
    assert module.settings.region == 0x06
    assert not module.status()["bootloader"]


def test_a_firmware_that_speaks_before_it_can_hear_is_waited_for() -> None:
    class Early(SimModule):
        def _in_bootloader(self, op: int, data: bytes, now: float) -> bytes:
            said = super()._in_bootloader(op, data, now)
            return encode_answer(Op.BOOT) if op == Op.BOOT else said

        def speak(self, now: float) -> bytes:
            return b"" if self._boots_at is not None and super().speak(now) else super().speak(now)

    sequence, module, _, _ = set_up(module=Early(Population(), bootloader=True))
    assert sequence.failed is None
    assert len([one for one in module.heard if one.cmd == Op.VERSION]) == 2  # none was lost


def test_a_module_whose_optional_answers_are_missing_still_works() -> None:
    module = SimModule(Population(), "silion")
    module.refuse |= {Op.GET_ANTENNA, Op.HARDWARE}
    sequence, _, _, _ = set_up(module=module)
    assert sequence.failed is None
    assert sequence.skipped == ["ask for the serial number", "look for antennas"]


def test_a_clone_that_cannot_answer_every_question_is_set_up_by_what_it_takes() -> None:
    module = SimModule(Population(), "silion")
    module.refuse |= {Op.REGIONS, Op.GET_GEN2, Op.GET_OPTION, Op.SET_POWER_MODE}
    sequence, _, _, _ = set_up(module=module)
    assert sequence.failed is None
    assert module.settings.region == 0x06
    sequence, _, _, _ = set_up(module=module, region="jp")
    assert "region is not one of its" in sequence.failed


def test_a_filter_that_stays_on_is_not_accepted() -> None:
    class Stubborn(SimModule):
        def _setting(self, op: int, data: bytes) -> tuple[int, bytes]:
            return (0, b"") if op == Op.SET_OPTION else super()._setting(op, data)

    sequence, _, _, _ = set_up(module=Stubborn(Population()))
    assert "read the filter back: it answered 010c01, not 010c00" in sequence.failed


@pytest.mark.parametrize("op", [Op.GET_REGION, Op.SET_READ_POWER, Op.GET_OPTION])
def test_a_reset_while_it_is_set_up_is_not_overlooked(op: int) -> None:
    class Weak(SimModule):
        def _setting(self, asked: int, data: bytes) -> tuple[int, bytes]:
            if asked == op and not self.failed:
                self.failed = True
                region = self.settings.region
                self.power_cycle(0.0)
                self.settings.region = region  # some keep that one
                self.boot_word = encode_answer(Op.BOOT)
            return super()._setting(asked, data)

        def feed(self, data: bytes, now: float) -> bytes:
            self.boot_word = b""
            said = super().feed(data, now)
            return self.boot_word + said

        failed = False

    module = Weak(Population())
    sequence, _, _, family = set_up(module=module)
    assert "started anew in the middle" in str(sequence.failed)
    assert run(family, module, family.setup_rows({})).failed is None
    assert not module.settings.filters_repeats


def test_a_reset_is_found_by_the_check() -> None:
    _, module, _, family = set_up(region="us")
    for change in (module.power_cycle, lambda now: setattr(module, "_bootloader", True)):
        change(20.0)
        calls: list[int] = []
        rows = family.check_rows(lambda calls=calls: calls.append(1), polling=True, timeout_s=0.5)
        assert run(family, module, rows).failed is None
        assert calls


@pytest.mark.parametrize("name", ["region", "read_power", "options"])
def test_one_setting_that_went_back_to_its_default_is_found(name: str) -> None:
    _, module, _, family = set_up()
    setattr(module.settings, name, getattr(SimModule(Population()).settings, name))
    calls: list[int] = []
    rows = family.check_rows(lambda: calls.append(1), polling=False, timeout_s=0.5)
    assert run(family, module, rows).failed is None
    assert calls == [1]


def test_a_clone_that_does_not_know_its_filter_has_not_forgotten_it() -> None:
    _, module, _, family = set_up("silion")
    module.refuse.add(Op.GET_OPTION)
    calls: list[int] = []
    rows = family.check_rows(lambda: calls.append(1), polling=False, timeout_s=0.5)
    assert run(family, module, rows).failed is None
    assert calls == []


def test_a_reading_module_is_stopped_before_it_is_asked() -> None:
    _, module, _, family = set_up()
    module.feed(family.inventory(), 10.0)
    calls: list[int] = []
    rows = family.check_rows(lambda: calls.append(1), polling=True, timeout_s=0.5)
    assert run(family, module, rows).failed is None
    assert calls == []
    assert not module.status()["inventory"]


def test_stop_and_drain_wait_for_what_was_pending() -> None:
    _, module, _, family = set_up()
    module.field.present([bytes([n]) * 12 for n in range(30)])
    assert module.feed(family.inventory(), 10.0) == encode_answer(Op.MULTI, b"\x01\x22\x00\x00")
    module.speak(10.3)
    assert run(family, module, family.stop_rows()).failed is None
    assert not module.status()["inventory"]
    module.refuse.add(Op.MULTI)  # a module that does not know how to stop does not stream
    assert run(family, module, family.stop_rows()).failed is None


def condition(name: str) -> Condition:
    return Condition(name, "")


@pytest.mark.parametrize(
    ("event", "meaning"),
    [
        (Tag(b"\x01", 0x3000, 0), Meaning.ALIVE),
        (Alive("keep-alive"), Meaning.ALIVE),
        (RoundEnd(0x22, 3), Meaning.ALIVE),
        (condition("hot"), Meaning.ALIVE),
        (condition("return-loss"), Meaning.ALIVE),
        (condition("temperature"), Meaning.ALIVE),
        (condition("reset"), Meaning.WRONG),
        (Response(0x2F, b"\x01\x22\x00\x00"), Meaning.ALIVE),
        (Response(0x2F, b"\x02"), Meaning.AGAIN),
        (Response(0x2F, b""), Meaning.NOTHING),
        (Response(0x67, b"\x06"), Meaning.NOTHING),
        (ErrorReply(0x22, 0x0405, ""), Meaning.WRONG),
        (ErrorReply(0x2F, 0x0405, ""), Meaning.WRONG),
        (ErrorReply(0x2F, 0x0101, ""), Meaning.WRONG),
        (ErrorReply(0x22, 0x7F01, ""), Meaning.WRONG),
        (ErrorReply(0x22, 0x0501, ""), Meaning.ALIVE),
        (ErrorReply(0x22, 0x0423, ""), Meaning.ALIVE),
        (ErrorReply(0x97, 0x0405, ""), Meaning.NOTHING),
    ],
)
def test_what_events_mean_while_it_reads(event: Event, meaning: Meaning) -> None:
    assert Family(BASE).judge(event) is meaning


def test_a_module_that_knows_no_statistics_is_asked_without() -> None:
    family = Family(BASE)
    with_stats = family.inventory()
    assert with_stats[3:-2].hex() == "000001220000050922" + "10011b03e8007f0100"
    assert family.judge(ErrorReply(Op.MULTI, 0x0105, "")) is Meaning.AGAIN
    assert family.inventory()[3:-2].hex() == "000001220000050722" + "10001b03e8007f"
    assert family.judge(ErrorReply(Op.MULTI, 0x0105, "")) is Meaning.WRONG
    assert int(Search.STATS) == 0x0100


def test_power_at_the_connector_may_differ_from_the_wire() -> None:
    _, module, _, _ = set_up(power_dbm=30, power_offset_db=6)
    assert module.settings.read_power == 2400
    with pytest.raises(ValueError, match="power_offset_db 6 is -1 dBm"):
        Family(replace(BASE, power_dbm=5, power_offset_db=6))
