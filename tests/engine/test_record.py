from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.cluster.processes import Identity
from infra.engine.graph import UNKNOWN, Secret
from infra.engine.record import record
from infra.errors import PlatformError

SMALL = Path(__file__).parent / "programs" / "small"
PASSWORD = "urn:pulumi:test::small::random:index/randomPassword:RandomPassword::db"
KEY = "urn:pulumi:test::small::tls:index/privateKey:PrivateKey::issuer"

MakeProgram = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> MakeProgram:
    """Return a function that makes a project of one program text, with a stack `test`."""

    def make(text: str, config: str = "{}") -> Path:
        (tmp_path / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
        (tmp_path / "Pulumi.test.yaml").write_text(f"config: {config}\n")
        (tmp_path / "__main__.py").write_text(text)
        return tmp_path

    return make


def test_resources_have_wire_names_parents_dependencies_and_integers() -> None:
    graph = record("test", project=SMALL)
    deployment = graph.by_type("kubernetes:apps/v1:Deployment")["app"]
    service = graph.by_type("mcp:service:Service")["app"]
    image = graph.by_type("docker-build:index:Image")["app"]
    assert deployment.urn == "urn:pulumi:test::small::mcp:service:Service$kubernetes:apps/v1:Deployment::app"
    assert deployment.parent == service.urn
    assert service.parent == ""
    assert not service.custom
    assert service.outputs == {"deployment": "app"}
    assert deployment.inputs["spec"]["replicas"] == 2
    assert isinstance(deployment.inputs["spec"]["replicas"], int)
    assert deployment.dependencies == (image.urn,)
    assert deployment.property_dependencies == {"spec": (image.urn,)}
    assert deployment.provider.startswith("urn:pulumi:test::small::pulumi:providers:kubernetes::cluster::")
    claim = graph.by_type("kubernetes:core/v1:PersistentVolumeClaim")["data"]
    assert claim.options == {"protect": True, "aliases": [{"name": "old"}]}
    assert graph.outputs["replicas"] == 2


def test_an_image_is_known_by_its_first_tag() -> None:
    graph = record("test", project=SMALL)
    pod = graph.by_type("kubernetes:apps/v1:Deployment")["app"].inputs["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"] == "localhost/small/app:0123"


def test_what_only_a_deployment_can_tell_is_unknown() -> None:
    graph = record("test", project=SMALL)
    assert graph.outputs["password"] is UNKNOWN
    assert graph.outputs["status"] is UNKNOWN
    assert graph.by_type("kubernetes:core/v1:ConfigMap")["issuer"].inputs["data"] == {"public.pem": UNKNOWN}


def test_generated_values_reach_the_program_and_stay_secret() -> None:
    generated = {
        PASSWORD: {"result": "canary-1"},
        KEY: {"privateKeyPem": "canary-2", "publicKeyPem": "public"},
    }
    graph = record("test", project=SMALL, generated=generated)
    assert graph.outputs["password"] == Secret("canary-1")
    secret = graph.by_type("kubernetes:core/v1:Secret")["db"]
    assert secret.inputs["stringData"] == Secret({"password": "canary-1", "user": "app"})
    assert graph.by_type("tls:index/privateKey:PrivateKey")["issuer"].outputs["privateKeyPem"] == Secret(
        "canary-2"
    )
    assert graph.by_type("kubernetes:core/v1:ConfigMap")["issuer"].inputs["data"] == {"public.pem": "public"}
    assert "canary" not in repr(graph)


def test_two_evaluations_are_equal() -> None:
    assert record("test", project=SMALL) == record("test", project=SMALL)


def test_settings_of_the_environment_do_not_leak_in(
    monkeypatch: pytest.MonkeyPatch, program: MakeProgram
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"tiny:replicas": "9"}')
    project = program("import pulumi\npulumi.export('n', pulumi.Config().get_int('replicas'))")
    assert record("test", project=project).outputs == {}


def test_configuration_is_read_as_pulumi_does(program: MakeProgram) -> None:
    read = "[c.get_int('n'), c.get_bool('b'), c.get_object('o'), c.get('s')]"
    project = program(
        f"import pulumi\nc = pulumi.Config()\npulumi.export('all', {read})",
        "{tiny:n: 3, b: true, tiny:o: {x: [1]}, tiny:s: text}",
    )
    assert record("test", project=project).outputs["all"] == [3, True, {"x": [1]}, "text"]


def test_an_error_of_the_program_is_named_by_its_line(program: MakeProgram) -> None:
    with pytest.raises(PlatformError, match=r"^stack test: __main__\.py:2: KeyError: 'x'$"):
        record("test", project=program("import pulumi\n{}['x']\n"))


def test_a_platform_error_comes_out_as_it_is(program: MakeProgram) -> None:
    text = (
        "from infra.errors import PlatformError\nraise PlatformError('replicas: 0 is too few', hint='1 to 9')"
    )
    with pytest.raises(PlatformError, match=r"^stack test: replicas: 0 is too few$") as caught:
        record("test", project=program(text))
    assert caught.value.hint == "1 to 9"


def test_an_error_inside_apply_is_reported(program: MakeProgram) -> None:
    text = "import pulumi\npulumi.export('x', pulumi.Output.from_input(1).apply(lambda v: v / 0))\n"
    with pytest.raises(PlatformError, match=r"__main__\.py:2: ZeroDivisionError"):
        record("test", project=program(text))


def test_a_missing_setting_names_it_and_the_file(program: MakeProgram) -> None:
    with pytest.raises(PlatformError, match="tiny:size") as caught:
        record("test", project=program("import pulumi\npulumi.Config().require('size')"))
    assert caught.value.hint == "see Pulumi.test.yaml"


def test_a_syntax_error_is_named_by_its_line(program: MakeProgram) -> None:
    with pytest.raises(PlatformError, match=r"stack \w+: __main__\.py:2: SyntaxError: "):
        record("test", project=program("import pulumi\nx = = 1\n"))


@pytest.mark.parametrize("text", ["import sys\nsys.exit(3)", "import os\nos._exit(3)"])
def test_a_program_that_exits_is_an_error(program: MakeProgram, text: str) -> None:
    with pytest.raises(PlatformError, match="3"):
        record("test", project=program(text))


def test_a_program_that_hangs_is_ended(program: MakeProgram) -> None:
    with pytest.raises(PlatformError, match="did not finish within 2 s"):
        record("test", project=program("import time\ntime.sleep(600)"), timeout=2)


def test_the_child_ends_with_its_parent(program: MakeProgram, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    text = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    project = program(text)
    code = "import pathlib, sys; from infra.engine.record import record; "
    code += "record('test', project=pathlib.Path(sys.argv[1]))"
    parent = subprocess.Popen([sys.executable, "-c", code, str(project)])
    wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
    parent.kill()
    parent.wait()
    wait_until(lambda: Identity.of(int(pid_file.read_text())) is None)


def test_two_resources_of_one_name_are_refused(program: MakeProgram) -> None:
    text = "import pulumi_random as r\nr.RandomPassword('a', length=8)\nr.RandomPassword('a', length=8)"
    with pytest.raises(PlatformError, match="two resources have the same name"):
        record("test", project=program(text))


def test_an_unknown_stack_names_those_that_exist() -> None:
    with pytest.raises(PlatformError, match="no stack 'nope'") as caught:
        record("nope", project=SMALL)
    assert caught.value.hint == "stacks: test"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{a: {secure: abc}}", "a is encrypted by Pulumi"),
        ("[1]", "must hold keys and values, not list"),
        ("{a: [}", r"Pulumi\.test\.yaml:1: "),
    ],
)
def test_a_wrong_stack_file_is_one_clear_line(program: MakeProgram, config: str, message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        record("test", project=program("", config))


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)
