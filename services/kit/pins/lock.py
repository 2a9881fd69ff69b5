"""The lock file: server → kind → name → definition and digest, and one signature over all of it.

    {
      "format": "mcp-platform/tool-lock/1",
      "servers": {
        "filesystem": {
          "tools": {"read_file": {"definition": {"name": "read_file", …}, "sha256": "…"}},
          "prompts": {}
        }
      },
      "signature": "eyJ….."
    }

The signature is over the canonical JSON of the rest, so white space doesn't matter. The definitions are there
for people who read a change of the file; what counts is the digests, which must be theirs.
"""

import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.kit.pins.definition import (
    Definition,
    MalformedDefinitionError,
    canonical,
    digest_of,
    parse_definition,
)
from services.kit.pins.keys import SigningKey, VerifyingKey

FORMAT: Final = "mcp-platform/tool-lock/1"
TOOLS: Final = "tools"
PROMPTS: Final = "prompts"
KINDS: Final = (TOOLS, PROMPTS)
MAX_BYTES: Final = 16 * 1024 * 1024


class LockError(Exception):
    """The lock can't be used; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A definition as it was approved."""

    definition: Definition
    sha256: str

    @classmethod
    def of(cls, definition: Definition) -> "Pinned":
        """Pin this."""
        return cls(definition, digest_of(definition))


Kinds = Mapping[str, Mapping[str, Pinned]]
"""Kind → the server's own name → what was approved."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything that was approved."""

    servers: Mapping[str, Kinds]
    key_id: str = ""
    """Whose signature it was read with."""

    def find(self, server: str, kind: str, name: str) -> Pinned | None:
        """What was approved under this name; None: nothing was."""
        return self.servers.get(server, {}).get(kind, {}).get(name)

    def entries(self) -> Iterator[tuple[str, str, str, Pinned]]:
        """Server, kind, name and definition of each."""
        for server, kinds in self.servers.items():
            for kind, names in kinds.items():
                for name, pinned in names.items():
                    yield server, kind, name, pinned

    @classmethod
    def parse(cls, text: bytes, keys: Collection[VerifyingKey]) -> "Lock":
        """Read a file that one of `keys` has signed.

        Raises:
            LockError: nobody who counts has signed it, or it isn't of the form above.
        """
        if len(text) > MAX_BYTES:
            raise LockError(f"is larger than {MAX_BYTES} bytes")
        try:
            content = parse_definition(text)
        except MalformedDefinitionError as error:
            raise LockError(f"isn't JSON: {error}") from None
        signature = content.pop("signature", None)
        if content.get("format") != FORMAT:
            raise LockError(f"must have the format {FORMAT!r}, has {content.get('format')!r:.60}")
        signed = canonical(content)
        key = next((it for it in keys if isinstance(signature, str) and it.verifies(signature, signed)), None)
        if key is None:
            known = ", ".join(sorted(it.key_id for it in keys)) or "none"
            raise LockError(f"isn't signed by any key that is accepted here ({known})")
        if extra := sorted(content.keys() - {"format", "servers"}):
            raise LockError(f"has {extra[0]!r}, which isn't known")
        return cls(_servers(content.get("servers")), key.key_id)

    def signed(self, key: SigningKey) -> str:
        """The file, signed by `key`: the same for the same definitions, and readable."""
        content: dict[str, Any] = {"format": FORMAT, "servers": self._plain()}
        content["signature"] = key.sign(canonical(content))
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        return "".join(map(_visible, text)) + "\n"

    def _plain(self) -> dict[str, Any]:
        return {
            server: {
                kind: {name: {"definition": it.definition, "sha256": it.sha256} for name, it in names.items()}
                for kind, names in kinds.items()
            }
            for server, kinds in self.servers.items()
        }


def _servers(content: object) -> dict[str, Kinds]:
    return {server: _kinds(f"servers.{server}", it) for server, it in _mapping("servers", content).items()}


def _kinds(where: str, content: object) -> Kinds:
    kinds = _mapping(where, content)
    if unknown := sorted(kinds.keys() - set(KINDS)):
        raise LockError(f"{where} has {unknown[0]!r}; allowed: {', '.join(KINDS)}")
    return {
        kind: {
            name: _pinned(f"{where}.{kind}.{name}", name, it)
            for name, it in _mapping(f"{where}.{kind}", names).items()
        }
        for kind, names in kinds.items()
    }


def _pinned(where: str, name: str, content: object) -> Pinned:
    entry = _mapping(where, content)
    definition = _mapping(f"{where}.definition", entry.get("definition"))
    if entry.keys() != {"definition", "sha256"}:
        raise LockError(f"{where} must have 'definition' and 'sha256'")
    if definition.get("name") != name:
        raise LockError(f"{where} is the definition of {definition.get('name')!r:.60}")
    pinned = Pinned.of(definition)
    if entry["sha256"] != pinned.sha256:
        raise LockError(f"{where}.sha256 isn't the definition's")
    return pinned


def _mapping(where: str, content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise LockError(f"{where} must be a mapping")
    return content


def _visible(character: str) -> str:
    """What isn't seen, or changes how others are, is escaped: a reviewer must see it."""
    if character == "\n" or (character.isprintable() and not unicodedata.category(character).startswith("M")):
        return character
    return json.dumps(character)[1:-1]
