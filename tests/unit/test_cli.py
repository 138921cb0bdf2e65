"""The ``tallygate`` command: one sentence on errors, exit code 2 for bad input, secrets never shown."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from firmware.wire.passes import STEP_S, decode, verify
from provisioning import cli, commands, keys, passes

TREE = Path(__file__).resolve().parents[2]
COMMANDS = ("boards", "epc", "frames", "pass", "replay", "run", "scan", "selftest", "watch")


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    keys.make(folder)
    return folder


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments))
    out, err = capfd.readouterr()
    return code, out, err


def one_sentence(err: str) -> bool:
    return len(err.strip().splitlines()) == 1 and "Traceback" not in err


def test_every_command_is_registered_and_its_help_has_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, "--help")
    assert code == 0
    assert err == ""
    assert all(f"\n  {name} " in out for name in COMMANDS)
    for name in (*((name,) for name in COMMANDS), ("pass", "issue"), ("pass", "inspect"), ("pass", "keys")):
        code, out, _ = run(capfd, *name, "--help")
        assert (code, "Example: tallygate" in out) == (0, True), name


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("boards", "--bogus"),
        ("boards", "no-such-board.toml"),
        ("run", "no-such-board.toml"),
        ("run",),
        ("scan",),
        ("replay", "no-such-trace"),
        ("pass", "issue", "--keys", "/nonexistent"),
        ("pass", "inspect", "neither-code-nor-file"),
        ("frames",),
        ("frames", "--protocol", "nonsense"),
        ("watch", "--broker", "nowhere"),
        ("watch", "--broker", "127.0.0.1:99999"),
        ("watch", "--store", "Not An Id", "--broker", "127.0.0.1:1"),
    ],
    ids=" ".join,
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, err = run(capfd, *arguments)
    assert code == 2
    assert out == ""
    # a board file's faults come first, then the sentence
    assert one_sentence(err.splitlines()[-1])
    assert not re.search("Traceback|Value error|\t", err)


@pytest.mark.parametrize(
    "option",
    [
        ("--valid", "3h"),
        ("--valid", "0"),
        ("--valid", "soon"),
        ("--party", "0"),
        ("--party", "16"),
        ("--kind", "guest"),
        ("--store", "Über"),
        ("--campaign", "4294967296"),
        ("--placement", "-1"),
        ("--key-id", "7"),
        ("--png", "/nonexistent/pass.png"),
    ],
    ids=" ".join,
)
def test_bad_pass_options(capfd: pytest.CaptureFixture[str], keyring: Path, option: tuple[str, ...]) -> None:
    code, out, err = run(capfd, "pass", "issue", "--keys", str(keyring), *option)
    assert (code, out) == (2, "")
    assert one_sentence(err)


def test_issued_pass_is_accepted_by_a_board(capfd: pytest.CaptureFixture[str], keyring: Path) -> None:
    code, out, _ = run(
        capfd, "pass", "issue", "--keys", str(keyring), "--store", "demo", "--party", "3", "--valid", "90s"
    )
    assert code == 0
    data = out.rstrip("\n").encode()
    fields, _, _ = decode(data)
    assert (fields.kind, fields.party, fields.valid_for) == ("entry", 3, 90)
    shown = verify(data, store_id="demo", keys=keys.public_keys(keyring), now_s=fields.issued_at)
    assert shown == fields
    later = verify(data, store_id="demo", keys=keys.public_keys(keyring), now_s=fields.issued_at + 2 * STEP_S)
    assert getattr(later, "reason", "") == "stale-code"


def test_picture_of_a_pass_is_read_back(
    capfd: pytest.CaptureFixture[str], keyring: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "pass.png"
    code, out, err = run(capfd, "pass", "issue", "--keys", str(keyring), "--png", str(picture))
    assert (code, out) == (0, "")
    visit = err.split()[1].rstrip(",")
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600
    code, out, _ = run(capfd, "pass", "inspect", str(picture), "--keys", str(keyring))
    answer = json.loads(out)
    assert (code, answer["visit"], answer["verdict"]) == (0, visit, "good")
    code, out, _ = run(capfd, "pass", "inspect", str(picture), "--keys", str(keyring), "--store", "other")
    assert (code, json.loads(out)["verdict"]) == (1, "foreign")
    code, out, _ = run(capfd, "scan", str(picture), "--keys", str(keyring))
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == ["file", "ms", "codes"]
    assert [(c["kind"], c["verdict"]) for c in answer["codes"]] == [("pass", "good")]


def test_follow_draws_each_code_of_the_validity_and_ends(
    capfd: pytest.CaptureFixture[str], keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 1_700_000_000.0
        localtime, strftime = staticmethod(time.localtime), staticmethod(time.strftime)

        def time(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    monkeypatch.setattr(passes, "time", Clock())
    code, out, _ = run(capfd, "pass", "issue", "--keys", str(keyring), "--valid", "90s", "--follow")
    shown = out.splitlines()
    assert code == 0
    assert len(set(shown)) == 3
    assert len({decode(text.encode())[0].visit for text in shown}) == 1


@pytest.mark.parametrize(
    ("named", "says"), [("", "nothing is named"), (" ", "nothing is named"), ("x y", '"x y" is')]
)
def test_inspect_says_what_was_named(capfd: pytest.CaptureFixture[str], named: str, says: str) -> None:
    code, _, err = run(capfd, "pass", "inspect", named)
    assert (code, one_sentence(err)) == (2, True)
    assert err.startswith(f"tallygate: {says}")


def test_inspect_never_shows_the_rotating_part(capfd: pytest.CaptureFixture[str], keyring: Path) -> None:
    _, text, _ = run(capfd, "pass", "issue", "--keys", str(keyring))
    _, signature, preimage = decode(text.rstrip("\n").encode())
    code, out, err = run(capfd, "pass", "inspect", text.rstrip("\n"))
    assert code == 0
    assert preimage.hex() not in (out + err).lower()
    assert signature.hex() not in (out + err).lower()
    code, out, err = run(capfd, "pass", "inspect", "TG1:" + "0" * 60)
    assert (code, out) == (1, "")
    assert one_sentence(err)


def test_keys_are_private_never_printed_and_never_overwritten(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "k"
    code, out, err = run(capfd, "pass", "keys", str(folder), "--id", "9")
    pem = folder / "pass-9.pem"
    assert code == 0
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    _, private = keys.load(folder)
    assert private.private_bytes_raw().hex() not in out + err
    assert pem.read_text().splitlines()[1] not in out + err
    assert keys.public_keys(folder) == {9: private.public_key().public_bytes_raw()}
    before = pem.read_bytes()
    code, _, err = run(capfd, "pass", "keys", str(folder), "--id", "9")
    assert (code, one_sentence(err)) == (2, True)
    assert pem.read_bytes() == before
    code, _, err = run(capfd, "pass", "keys", str(folder), "--id", "256")
    assert (code, one_sentence(err)) == (2, True)


@pytest.mark.parametrize("fault", ["readable", "garbage", "wrong-kind", "empty-folder", "bad-public"])
def test_unusable_keys_are_refused_without_their_content(
    capfd: pytest.CaptureFixture[str], keyring: Path, fault: str
) -> None:
    pem, pub = keyring / "pass-1.pem", keyring / "pass-1.pub"
    if fault == "readable":
        pem.chmod(0o644)
    elif fault == "garbage":
        pem.write_bytes(b"SECRET-GARBAGE")
    elif fault == "wrong-kind":
        from cryptography.hazmat.primitives import serialization as s
        from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

        other = Ed448PrivateKey.generate()
        pem.write_bytes(other.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    elif fault == "empty-folder":
        pem.unlink()
        pub.unlink()
    else:
        pub.write_text("SECRET-GARBAGE\n")
        code, _, err = run(capfd, "pass", "inspect", "TG1:" + "0" * 60, "--keys", str(keyring))
        assert code in (1, 2)
        assert "SECRET" not in err
        return
    code, out, err = run(capfd, "pass", "issue", "--keys", str(keyring))
    assert (code, out) == (2, "")
    assert one_sentence(err)
    assert "SECRET" not in err


def test_shipped_boards_are_checked(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, "boards")
    assert (code, err) == (0, "")
    for name in ("gate-pi4", "gate-pi5", "gate-zero2w", "sim-entry", "sim-entry-zxing"):
        assert f"{name}.toml: ok" in out


def test_faulty_board_file_names_file_key_and_nearest_key(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.toml"
    text = (TREE / "boards" / "sim-entry.toml").read_text()
    bad.write_text(text.replace("second_opinion", "second_opinoin"))
    good = TREE / "boards" / "sim-entry.toml"
    code, out, err = run(capfd, "boards", str(bad), str(good))
    assert code == 2
    assert "second_opinoin" in err
    assert "second_opinion" in err
    assert str(bad) in err
    assert f"{good}: ok" in out
    assert run(capfd, "run", str(bad))[0] == 2


def test_command_that_cannot_be_loaded_does_not_take_the_others_down(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = commands.entry_points

    def with_a_broken_one(group: str) -> list[EntryPoint]:
        return [*real(group=group), EntryPoint("broken", "no_such_module:command", group)]

    monkeypatch.setattr(commands, "entry_points", with_a_broken_one)
    code, out, err = run(capfd, "boards")
    assert code == 0
    assert "sim-entry.toml: ok" in out
    assert "broken" in err


def test_defect_is_reported_without_a_traceback(
    capfd: pytest.CaptureFixture[str], keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALLYGATE_TRACEBACK", raising=False)
    monkeypatch.setattr(passes, "new_seed", lambda _: 1 / 0)
    code, _, err = run(capfd, "pass", "issue", "--keys", str(keyring))
    assert code == 70
    assert one_sentence(err)


def test_no_arguments_show_the_help_and_exit_code_2(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd)
    assert code == 2
    assert "Usage: tallygate" in out + err


def test_run_becomes_the_boards_own_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("provisioning.run.os.execv", lambda _program, argv: called.append(argv))
    board = str(TREE / "boards" / "sim-entry.toml")
    assert run(capfd, "run", board, "--site", "s.toml")[0] == 0
    assert run(capfd, "selftest", board)[0] == 0
    assert called == [
        [sys.executable, "-m", "firmware", "run", board, "--site", "s.toml"],
        [sys.executable, "-m", "firmware", "selftest", board],
    ]


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m provisioning.cli --help | head -c 10"
    done = subprocess.run(["bash", "-c", command], cwd=TREE, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""


INTERRUPTED_AT = """
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["--help"]
{start}
"""


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("runpy.run_module('provisioning.launcher', run_name='__main__', alter_sys=True)", "socket"),
        (
            "runpy.run_module('provisioning.launcher', run_name='__main__', alter_sys=True)",
            "provisioning.rundir",
        ),
        ("runpy.run_module('provisioning.guide', run_name='__main__', alter_sys=True)", "rich.console"),
        ("runpy.run_module('provisioning.guide', run_name='__main__', alter_sys=True)", "paho.mqtt.client"),
        ("runpy.run_module('provisioning.cli', run_name='__main__', alter_sys=True)", "typer"),
        ("from provisioning.cli import main; sys.exit(main())", "typer"),
        ("from provisioning.cli import main; sys.exit(main())", "provisioning.watch"),
    ],
)
def test_ctrl_c_while_importing_ends_quietly(start: str, name: str) -> None:
    script = INTERRUPTED_AT.format(start=start, name=name)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=TREE, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
