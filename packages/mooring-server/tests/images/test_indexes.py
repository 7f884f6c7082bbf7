"""pip's settings in uv's terms."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring_server.images.indexes import index_settings, pip_settings, translate
from mooring_server.images.pipoptions import PipOptions
from mooring_server.images.uv import redact


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "INDEX_URL",
        "EXTRA_INDEX_URL",
        "FIND_LINKS",
        "TRUSTED_HOST",
        "CERT",
        "NO_INDEX",
        "CONFIG_FILE",
    ):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    for name in (
        "UV_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "system"))


def test_several_indexes_mean_the_best_match() -> None:
    pip = {
        "index-url": "https://u:p@a.example/simple",
        "extra-index-url": "file:///one\nfile:///two",
        "find-links": "/wheels /more",
        "trusted-host": "a.example b.example",
        "cert": "/ca.pem",
        "no-index": "true",
    }
    settings = translate(pip, PipOptions())
    assert settings.variables == {
        "UV_DEFAULT_INDEX": "https://u:p@a.example/simple",
        "UV_INDEX": "file:///one file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "a.example b.example",
        "SSL_CERT_FILE": "/ca.pem",
    }
    assert settings.arguments == ("--no-index",)


def test_the_environments_options_come_first() -> None:
    options = PipOptions(index_url="https://mine.example", extra_index_urls=("https://x.example",), pre=True)
    settings = translate(
        {"index-url": "https://pip.example", "extra-index-url": "https://y.example"}, options
    )
    assert settings.variables["UV_DEFAULT_INDEX"] == "https://mine.example"
    assert settings.variables["UV_INDEX"] == "https://x.example https://y.example"
    assert settings.arguments == ("--prerelease=allow",)


def test_nothing_set_nothing_told() -> None:
    assert translate({}, PipOptions()).variables == {}


def test_the_order_of_pips_files(tmp_path: Path) -> None:
    user = tmp_path / "pip" / "pip.conf"
    user.parent.mkdir()
    user.write_text(
        "[global]\nindex-url = https://user.example\ncert = /user.pem\n[install]\nfind_links = /a\n  /b\n"
    )
    named = tmp_path / "named.conf"
    named.write_text("[global]\nindex-url = https://named.example\n")
    environ = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path / "none"),
    }
    found = pip_settings(environ)
    assert found["index-url"] == "https://user.example"
    assert found["find-links"].split() == ["/a", "/b"]
    assert pip_settings({**environ, "PIP_CERT": "/env.pem"})["cert"] == "/env.pem"
    with_named = pip_settings({**environ, "PIP_CONFIG_FILE": str(named)})
    assert with_named["index-url"] == "https://named.example"
    assert with_named.get("cert") != "/user.pem"
    assert "find-links" not in pip_settings({**environ, "PIP_CONFIG_FILE": "/dev/null"})


def test_a_damaged_pip_conf_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text("no section\n")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PIP_INDEX_URL": "https://e.example"}
    assert pip_settings(environ)["index-url"] == "https://e.example"


def test_uvs_own_settings_switch_pips_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example")
    assert index_settings(PipOptions()).variables["UV_DEFAULT_INDEX"] == "https://pip.example"
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://uv.example"\n')
    assert index_settings(PipOptions()).variables == {}
    (tmp_path / "uv" / "uv.toml").unlink()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example")
    assert index_settings(PipOptions()).variables == {}


def test_the_fingerprint_follows_indexes_but_not_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = []
    for url in ("https://u:old@a.example", "https://u:new@a.example", "https://b.example"):
        monkeypatch.setenv("PIP_INDEX_URL", url)
        prints.append(index_settings(PipOptions()).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_redaction() -> None:
    assert (
        redact("see https://user:p%40ss@host/simple and git+ssh://git@host")
        == "see https://host/simple and git+ssh://host"
    )
