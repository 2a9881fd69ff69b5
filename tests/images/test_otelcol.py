"""The collector's image, built as a stack with a collector has it: from nothing it takes some minutes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from infra.engine.build import build, image_specs
from infra.engine.build_buildah import Buildah
from infra.settings.telemetry import Collector
from infra.telemetry import parts, traces
from infra.telemetry.parts import CONFIG_FILE, CONFIG_PATH, HEALTH_PATH, HEALTH_PORT
from services.kit.conventions import METRICS_PATH, OPS_PORT
from tests.images.oci import Container, Root, unpack, until
from tests.infra.telemetry.example import STACK, backend
from tests.infra.test_variants import evaluate

pytestmark = [pytest.mark.images, pytest.mark.nightly]


@pytest.fixture(scope="module")
def root(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> Root:
    folder = tmp_path_factory.mktemp("otelcol")
    graph = evaluate(folder, tracing={"collector": {"export": {"endpoint": "http://tempo:4318"}}})
    (spec,) = (it for it in image_specs(graph) if it.name == "otelcol")
    build([spec], builder="buildah")
    return unpack(buildah, spec.ref, folder / "root")


@pytest.fixture
def collector(root: Root, tmp_path: Path) -> Generator[Container]:
    to = backend("http://tempo:4318")
    config = traces.build_config(STACK, Collector(export=to))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / CONFIG_FILE).write_text(parts.files(to, config)[CONFIG_FILE])
    found = Container(root, tmp_path / "container", volumes={CONFIG_PATH: tmp_path / "config"})
    yield found
    found.remove()


def test_it_runs_as_any_user_on_a_read_only_root_as_a_pod_starts_it(collector: Container) -> None:
    collector.args = [f"--config=file:{CONFIG_PATH}/{CONFIG_FILE}"]
    collector.start()
    until(lambda: "Server available" in collector.http(HEALTH_PORT, HEALTH_PATH), 30, lambda: collector.log)
    assert "otelcol_process_uptime" in collector.http(OPS_PORT, METRICS_PATH)
    collector.exec("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/13133")


def test_it_holds_the_program_and_neither_its_sources_nor_go(root: Root) -> None:
    size = (root.path / "otelcol").stat().st_size
    assert 20 * 2**20 < size < 80 * 2**20
    assert not (root.path / "src").exists()
    assert not list(root.path.glob("opt/*"))
