"""The stack's settings of what servers' definitions and texts may bring, as the gateway reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from infra.components import gateway, gateway_pins
from infra.components.workload import build_deployment
from infra.errors import PlatformError
from infra.naming import Stack
from infra.settings import Settings
from infra.settings.content import Content, SecretKind
from infra.settings.pinning import Pinning
from services.gateway.config import GatewayConfig
from services.gateway.config_content import Content as GatewayContent
from services.gateway.content.secrets import BUILT_IN
from services.gateway.pinning.lock_file import read_approved
from services.kit.pins import Lock, Pinned, SigningKey
from tests.infra.gateway_settings import gateway_args, gateway_config

Configure = Callable[..., Settings]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a lock and two public keys."""
    monkeypatch.setattr(gateway_pins, "_PROJECT", tmp_path)
    keys = [SigningKey.generate() for _ in range(2)]
    for index, key in enumerate(keys):
        (tmp_path / f"key{index}.pem").write_bytes(key.public.pem())
    lock = Lock({"files": {"tools": {"read": Pinned.of({"name": "read", "description": "x"})}}})
    (tmp_path / "lock.json").write_text(lock.signed(keys[1]))
    keys[0].write(tmp_path / "private.pem")
    return tmp_path


PINNING: dict[str, Any] = {"lock_file": "lock.json", "public_key_files": ["key0.pem", "key1.pem"]}


def test_the_gateway_finds_the_lock_and_the_keys_where_its_configuration_says(
    configure: Configure, stack: Stack, plain: Callable[[object], Any], project: Path, tmp_path: Path
) -> None:
    args = gateway_args(stack, configure(gateway={"pinning": {**PINNING, "mode": "warn", "prompts": False}}))
    contents = gateway.build_files(args)
    pod = plain(build_deployment("gateway", gateway.build_workload("gateway", args, contents)))
    spec = pod["template"]["spec"]
    mounts = {it["name"]: it["mountPath"] for it in spec["containers"][0]["volumeMounts"]}
    maps = {"gateway": contents, "gateway-lock": gateway_pins.read_lock(PINNED)}
    mounted: dict[str, str] = {}
    for volume in spec["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            found = source.get("configMap", {"name": ""})
            for item in found["items"] if found["name"] in maps else []:
                mounted[f"{mounts[volume['name']]}/{item['path']}"] = maps[found["name"]][item["key"]]
    settings = GatewayConfig(**yaml.safe_load(contents["config.yaml"])).pinning
    assert settings is not None
    assert (settings.mode, settings.prompts) == ("warn", False)
    # What is mounted there is what the gateway needs to start.
    files = {path: tmp_path / f"mounted-{index}" for index, path in enumerate(mounted)}
    for path, file in files.items():
        file.write_text(mounted[path])
    moved = settings.model_copy(
        update={
            "lock_file": files[str(settings.lock_file)],
            "public_key_files": tuple(files[str(it)] for it in settings.public_key_files),
        }
    )
    assert read_approved(moved).size == 1
    assert project.exists()


PINNED = Pinning.model_validate(PINNING, strict=False)


def test_a_new_lock_rolls_no_pods_but_a_new_key_does(
    configure: Configure, stack: Stack, project: Path
) -> None:
    args = gateway_args(stack, configure(gateway={"pinning": PINNING}))
    before = gateway.build_files(args)
    (project / "lock.json").write_text("{}")
    assert gateway.build_files(args) == before
    assert gateway_pins.read_lock(PINNED) == {"lock.json": "{}"}
    (project / "key0.pem").write_bytes(SigningKey.generate().public.pem())
    assert gateway.build_files(args) != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lock_file": "none.json"}, r"pinning\.lock_file = none\.json: can't be read"),
        ({"public_key_files": ["none.pem"]}, r"pinning\.public_key_files = none\.pem: can't be read"),
        ({"public_key_files": ["private.pem"]}, r"private\.pem is a private key"),
    ],
)
def test_files_that_can_not_be_used_are_named(project: Path, changes: dict[str, Any], message: str) -> None:
    pinning = Pinning.model_validate({**PINNING, **changes}, strict=False)
    assert project.exists()
    with pytest.raises(PlatformError, match=message):
        assert not gateway_pins.read_keys(pinning) | gateway_pins.read_lock(pinning)


def test_a_lock_must_fit_a_config_map(project: Path) -> None:
    (project / "lock.json").write_text("x" * 1_100_000)
    with pytest.raises(PlatformError, match="larger than a ConfigMap can be"):
        gateway_pins.read_lock(PINNED)


def test_the_gateway_treats_texts_as_the_stack_says(configure: Configure, stack: Stack) -> None:
    content: dict[str, Any] = {
        "leaks": "block",
        "leak_kinds": ["jwt", "assignment"],
        "leak_patterns": [{"name": "acme", "pattern": "acme_[a-z0-9]{32}"}],
        "max_result_bytes": 2048,
        "tools": [{"match": "a__*", "leaks": "off", "hidden_text": "keep"}],
    }
    found = gateway_config(stack, configure(gateway={"content": content})).content
    assert found.model_dump(exclude_none=True) == GatewayContent.model_validate(content).model_dump(
        exclude_none=True
    )


def test_what_a_stack_leaves_out_is_the_gateways_own_default(configure: Configure, stack: Stack) -> None:
    assert gateway_config(stack, configure()).content == GatewayContent()
    assert set(Content.model_fields) == set(GatewayContent.model_fields)
    assert get_args(SecretKind) == tuple(BUILT_IN)


def test_a_pattern_that_is_none_is_named(configure: Configure) -> None:
    patterns = [{"name": "acme", "pattern": "acme_["}]
    with pytest.raises(PlatformError, match=r"leak_patterns.*must be a regular expression"):
        configure(gateway={"content": {"leak_patterns": patterns}})


def test_plain_names_are_those_of_the_only_server(configure: Configure, stack: Stack) -> None:
    servers = {"one": {"kind": "module", "module": "echo"}}
    settings = configure(gateway={"names": "plain"}, servers=servers)
    assert settings.gateway.names == "plain"
    found = gateway_config(stack, settings, only_server="one")
    assert (found.names, found.only_server) == ("plain", "one")
    assert gateway_config(stack, configure()).names == "prefixed"
