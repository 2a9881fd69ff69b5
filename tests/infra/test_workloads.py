from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from infra.components import gateway, mcp_server
from infra.components.autoscaling import build_spec
from infra.components.gateway import GatewayArgs
from infra.components.mcp_server import McpServerArgs
from infra.components.namespace import pod_security_labels
from infra.components.pods import GRACE_SECONDS, PRE_STOP_SECONDS
from infra.components.postgres import PostgresEndpoint
from infra.components.redis import RedisEndpoint
from infra.components.workload import WorkloadArgs, build_deployment, build_disruption_budget, build_service
from infra.engine.graph import Graph
from infra.errors import PlatformError
from infra.labels import CONFIG_HASH, selector
from infra.naming import Stack
from infra.settings import Settings
from infra.settings.workloads import Autoscaling, Resources, Scaled
from services.gateway.config import GatewayConfig
from services.kit.conventions import (
    DRAIN_SECONDS,
    LIVE_PATH,
    MCP_PORT,
    OPS_PORT,
    OPS_PORT_NAME,
    READY_PATH,
    RUN_AS_USER,
    SERVER_LABEL,
    STARTED_PATH,
)
from services.servers.filesystem.settings import FilesystemSettings
from services.servers.kit.settings import ServerSettings
from tests.infra.gateway_settings import gateway_args

Plain = Callable[[object], Any]
Configure = Callable[..., Settings]

PRODUCTION = Stack("prod", production=True)


def workload(stack: Stack, **keys: Any) -> WorkloadArgs:
    keys.setdefault("scale", Scaled())
    return WorkloadArgs(
        stack=stack, component="server", image="registry.example/x:1", resources=Resources(), **keys
    )


def certificate(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    began = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(began).not_valid_after(began + timedelta(days=1))
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def gateway_pod(plain: Plain, args: GatewayArgs) -> Any:
    built = gateway.build_workload("gateway", args, gateway.build_files(args))
    return plain(build_deployment("gateway", built))["template"]["spec"]


def pod(plain: Plain, args: WorkloadArgs) -> Any:
    return plain(build_deployment("echo", args))["template"]


def test_probes_ask_the_kits_paths_on_its_own_port(plain: Plain, stack: Stack) -> None:
    (container,) = pod(plain, workload(stack))["spec"]["containers"]
    asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {kind: get["path"] for kind, get in asked.items()} == {
        "startupProbe": STARTED_PATH,
        "readinessProbe": READY_PATH,
        "livenessProbe": LIVE_PATH,
    }
    assert {get["port"] for get in asked.values()} == {OPS_PORT_NAME}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "mcp": MCP_PORT,
        "ops": OPS_PORT,
    }


