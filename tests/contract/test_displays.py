"""The display port, held against every driver that runs here; and how pictures are drawn and packed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hal.decoder.zxing import Zxing
from hal.display import draw as drawing
from hal.display.draw import TONES, draw
from hal.display.framebuffer import FramebufferDisplay, Geometry, pack, read_geometry
from hal.display.none import NoDisplay
from hal.display.painter import OUT_OF_SERVICE, DisplayFault, Painter
from hal.display.png import PngDisplay
from hal.display.text import pieces
from hal.ports import DeviceBack, DeviceLost, Screen

WELCOME = Screen("idle", ("Welcome", "Please show your code"))
GO = Screen("go", ("Please walk through",))


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.002)


def fake_fb(folder: Path, size: str = "160,96", bits: int = 32, stride: int = 640, mode: str = "") -> Path:
    """A file that takes the place of /dev/fb0, with sysfs beside it. The path of the device."""
    graphics = folder / "sys" / "class" / "graphics" / "fb0"
    graphics.mkdir(parents=True, exist_ok=True)
    for name, value in {"virtual_size": size, "bits_per_pixel": bits, "stride": stride}.items():
        (graphics / name).write_text(f"{value}\n")
    if mode:
        (graphics / "modes").write_text(mode)
    device = folder / "fb0"
    device.touch()
    return device


@pytest.fixture(params=["none", "png", "framebuffer"])
def display(request, tmp_path):
    if request.param == "none":
        made = NoDisplay()
    elif request.param == "png":
        made = PngDisplay(tmp_path / "screen.png", size=(160, 96))
    else:
        made = FramebufferDisplay(fake_fb(tmp_path), sys_root=tmp_path / "sys")
    yield made
    made.close()


def shown(display) -> Screen | None:
    return display.screen if isinstance(display, NoDisplay) else display.shown


class TestPort:
    def test_newest_screen_is_shown_in_the_end(self, display):
        for number in range(20):
            display.show(Screen("go", (f"number {number}",)))
        until(lambda: shown(display) == Screen("go", ("number 19",)))

    def test_any_screen_is_taken(self, display):
        for tone in [*TONES, "no-such-tone", ""]:
            for lines in [(), ("",), ("a" * 500,), ("one", "two", "three", "four")]:
                display.show(Screen(tone, lines, None))
        display.show(GO)
        until(lambda: shown(display) == GO)
        assert getattr(display, "fault", None) is None

    def test_close_twice_and_show_after_it(self, display):
        display.show(WELCOME)
        display.close()
        display.close()
        display.show(GO)
        assert shown(display) != GO or isinstance(display, NoDisplay)


class TestPainter:
    def test_show_does_not_wait_for_a_hung_device(self):
        gate = threading.Event()
        painted: list[Screen] = []

        def paint(screen: Screen) -> None:
            gate.wait(20)
            painted.append(screen)

        painter = Painter(paint)
        for number in range(100):
            painter.show(Screen("go", (str(number),)))
        assert painted == []
        gate.set()
        until(lambda: painted and painted[-1].lines == ("99",))
        assert len(painted) <= 2
        painter.close()
        assert painted[-1] == OUT_OF_SERVICE

    def test_loss_and_return_are_told_once_each_on_the_loop(self, caplog):
        broken = [True]
        tries: list[Screen] = []

        def paint(screen: Screen) -> None:
            tries.append(screen)
            if broken[0]:
                raise DisplayFault("pulled out", "the cable")

        async def play() -> list[object]:
            events: list[object] = []
            owner = threading.get_ident()

            def post(event: object) -> None:
                assert threading.get_ident() == owner
                events.append(event)

            async def wait(condition: Callable[[], object]) -> None:
                end = time.monotonic() + 10
                while not condition():
                    assert time.monotonic() < end
                    await asyncio.sleep(0.002)

            painter = Painter(paint, post=post, retry_s=0.01)
            painter.show(WELCOME)
            await wait(lambda: len(tries) >= 4)
            assert painter.fault == "pulled out; check: the cable"
            broken[0] = False
            await wait(lambda: len(events) == 2)
            assert painter.shown == WELCOME
            assert painter.fault is None
            painter.close()
            return events

        lost, back = asyncio.run(play())
        assert isinstance(lost, DeviceLost)
        assert (lost.device, lost.reason, lost.check) == ("display", "pulled out", "the cable")
        assert isinstance(back, DeviceBack)
        assert not [r for r in caplog.records if r.name == "display"]  # whoever is told logs it

    def test_without_a_listener_it_is_logged_once(self, caplog):
        errors = [DisplayFault("pulled out", "the cable")] * 3

        def paint(screen: Screen) -> None:
            if errors:
                raise errors.pop()

        painter = Painter(paint, retry_s=0.01)
        painter.show(WELCOME)
        until(lambda: painter.shown == WELCOME)
        painter.close()
        assert [record.getMessage() for record in caplog.records] == [
            "the display is lost: pulled out; check: the cable",
            "the display is back",
        ]

    @pytest.mark.parametrize(
        "error", [OSError(5, "I/O error"), ValueError("odd"), ImportError("x", name="PIL")]
    )
    def test_no_error_ends_the_thread(self, error):
        errors = [error]

        def paint(screen: Screen) -> None:
            if errors:
                raise errors.pop()

        painter = Painter(paint)
        painter.show(WELCOME)
        until(lambda: painter.fault)
        painter.show(GO)
        until(lambda: painter.shown == GO)
        painter.close()

    def test_closing_is_bounded_when_the_device_hangs(self, monkeypatch):
        gate = threading.Event()
        monkeypatch.setattr("hal.display.painter.CLOSE_S", 0.05)
        painter = Painter(lambda screen: gate.wait(20))
        painter.show(GO)
        painter.close()
        gate.set()


class TestPng:
    def test_file_is_always_whole_and_nothing_else_is_left(self, tmp_path):
        path = tmp_path / "deep" / "screen.png"
        display = PngDisplay(path)
        display.show(GO)
        until(lambda: display.shown == GO)
        with Image.open(path) as picture:
            assert picture.size == (800, 480)
            assert picture.getpixel((1, 1)) == TONES["go"].paper
        display.close()
        assert [p.name for p in path.parent.iterdir()] == ["screen.png"]
        with Image.open(path) as picture:
            assert picture.getpixel((1, 1)) == TONES["stop"].paper

    def test_folder_that_cannot_be_is_a_fault_that_ends(self, tmp_path):
        (tmp_path / "file").write_text("")
        display = PngDisplay(tmp_path / "file" / "screen.png", retry_s=0.02)
        display.show(GO)
        until(lambda: display.fault)
        assert "screen.png cannot be written" in display.fault
        (tmp_path / "file").unlink()
        until(lambda: display.shown == GO)
        display.close()


class TestFramebuffer:
    @pytest.mark.parametrize(("bits", "stride"), [(32, 640), (32, 704), (24, 480), (16, 320), (16, 384)])
    def test_bytes_are_what_the_panel_needs(self, tmp_path, bits, stride):
        device = fake_fb(tmp_path, bits=bits, stride=stride)
        display = FramebufferDisplay(device, sys_root=tmp_path / "sys")
        display.show(GO)
        until(lambda: display.shown == GO)
        rows = np.frombuffer(device.read_bytes(), np.uint8).reshape(96, stride)
        display.close()
        expected = np.asarray(draw(GO, (160, 96))).astype(int)
        pixels = rows[:, : 160 * bits // 8]
        if bits == 16:
            value = pixels[:, 0::2].astype(int) | pixels[:, 1::2].astype(int) << 8
            found = np.stack([value >> 11 << 3, (value >> 5 & 63) << 2, (value & 31) << 3], axis=2)
            assert np.array_equal(found, expected & [0xF8, 0xFC, 0xF8])
        else:
            step = bits // 8
            found = np.stack([pixels[:, 2::step], pixels[:, 1::step], pixels[:, 0::step]], axis=2)
            assert np.array_equal(found, expected)
        assert not rows[:, 160 * bits // 8 :].any()

    @settings(max_examples=40)
    @given(st.tuples(*[st.integers(0, 255)] * 3))
    def test_every_colour_in_565(self, colour):
        red, green, blue = colour
        data = pack(Image.new("RGB", (1, 1), colour), Geometry(1, 1, 16, 2))
        assert int.from_bytes(data, "little") == (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3

    def test_only_the_visible_page_is_drawn(self, tmp_path):
        device = fake_fb(tmp_path, size="160,192", mode="U:160x96p-60\n")
        assert read_geometry(device, tmp_path / "sys") == Geometry(160, 96, 32, 640)

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"bits": 8}, "8 bits"),
            ({"stride": 100}, "rows of 100 bytes"),
            ({"size": "0,0"}, "0 x 0"),
            ({"size": "nonsense"}, "no framebuffer"),
        ],
    )
    def test_geometry_that_cannot_be_says_so(self, tmp_path, change, word):
        device = fake_fb(tmp_path, **change)
        with pytest.raises(DisplayFault, match=word):
            read_geometry(device, tmp_path / "sys")

    def test_missing_device_comes_later(self, tmp_path):
        display = FramebufferDisplay(tmp_path / "fb0", sys_root=tmp_path / "sys", retry_s=0.02)
        display.show(GO)
        until(lambda: display.fault)
        assert "fb0 is no framebuffer" in display.fault
        fake_fb(tmp_path)
        until(lambda: display.shown == GO)
        display.close()

    def test_full_device_is_a_fault(self, tmp_path):
        fake_fb(tmp_path)
        (tmp_path / "fb0").unlink()
        (tmp_path / "fb0").symlink_to("/dev/full")
        graphics = tmp_path / "sys" / "class" / "graphics"
        (graphics / "fb0").rename(graphics / "full")
        display = FramebufferDisplay(tmp_path / "fb0", sys_root=tmp_path / "sys")
        display.show(GO)
        until(lambda: display.fault)
        assert "No space left" in display.fault
        display.close()


class TestDrawing:
    @pytest.mark.parametrize("size", [(800, 480), (320, 240), (480, 800), (160, 128), (1280, 400), (16, 16)])
    def test_every_tone_on_every_panel(self, size):
        pictures = set()
        for tone in TONES:
            picture = draw(Screen(tone, ("One moment", "The gate is closing")), size)
            assert picture.size == size
            assert picture.mode == "RGB"
            pictures.add(picture.tobytes())
        assert len(pictures) == len(TONES)

    def test_tones_differ_without_colour(self):
        """Paper and ink only: the pictograms alone must tell the tones apart."""
        shapes = []
        for tone, colours in TONES.items():
            gray = np.asarray(draw(Screen(tone, ()), (96, 96)), dtype=int)
            shapes.append(np.abs(gray - colours.paper).sum(axis=2) > 150)
        for one in range(len(shapes)):
            for other in range(one):
                assert (shapes[one] != shapes[other]).mean() > 0.08

    @pytest.mark.parametrize("tone", TONES.values(), ids=TONES.keys())
    def test_contrast(self, tone):
        def luminance(colour):
            linear = [((v / 255 + 0.055) / 1.055) ** 2.4 if v > 10 else v / 255 / 12.92 for v in colour]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        light, dark = sorted((luminance(tone.ink), luminance(tone.paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 6

    @pytest.mark.parametrize("size", [(800, 480), (320, 240), (480, 800)])
    def test_code_can_be_read_from_the_picture(self, size):
        text = "TG1:" + "A1" * 93
        gray = np.array(draw(Screen("idle", ("Welcome", "Scan this code"), text), size).convert("L"))
        assert [code.data for code in Zxing().read(gray)] == [text.encode()]

    @pytest.mark.parametrize(("size", "text"), [((64, 48), "A" * 190), ((800, 480), "x" * 3000)])
    def test_code_without_room_is_left_out_and_logged(self, size, text, caplog):
        assert draw(Screen("go", ("hello",), text), size).size == size
        assert len(caplog.records) == 1
        assert text not in caplog.text

    def test_first_line_is_readable_from_two_metres(self):
        """A capital of at least 10 mm (a two-hundredth of two metres) on a 7-inch panel of 800 x 480."""
        pen = drawing.text
        from PIL import ImageDraw

        canvas = ImageDraw.Draw(Image.new("RGB", (800, 480)))
        for words in ["Welcome", "Please walk through", "Out of order", "Please ask for help"]:
            box = drawing._layout(canvas, (words, "Please show your code"), (24, 24, 776, 456))[1]
            size = pen.fit(canvas, (words, "Please show your code"), box).size
            assert size * 0.7 / (800 / 154) >= 10

    @settings(max_examples=40)
    @given(st.text(max_size=60), st.sampled_from([(320, 240), (100, 60)]))
    def test_no_text_breaks_it(self, text, size):
        assert draw(Screen("stop", (text, text[::-1])), size).size == size

    @given(st.text(alphabet="ab 请通过한", max_size=30))
    def test_pieces_lose_nothing(self, line):
        assert "".join(pieces(line)) == line


def test_board_code_loads_pillow_only_for_a_display_that_draws(tmp_path):
    """The loop's process stays lean: naming the drivers loads none of it, drawing loads no numpy."""
    device = fake_fb(tmp_path, bits=16, stride=320)
    code = f"""
import sys, time
from pathlib import Path
import hal.camera.port, hal.display.none, hal.display.png, hal.scanner.gm65
from hal.display.framebuffer import FramebufferDisplay
from hal.ports import Screen
heavy = {{"numpy", "PIL", "segno", "serial"}}
print(sorted(heavy & set(sys.modules)))
display = FramebufferDisplay(Path({str(device)!r}), sys_root=Path({str(tmp_path / "sys")!r}))
screen = Screen("go", ("Please walk through",))
display.show(screen)
end = time.monotonic() + 30
while display.shown != screen and time.monotonic() < end:
    time.sleep(0.01)
print(sorted(heavy & set(sys.modules)), display.fault)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == ["[]", "['PIL'] None"], run.stderr
