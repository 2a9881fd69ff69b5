"""Settings from the environment, and how their mistakes are told."""

from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from services.kit.settings import ServiceSettings, SettingsError, load


class Example(ServiceSettings):
    root: str
    password: Annotated[SecretStr, Field(min_length=8)] = SecretStr("long enough")
    workers: Annotated[int, Field(ge=1)] = 1


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT", "/data")
    monkeypatch.setenv("PORT", "8181")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    settings = load(Example)
    assert (settings.root, settings.port, settings.ops_port, settings.log_level) == (
        "/data",
        8181,
        9090,
        "debug",
    )


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^environment variable ROOT is not set$"):
        load(Example)


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT", "")
    with pytest.raises(SettingsError, match="ROOT is not set"):
        load(Example)


def test_every_mistake_is_told_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT", "/data")
    monkeypatch.setenv("PORT", "99999")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as caught:
        load(Example)
    assert str(caught.value) == (
        "environment variable PORT='99999': must be less than or equal to 65535; "
        "environment variable LOG_LEVEL='loud': must be 'debug', 'info', 'warning' or 'error'"
    )


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT", "/data")
    monkeypatch.setenv("PASSWORD", "tiny")
    with pytest.raises(SettingsError) as caught:
        load(Example)
    assert "tiny" not in str(caught.value)
    assert str(caught.value).startswith("environment variable PASSWORD: ")
