"""The payment settings: strict, private files only, and each fault is a sentence that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.pay.double.__main__ import write
from store.pay.local import LocalProvider
from store.pay.settings import EXAMPLE, PayConfig, PayConfigError, load, open_provider
from store.pay.wechat.client import WeChatPay
from tests.support.wechat import keys


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return write(tmp_path / "pay", keys(), "http://127.0.0.1:9")


def test_the_settings_of_the_double_open_a_client(settings: Path) -> None:
    opened = open_provider(load(settings), settings.parent, "demo")
    assert isinstance(opened.provider, WeChatPay)
    assert opened.score is not None
    assert opened.callbacks is not None
    opened.close()


def test_without_settings_the_local_double_is_used(tmp_path: Path) -> None:
    (tmp_path / "pay.toml").write_text("")
    for config in (PayConfig(), load(tmp_path / "pay.toml")):
        opened = open_provider(config, tmp_path, "demo")
        assert isinstance(opened.provider, LocalProvider)
        opened.close()


def test_the_example_is_whole(tmp_path: Path) -> None:
    (tmp_path / "pay.toml").write_text(EXAMPLE)
    config = load(tmp_path / "pay.toml")
    assert config.wechat is not None
    assert EXAMPLE in (Path(__file__).parents[2] / "docs" / "payment.md").read_text(encoding="utf-8")
    with pytest.raises(PayConfigError, match="apiclient_key.pem: No such file"):
        open_provider(config, tmp_path, "demo")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("mchid =", "mchidd =", "mchid"),
        ('serial = "', 'serial = "" #', "serial is empty"),
        ('provider = "wechat"', 'provider = "alipay"', "provider"),
        ("[wechat]", "[wechat", "no TOML"),
        ('"http://127.0.0.1:9"', '"http://pay.example"', "https:// is needed"),
        ('device_ip = "127.0.0.1"', 'device_ip = "here"', "here"),
        ('notify_url = "https://shop.example/pay"', 'notify_url = ""', "notify_url"),
        ('notify_url = "https', 'notify_url = "http', "https://"),
        ('private_key_file = "merchant.pem"', 'private_key_file = "platform.pem"', "mode|private key"),
        ('apiv3_key_file = "apiv3.key"', 'apiv3_key_file = "merchant.pem"', "32 characters"),
        ('= "platform.pem"', '= "apiv3.key"', "no public key"),
        ('= "platform.pem"', '= "nothing.pem"', "No such file"),
    ],
)
def test_each_fault_says_what_to_write(settings: Path, old: str, new: str, words: str) -> None:
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))
    with pytest.raises(PayConfigError, match=words) as caught:
        open_provider(load(settings), settings.parent, "demo")
    assert keys().apiv3_key not in str(caught.value)


@pytest.mark.parametrize("name", ["merchant.pem", "apiv3.key"])
def test_a_secret_that_others_can_read_is_refused(settings: Path, name: str) -> None:
    (settings.parent / name).chmod(0o640)
    with pytest.raises(PayConfigError, match="mode 0640.*chmod 600"):
        open_provider(load(settings), settings.parent, "demo")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(PayConfigError, match="No such file"):
        load(tmp_path / "pay.toml")
    (tmp_path / "pay.toml").write_text('provider = "wechat"')
    with pytest.raises(PayConfigError, match=r"section \[wechat\]"):
        load(tmp_path / "pay.toml")
