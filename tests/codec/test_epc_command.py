"""``tallygate epc``: one JSON line each, exit code 1 when any was none, never a traceback."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from provisioning.epc_command import FIELDS, epc
from provisioning.trouble import FAILED, Trouble

ITEM = "3066C4409047E140075BCD15"
app = typer.Typer()
app.command()(epc)


def run(*arguments: str, given: bytes | None = None) -> tuple[list[dict[str, object]], BaseException | None]:
    result = CliRunner().invoke(app, ["--", *arguments], input=given)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")], result.exception


def test_one_line_with_exactly_these_keys() -> None:
    lines, error = run(ITEM)
    assert error is None
    assert lines == [
        {
            "hex": ITEM,
            "scheme": "sgtin-96",
            "tag_uri": "urn:epc:tag:sgtin-96:3.95060001343.05.123456789",
            "pure_uri": "urn:epc:id:sgtin:95060001343.05.123456789",
            "gtin14": "09506000134352",
            "serial": "123456789",
            "digital_link": "/01/09506000134352/21/123456789",
            "expiry": None,
        }
    ]
    assert tuple(lines[0]) == FIELDS


def test_keys_that_a_scheme_does_not_have_are_null() -> None:
    (line,), error = run("FB342CDE795211411234538566CB0AFC4")
    assert error is None
    assert (line["tag_uri"], line["pure_uri"], line["expiry"]) == (None, None, "2022-06-30")
    (line,), error = run("F90095201234567891235")
    assert error is None
    assert (line["gtin14"], line["serial"]) == (None, None)


@pytest.mark.parametrize(
    "text",
    [ITEM.lower(), "0x" + ITEM, "30 66 C4 40 90 47 E1 40 07 5B CD 15", " 0X3066 0xC440 9047E140075BCD15\t"],
)
def test_spaces_case_and_0x_do_not_matter(text: str) -> None:
    lines, error = run(text)
    assert error is None
    assert lines[0]["hex"] == ITEM


@pytest.mark.parametrize("text", ["zz", "", "0x", "héx", "30-66", "E2801160600002095109A2B4", "F" * 5000])
def test_what_is_none_is_an_error_line_and_exit_code_1(text: str) -> None:
    lines, error = run(ITEM, text)
    assert isinstance(error, Trouble)
    assert error.code == FAILED
    assert "1 of 2" in str(error)
    assert len(lines) == 2
    assert set(lines[1]) == {"hex", "error"}
    assert lines[1]["error"]


def test_standard_input_has_one_a_line() -> None:
    given = b"\xef\xbb\xbf" + ITEM.encode() + b"\r\n\n  \nno\xff\n" + b"3" * 10_000 + b"\n0x" + ITEM.encode()
    lines, error = run("-", given=given)
    assert isinstance(error, Trouble)
    assert [("error" in line) for line in lines] == [False, True, True, False]
    assert run("-", given=b"") == ([], None)
