"""The gateway that a lock is made from, and the files that belong to it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.gateway_access import GatewayAccess
from infra.engine.record import REPOSITORY
from infra.errors import PlatformError
from services.kit.pins import Lock, LockError, PinKeyError, SigningKey, VerifyingKey

DEFAULT_KEY: Final = Path("~/.config/mcp-platform/tools-signing-key.pem")
ADMIN_SCOPE: Final = "mcp:admin"
PINS_PATH: Final = "/admin/pins"
SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command was told."""

    stack: str
    url: str | None
    token_file: Path | None
    lock_file: Path | None
    public_keys: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A gateway, its lock's file, and the keys that count.

    Attributes:
        url: The gateway, without path.
        token: A bearer token; None where it needs none.
        lock_file: Where the lock is, or is to be.
        keys: Whose signatures count.
        stack: The stack, where it is one's gateway.
        configured: Whether the stack's settings have pinning.
    """

    url: str
    token: str | None
    lock_file: Path
    keys: tuple[VerifyingKey, ...]
    stack: str | None
    configured: bool

    def pins(self) -> dict[str, Any]:
        """What the gateway says: its lock, what is withheld, and what all servers list now.

        Raises:
            PlatformError: It doesn't answer, or refuses.
        """
        import httpx2  # noqa: PLC0415 - it takes long to load

        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            with httpx2.Client(trust_env=False, timeout=SECONDS) as client:
                found = client.get(f"{self.url}{PINS_PATH}", params={"definitions": "true"}, headers=headers)
            content = found.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise PlatformError(
                f"the gateway at {self.url} does not tell its tools: {error or type(error).__name__}",
                hint="is it up? with --url, give its address without a path",
            ) from None
        if found.status_code != 200:  # noqa: PLR2004 - HTTP's own number
            detail = content.get("detail", "") if isinstance(content, Mapping) else ""
            raise PlatformError(
                f"the gateway at {self.url} answered HTTP {found.status_code}: {detail}",
                hint=f"the token needs the scope {ADMIN_SCOPE}",
            )
        return content

    def lock(self) -> Lock | None:
        """The lock as it is; None where there is none yet.

        Raises:
            PlatformError: It can't be used: what isn't signed mustn't get signed along.
        """
        try:
            text = self.lock_file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PlatformError(f"{self.lock_file}: {error.strerror}") from None
        try:
            return Lock.parse(text, self.keys)
        except LockError as error:
            raise PlatformError(
                f"{self.lock_file} {error}",
                hint="get back the version that was signed, or name its key with --public-key; "
                "or delete it and make a new one with mcpctl tools lock",
            ) from None

    def write(self, lock: Lock, key: SigningKey) -> None:
        """Sign the lock and put it in its place, whole or not at all.

        Raises:
            PlatformError: It can't be written.
        """
        new = self.lock_file.with_name(f".{self.lock_file.name}.new")
        try:
            new.write_text(lock.signed(key), encoding="utf-8")
            new.replace(self.lock_file)
        except OSError as error:
            raise PlatformError(f"{self.lock_file}: {error.strerror}") from None


@contextmanager
def source_of(options: Options, *signers: SigningKey) -> Generator[Source]:
    """The gateway that is meant: at a URL, or a stack's; what `signers` signed counts, too.

    Raises:
        PlatformError: Something that is needed is missing, or the gateway isn't reached.
    """
    if options.url is None:
        with GatewayAccess.of(options.stack) as gateway:
            pinning = gateway.deployed.settings.gateway.pinning
            in_settings = [] if pinning is None else [REPOSITORY / it for it in pinning.public_key_files]
            token = _token(options) or gateway.token("mcpctl", ADMIN_SCOPE)
            lock_file = options.lock_file or (REPOSITORY / pinning.lock_file if pinning else None)
            yield Source(
                url=gateway.url,
                token=token,
                lock_file=_required(lock_file),
                keys=_keys([*in_settings, *options.public_keys], signers),
                stack=options.stack,
                configured=pinning is not None,
            )
    else:
        yield Source(
            url=options.url.rstrip("/"),
            token=_token(options),
            lock_file=_required(options.lock_file),
            keys=_keys(options.public_keys, signers),
            stack=None,
            configured=False,
        )


def signing_key(path: Path) -> SigningKey:
    """The key that signs.

    Raises:
        PlatformError: It can't be used.
    """
    try:
        return SigningKey.read(path.expanduser())
    except PinKeyError as error:
        raise PlatformError(str(error), hint="mcpctl tools keygen makes one") from None


def _required(lock_file: Path | None) -> Path:
    if lock_file is None:
        raise PlatformError(
            "no lock file is named", hint="give --lock-file, or set gateway.pinning.lock_file in the stack"
        )
    return lock_file


def _token(options: Options) -> str | None:
    if options.token_file is None:
        return None
    try:
        return options.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(f"{options.token_file}: {error}") from None


def _keys(paths: list[Path] | tuple[Path, ...], signers: tuple[SigningKey, ...]) -> tuple[VerifyingKey, ...]:
    try:
        return (*(VerifyingKey.read(path) for path in paths), *(it.public for it in signers))
    except PinKeyError as error:
        raise PlatformError(str(error)) from None
