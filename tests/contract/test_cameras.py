"""The camera port, held against the drivers that run anywhere; and how the simulated ones treat files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hal.camera import pictures
from hal.camera.pictures import PAUSE_S, SHOW_S, Inbox, PictureError, load
from hal.camera.port import Camera, CameraLost, CameraSettings, Frame, build
from hal.camera.simulated import MAX_SIDE, SceneError, read_pgm
from hal.camera.v4l2 import V4l2
from hal.decoder.zxing import Zxing
from hal.sim.scene import render, wall, write_scene
from tests.support import fakepi
from tests.support.fakevideo import FakeVideo

PASS = "TG1:" + "A1" * 93


class Notes(list):
    def __call__(self, name: str, detail: str) -> None:
        self.append((name, detail))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture(params=["simulated", "pictures", "v4l2", "pi"])
def camera(request, tmp_path, notes, mocker):
    """Every driver; v4l2 and pi on stand-ins for the kernel and for picamera2, as no camera is here."""
    settings = CameraSettings(request.param, width=320, height=240, fps=120, inbox=str(tmp_path / "inbox"))
    if request.param == "v4l2":
        made: Camera = V4l2(settings, notes, FakeVideo(padding=16))
    else:
        mocker.patch.dict(sys.modules, fakepi.modules(fakepi.Plan(padding=64)))
        made = build(settings, notes)
    yield made
    made.close()


def next_frame(camera: Camera) -> Frame:
    for _ in range(200):
        frame = camera.frame(1.0)
        if frame is not None:
            return frame
    pytest.fail("no frame")


class TestPort:
    def test_frames_are_gray_contiguous_and_of_the_size_asked_for(self, camera):
        camera.open()
        frame = next_frame(camera)
        assert frame.gray.shape == (240, 320)
        assert frame.gray.dtype == np.uint8
        assert frame.gray.flags.c_contiguous

    def test_seq_and_time_only_rise(self, camera):
        camera.open()
        frames = [next_frame(camera) for _ in range(5)]
        assert [frame.seq for frame in frames] == list(range(frames[0].seq, frames[0].seq + 5))
        assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)
        assert frames[-1].at <= time.monotonic()

    def test_no_wait_gives_none_when_nothing_is_due(self, camera):
        camera.open()
        next_frame(camera)
        assert None in [camera.frame(0.0) for _ in range(2)]

    def test_close_twice_and_open_again(self, camera):
        camera.open()
        next_frame(camera)
        camera.close()
        camera.close()
        camera.open()
        assert next_frame(camera)

    def test_missed_frames_are_dropped(self, camera, monkeypatch):
        camera.open()
        next_frame(camera)
        late = time.monotonic() + 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: late)
        assert camera.frame(1.0)
        assert None in [camera.frame(0.0) for _ in range(2)]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (CameraSettings("polaroid"), "polaroid"),
        (CameraSettings("simulated", fps=0), "fps"),
        (CameraSettings("pictures", inbox="x", fps=-1), "fps"),
        (CameraSettings("pictures"), "folder"),
        (CameraSettings("v4l2", fps=0), "fps"),
        (CameraSettings("pi", fps=0), "fps"),
        (CameraSettings("pi", device="/dev/media0"), "/dev/media0"),
    ],
)
def test_settings_that_make_no_sense_are_lost_with_a_reason(settings, word, notes):
    with pytest.raises(CameraLost, match=word) as lost:
        build(settings, notes)
    assert lost.value.check


class TestScene:
    @pytest.fixture
    def show(self, tmp_path, notes) -> Callable[[], np.ndarray]:
        camera = build(CameraSettings("simulated", scene=str(tmp_path / "s.pgm"), fps=120), notes)
        camera.open()
        return lambda: next_frame(camera).gray

    def test_missing_scene_is_a_wall(self, show, notes):
        assert show().shape == (480, 640)
        assert not notes

    def test_scene_is_shown_and_replaced(self, show, tmp_path):
        picture = render(PASS)
        write_scene(tmp_path / "s.pgm", picture)
        assert np.array_equal(show(), picture)
        write_scene(tmp_path / "s.pgm", wall(size=(64, 48)))
        assert show().shape == (48, 64)
        (tmp_path / "s.pgm").unlink()
        assert show().shape == (480, 640)
        assert sorted(p.name for p in tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"P6\n2 2\n255\n" + bytes(12),
            b"P5\n2 2\n65535\n" + bytes(8),
            b"P5\n640 480\n255\n" + bytes(100),
            b"P5\n99999 99999\n255\n",
            b"P5\n0 5\n255\n",
            b"\xff" * 1000,
        ],
    )
    def test_broken_scene_is_a_wall_and_one_note(self, show, tmp_path, notes, content):
        (tmp_path / "s.pgm").write_bytes(content)
        for _ in range(3):
            assert show().shape == (480, 640)
        assert [name for name, _ in notes] == ["scene_unreadable"]
        write_scene(tmp_path / "s.pgm", wall(size=(64, 48)))
        assert show().shape == (48, 64)

    def test_scene_that_is_a_folder(self, show, tmp_path, notes):
        (tmp_path / "s.pgm").mkdir()
        assert show().shape == (480, 640)
        assert len(notes) == 1

    def test_limit_is_exact(self, tmp_path):
        path = tmp_path / "limit.pgm"
        write_scene(path, np.zeros((1, MAX_SIDE), np.uint8))
        assert read_pgm(path).shape == (1, MAX_SIDE)
        write_scene(path, np.zeros((1, MAX_SIDE + 1), np.uint8))
        with pytest.raises(SceneError, match=str(MAX_SIDE)):
            read_pgm(path)


def photo(path: Path, size: tuple[int, int] = (4000, 3000), orientation: int = 1, **options: object) -> None:
    """A phone's photo of a pass: many pixels, colour, EXIF orientation, JPEG."""
    gray = Image.fromarray(render(PASS, (800, 600), height_share=0.45, tilt_deg=15, roll_deg=8, noise=6))
    image = gray.resize(size).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **options)