def test_a_pod_passes_pod_security_restricted(plain: Plain, stack: Stack) -> None:
    spec = pod(plain, workload(stack))["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == RUN_AS_USER
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_token_for_the_api_is_mounted_unless_asked_for(plain: Plain, stack: Stack) -> None:
    spec = pod(plain, workload(stack))["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "echo"
    assert not any("projected" in volume for volume in spec["volumes"])


def test_stopping_waits_for_the_proxies_and_then_for_the_drain(plain: Plain, stack: Stack) -> None:
    spec = pod(plain, workload(stack))["spec"]
    assert spec["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": PRE_STOP_SECONDS}}
    assert spec["terminationGracePeriodSeconds"] == GRACE_SECONDS >= PRE_STOP_SECONDS + DRAIN_SECONDS


def test_scratch_space_has_a_size(plain: Plain, stack: Stack) -> None:
    volumes = pod(plain, workload(stack))["spec"]["volumes"]
    assert [volume["emptyDir"]["sizeLimit"] for volume in volumes] == ["64Mi"]


def test_resources_are_complete(plain: Plain, stack: Stack) -> None:
    (container,) = pod(plain, workload(stack))["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
    }


@pytest.mark.parametrize(("stack", "hard"), [(Stack("dev", production=False), False), (PRODUCTION, True)])
def test_replicas_are_spread_over_zones_and_nodes(plain: Plain, stack: Stack, hard: bool) -> None:
    zone, host = pod(plain, workload(stack))["spec"]["topologySpreadConstraints"]
    assert (zone["topologyKey"], zone["whenUnsatisfiable"]) == (
        "topology.kubernetes.io/zone",
        "ScheduleAnyway",
    )
    assert host["topologyKey"] == "kubernetes.io/hostname"
    assert host["whenUnsatisfiable"] == ("DoNotSchedule" if hard else "ScheduleAnyway")
    assert zone["labelSelector"]["matchLabels"] == selector(stack, "echo")
    assert zone["matchLabelKeys"] == ["pod-template-hash"]


def test_an_update_never_takes_a_pod_away_before_its_successor_is_ready(plain: Plain, stack: Stack) -> None:
    strategy = plain(build_deployment("echo", workload(stack)))["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_pods_that_can_not_be_at_once_are_replaced_one_after_the_other(plain: Plain, stack: Stack) -> None:
    strategy = plain(build_deployment("echo", workload(stack, one_at_a_time=True)))["strategy"]
    assert strategy == {"type": "Recreate"}


def test_replicas_are_left_to_an_autoscaler(plain: Plain, stack: Stack) -> None:
    assert plain(build_deployment("echo", workload(stack, scale=Scaled(replicas=2))))["replicas"] == 2
    scaled = workload(stack, scale=Scaled(autoscaling=Autoscaling()))
    assert "replicas" not in plain(build_deployment("echo", scaled))


def test_a_changed_configuration_changes_the_pods(plain: Plain, stack: Stack) -> None:
    metadata = pod(plain, workload(stack, config_hash="abc"))["metadata"]
    assert metadata["annotations"] == {CONFIG_HASH: "abc"}
    assert "annotations" not in pod(plain, workload(stack))["metadata"]


def test_drains_take_one_pod_and_never_wait_for_broken_ones(plain: Plain, stack: Stack) -> None:
    budget = plain(build_disruption_budget(stack, "echo"))
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"]["matchLabels"] == selector(stack, "echo")


def test_an_autoscaler_follows_processor_and_memory_and_is_slow_to_shrink(plain: Plain) -> None:
    spec = plain(build_spec("echo", Autoscaling()))
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    targets = {item["resource"]["name"]: item["resource"]["target"] for item in spec["metrics"]}
    assert targets == {
        "cpu": {"type": "Utilization", "averageUtilization": 70},
        "memory": {"type": "Utilization", "averageUtilization": 80},
    }
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] > 0
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "echo"}


def test_a_service_shows_its_protocol_port_only(plain: Plain, stack: Stack) -> None:
    spec = plain(build_service("echo", workload(stack)))
    assert spec["type"] == "ClusterIP"
    assert [port["name"] for port in spec["ports"]] == ["mcp"]


def test_a_namespace_enforces_a_pinned_release_of_restricted() -> None:
    labels = pod_security_labels()
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
        "restricted"
    }
    assert "latest" not in labels.values()
    assert len(labels) == 6


def test_the_gateway_reads_the_configuration_that_is_written_for_it(
    configure: Configure, stack: Stack
) -> None:
    settings = configure(
        gateway={"timeout_seconds": 60, "connections_per_server": 7, "allowed_hosts": ["a.example"]}
    )
    contents = gateway.build_files(gateway_args(stack, settings))
    config = GatewayConfig(**yaml.safe_load(contents["config.yaml"]))
    assert (config.upstream.timeout_seconds, config.upstream.connections_per_server) == (60, 7)
    assert config.requests.allowed_hosts == ("a.example",)
    assert config.discovery is not None
    assert config.discovery.kubernetes.namespace == "mcp-dev"
    assert config.auth != "none"
    (issuer,) = config.auth.issuers
    assert str(issuer.public_key_file) == "/etc/mcp-gateway/issuers/dev.pem"


