"""Parts of ``make run`` one by one: children, run folder, generated files, the broker's program."""

from __future__ import annotations

import math
import os
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.boardfile import load, load_site
from provisioning import broker_bin, broker_config, guide, launcher, rundir, toml_text
from provisioning.children import Child, end_all
from provisioning.trouble import Trouble
from tests.support.mounts import OWN_MOUNTS
from tests.support.procs import descendants, wait_gone

TREE = Path(__file__).resolve().parents[2]

KEYS = st.text("abcxyz_-09. ", min_size=1, max_size=8)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8")),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
TABLES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(VALUES, inner), max_size=3),
    max_leaves=8,
)


@given(TABLES)
def test_written_toml_is_read_back(data: dict[str, object]) -> None:
    assert tomllib.loads(toml_text.dumps(data)) == data


def test_toml_refuses_what_it_cannot_write() -> None:
    with pytest.raises(TypeError):
        toml_text.dumps({"a": None})
    assert math.isinf(tomllib.loads(toml_text.dumps({"a": math.inf}))["a"])


def test_generated_files_are_accepted_by_the_board(tmp_path: Path) -> None:
    run = rundir.fresh(tmp_path / "run")
    try:
        template = TREE / "boards" / "sim-entry.toml"
        rundir.write_files(run, template, 4321, tmp_path / "inbox", changes={"gate": {"pass_s": 2.5}})
        board, site = load(run.board_file), load_site(run.root / "site.toml")
        assert board.gate.pass_s == 2.5
        assert board.sim is not None
        assert board.sim.inbox == str(tmp_path / "inbox")
        assert (site.store, site.board, site.broker.port) == ("demo", "entry-1", 4321)
        assert stat.S_IMODE((run.keys / "pass-1.pem").stat().st_mode) == 0o600
        assert "PRIVATE" not in (run.root / "site.toml").read_text() + run.board_file.read_text()
    finally:
        run.remove_if_temporary()


def test_webcam_replaces_the_simulated_camera(tmp_path: Path) -> None:
    run = rundir.fresh(tmp_path / "run")
    try:
        template = TREE / "boards" / "sim-entry-zxing.toml"
        rundir.write_files(run, template, 4321, tmp_path / "inbox", camera="/dev/video7")
        camera = load(run.board_file).camera
        assert camera is not None
        assert (camera.driver, camera.device) == ("v4l2", "/dev/video7")
    finally:
        run.remove_if_temporary()


def test_run_folder_is_fresh_locked_and_short_enough_for_sockets(tmp_path: Path) -> None:
    run = rundir.fresh(tmp_path / "run")
    (run.root / "old").touch()
    with pytest.raises(Trouble, match="another make run"):
        rundir.fresh(tmp_path / "run")
    run.remove_if_temporary()
    again = rundir.fresh(tmp_path / "run")
    assert not (again.root / "old").exists()
    again.remove_if_temporary()
    deep = rundir.fresh(tmp_path / ("deep" * 20) / "run")
    assert deep.temporary
    assert len(str(deep.data / "world.sock")) < 108
    assert deep.root.is_dir()
    deep.remove_if_temporary()
    assert not deep.root.exists()


def test_template_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    run = rundir.fresh(tmp_path / "run")
    with pytest.raises(Trouble, match="nothing.toml"):
        rundir.write_files(run, tmp_path / "nothing.toml", 1, tmp_path / "inbox")
    run.remove_if_temporary()


@pytest.mark.parametrize("text", ["sim = 3", "trace = []", "[a", "\xff"])
def test_template_that_is_no_board_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_bytes(text.encode("latin-1"))
    run = rundir.fresh(tmp_path / "run")
    with pytest.raises(Trouble, match=r"bad\.toml: "):
        rundir.write_files(run, tmp_path / "bad.toml", 1, tmp_path / "inbox")
    run.remove_if_temporary()


def test_a_folder_of_somebody_else_is_never_emptied(tmp_path: Path) -> None:
    photo = tmp_path / "pictures" / "wedding.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"once in a life")
    with pytest.raises(Trouble, match="name a new or an empty folder"):
        rundir.fresh(photo.parent)
    assert photo.read_bytes() == b"once in a life"
    (tmp_path / "empty").mkdir()
    rundir.fresh(tmp_path / "empty").remove_if_temporary()


def test_folders_that_cannot_be_made_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for wanted in (file, file / "run", Path("/proc/run")):
        with pytest.raises(Trouble, match="cannot be made"):
            rundir.fresh(wanted)
    run = rundir.fresh(tmp_path / "run")
    with pytest.raises(Trouble, match="inbox .* cannot be made"):
        rundir.write_files(run, TREE / "boards" / "sim-entry.toml", 1, file)
    run.remove_if_temporary()


@pytest.mark.parametrize("size", ["64k", "600k"])
def test_a_disk_without_room_is_one_sentence_at_the_start(tmp_path: Path, size: str) -> None:
    program = f"{sys.executable} -m provisioning.launcher --no-tour --folder disk/run --inbox inbox"
    script = f"mkdir disk && mount -t tmpfs -o size={size} tmpfs disk && PYTHONPATH={TREE} exec {program}"
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"make run: {tmp_path}/disk/run has 0.")
    assert "a run needs 20 MB" in done.stderr