class TestLoad:
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_phone_photo_is_offered_upright_at_several_sizes_and_read(self, tmp_path, orientation):
        size = (4000, 3000) if orientation == 1 else (2400, 1800)
        photo(tmp_path / "p.jpg", size, orientation, quality=70)
        shown = load(tmp_path / "p.jpg")
        assert [max(gray.shape) for gray in shown] == list(pictures.LONG_SIDES)
        assert (shown[0].shape[0] > shown[0].shape[1]) == (orientation in (6, 8))
        for gray in shown[:3]:
            assert gray.flags.c_contiguous
            assert [code.data for code in Zxing().read(gray)] == [PASS.encode()]

    def test_small_picture_keeps_its_size(self, tmp_path):
        Image.fromarray(wall((300, 200))).save(tmp_path / "p.png")
        assert [gray.shape for gray in load(tmp_path / "p.png")] == [(200, 300)]

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
    def test_every_kind_of_pixel(self, tmp_path, mode):
        suffix = "tiff" if mode in ("CMYK", "F", "I;16") else "png"
        Image.new(mode, (30, 20)).save(tmp_path / f"p.{suffix}")
        assert load(tmp_path / f"p.{suffix}")[0].shape == (20, 30)

    def test_transparent_is_white(self, tmp_path):
        Image.new("RGBA", (30, 20), (0, 0, 0, 0)).save(tmp_path / "p.png")
        assert load(tmp_path / "p.png")[0].min() == 255

    def test_what_cannot_be_shown_says_why(self, tmp_path):
        (tmp_path / "note.txt").write_text("hello")
        (tmp_path / "p.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        (tmp_path / "empty.jpg").write_bytes(b"")
        Image.new("1", (8000, 6000)).save(tmp_path / "huge.png")
        photo(tmp_path / "cut.jpg", size=(640, 480))
        (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:8000])
        os.mkfifo(tmp_path / "pipe.jpg")
        words = {
            "note.txt": "not a picture",
            "p.heic": "JPEG",
            "empty.jpg": "not a picture",
            "huge.png": "8000 x 6000",
            "cut.jpg": "truncated",
            "pipe.jpg": "regular file",
        }
        for name, word in words.items():
            with pytest.raises(PictureError, match=word):
                load(tmp_path / name)