def test_the_gateway_has_redis_and_the_limits_of_the_stack(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    limits = {"principal": {"per_second": 5, "burst": 10}, "without_redis": "closed"}
    settings = configure(gateway={"limits": limits})
    redis = RedisEndpoint(host="cache.example", port=6380, tls=True, secret="cache", password_key="key")
    args = gateway_args(stack, settings, redis=redis)
    contents = gateway.build_files(args)
    config = GatewayConfig(**yaml.safe_load(contents["config.yaml"]))
    assert config.redis is not None
    assert (config.redis.host, config.redis.port, config.redis.tls) == ("cache.example", 6380, True)
    assert config.limits.principal is not None
    assert (config.limits.principal.burst, config.limits.without_redis) == (10, "closed")
    spec = gateway_pod(plain, args)
    (volume,) = (item for item in spec["volumes"] if item["name"] == "redis-auth")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "cache", "items": [{"key": "key", "path": "password"}]}}
    ]
    (mount,) = (item for item in spec["containers"][0]["volumeMounts"] if item["name"] == "redis-auth")
    assert f"{mount['mountPath']}/password" == str(config.redis.password_file)


def test_the_gateway_keeps_what_the_stack_says(configure: Configure, stack: Stack) -> None:
    rule = {"match": "weather__*", "ttl_seconds": 60, "scope": "public"}
    cache = {
        "tools": [rule],
        "trusted_servers": ["news"],
        "memory": "32Mi",
        "max_entry": "64Ki",
        "redis": False,
    }
    settings = configure(gateway={"cache": cache})
    config = GatewayConfig(**gateway.build_config(gateway_args(stack, settings))).cache
    (tool,) = config.tools
    assert (tool.match, tool.ttl_seconds, tool.scope) == ("weather__*", 60, "public")
    assert (config.trusted_servers, config.max_ttl_seconds, config.redis) == (("news",), 300, False)
    assert (config.memory_bytes, config.max_entry_bytes) == (32 * 2**20, 64 * 2**10)


