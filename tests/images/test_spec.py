"""What a graph says about images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.engine.build import ImageSpec, image_specs
from infra.engine.build_spec import IMAGE_TYPE
from infra.engine.graph import UNKNOWN, Graph, Resource, Secret
from infra.errors import PlatformError

REF = "localhost/mcp-platform/gateway:0123456789abcdef"


def graph(*inputs: dict[str, Any]) -> Graph:
    resources = [
        Resource(type=IMAGE_TYPE, name=f"image-{number}", urn=f"urn:{number}", inputs=one)
        for number, one in enumerate(inputs)
    ]
    other = Resource(
        type="kubernetes:core/v1:Namespace", name="other", urn="urn:other", inputs={"tags": UNKNOWN}
    )
    return Graph(project="p", stack="dev", resources=(other, *resources), outputs={})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "services").mkdir()
    (tmp_path / "services/Dockerfile").touch()
    (tmp_path / "Dockerfile").touch()
    return tmp_path


def inputs(**changes: Any) -> dict[str, Any]:
    return {
        "context": {"location": "."},
        "dockerfile": {"location": "services/Dockerfile"},
        "buildArgs": {"EXTRA": "gateway"},
        "tags": [REF, "ignored:latest"],
        **changes,
    }


def test_a_declared_image(project: Path) -> None:
    assert image_specs(graph(inputs()), project=project) == [
        ImageSpec(
            name="gateway",
            dockerfile=project / "services/Dockerfile",
            context=project,
            build_args={"EXTRA": "gateway"},
            target=None,
            ref=REF,
        )
    ]


def test_an_image_that_is_declared_twice_is_built_once(project: Path) -> None:
    assert len(image_specs(graph(inputs(), inputs()), project=project)) == 1


def test_where_to_push_for_what_and_with_which_secrets(project: Path) -> None:
    more = inputs(push=True, platforms=["linux/amd64"], target="x", secrets=Secret({"ca_bundle": "PEM"}))
    [spec] = image_specs(graph(more), project=project)
    assert (spec.push, spec.platforms, spec.target, spec.secrets) == (
        True,
        ("linux/amd64",),
        "x",
        {"ca_bundle": "PEM"},
    )
    assert "PEM" not in repr(spec)


def test_each_secret_may_be_marked(project: Path) -> None:
    [spec] = image_specs(graph(inputs(secrets={"ca_bundle": Secret("PEM")})), project=project)
    assert spec.secrets == {"ca_bundle": "PEM"}


def test_the_dockerfile_is_looked_for_in_the_context(project: Path) -> None:
    one = inputs()
    del one["dockerfile"]
    assert image_specs(graph(one), project=project)[0].dockerfile == project / "Dockerfile"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": []}, "stack dev, image image-0: `tags` is empty"),
        ({"tags": UNKNOWN}, "stack dev, image image-0: `tags` is known only after a deployment"),
        ({"tags": [UNKNOWN]}, r"stack dev, image image-0: `tags\[0\]` is known only after a deployment"),
        (
            {"buildArgs": {"TOKEN": Secret("hunter2")}},
            "image image-0: `buildArgs.TOKEN` is a secret, and build arg",
        ),
        ({"context": {"location": "nowhere"}}, "stack dev, image image-0: .*nowhere does not exist"),
        ({"dockerfile": {"location": "nofile"}}, "stack dev, image image-0: .*nofile does not exist"),
    ],
)
def test_what_can_not_be_built_is_named(project: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PlatformError, match=message) as caught:
        image_specs(graph(inputs(**change)), project=project)
    assert "hunter2" not in str(caught.value)
