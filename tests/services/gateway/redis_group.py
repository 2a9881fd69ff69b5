"""A primary, replicas and Sentinels: the scripts and configuration of the stack, real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from infra.components import redis as component
from infra.components import redis_members
from infra.settings.groups import RedisStore
from infra.settings.replication import RedisReplication
from tests.ports import free_port
from tests.services.gateway.conftest import redis_program, wait_for

HOST = "127.0.0.1"
SECONDS = 60.0


def client(port: int, *, socket_timeout: float = 2, **user: Any) -> redis.Redis:
    """Tries once."""
    return redis.Redis(port=port, socket_timeout=socket_timeout, retry=Retry(NoBackoff(), 0), **user)


class Member:
    """One pod: a server and its Sentinel."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int, sentinel_port: int) -> None:
        self.port = port
        self.sentinel_port = sentinel_port
        self._folder = folder
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for program in ("start-sentinel", "start-server"):
            command = ["sh", str(self._folder / "config" / program)]
            with (self._folder / f"{program}.log").open("ab") as log:
                self._running[program] = subprocess.Popen(
                    command, env=self._environment, stdout=log, stderr=log, start_new_session=True
                )

    def kill(self) -> None:
        """As the end of a node does."""
        self._signal(signal.SIGKILL)
        self._end()

    def stop(self) -> list[int]:
        """As the kubelet does."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return self._end()

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def lose_volume(self) -> None:
        shutil.rmtree(self._folder / "data")
        (self._folder / "data").mkdir()

    def client(self, **user: Any) -> redis.Redis:
        options: dict[str, Any] = {"password": Group.PASSWORD, **user}
        return client(self.port, **options)

    def role(self) -> str | None:
        """What the server is; None while it doesn't say."""
        try:
            with self.client() as found:
                return found.role()[0].decode()
        except RedisError:
            return None

    @property
    def ready(self) -> bool:
        command = ["sh", str(self._folder / "config" / "ready")]
        return (
            subprocess.run(command, env=self._environment, check=False, capture_output=True).returncode == 0
        )

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            if process.poll() is None:
                os.killpg(process.pid, number)

    def _end(self) -> list[int]:
        ended = [process.wait(60) for process in self._running.values()]
        self._running.clear()
        return ended


class Group:
    """All members."""

    PASSWORD = "correct horse"
    REPLICATION = 'battery "staple\\'

    def __init__(self, folder: Path, members: int = 3) -> None:
        replication = RedisReplication(servers=members, down_seconds=2)
        self._folder = folder
        self.password_file = self._file("password", f"{self.PASSWORD}\n")
        ports = [(free_port(), free_port()) for _ in range(members)]
        environment = {
            **os.environ,
            **redis_members.environment(
                [f"{HOST}:{port}" for port, _ in ports], [f"{HOST}:{port}" for _, port in ports], replication
            ),
            "PATH": f"{self._programs()}:{os.environ['PATH']}",
            "REDIS_PASSWORD_FILE": str(self.password_file),
            "REDIS_REPLICATION_FILE": str(self._file("replication", self.REPLICATION)),
        }
        self.members = [
            self._member(number, replication, environment, *pair) for number, pair in enumerate(ports)
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """`redis` of a gateway's configuration."""
        return {
            "sentinels": [{"host": HOST, "port": member.sentinel_port} for member in self.members],
            "primary": redis_members.GROUP,
            "password_file": str(self.password_file),
            "timeout_seconds": 2,
        }

    def start(self) -> None:
        for member in self.members:
            member.start()
        self.whole()

    def whole(self) -> Member:
        """Wait until there is one primary that all others follow; it is returned."""
        return wait_for(self._primary_of_all, "group that is whole", SECONDS)

    def primary(self) -> Member | None:
        """The one primary among those that run."""
        primaries = [member for member in self.members if member.role() == "master"]
        return primaries[0] if len(primaries) == 1 else None

    def stop(self) -> None:
        for member in self.members:
            member.kill()

    def _primary_of_all(self) -> Member | None:
        primary = self.primary()
        if primary is None or not all(member.ready for member in self.members):
            return None
        with primary.client() as found:
            if found.info("replication")["connected_slaves"] != len(self.members) - 1:
                return None
        return primary if all(self._knows_all(member) for member in self.members) else None

    def _knows_all(self, member: Member) -> bool:
        """Whether a Sentinel could take part in an election."""
        try:
            with client(member.sentinel_port, username="sentinel", password=self.REPLICATION) as sentinel:
                found = sentinel.sentinel_master(redis_members.GROUP, return_responses=True)
                state = cast("dict[str, Any]", found)
        except RedisError:
            return False
        others = len(self.members) - 1
        return state["num-slaves"] == others and state["num-other-sentinels"] == others

    def _member(
        self,
        number: int,
        replication: RedisReplication,
        environment: dict[str, str],
        port: int,
        sentinel: int,
    ) -> Member:
        folder = self._folder / f"member-{number}"
        data, run, config = (folder / name for name in ("data", "run", "config"))
        for place in (data, run, config):
            place.mkdir(parents=True)
        for name, text in component.build_files(RedisStore(replication=replication)).items():
            here = text.replace("dir /data", f"dir {data}").replace("/run/valkey", str(run))
            (config / name).write_text(here)
        own = {"REDIS_ORDINAL": str(number), "REDIS_DATA": str(data), "REDIS_RUN": str(run)}
        return Member(folder, environment | own, port, sentinel)

    def _programs(self) -> Path:
        """A folder where the programs have Valkey's names, as in the image, whoever's they are."""
        folder = self._folder / "programs"
        folder.mkdir()
        server = shutil.which(redis_program())
        assert server is not None
        for name in ("server", "cli"):
            (folder / f"valkey-{name}").symlink_to(Path(server).with_name(Path(server).name[:-6] + name))
        return folder

    def _file(self, name: str, text: str) -> Path:
        file = self._folder / name
        file.write_text(text)
        return file