def test_every_key_file_that_the_gateways_configuration_names_is_mounted(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    issuer = {"name": "corporate", "issuer": "https://login.example.com/", "public_key": pem}
    auth = {"audience": "https://x/mcp", "dev_issuer": True, "issuers": [issuer]}
    settings = configure(auth=auth)
    args = gateway_args(stack, settings)
    contents = gateway.build_files(args)
    spec = gateway_pod(plain, args)
    (volume,) = (item for item in spec["volumes"] if item["name"] == "config")
    sources = [source.get("configMap") or source["secret"] for source in volume["projected"]["sources"]]
    mounted = {f"{gateway.CONFIG_PATH}/{item['path']}" for source in sources for item in source["items"]}
    issuers = yaml.safe_load(contents["config.yaml"])["auth"]["issuers"]
    assert {issuer["public_key_file"] for issuer in issuers} | {
        f"{gateway.CONFIG_PATH}/config.yaml"
    } == mounted


def test_the_gateway_may_only_watch_endpoint_slices_and_has_a_short_lived_token(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    settings = configure()
    args = gateway_args(stack, settings)
    built = gateway.build_workload("gateway", args, {"config.yaml": ""})
    assert [plain(rule) for rule in built.rules] == [
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    (token,) = (
        source["serviceAccountToken"]
        for mount in built.mounts
        for source in plain(mount.volume)["projected"]["sources"]
        if "serviceAccountToken" in source
    )
    assert token["expirationSeconds"] <= 3600


def test_the_gateway_logs_in_to_postgres_as_itself_and_only_its_init_container_as_the_owner(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    args = gateway_args(stack, configure(gateway={"audit": {"mode": "durable", "when_full": "refuse"}}))
    config = GatewayConfig(**yaml.safe_load(gateway.build_files(args)["config.yaml"]))
    assert config.postgres is not None
    assert (config.postgres.host, config.postgres.database) == ("postgres", "mcp")
    assert config.audit is not None
    assert (config.audit.sink, config.audit.mode, config.audit.when_full) == ("postgres", "durable", "refuse")
    spec = gateway_pod(plain, args)
    secrets = {
        volume["name"]: source["secret"]["name"]
        for volume in spec["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "secret" in source
    }
    (own,), (migration,) = spec["containers"], spec["initContainers"]
    mounted = [
        {secrets.get(mount["name"]): mount["mountPath"] for mount in it["volumeMounts"]}
        for it in (own, migration)
    ]
    assert "postgres-auth" not in mounted[0]
    for paths in mounted:
        assert f"{paths['gateway-database']}/password" == str(config.postgres.password_file)
    assert migration["image"] == own["image"]
    assert f"--owner={mounted[1]['postgres-auth']}" in migration["args"]
    assert config.postgres.user not in {"mcp", "postgres"}
    assert not any("Probe" in key for key in migration)
    assert migration["securityContext"] == own["securityContext"]
    assert migration["resources"].keys() == own["resources"].keys() == {"requests", "limits"}


def test_an_external_postgres_is_trusted_by_its_own_authorities(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    ca = certificate(ec.generate_private_key(ec.SECP256R1()))
    postgres = {
        "mode": "external",
        "host": "db.example",
        "cidrs": ["10.9.1.0/24"],
        "database": "platform",
        "credentials": "owner",
        "ca": ca,
    }
    settings = configure(postgres=postgres)
    assert settings.postgres.mode == "external"
    endpoint = PostgresEndpoint(
        host="db.example", port=5432, tls=True, secret="owner", database="platform", ca=ca
    )
    args = gateway_args(stack, settings, postgres=endpoint)
    contents = gateway.build_files(args)
    config = GatewayConfig(**yaml.safe_load(contents["config.yaml"]))
    assert config.postgres is not None
    assert (config.postgres.database, config.postgres.tls) == ("platform", True)
    (volume,) = (item for item in gateway_pod(plain, args)["volumes"] if item["name"] == "config")
    paths = {item["key"]: item["path"] for item in volume["projected"]["sources"][0]["configMap"]["items"]}
    assert contents["postgres-ca.pem"] == ca
    assert f"{gateway.CONFIG_PATH}/{paths['postgres-ca.pem']}" == str(config.postgres.ca_file)


@pytest.mark.parametrize("sink", ["log", "none"])
def test_a_gateway_that_keeps_nothing_in_postgres_has_no_password_for_it(
    plain: Plain, configure: Configure, stack: Stack, sink: str
) -> None:
    args = gateway_args(stack, configure(gateway={"audit": {"sink": sink}}))
    config = GatewayConfig(**yaml.safe_load(gateway.build_files(args)["config.yaml"]))
    assert config.postgres is None
    assert (config.audit is None) == (sink == "none")
    spec = gateway_pod(plain, args)
    assert "initContainers" not in spec
    assert {"database-auth", "database-owner"}.isdisjoint(volume["name"] for volume in spec["volumes"])


def test_the_gateway_makes_tasks_where_the_stack_says_so(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    tasks = {"ttl_seconds": 600, "run_seconds": 300, "tools": [{"match": "a__*", "required": True}]}
    args = gateway_args(stack, configure(gateway={"tasks": tasks, "audit": {"sink": "none"}}))
    config = GatewayConfig(**yaml.safe_load(gateway.build_files(args)["config.yaml"]))
    assert config.tasks is not None
    assert (config.tasks.ttl_seconds, config.tasks.tools[0].required) == (600, True)
    assert config.postgres is not None
    assert [it["name"] for it in gateway_pod(plain, args)["initContainers"]] == ["migrate"]
    without = gateway_args(stack, configure())
    assert GatewayConfig(**yaml.safe_load(gateway.build_files(without)["config.yaml"])).tasks is None


def test_a_server_reads_the_environment_that_is_written_for_it(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "kind": "filesystem",
        "read_only": True,
        "max_file_bytes": 5,
        "timeout_seconds": 7,
        "version": "9",
    }
    settings = configure(servers={"files": files}).servers["files"]
    for key, value in mcp_server.build_environment("files", settings).items():
        monkeypatch.setenv(key, value)
    read = FilesystemSettings()
    assert (read.mcp_server_name, read.mcp_server_version, read.tool_timeout) == ("files", "9", 7)
    assert (read.filesystem_read_only, read.filesystem_max_file_bytes) == (True, 5)


def test_a_server_is_labelled_for_discovery_and_mounts_its_volume(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    settings = configure(servers={"files": {"kind": "filesystem"}}).servers["files"]
    args = mcp_server.build_workload("files", McpServerArgs(stack=stack, settings=settings, image="x"))
    assert args.exposure.labels == {SERVER_LABEL: "files"}
    assert args.one_at_a_time
    spec = plain(build_deployment("files", args))["template"]["spec"]
    claims = [item["persistentVolumeClaim"] for item in spec["volumes"] if "persistentVolumeClaim" in item]
    assert claims == [{"claimName": "files", "readOnly": False}]


def test_a_shared_volume_lets_replicas_roll(plain: Plain, configure: Configure, stack: Stack) -> None:
    shared = {"kind": "filesystem", "replicas": 2, "volume": {"shared": True}}
    settings = configure(servers={"files": shared}).servers["files"]
    args = mcp_server.build_workload("files", McpServerArgs(stack=stack, settings=settings, image="x"))
    assert not args.one_at_a_time
    assert settings.kind == "filesystem"
    assert plain(mcp_server.build_claim(settings.volume))["accessModes"] == ["ReadWriteMany"]


def test_a_custom_server_brings_its_image_and_arguments(configure: Configure, stack: Stack) -> None:
    image = "registry.example/team/weather@sha256:" + "0" * 64
    own = {"kind": "custom", "image": image, "args": ["weather"], "env": {"UNITS": "metric"}}
    settings = configure(servers={"weather": own}).servers["weather"]
    args = mcp_server.build_workload("weather", McpServerArgs(stack=stack, settings=settings, image=image))
    assert (args.image, args.args, args.env["UNITS"]) == (image, ["weather"], "metric")
    assert "MCP_SERVER_VERSION" not in args.env


def test_the_clusters_service_accounts_are_an_issuer_by_setting(configure: Configure, stack: Stack) -> None:
    issuer = "https://kubernetes.default.svc.cluster.local"
    settings = configure(auth={"audience": "http://127.0.0.1:8080/mcp", "service_accounts": issuer})
    config = GatewayConfig(**gateway.build_config(gateway_args(stack, settings)))
    assert config.auth != "none"
    (found,) = config.auth.issuers
    assert (found.issuer, found.kubernetes is not None) == (issuer, True)


def test_published_keys_are_fetched_and_no_file_is_mounted(configure: Configure, stack: Stack) -> None:
    keys = {"jwks_uri": "https://login.example.com/keys", "cidrs": ["198.51.100.0/24"]}
    issuer = {"name": "corporate", "issuer": "https://login.example.com/", **keys}
    settings = configure(auth={"audience": "https://x/mcp", "issuers": [issuer]})
    contents = gateway.build_files(gateway_args(stack, settings))
    assert set(contents) == {"config.yaml"}
    config = GatewayConfig(**yaml.safe_load(contents["config.yaml"]))
    assert config.auth != "none"
    (found,) = config.auth.issuers
    assert found.jwks is not None
    assert found.jwks.uri == keys["jwks_uri"]


def test_traces_go_where_the_stack_says(configure: Configure, stack: Stack) -> None:
    tracing = {"endpoint": "http://collector.monitoring:4318", "sample_ratio": 0.5}
    server = {"kind": "module", "module": "echo"}
    settings = configure(tracing=tracing, servers={"echo": server})
    content = gateway.build_config(gateway_args(stack, settings))
    found = GatewayConfig(**content).tracing
    assert found is not None
    assert found.model_dump() == tracing
    environment = mcp_server.build_environment("echo", settings.servers["echo"], settings.tracing)
    read = ServerSettings.model_validate({key.lower(): value for key, value in environment.items()})
    assert (read.tracing_endpoint, read.tracing_sample_ratio) == (tracing["endpoint"], 0.5)
    without = configure(servers={"echo": server})
    assert "tracing" not in gateway.build_config(gateway_args(stack, without))
    environment = mcp_server.build_environment("echo", without.servers["echo"], without.tracing)
    assert not any(name.startswith("TRACING") for name in environment)


def test_a_policy_has_a_config_map_of_its_own_which_rolls_no_pods(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    without, settings = configure(), configure(gateway={"policy_file": "access/dev.yaml"})
    args = gateway_args(stack, settings)
    contents = gateway.build_files(args)
    spec = gateway_pod(plain, args)
    (volume,) = (item for item in spec["volumes"] if item["name"] == "policy")
    (source,) = volume["projected"]["sources"]
    assert source["configMap"]["name"] == "gateway-policy"
    (path,) = (item["path"] for item in source["configMap"]["items"])
    authorization = yaml.safe_load(contents["config.yaml"])["authorization"]
    assert authorization == {"policy_file": f"{gateway.POLICY_PATH}/{path}"}
    assert set(gateway.read_policy(settings.gateway)) == {path}
    assert set(contents) == {"config.yaml"}
    assert gateway.read_policy(without.gateway) == {}
    plain_contents = gateway.build_files(gateway_args(stack, without))
    assert "authorization" not in yaml.safe_load(plain_contents["config.yaml"])


def test_a_policy_that_is_not_there_is_named(configure: Configure) -> None:
    settings = configure(gateway={"policy_file": "access/none.yaml"})
    with pytest.raises(PlatformError, match=r"gateway\.policy_file = access/none\.yaml: can't be read"):
        gateway.read_policy(settings.gateway)


def test_replicas_share_the_keys_of_callers_state(plain: Plain, configure: Configure, stack: Stack) -> None:
    approval = {"by_annotation": "default", "seconds": 60, "without_redis": "closed"}
    settings = configure(gateway={"state_keys": ["new", "old"], "approval": approval})
    args = gateway_args(stack, settings)
    config = GatewayConfig(**yaml.safe_load(gateway.build_files(args)["config.yaml"]))
    assert config.approval.model_dump() == approval
    spec = gateway_pod(plain, args)
    (volume,) = (item for item in spec["volumes"] if item["name"] == "state-keys")
    (source,) = volume["projected"]["sources"]
    assert source["secret"]["name"] == "gateway-state-keys"
    paths = [item["path"] for item in source["secret"]["items"]]
    (mount,) = (item for item in spec["containers"][0]["volumeMounts"] if item["name"] == "state-keys")
    files = [str(file) for file in config.state.key_files]
    assert files == [f"{mount['mountPath']}/{name}" for name in ("new", "old")]
    assert sorted(files) == sorted(f"{mount['mountPath']}/{path}" for path in paths)


def test_every_key_of_callers_state_is_generated(deployed: Graph) -> None:
    if deployed.stack == "prod":
        return  # copied from the secret store: test_external_secrets.py
    made = [item for item in deployed.resources if item.name == "gateway-state-keys-first"]
    assert [item.type for item in made] == ["random:index/randomPassword:RandomPassword"]
    assert made[0].inputs["length"] >= 43, "letters and digits of 256 bits"
    (secret,) = (item for item in deployed.kubernetes_objects() if item.name == "gateway-state-keys")
    assert secret.inputs["stringData"].value == {"first": "hunter2"}  # pyright: ignore[reportAttributeAccessIssue] - it is a Secret


def test_the_gateway_asks_the_sentinels_for_redis_and_trusts_the_operators_authority(
    plain: Plain, configure: Configure, stack: Stack
) -> None:
    redis = RedisEndpoint(
        host="redis", port=6379, tls=False, secret="redis-auth", sentinels=("redis-0.x", "redis-1.x")
    )
    postgres = PostgresEndpoint(
        host="postgres-rw", port=5432, tls=True, secret="postgres-auth", ca_secret="postgres-ca"
    )
    args = gateway_args(stack, configure(), redis=redis, postgres=postgres)
    config = GatewayConfig(**gateway.build_config(args))
    assert config.redis is not None
    assert config.redis.host is None
    assert [(it.host, it.port) for it in config.redis.sentinels] == [
        ("redis-0.x", 26379),
        ("redis-1.x", 26379),
    ]
    assert config.postgres is not None
    assert (config.postgres.host, config.postgres.tls) == ("postgres-rw", True)
    pod = gateway_pod(plain, args)
    (volume,) = (item for item in pod["volumes"] if item["name"] == "database-authority")
    # The Secret has the authority's key, too.
    (source,) = volume["projected"]["sources"]
    assert source["secret"] == {"name": "postgres-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    for container in (*pod["initContainers"], *pod["containers"]):
        paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert f"{paths['database-authority']}/ca.crt" == str(config.postgres.ca_file)
