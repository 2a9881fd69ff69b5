"""The cluster's own certificate authority and everything that it signs.

Every component proves who it is with a certificate of its own, so RBAC and the Node authorizer decide what it
may do. Two authorities, as Kubernetes asks for: one for the cluster, one for the aggregation layer's front
proxy, because whoever holds a certificate of the latter may claim to be anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.cluster.spec import CLUSTER_CA, ClusterSpec, Layout, write_atomically
from infra.errors import PlatformError

AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(days=397)
RENEW_BEFORE = timedelta(days=60)
CLOCK_SKEW = timedelta(minutes=5)

FRONT_PROXY_CA = "front-proxy-ca"
SERVICE_ACCOUNT_KEY = "service-account"

# Bound to cluster-admin by addons.py. `system:masters` would bypass RBAC, so only the bootstrap certificate
# has it.
ADMINISTRATORS = "mcp-platform:administrators"
RECREATE = (
    "`mcpctl cluster down --purge` and `mcpctl cluster up` make the cluster anew (its data is then lost)"
)

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Request:
    """One certificate to sign: `user` and `groups` are who Kubernetes takes its holder for."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    usages: tuple[x509.ObjectIdentifier, ...] = (CLIENT,)
    authority: str = CLUSTER_CA


@dataclass(frozen=True)
class Authority:
    """A certificate authority's key and certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate = field(repr=False)


def requests(spec: ClusterSpec) -> list[Request]:
    """Every certificate that a cluster needs besides its authorities."""
    loopback = IPv4Address("127.0.0.1")
    api_names = tuple(
        f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")
    )
    return [
        Request(
            "kube-apiserver",
            "kube-apiserver",
            names=("localhost", *api_names),
            addresses=(loopback, spec.node_ip, spec.api_service_ip),
            usages=(SERVER,),
        ),
        Request("etcd", "etcd", names=("localhost",), addresses=(loopback,), usages=(SERVER, CLIENT)),
        Request("apiserver-etcd-client", "apiserver-etcd-client"),
        Request("apiserver-kubelet-client", "kube-apiserver-kubelet-client"),
        Request("front-proxy-client", "front-proxy-client", authority=FRONT_PROXY_CA),
        Request(
            "kubelet",
            f"system:node:{spec.node_name}",
            groups=("system:nodes",),
            names=(spec.node_name,),
            addresses=(spec.node_ip,),
            usages=(SERVER, CLIENT),
        ),
        Request("kube-controller-manager", "system:kube-controller-manager"),
        Request("kube-scheduler", "system:kube-scheduler"),
        Request("kube-proxy", "system:kube-proxy"),
        Request("coredns", "mcp-platform:coredns"),
        Request("metrics-server", "mcp-platform:metrics-server"),
        Request(
            "metrics-server-serving",
            "metrics-server",
            names=("metrics-server.kube-system.svc",),
            addresses=(spec.node_ip,),
            usages=(SERVER,),
        ),
        Request("provisioner", "mcp-platform:provisioner"),
        Request("netpol", "mcp-platform:netpol"),
        Request("bootstrap", "mcp-platform:bootstrap", groups=("system:masters",)),
        Request("admin", "mcp-platform:admin", groups=(ADMINISTRATORS,)),
    ]


def ensure(spec: ClusterSpec, layout: Layout) -> None:
    """Make what is missing, does not fit the spec, or expires soon.

    The authorities and the service-account key are made once: renewing them would cut off every holder.
    """
    directory = layout.certificates
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authorities = {name: ensure_authority(directory, name) for name in (CLUSTER_CA, FRONT_PROXY_CA)}
    account_key = directory / f"{SERVICE_ACCOUNT_KEY}.key"
    if not account_key.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_atomically(directory / f"{SERVICE_ACCOUNT_KEY}.pub", _public_pem(key.public_key()))
        write_atomically(account_key, _private_pem(key))
    for request in requests(spec):
        authority = authorities[request.authority]
        if not is_current(directory, request, authority):
            _issue(directory, request, authority)


def stale(spec: ClusterSpec, layout: Layout) -> list[str]:
    """The certificates that `ensure` would renew."""
    directory = layout.certificates
    authorities = {name: ensure_authority(directory, name) for name in (CLUSTER_CA, FRONT_PROXY_CA)}
    return [
        request.file
        for request in requests(spec)
        if not is_current(directory, request, authorities[request.authority])
    ]


def is_current(directory: Path, request: Request, authority: Authority, now: datetime | None = None) -> bool:
    """Whether a certificate is there, says what the request says, and is valid for long enough."""
    try:
        certificate = x509.load_pem_x509_certificate((directory / f"{request.file}.crt").read_bytes())
        key = serialization.load_pem_private_key((directory / f"{request.file}.key").read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return False
    return (
        certificate.public_key() == key.public_key()
        and certificate.issuer == authority.certificate.subject
        and certificate.subject == _subject(request.user, request.groups)
        and _alternative_names(certificate) == _general_names(request)
        and certificate.not_valid_after_utc - (now or datetime.now(UTC)) > RENEW_BEFORE
    )


def ensure_authority(directory: Path, name: str) -> Authority:
    """Load an authority, or make it the first time."""
    key_file, certificate_file = directory / f"{name}.key", directory / f"{name}.crt"
    if certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PlatformError(f"{key_file} does not hold an elliptic curve key", hint=RECREATE)
        return Authority(key, x509.load_pem_x509_certificate(certificate_file.read_bytes()))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"mcp-platform {name}", ())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, key.public_key(), AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_atomically(key_file, _private_pem(key))
    write_atomically(certificate_file, _certificate_pem(certificate))
    return Authority(key, certificate)


def _issue(directory: Path, request: Request, authority: Authority) -> None:
    """Sign a new certificate with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(request.user, request.groups)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(subject, authority.certificate.subject, key.public_key(), LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(request.usages), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    names = _general_names(request)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    write_atomically(directory / f"{request.file}.key", _private_pem(key))
    write_atomically(
        directory / f"{request.file}.crt", _certificate_pem(builder.sign(authority.key, hashes.SHA256()))
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _subject(user: str, groups: Iterable[str]) -> x509.Name:
    """Kubernetes reads the user from the common name and the groups from the organizations."""
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general_names(request: Request) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in request.names),
        *(x509.IPAddress(ip) for ip in request.addresses),
    ]


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _public_pem(key: ec.EllipticCurvePublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