class TestInbox:
    """The inbox on a clock of its own: 15 looks per second."""

    @pytest.fixture
    def box(self, tmp_path, notes, monkeypatch):
        inbox = Inbox(tmp_path / "inbox", notes)
        inbox.open()
        inbox.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: inbox.now)
        return inbox

    def run(self, box: Inbox, seconds: float) -> list[np.ndarray | None]:
        shown = []
        for _ in range(round(seconds * 15)):
            box.now += 1 / 15
            shown.append(box.poll(box.now))
        return shown

    def names(self, box: Inbox, where: str = ".") -> list[str]:
        folder = box.folder / where
        return sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []

    def test_picture_is_shown_for_a_moment_then_kept_in_seen(self, box, notes):
        Image.fromarray(render(PASS)).save(box.folder / "p.png")
        shown = [gray for gray in self.run(box, 5) if gray is not None]
        assert abs(len(shown) - SHOW_S * 15) <= 2
        assert self.names(box) == []
        assert self.names(box, "seen") == ["p.png"]
        assert not notes

    def test_same_name_again_overwrites_nothing(self, box):
        for _ in range(3):
            Image.fromarray(wall((40, 30))).save(box.folder / "p.png")
            self.run(box, 4)
        assert self.names(box, "seen") == ["p-1.png", "p-2.png", "p.png"]

    def test_two_pictures_have_a_pause_between_them(self, box):
        for name in ("a.png", "b.png"):
            Image.fromarray(wall((40, 30))).save(box.folder / name)
        pattern = "".join("." if gray is None else "#" for gray in self.run(box, 8)).strip(".")
        pauses = [len(pause) for pause in pattern.split("#") if pause]
        assert len(pauses) == 1
        assert pauses[0] >= PAUSE_S * 15

    def test_growing_file_is_waited_for(self, box, notes):
        photo(box.folder.parent / "whole.jpg", size=(640, 480))
        whole = (box.folder.parent / "whole.jpg").read_bytes()
        for part in range(1, 12):
            (box.folder / "p.jpg").write_bytes(whole[: len(whole) * part // 12])
            assert self.run(box, 0.5) == [None] * 8
        (box.folder / "p.jpg").write_bytes(whole)
        assert any(gray is not None for gray in self.run(box, 2))
        assert not notes

    @pytest.mark.parametrize("name", ["note.txt", "cut.jpg", "noise.png"])
    def test_unreadable_is_noted_once_and_set_aside(self, box, notes, name):
        (box.folder / name).write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
        assert not any(gray is not None for gray in self.run(box, 8))
        assert self.names(box, "unreadable") == [name]
        assert len(notes) == 1
        assert name in notes[0][1]

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("\x1b[2Jwiped.png", r"\x1b[2Jwiped.png: "),
            ("a\nE gate: opened.png", r"a\nE gate: opened.png: "),
            (os.fsdecode(b"caf\xe9.png"), r"caf\udce9.png: "),
            ("\u202egnp.png", r"\u202egnp.png: "),
            ("Größe ✓.png", "Größe ✓.png: "),
        ],
        ids=["escape", "line", "bytes", "backwards", "words"],
    )
    def test_name_is_noted_in_printable_signs(self, box, notes, name, told):
        (box.folder / name).write_bytes(b"no picture")
        self.run(box, 8)
        ((_, detail),) = notes
        assert detail.startswith(told)
        assert detail.isprintable()

    def test_hidden_files_readme_folders_and_dangling_links_are_left_alone(self, box, notes):
        (box.folder / ".hidden.png").write_bytes(b"x")
        (box.folder / "README.md").write_text("drop a photo here")
        (box.folder / "folder.jpg").mkdir()
        (box.folder / "link.jpg").symlink_to("nowhere")
        self.run(box, 6)
        assert self.names(box) == [".hidden.png", "README.md"]
        assert not notes

    def test_pipe_is_never_opened(self, box, notes):
        os.mkfifo(box.folder / "pipe.jpg")
        self.run(box, 2)
        assert len(notes) == 1
        assert not (box.folder / "pipe.jpg").exists()

    def test_folder_taken_away_is_noted_once_and_found_again(self, box, notes):
        box.folder.rmdir()
        self.run(box, 3)
        assert [name for name, _ in notes] == ["inbox_unreadable"]
        box.open()
        Image.fromarray(wall((40, 30))).save(box.folder / "p.png")
        assert any(gray is not None for gray in self.run(box, 2))

    def test_picture_that_cannot_be_moved_is_shown_once(self, box, notes):
        Image.fromarray(wall((40, 30))).save(box.folder / "p.png")
        (box.folder / "seen").write_text("in the way")
        shown = [gray for gray in self.run(box, 10) if gray is not None]
        assert abs(len(shown) - SHOW_S * 15) <= 2
        assert "inbox_not_movable" in [name for name, _ in notes]
        assert "p.png" in self.names(box)

    def test_picture_removed_while_shown(self, box, notes):
        Image.fromarray(wall((40, 30))).save(box.folder / "p.png")
        while not any(gray is not None for gray in self.run(box, 0.2)):
            pass
        (box.folder / "p.png").unlink()
        self.run(box, 3)
        assert not notes
