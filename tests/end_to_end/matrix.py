"""Which TCP connections between a stack's pods, and to what is around them, really work.

Each is tried from inside a pod's network namespace, without the pod's programs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.cluster import Cluster
from infra.cluster.processes import children
from tests.infra.flows import Place

CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(target):
    try:
        socket.create_connection(tuple(target), timeout=3).close()
    except ConnectionRefusedError:
        return True  # the host answered: nothing listens there, but nothing forbids it
    except OSError:
        return False
    return True

targets = json.load(sys.stdin)
with ThreadPoolExecutor(32) as pool:
    json.dump(list(pool.map(reached, targets)), sys.stdout)
"""


def network_namespaces(cluster: Cluster) -> dict[str, int]:
    """By address: a process of each network namespace of the node's pods."""
    found: dict[str, int] = {}
    seen: set[str] = set()
    supervisor = cluster.status().pid
    assert supervisor is not None
    waiting = [supervisor]
    while waiting:
        pid = waiting.pop()
        waiting.extend(children(pid))
        try:
            namespace = str(Path(f"/proc/{pid}/ns/net").readlink())
        except OSError:
            continue
        if namespace not in seen:
            seen.add(namespace)
            found.update(dict.fromkeys(_addresses(pid), pid))
    return found


def _addresses(pid: int) -> list[str]:
    command = ["nsenter", "--target", str(pid), "--net", "ip", "-json", "-4", "address"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [
        address["local"]
        for link in json.loads(done.stdout)
        if link["ifname"] != "lo"
        for address in link["addr_info"]
    ]


def measured(cluster: Cluster, senders: Sequence[Place], receivers: Sequence[Place]) -> set[str]:
    """`sender→receiver:port` for every connection that is possible."""
    inside = network_namespaces(cluster)
    with ThreadPoolExecutor(len(senders)) as pool:
        runs = [pool.submit(_from, sender, inside, receivers) for sender in senders]
    return set().union(*(run.result() for run in runs))


def _from(sender: Place, inside: Mapping[str, int], receivers: Sequence[Place]) -> set[str]:
    targets = [(it, port) for it in receivers if it is not sender for port in it.ports]
    command = ["nsenter", "--target", str(inside[sender.address]), "--net", "python3", "-c", CONNECT]
    done = subprocess.run(
        command,
        input=json.dumps([(it.address, port) for it, port in targets]),
        capture_output=True,
        text=True,
        check=True,
    )
    reached: list[bool] = json.loads(done.stdout)
    return {f"{sender.name}→{it.name}:{port}" for (it, port), ok in zip(targets, reached, strict=True) if ok}
