"""Board and site files: every shipped one loads; every kind of fault is one sentence that helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.boardfile import BoardFileError, device_tree_fault, load, load_site
from provisioning.board_reference import PAGE, page

BOARDS = sorted((Path(__file__).parents[2] / "boards").glob("*.toml"))
SIM = Path(__file__).parents[2] / "boards" / "sim-entry.toml"
SITE = 'store = "demo"\nboard = "entry-1"\n[pass_keys]\n1 = "' + "ab" * 32 + '"\n'

Faults = Callable[..., list[str]]


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """Faults of the simulated board's file after replacing ``old`` by ``new`` in it."""

    def check(old: str, new: str) -> list[str]:
        text = SIM.read_text()
        assert old in text
        path = tmp_path / "b.toml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(BoardFileError) as caught:
            load(path)
        assert all(fault.startswith(f"{path}: ") for fault in caught.value.faults)
        return [fault.removeprefix(f"{path}: ") for fault in caught.value.faults]

    return check


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_shipped_files_load(path: Path) -> None:
    board = load(path)
    if board.board.role in ("entry", "exit"):
        assert board.pins.outputs["release"].fail == "safe"
    else:
        assert board.reader is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("motor = true", "moter = true", ['unknown key "gate.moter"', 'did you mean "motor"']),
        ("[gate]", "[gaet]", ['unknown key "gaet"', 'did you mean "gate"']),
        ("leaf = { pin = 5 }", "leaf = { pim = 5 }", ['"pins.inputs.leaf.pim"', 'did you mean "pin"']),
        ("beam_outer =", "beam_oter =", ['"pins.inputs.beam_oter"', 'did you mean "beam_outer"']),
        ("fire = { pin = 19, active_low = false }", "", ["pins.inputs.fire is missing"]),
        (
            "beam_outer = { pin = 6,",
            "beam_outer = { pin = 5,",
            ["GPIO 5 is already used by pins.inputs.leaf"],
        ),
        ("buzzer = { pin = 25 }", "buzzer = { pin = 99 }", ["pins.outputs.buzzer.pin", "27"]),
        (
            'port = "sim"',
            'port = "sim"\nregion = "mars"',
            ["reader.region: 'mars' is none of 'cn900', 'cn800', 'us'"],
        ),
        ('fail = "safe"', 'fail = "open"', ["pins.outputs.release.fail: 'open' is none of 'safe', 'secure'"]),
        ('driver = "simulated"', "driver = 7", ["camera.driver"]),
        ("motor = true", "open_s = 99", ["gate.open_s", "10.0"]),
        ("motor = true", 'open_s = "fast"', ["gate.open_s", "float"]),
        ("motor = true", "stuck_s = 20.0", ["gate: ", "stuck_s"]),
        ("motor = true", "motor = false", ["gate.motor is false"]),
        ("motor_open = { pin = 27 }", "", ["gate.motor is true"]),
        ('energised = "locks", fail = "safe"', 'energised = "locks", fail = "secure"', ["cannot hold"]),
        ('energised = "locks", fail = "safe"', 'fail = "safe"', ['"releases" or "locks"']),
        ("buzzer = { pin = 25 }", 'buzzer = { pin = 25, energised = "locks" }', ["only the lock"]),
        ('factory = "mock"', 'factory = "lgpio"', ["does not fit board.model"]),
        ('model = "simulated"', 'model = "pi6"', ["board.model", "pi6"]),
        ('[camera]\ndriver = "simulated"', "", ["no source of codes"]),
        ("\n[sim]", "", ["needs a [sim] section"]),
        ("[gate]", "[gate", ["not valid TOML"]),
        pytest.param("[gate]", "[gate]\nx = " + "[" * 9000, ["not valid TOML"], id="nested without end"),
    ],
)
def test_each_fault_is_a_sentence_that_helps(faults: Faults, old: str, new: str, words: list[str]) -> None:
    found = faults(old, new)
    assert len(found) >= 1
    for word in words:
        assert any(word in fault for fault in found), found
    assert "Traceback" not in "".join(found)


def test_an_exit_that_could_lock_people_in_is_refused(faults: Faults, tmp_path: Path) -> None:
    text = SIM.read_text().replace('role = "entry"', 'role = "exit"')
    text = text.replace('energised = "locks", fail = "safe"', 'energised = "releases", fail = "secure"')
    path = tmp_path / "exit.toml"
    path.write_text(text)
    with pytest.raises(BoardFileError, match="people must get out"):
        load(path)


def test_all_faults_are_told_together(faults: Faults) -> None:
    found = faults("motor = true", "moter = true\npas_s = 3\n")
    assert len(found) == 2


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(BoardFileError, match="no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(BoardFileError, match=r"site\.toml: no such file; name one with --site.*install\.sh"):
        load_site(tmp_path / "site.toml")
    with pytest.raises(BoardFileError, match="cannot be read"):
        load(tmp_path)
    binary = tmp_path / "x.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BoardFileError, match="not valid TOML"):
        load(binary)


def test_the_model_is_checked_against_the_device_tree(tmp_path: Path) -> None:
    model = tmp_path / "model"
    pi5 = load(SIM.with_name("gate-pi5.toml"))
    assert "no Raspberry Pi" in str(device_tree_fault(pi5, model))
    model.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert device_tree_fault(pi5, model) is None
    model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.5\0")
    assert "Raspberry Pi 4 Model B Rev 1.5" in str(device_tree_fault(pi5, model))
    assert device_tree_fault(load(SIM), model) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SITE.replace("entry-1", "store"), "reserved"),
        (SITE.replace("entry-1", "Entry 1"), "board"),
        (SITE.replace("1 = ", "0 = "), "no key id"),
        (SITE.replace("ab" * 32, "ab" * 31), "pass_keys"),
        (SITE.split("[pass_keys]")[0] + "[pass_keys]\n", "pass_keys is empty"),
        (SITE + '[broker]\nhost = "10.0.0.5"\n', "without TLS"),
        (SITE + '[broker]\nca = "ca.pem"\nhost = "shop"\ncert = "c.pem"\n', "belong together"),
        (SITE + "[broker]\nport = 0\n", "port"),
        (SITE + "[brokr]\n", 'did you mean "broker"'),
    ],
)
def test_site_faults(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(BoardFileError) as caught:
        load_site(path)
    assert words in str(caught.value)


def test_a_plain_site_loads(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    site = load_site(path)
    assert (site.store, site.board, site.broker.host) == ("demo", "entry-1", "127.0.0.1")


def test_the_reference_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m provisioning.board_reference"
