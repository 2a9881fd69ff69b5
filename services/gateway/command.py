"""Command line: `mcp-gateway --config FILE` (also `python -m services.gateway`)."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.gateway.access import trust_of
from services.gateway.app import SERVICE, GatewayApp
from services.gateway.authorization import PolicyError, load_policy
from services.gateway.config import ENV_PREFIX, GatewayConfig
from services.gateway.config_auth import Auth
from services.gateway.config_file import ConfigError, load_config
from services.gateway.discovery import DiscoveryError
from services.gateway.pinning.lock_file import read_approved
from services.gateway.sealing import Sealer, StateKeyError
from services.kit.health import Health
from services.kit.logs import configure_logging
from services.kit.metrics import new_registry
from services.kit.ops import ops_app
from services.kit.pins import LockError, PinKeyError
from services.kit.serving import ServeError, serve
from services.kit.settings import ServiceSettings
from services.kit.tokens import KeyFileError
from services.kit.version import VERSION

DEFAULT_CONFIG: Final = Path("/etc/mcp-gateway/config.yaml")
CONFIG_VARIABLE: Final = f"{ENV_PREFIX}CONFIG"
USAGE_ERROR: Final = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the gateway; ends the process with 2 when its configuration can't be used."""
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config)
        if options.check:
            check(config)
            print(f"{options.config}: ok")
            return
        run(config)
    except (ConfigError, DiscoveryError, KeyFileError, PolicyError, ServeError, StateKeyError) as error:
        print(f"mcp-gateway: {error}", file=sys.stderr)
        raise SystemExit(USAGE_ERROR) from None
    except (LockError, PinKeyError) as error:
        print(f"mcp-gateway: pinning: {error}", file=sys.stderr)
        raise SystemExit(USAGE_ERROR) from None


def check(config: GatewayConfig) -> None:
    """Read what the configuration refers to, too.

    Raises:
        LockError: the tool lock can't be used.
        PinKeyError: a key that signs it can't be used.
        PolicyError: the policy can't be used.
        StateKeyError: a key for callers' state can't be used.
    """
    if config.pinning is not None:
        read_approved(config.pinning)
    Sealer.from_files(config.state.key_files)
    if config.authorization is not None:
        auth = config.auth if isinstance(config.auth, Auth) else None
        load_policy(config.authorization.policy_file, trust_of(auth))


def run(config: GatewayConfig) -> None:
    """Serve until a signal.

    Raises:
        DiscoveryError: discovery can't begin here.
        KeyFileError: an issuer's key can't be used.
        LockError: the tool lock can't be used.
        PinKeyError: a key that signs it can't be used.
        PolicyError: the policy can't be used.
        ServeError: an address can't be listened on.
    """
    configure_logging(SERVICE, config.log_level)
    health, registry = Health(), new_registry()
    app = GatewayApp(config, health, registry)
    settings = ServiceSettings.model_construct(
        host=config.listen.host,
        port=config.listen.port,
        ops_port=config.listen.ops_port,
        log_level=config.log_level,
        drain_seconds=config.drain_seconds,
        unread_seconds=config.requests.unread_seconds,
        max_head_bytes=config.requests.max_head_bytes,
        max_header_fields=config.requests.max_header_fields,
    )
    serve(
        app,
        ops_app(SERVICE, health, registry),
        health=health,
        settings=settings,
        on_drain=app.drain,
        on_large_head=app.count_large_head,
        door=app.door,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mcp-gateway", description="The front door to many MCP servers.")
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG)),
        help=f"configuration file (default: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG})",
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and stop")
    parser.add_argument("--version", action="version", version=VERSION)
    return parser
