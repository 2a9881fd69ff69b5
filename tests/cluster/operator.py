"""The External Secrets Operator itself, built of its own sources, against a control plane."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.cluster import silent, spec
from infra.cluster.golang import find_go
from tests.cluster.control_plane import ControlPlane, module_folder

MODULE: Final = "github.com/external-secrets/external-secrets"
PINS: Final = Path(__file__).parent / "external_secrets"

_ONLY_AWS: Final = {
    "pkg/provider/register/register.go": f'package register\n\nimport _ "{MODULE}/pkg/provider/aws"\n',
    "pkg/generator/register/register.go": "package register\n",
}
"""The other forty providers, with their clouds' libraries, would be most of the build."""


def build(folder: Path) -> Path:
    """The operator's program, with the one provider that is used."""
    sources = folder / "sources"
    shutil.copytree(module_folder(MODULE, PINS), sources, copy_function=shutil.copyfile)
    for path in (sources, *(sources / name for name in _ONLY_AWS)):
        path.chmod(0o755)
    for name, text in _ONLY_AWS.items():
        (sources / name).write_text(text)
    program = folder / "external-secrets"
    command = [find_go(spec.home(), silent), "build", "-trimpath", "-ldflags=-s -w", "-o", program, "."]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command, cwd=sources, env=environment, capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return program


@contextmanager
def running(
    program: Path, plane: ControlPlane, namespace: str, environment: Mapping[str, str]
) -> Generator[Path]:
    """The operator at work in one namespace; its log."""
    log = plane.folder / "operator.log"
    command = [
        str(program),
        f"--namespace={namespace}",
        "--metrics-addr=0",
        "--live-addr=0",
        "--loglevel=debug",
        *(f"--enable-{name}=false" for name in ("cluster-store-reconciler", "push-secret-reconciler")),
        *(f"--enable-cluster-{name}-secret-reconciler=false" for name in ("external", "push")),
    ]
    # Its library takes the current context only, and looks elsewhere where there is none.
    config = json.loads((plane.folder / "kubeconfig").read_text())
    kubeconfig = plane.folder / "operator-kubeconfig"
    kubeconfig.write_text(json.dumps({**config, "current-context": config["contexts"][0]["name"]}))
    home = str(plane.folder)
    known = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": str(kubeconfig), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=known, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)
