"""The Go modules that the embedded Kubernetes is built from, and what each must be built with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "tools"

KUBERNETES_VERSION = "v1.36.3"
CONTAINERD_VERSION = "v2.4.2"
ETCD = "server"  # Go names a program after its package


@dataclass(frozen=True)
class Module:
    """One Go module: a directory with a go.mod."""

    name: str
    link_flags: str = ""
    packages: str = "tool"
    sources: Path = SOURCES

    @property
    def directory(self) -> Path:
        """Where its go.mod is."""
        return self.sources / self.name

    @property
    def flags(self) -> list[str]:
        """What `go install` gets; others would miss Go's build cache."""
        return ["-trimpath", "-ldflags", f"-s -w {self.link_flags}".strip()]


_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _PATCH = KUBERNETES_VERSION.removeprefix("v").split(".")

MODULES = (
    Module("etcd"),
    Module("containerd", f"-X github.com/containerd/containerd/v2/version.Version={CONTAINERD_VERSION}"),
    Module("pause", packages="."),
    Module(
        "kubernetes",
        f"-X {_VERSION}.gitVersion={KUBERNETES_VERSION} -X {_VERSION}.gitMajor={_MAJOR}"
        f" -X {_VERSION}.gitMinor={_MINOR} -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}",
    ),
)
