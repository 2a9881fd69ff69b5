"""`mcpctl tools`: the tools behind a gateway, and the lock of what was approved of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import access
from cli.console import err, out
from cli.pins.changes import Change, applied, changes, difference, missing, visible
from cli.pins.source import DEFAULT_KEY, Options, Source, signing_key, source_of
from infra.engine.record import REPOSITORY
from infra.errors import PlatformError
from services.kit.pins import Lock, PinKeyError, SigningKey

EXIT_DIFFERS: Final = 1

app = typer.Typer(help="List tools; lock what they are, and approve what has changed.")

Stack = Annotated[str, typer.Option("--stack", "-s", help="The stack whose gateway is asked.")]
Url = Annotated[str | None, typer.Option("--url", help="A gateway's address, instead of a stack's.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="A token with scope mcp:admin; a stack's own by default.")
]
LockFile = Annotated[
    Path | None, typer.Option("--lock-file", help="The lock; by default the one of the stack's settings.")
]
Key = Annotated[Path, typer.Option("--key", envvar="MCPCTL_SIGNING_KEY", help="The private key that signs.")]
PublicKeys = Annotated[
    list[Path] | None,
    typer.Option("--public-key", help="Whose signature counts, besides the settings' and the key's own."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Shadowing = Annotated[
    bool, typer.Option("--shadowing", help="Also tools whose names look like those of others.")
]


@app.callback(invoke_without_command=True)
def tools(context: typer.Context, stack: Stack = "dev", as_json: access.AsJson = False) -> None:
    """List the tools of all servers behind the gateway."""
    if context.invoked_subcommand is None:
        access.tools(stack, as_json)


@app.command()
def keygen(
    key: Key = DEFAULT_KEY,
    public: Annotated[Path | None, typer.Option("--public", help="Where the public key goes.")] = None,
) -> None:
    """Make a pair of keys. The private one stays outside of the project; nobody else can read it."""
    path = key.expanduser().resolve()
    if path.is_relative_to(REPOSITORY):
        raise PlatformError(
            f"{path} is in the project: a private key must not get into a repository",
            hint="name a file elsewhere with --key",
        )
    public = public or path.with_suffix(".pub.pem")
    pair = SigningKey.generate()
    try:
        pair.write(path)
        public.write_bytes(pair.public.pem())
    except PinKeyError as error:
        raise PlatformError(str(error), hint="name another file with --key") from None
    out.print(f"private key {path}\npublic key  {public}\nkey id      {pair.public.key_id}", soft_wrap=True)
    err.print("next: put the public key into the project, and name it in gateway.pinning.public_key_files")


@app.command()
def lock(
    stack: Stack = "dev",
    url: Url = None,
    token_file: TokenFile = None,
    lock_file: LockFile = None,
    key: Key = DEFAULT_KEY,
    public_key: PublicKeys = None,
    yes: Yes = False,
    shadowing: Shadowing = False,
) -> None:
    """Make a lock of everything that servers list now, or make it anew."""
    signer = signing_key(key)
    with source_of(_options(stack, url, token_file, lock_file, public_key), signer) as source:
        before, found = _compare(source)
        if unclear := [it for it in found if it.how == "unclear"]:
            raise PlatformError(f"{unclear[0].name}: {unclear[0].problem}", hint="approve the others by name")
        _refuse_shadowing(found, shadowing)
        _sign(source, signer, before, found, yes=yes)


@app.command()
def approve(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="As callers have them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that has changed or is new.")] = False,
    stack: Stack = "dev",
    url: Url = None,
    token_file: TokenFile = None,
    lock_file: LockFile = None,
    key: Key = DEFAULT_KEY,
    public_key: PublicKeys = None,
    yes: Yes = False,
    shadowing: Shadowing = False,
) -> None:
    """Show what has changed in tools and prompts, and sign it if you agree."""
    if bool(names) == everything:
        raise PlatformError("name the tools to approve, or --all", hint="mcpctl tools verify lists them")
    signer = signing_key(key)
    with source_of(_options(stack, url, token_file, lock_file, public_key), signer) as source:
        before, found = _compare(source)
        chosen = _chosen(names, found) if names else _all_but_shadowing(found, shadowing)
        if chosen:
            _sign(source, signer, before, chosen, yes=yes)
        else:
            out.print("nothing to approve")


@app.command()
def verify(
    stack: Stack = "dev",
    url: Url = None,
    token_file: TokenFile = None,
    lock_file: LockFile = None,
    public_key: PublicKeys = None,
    as_json: access.AsJson = False,
) -> None:
    """Compare the lock with what servers list now; exit 1 where they differ."""
    with source_of(_options(stack, url, token_file, lock_file, public_key)) as source:
        lock_, silent, found, pins = _read(source)
        if lock_ is None:
            raise PlatformError(f"{source.lock_file} isn't there", hint="mcpctl tools lock makes it")
    if as_json:
        listed = [{"server": it.key[0], "kind": it.key[1], "name": it.key[2], "how": it.how} for it in found]
        gateway = {key: pins[key] for key in ("mode", "lock", "withheld")}
        content = {"key_id": lock_.key_id, "differences": listed, "silent": silent, "gateway": gateway}
        typer.echo(json.dumps(content, indent=2))
    else:
        entries = sum(1 for _ in lock_.entries())
        out.print(f"{source.lock_file}: {entries} definitions, signed by {lock_.key_id}", markup=False)
        _print_changes(found)
        _warn_of(silent)
        _print_gateway(pins)
    if found or silent:
        raise typer.Exit(EXIT_DIFFERS)


def _options(
    stack: str, url: str | None, token_file: Path | None, lock_file: Path | None, keys: Sequence[Path] | None
) -> Options:
    return Options(
        stack=stack, url=url, token_file=token_file, lock_file=lock_file, public_keys=tuple(keys or ())
    )


def _read(source: Source) -> tuple[Lock | None, dict[str, str], list[Change], dict[str, object]]:
    lock_, pins = source.lock(), source.pins()
    return lock_, missing(pins["servers"]), changes(lock_ or Lock({}), pins["servers"]), pins


def _compare(source: Source) -> tuple[Lock, list[Change]]:
    lock_, silent, found, _ = _read(source)
    _warn_of(silent)
    return lock_ or Lock({}), found


def _warn_of(silent: dict[str, str]) -> None:
    for server, problem in silent.items():
        message = f"server {server} does not tell its tools: {visible(problem)}"
        err.print(message, markup=False, soft_wrap=True)


def _chosen(names: list[str], found: list[Change]) -> list[Change]:
    chosen = [it for it in found if it.name in names]
    for name in names:
        if not any(it.name == name for it in chosen):
            raise PlatformError(
                f"{name} has not changed, or isn't there", hint="mcpctl tools verify lists what has"
            )
    for it in chosen:
        if it.how == "unclear":
            raise PlatformError(f"{it.name}: {it.problem}")
    return chosen


def _all_but_shadowing(found: list[Change], shadowing: bool) -> list[Change]:
    listed = [it for it in found if it.how in {"changed", "added"}]
    chosen = [it for it in listed if shadowing or not it.like]
    for it in listed:
        if it not in chosen:
            err.print(f"left out: {_title(it)}; approve it by name, or give --shadowing", markup=False)
    return chosen


def _refuse_shadowing(found: list[Change], allowed: bool) -> None:
    for it in found:
        if it.like and not allowed:
            raise PlatformError(
                f"{it.name} looks like {', '.join(it.like)}: a model may take one for the other",
                hint="give --shadowing if that is meant",
            )


def _sign(source: Source, signer: SigningKey, before: Lock, chosen: list[Change], *, yes: bool) -> None:
    _print_changes(chosen)
    if not yes and not typer.confirm(f"Approve {len(chosen)} changes and sign?", err=True):
        raise PlatformError("nothing was approved")
    source.write(applied(before, chosen), signer)
    out.print(f"signed {source.lock_file} with {signer.public.key_id}", markup=False, soft_wrap=True)
    if source.stack is None:
        err.print("next: the gateway takes it over when it sees that the file has changed")
    elif source.configured:
        err.print(f"next: mcpctl up --stack {source.stack} puts it in force; no pod restarts")
    else:
        err.print(f"next: set gateway.pinning in Pulumi.{source.stack}.yaml; docs/guides/safety.md says how")


def _title(it: Change) -> str:
    like = f", which looks like {', '.join(it.like)}" if it.like else ""
    kind = it.key[1].removesuffix("s")
    return visible(f"{it.how} {kind} {it.name}{like}" + (f": {it.problem}" if it.problem else ""))


def _print_changes(found: list[Change]) -> None:
    for it in found:
        out.print(_title(it), style="bold", markup=False, highlight=False, soft_wrap=True)
        if it.how == "unclear":
            continue
        for line in difference(it.before, it.now):
            style = {"+": "green", "-": "red"}.get(line[:1], "dim")
            out.print(f"  {line}", style=style, markup=False, highlight=False, soft_wrap=True)


def _print_gateway(pins: dict[str, object]) -> None:
    withheld = pins["withheld"]
    number = len(withheld) if isinstance(withheld, list) else 0
    out.print(f"the gateway: mode {pins['mode']}, {number} withheld", markup=False)
