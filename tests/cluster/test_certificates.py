from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from infra.cluster import certificates
from infra.cluster.api import client_context
from infra.cluster.spec import ClusterSpec, Layout

SPEC = ClusterSpec(name="default", index=0, api_port=16443, gateway_port=8080)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    certificates.ensure(SPEC, layout)
    return layout


def load(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.certificates / f"{name}.crt").read_bytes())


def test_nothing_is_readable_by_others(layout: Layout) -> None:
    assert layout.certificates.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in layout.certificates.iterdir()} == {0o600}


def test_a_second_time_nothing_changes(layout: Layout) -> None:
    before = {path: path.read_bytes() for path in layout.certificates.iterdir()}
    assert certificates.stale(SPEC, layout) == []
    certificates.ensure(SPEC, layout)
    assert {path: path.read_bytes() for path in layout.certificates.iterdir()} == before


def test_what_is_damaged_or_missing_is_made_again(layout: Layout) -> None:
    (layout.certificates / "kubelet.key").unlink()
    (layout.certificates / "kube-proxy.crt").write_text("no certificate")
    admin = (layout.certificates / "admin.key").read_text()
    (layout.certificates / "kube-scheduler.key").write_text(admin)
    assert certificates.stale(SPEC, layout) == ["kubelet", "kube-scheduler", "kube-proxy"]
    certificates.ensure(SPEC, layout)
    assert certificates.stale(SPEC, layout) == []


def test_a_certificate_is_renewed_before_it_expires(layout: Layout) -> None:
    request = next(request for request in certificates.requests(SPEC) if request.file == "kubelet")
    authority = certificates.ensure_authority(layout.certificates, "ca")
    expiry = load(layout, "kubelet").not_valid_after_utc
    early, late = expiry - timedelta(days=61), expiry - timedelta(days=59)
    assert certificates.is_current(layout.certificates, request, authority, now=early)
    assert not certificates.is_current(layout.certificates, request, authority, now=late)


def test_a_new_address_asks_for_new_certificates(layout: Layout) -> None:
    moved = ClusterSpec(name="default", index=1, api_port=16443, gateway_port=8080)
    assert certificates.stale(moved, layout) == ["kube-apiserver", "kubelet", "metrics-server-serving"]


def test_users_and_groups_are_what_the_authorizers_expect(layout: Layout) -> None:
    subject = load(layout, "kubelet").subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "system:node:mcp-default"
    ]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]


def test_only_the_bootstrap_certificate_bypasses_rbac() -> None:
    above = [request.file for request in certificates.requests(SPEC) if "system:masters" in request.groups]
    assert above == ["bootstrap"]


def test_authorities_may_sign_and_the_others_may_not(layout: Layout) -> None:
    names = [request.file for request in certificates.requests(SPEC)]
    for name, expected in [("ca", True), ("front-proxy-ca", True), *((name, False) for name in names)]:
        constraints = load(layout, name).extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value.ca is expected


def test_lives_are_bounded(layout: Layout) -> None:
    for request in certificates.requests(SPEC):
        assert load(layout, request.file).not_valid_after_utc - datetime.now(UTC) < timedelta(days=398)


def handshake(layout: Layout, server: str, user: str, authority: str = "ca") -> None:
    """A mutual TLS handshake between two holders of the cluster's certificates."""
    pki = layout.certificates
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki / f"{authority}.crt")
    serving.verify_mode = ssl.CERT_REQUIRED
    serving.load_cert_chain(pki / f"{server}.crt", pki / f"{server}.key")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True) as connection:
                connection.sendall(b"ok")
        except ssl.SSLError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_context(pki, user).wrap_socket(ours, server_hostname="127.0.0.1") as connection:
            assert connection.recv(2) == b"ok"
    finally:
        thread.join()


def test_the_certificates_work_in_tls(layout: Layout) -> None:
    handshake(layout, "kube-apiserver", "admin")
    handshake(layout, "etcd", "apiserver-etcd-client")


def test_a_client_of_the_other_authority_is_refused(layout: Layout) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        handshake(layout, "kube-apiserver", "front-proxy-client")


def test_a_client_certificate_can_not_serve(layout: Layout) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(layout, "kube-scheduler", "admin")