def test_a_disk_that_fills_while_the_guide_writes_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        os.write(os.open("/dev/full", os.O_WRONLY), b"a scene")
        return 0

    monkeypatch.setattr(guide, "_guide", full)
    where = ["--root", str(tmp_path), "--port", "1", "--user", "guide", "--inbox", str(tmp_path)]
    assert guide.main(where) == 1
    err = capfd.readouterr().err
    assert err == "make run: No space left on device; make room on the disk (df -h) and start again\n"


@pytest.mark.parametrize(
    ("name", "code", "log", "passed_on", "says"),
    [
        ("board", 2, "error: bad.toml", 2, "ends with\n    error: bad.toml"),
        ("board", 71, "", 1, "is empty; check that the disk is not full"),
        ("store", 2, "x", 1, "the store ended (exit code 2)"),
    ],
)
def test_a_part_that_ends_is_told_with_its_log(
    tmp_path: Path, name: str, code: int, log: str, passed_on: int, says: str
) -> None:
    def child(name: str, script: str) -> Child:
        return Child(name, [sys.executable, "-c", script], log=tmp_path / f"{name}.log")

    children = [
        child("guide", "import time; time.sleep(60)"),
        child(name, f"print('{log}', end=''); exit({code})"),
    ]
    try:
        with pytest.raises(Trouble) as caught:
            launcher._watch(children[0], children)
    finally:
        end_all(children)
    assert caught.value.code == passed_on
    assert says in str(caught.value)


def test_child_that_ignores_sigterm_is_killed_with_its_group(tmp_path: Path) -> None:
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('up', flush=True); time.sleep(60)\n"
    )
    stubborn = Child("stubborn", [sys.executable, "-c", script], log=tmp_path / "stubborn.log")
    polite = Child("polite", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "p.log")
    deadline = time.monotonic() + 20
    while "up" not in stubborn.last_lines() and time.monotonic() < deadline:
        time.sleep(0.02)
    family = descendants(os.getpid())
    assert len(family) >= 3
    assert end_all([stubborn, polite], patience_s=0.3) == ["stubborn"]
    assert not wait_gone({one for one in family if one[0] in {stubborn.process.pid, polite.process.pid}})
    assert stubborn.ended() == -9
    assert polite.ended() == -15


def test_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        Child("x", ["/no-such-program"], log=tmp_path / "x.log")


def test_broker_is_found_in_path_or_unpacked_or_not_at_all(tmp_path: Path) -> None:
    real = broker_bin.find()
    assert real is not None, "make venv gets a mosquitto"
    assert broker_bin.find(tmp_path / "none", search=str(tmp_path)) is None
    # something called mosquitto that does not run is not taken
    fake = tmp_path / "bin" / "mosquitto"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexit 127\n")
    fake.chmod(0o755)
    assert broker_bin.find(tmp_path / "none", search=str(fake.parent)) is None
    # an unpacked one is started with its own libraries
    unpacked = tmp_path / "unpacked"
    (unpacked / "usr" / "sbin").mkdir(parents=True)
    (unpacked / "usr" / "lib" / "x").mkdir(parents=True)
    (unpacked / "usr" / "lib" / "x" / "libdlt.so.2").touch()
    program = unpacked / "usr" / "sbin" / "mosquitto"
    program.write_text('#!/bin/sh\necho "mosquitto version 2 with $LD_LIBRARY_PATH"\n')
    program.chmod(0o755)
    found = broker_bin.find(unpacked, search=str(tmp_path))
    assert found is not None
    assert found.path == str(program)
    assert found.env["LD_LIBRARY_PATH"] == str(unpacked / "usr" / "lib" / "x")


def test_broker_that_cannot_be_had_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_bin, "find", lambda root=None, search=None: None)
    monkeypatch.setattr(broker_bin.shutil, "which", lambda *_args, **_kw: None)
    with pytest.raises(broker_bin.BrokerMissing, match="apt-get install mosquitto"):
        broker_bin.ensure(tmp_path / "none")


def test_broker_configuration_is_private_and_for_loopback(tmp_path: Path) -> None:
    assert broker_config.main(["--port", "12345", "--folder", str(tmp_path), "--store-user", "store"]) == 0
    text = (tmp_path / "mosquitto.conf").read_text()
    assert "listener 12345 127.0.0.1" in text
    assert stat.S_IMODE((tmp_path / "acl").stat().st_mode) == 0o600
    assert broker_config.main(["--port", "0", "--folder", str(tmp_path)]) == 2
    assert broker_config.main(["--port", "1", "--folder", str(tmp_path), "--store", "No Id"]) == 2


def test_launcher_imports_neither_side() -> None:
    code = "import sys, provisioning.launcher; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = launcher.subprocess.run(
        [sys.executable, "-c", code], cwd=TREE, capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"firmware", "store", "hal"} & set(done.stdout.split())
