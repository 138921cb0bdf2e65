"""What ``tallygate scan`` says about picture files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from PIL import Image

from firmware.wire.issue import issue
from hal.decoder.port import Code
from hal.sim.scene import render, wall
from provisioning.scan import _known, codes_in, read_codes, scan_files
from tests.support import qrimages

NOW = 1_800_000_000


@pytest.fixture
def pictured(tmp_path):
    def save(name: str, gray: np.ndarray) -> Path:
        Image.fromarray(gray).save(tmp_path / name)
        return tmp_path / name

    return save


def test_each_kind_with_its_verdict(pictured):
    files = [
        pictured("url.png", render("https://shop.example/c?v1.demo.7.3")),
        pictured("paycode.png", render("134567890123456789")),
        pictured("other.png", render("HELLO")),
        pictured("pass.png", render("TG1:" + "A1" * 93)),
        pictured("long.png", render(b"x" * 600, (1280, 960), height_share=0.8)),
        pictured("nothing.png", wall()),
    ]
    answers = list(scan_files(files))
    told = [[(code["kind"], code["verdict"]) for code in answer["codes"]] for answer in answers]
    assert told == [
        [("url", "url-here")],
        [("paycode", "paycode-here")],
        [("other", "not-a-pass")],
        [("pass", "unchecked")],
        [("other", "too-long")],
        [],
    ]
    assert [answer["file"] for answer in answers] == list(map(str, files))
    assert all(answer["ms"] > 0 for answer in answers)
    assert answers[0]["codes"][0]["text"] == "https://shop.example/c?v1.demo.7.3"
    assert "134567" not in json.dumps(answers)


def test_pass_is_verified_with_keys(pictured):
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    issued = issue(
        private_key=private,
        key_id=1,
        store_id="demo",
        visit=b"12345678",
        kind="entry",
        party=1,
        campaign=0,
        placement=0,
        issued_at=NOW,
        valid_for=600,
        settled=False,
        seed=b"s" * 12,
    )
    path = pictured("pass.png", render(issued.shown_at(NOW + 5)))

    def verdict(**how):
        (answer,) = scan_files([path], **how)
        return answer["codes"][0]["verdict"]

    assert verdict(store="demo", keys={1: public}, now_s=NOW + 10) == "good"
    assert verdict(store="demo", keys={1: public}, now_s=NOW + 300) == "stale-code"
    assert verdict(store="demo", keys={1: public}, now_s=NOW + 3600) == "expired"
    assert verdict(store="else", keys={1: public}, now_s=NOW + 10) == "foreign"
    assert verdict(store="demo", keys={2: public}, now_s=NOW + 10) == "unknown-key"


def test_36_codes_in_one_picture(pictured):
    texts = [b"TG1:code-%02d" % number for number in range(36)]
    path = pictured("many.png", qrimages.many(texts))
    assert sorted(codes_in(path)) == texts
    (answer,) = scan_files([path])
    assert len(answer["codes"]) == 36


def test_same_payload_twice_is_two_codes_and_largest_comes_first(pictured):
    gray = wall(size=(1280, 960), noise=0)
    for share, x in ((0.2, 0.2), (0.4, 0.7)):
        qrimages.place(
            gray, qrimages.code(qrimages.byte_segment(b"twice")), height_share=share, centre=(x, 0.5)
        )
    found = read_codes(pictured("twice.png", gray))
    assert [code.data for code in found] == [b"twice", b"twice"]
    assert found[0].area > found[1].area


def test_second_opinion_reads_what_zxing_does_not(pictured):
    gray = qrimages.without_quiet_zone(qrimages.code(qrimages.byte_segment(b"bare")))
    assert codes_in(pictured("bare.png", gray)) == [b"bare"]


@pytest.mark.parametrize("killer", [[], qrimages.eci(0)])
def test_hostile_pictures_give_an_answer(pictured, killer):
    gray = qrimages.without_quiet_zone(qrimages.code(killer + qrimages.byte_segment(b"bare")))
    (answer,) = scan_files([pictured("hostile.png", gray)])
    assert [code["text"] for code in answer["codes"]] == ([] if killer else ["bare"])


def test_text_that_is_no_text_is_escaped(pictured):
    gray = qrimages.picture(qrimages.code(qrimages.byte_segment(b"\xff\x00\x1b[2J")))
    (answer,) = scan_files([pictured("binary.png", gray)])
    assert json.loads(json.dumps(answer))["codes"][0]["text"] == "\\xff\x00\x1b[2J"


def test_files_that_are_no_pictures_are_answers_too(tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    missing, note = scan_files([tmp_path / "missing.png", tmp_path / "note.txt"])
    assert "No such file" in missing["error"]
    assert "not a picture" in note["error"]
    assert "codes" not in missing


def test_same_payload_counts_again_only_at_another_place():
    def code(data: bytes, x: float) -> Code:
        return Code(data, ((x, 0.4), (x + 0.2, 0.4), (x + 0.2, 0.6), (x, 0.6)), "zxing")

    assert _known(code(b"a", 0.11), [code(b"a", 0.1)])
    assert not _known(code(b"a", 0.5), [code(b"a", 0.1)])
    assert not _known(code(b"b", 0.1), [code(b"a", 0.1)])
