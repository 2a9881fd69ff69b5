"""One embedded cluster as the rest of the project sees it."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from infra.cluster import certificates, cgroups, configs, images, kubeconfig, launch, preflight, status
from infra.cluster.api import ApiClient
from infra.cluster.indexes import claim_index, release_index
from infra.cluster.launch import listen
from infra.cluster.processes import locked
from infra.cluster.publish import publish as publish_cluster
from infra.cluster.publish import unlink_commands, withdraw
from infra.cluster.removal import remove_tree
from infra.cluster.report import Report
from infra.cluster.spec import (
    DEFAULT_NAME,
    ClusterSpec,
    Layout,
    check_name,
    default_ports,
    read_spec,
    write_atomically,
    write_spec,
)
from infra.cluster.spec import home as default_home
from infra.cluster.status import ClusterStatus
from infra.cluster.tools import MINIMUM_FREE_BYTES as TOOLS_FREE_BYTES
from infra.cluster.tools import Toolbox
from infra.cluster.waiting import Wait, name_option
from infra.errors import PlatformError

CLEAN_SECONDS = 60.0
SHARED = ("tools", "go", "images", "bench")  # below the home: what is built once for all clusters
DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One embedded cluster, by name.

    `home` holds what all clusters share (built programs, the register of indexes); `state` is the cluster's
    own directory.
    """

    name: str
    home: Path
    state: Path

    @classmethod
    def named(
        cls, name: str = DEFAULT_NAME, *, home: Path | None = None, state_dir: Path | None = None
    ) -> Cluster:
        """The cluster of this name, made yet or not; `state_dir` holds one directory for each cluster."""
        check_name(name)
        home = home or default_home()
        return cls(name, home.absolute(), (state_dir or home / "clusters").absolute() / name)

    @property
    def layout(self) -> Layout:
        """Where its files are."""
        return Layout(self.state)

    @property
    def spec(self) -> ClusterSpec:
        """Its addresses and ports; raises PlatformError when it was never made."""
        spec = read_spec(self.layout)
        if spec is None:
            raise PlatformError(
                f"there is no cluster {self.name}",
                hint=f"`mcpctl cluster up{name_option(self.name)}` makes it",
            )
        return spec

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with the one context `mcp-<name>`."""
        return self.layout.admin_kubeconfig

    @property
    def gateway_url(self) -> str:
        """Where the host reaches NodePort 30080."""
        return self.spec.gateway_url

    @property
    def containerd_socket(self) -> Path:
        """Where images are imported (namespace k8s.io)."""
        return self.layout.containerd_socket

    @property
    def toolbox(self) -> Toolbox:
        """The programs that it is made of."""
        return Toolbox(self.home)

    def client(self, *, timeout: float = 10) -> ApiClient:
        """A client of its API server, as the cluster's own administrator."""
        return ApiClient(self.spec.api_url, self.layout.certificates, "bootstrap", timeout=timeout)

    def status(self) -> ClusterStatus:
        """What it is doing; raises PlatformError when it was never made."""
        return status.read(self.spec, self.layout)

    @property
    def running(self) -> bool:
        """Whether its processes run."""
        return self.state.exists() and launch.running(self.layout) is not None

    def require_running(self) -> None:
        """Raise PlatformError when it was never made, or is down."""
        _ = self.spec
        if not self.running:
            raise PlatformError(
                f"cluster {self.name} is down",
                hint=f"`mcpctl cluster up{name_option(self.name)}` starts it; its data is there",
            )

    def check(self) -> None:
        """Raise PlatformError where this machine or this user can't run it; costs nothing."""
        self.layout.check()
        preflight.check_user()

    def up(
        self,
        report: Report,
        *,
        api_port: int | None = None,
        gateway_port: int | None = None,
        fsync: bool = True,
        publish: bool = True,
    ) -> None:
        """Make the cluster run and wait until it is ready; does nothing to one that is.

        `fsync=False` and `publish=False` (leave the user's kubeconfig and PATH alone) are for clusters of
        tests. Raises PlatformError, before anything is changed, for a machine or ports that won't do.
        """
        self.check()
        with self._commands(report):
            if launch.running(self.layout) is not None:
                self._check_ports(api_port, gateway_port)
                self._stop_if_outdated(report)
            if launch.running(self.layout) is None:
                self._start(report, api_port, gateway_port, fsync=fsync)
            self._settle(report)
            if publish:
                publish_cluster(self.spec, self.layout, self.toolbox, report)

    def down(self, report: Report, *, purge: bool = False, keep_tools: bool = False) -> None:
        """Stop the cluster; `purge` also deletes its data, and with the last cluster what was built for all.

        `keep_tools` keeps that: clusters of tests come and go, and building takes minutes.
        """
        if not self.state.exists():
            report("there is none")
            return
        preflight.check_user()
        with self._commands(report):
            self._stop(report)
            if purge:
                self._purge(report, keep_tools=keep_tools)

    def _start(self, report: Report, api_port: int | None, gateway_port: int | None, *, fsync: bool) -> None:
        preflight.check_cgroups()
        preflight.check_space(
            self.state, TOOLS_FREE_BYTES if self.toolbox.missing else preflight.MINIMUM_FREE_BYTES
        )
        spec = self._describe(api_port, gateway_port)
        with (
            listen(spec.api_port, "the Kubernetes API") as api,
            listen(spec.gateway_port, "the MCP gateway") as gateway,
        ):
            preflight.ensure_programs(report)
            preflight.check_kernel()
            self.toolbox.build(report)
            self._clean()
            write_spec(self.layout, spec)
            self._configure(spec, report)
            report("starting the node")
            launch.start(self.layout, self.toolbox.directory, api, gateway, fsync=fsync)

    def _describe(self, api_port: int | None, gateway_port: int | None) -> ClusterSpec:
        """The spec to start with: the stored one, or a new one, with the ports that were asked for."""
        known = read_spec(self.layout)
        if known is None:
            index = claim_index(self.home / "indexes", self.state)
            default_api, default_gateway = default_ports(self.name, index)
            known = ClusterSpec(
                name=self.name, index=index, api_port=default_api, gateway_port=default_gateway
            )
        return dataclasses.replace(
            known, api_port=api_port or known.api_port, gateway_port=gateway_port or known.gateway_port
        )

    def _check_ports(self, api_port: int | None, gateway_port: int | None) -> None:
        """Refuse to move the ports of a cluster that runs."""
        spec = self.spec
        for what, wanted, now in (
            ("API", api_port, spec.api_port),
            ("gateway", gateway_port, spec.gateway_port),
        ):
            if wanted not in (None, now):
                raise PlatformError(
                    f"cluster {self.name} runs with its {what} on port {now}, not {wanted}",
                    hint=f"`mcpctl cluster down{name_option(self.name)}` first",
                )

    def _stop_if_outdated(self, report: Report) -> None:
        """Stop a cluster whose programs, configuration or certificates are no longer what they should be."""
        spec, tools = self.spec, self.toolbox.directory
        last = self.layout.fingerprint_file
        is_current = last.exists() and configs.fingerprint(spec, self.layout, tools) == last.read_text()
        if is_current and not certificates.stale(spec, self.layout):
            return
        self.toolbox.build(report)  # first, so that a build that fails costs nothing
        report("its programs, configuration or certificates changed: restarting it")
        self._stop(report)

    def _configure(self, spec: ClusterSpec, report: Report) -> None:
        report("certificates and configuration")
        self.layout.logs.mkdir(exist_ok=True)
        certificates.ensure(spec, self.layout)
        kubeconfig.write_all(spec, self.layout)
        configs.write_all(spec, self.layout, self.toolbox.directory)
        write_atomically(
            self.layout.fingerprint_file, configs.fingerprint(spec, self.layout, self.toolbox.directory)
        )

    def _settle(self, report: Report) -> None:
        """Wait until the cluster is ready, giving it the sandbox image on the way."""
        spec, client = self.spec, self.client()
        wait = Wait(self.layout, report)
        wait.for_component("containerd")
        images.ensure_pause(self.toolbox.path("ctr"), self.containerd_socket, self.toolbox.path("pause"))
        wait.for_all_components()
        wait.until(lambda: status.is_node_ready(spec, client), "the node", culprit="kubelet")
        # No pod can be made in a namespace that lacks its service account.
        wait.until(
            lambda: client.exists(DEFAULT_ACCOUNT), "the service accounts", culprit="kube-controller-manager"
        )
        client.close()

    def _stop(self, report: Report) -> None:
        launch.stop(self.layout, report)
        self._clean()

    def _clean(self) -> None:
        """Remove what a cluster leaves, however it ended: its cgroups, and notes of its processes."""
        deadline = time.monotonic() + CLEAN_SECONDS
        while left := cgroups.remove(self.layout.cgroup):
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"cluster {self.name}: the cgroup {left[0]} still has processes",
                    hint=f"`cat {left[0]}/cgroup.procs` names them; end them, then try again",
                )
            time.sleep(0.1)
        self.layout.process_file.unlink(missing_ok=True)
        self.layout.status_file.unlink(missing_ok=True)
        self.layout.containerd_socket.unlink(missing_ok=True)

    def _purge(self, report: Report, *, keep_tools: bool) -> None:
        report("deleting the cluster's data")
        spec = read_spec(self.layout)
        withdraw(f"mcp-{self.name}", self.layout, self.home)
        shutil.rmtree(self.state)
        registry = self.home / "indexes"
        if spec is not None:
            release_index(registry, spec.index, self.state)
        if keep_tools or any(claim.exists() for claim in registry.glob("*")):
            return
        report("deleting the built programs and images")
        unlink_commands(self.home)
        for name in SHARED:
            remove_tree(self.home / name)

    @contextmanager
    def _commands(self, report: Report) -> Generator[None]:
        """One command at a time for this cluster."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.layout.command_lock, report, f"another command for cluster {self.name}"):
            yield
