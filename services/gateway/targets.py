"""What a request names: the tool, prompt or resource of a server, as that server calls it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from services.gateway.authorization import Kind
from services.gateway.eras import NAMING_PARAMETER
from services.gateway.errors import INVALID_PARAMS, RpcError
from services.gateway.messages import DECODE_ERRORS, RawObject, decode_object, decode_text
from services.gateway.names import Names

_WORDS: Final = {Kind.TOOL: "tool", Kind.PROMPT: "prompt", Kind.RESOURCE: "resource"}
_KINDS: Final = {"tools/call": Kind.TOOL, "prompts/get": Kind.PROMPT, "resources/read": Kind.RESOURCE}
OWN_SERVER: Final = "gateway"
"""What the gateway's own tools are counted and written down under."""
MAX_NAME_BYTES: Final = 4096
"""A name goes to its server in a header, and has to leave room there."""
_texts: Final = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is named."""

    kind: Kind
    server: str
    """Empty where the name has no prefix."""
    name: str
    parameter: str
    """Which parameter names it."""
    qualified: str
    """As the caller wrote it."""
    own: bool = False
    """Whether it is a tool of the gateway's."""

    def unknown(self) -> RpcError:
        """The error of something that isn't there, for this caller or for anybody."""
        shown = self.qualified[:200]
        return RpcError(INVALID_PARAMS, f"Unknown {_WORDS[self.kind]}: {shown}", {self.parameter: shown})


@dataclass(frozen=True, slots=True)
class Written:
    """A name as the caller wrote it, and where."""

    kind: Kind
    text: str
    parameter: str


def _one(method: str, params: RawObject) -> list[Written]:
    return [_named(_KINDS[method], method, params, NAMING_PARAMETER[method])]


def _in_subscription(method: str, params: RawObject) -> list[Written]:
    return [_named(Kind.RESOURCE, method, params, "uri")]


def _in_completion(method: str, params: RawObject) -> list[Written]:
    """`ref` is a prompt by name, or a resource (template) by URI."""
    try:
        reference = decode_object(params["ref"])
    except (KeyError, *DECODE_ERRORS):
        raise RpcError(INVALID_PARAMS, f"{method} needs the parameter 'ref' (an object)") from None
    if "uri" in reference:
        return [_named(Kind.RESOURCE, method, reference, "uri")]
    return [_named(Kind.PROMPT, method, reference, "name")]


def _in_listening(method: str, params: RawObject) -> list[Written]:
    """`notifications.resourceSubscriptions` are URIs."""
    try:
        uris = _texts.decode(decode_object(params["notifications"])["resourceSubscriptions"])
    except KeyError:
        return []
    except DECODE_ERRORS:
        raise RpcError(INVALID_PARAMS, f"{method}: resourceSubscriptions must be a list of text") from None
    return [Written(Kind.RESOURCE, uri, "resourceSubscriptions") for uri in uris]


_NAMING: Final[Mapping[str, Callable[[str, RawObject], list[Written]]]] = {
    "tools/call": _one,
    "prompts/get": _one,
    "resources/read": _one,
    "resources/subscribe": _in_subscription,
    "resources/unsubscribe": _in_subscription,
    "completion/complete": _in_completion,
    "subscriptions/listen": _in_listening,
}
"""The methods that name something, and where."""

NAMELESS: Final = frozenset(
    {
        "server/discover",
        "initialize",
        "ping",
        "logging/setLevel",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        # A task belongs to who made it, and the call that made it was checked.
        "tasks/get",
        "tasks/update",
        "tasks/cancel",
    }
)
"""The methods that name nothing; lists are filtered where they are made."""


class Targets:
    """Finds what requests name."""

    def __init__(self, names: Names, own_tools: Collection[str] = ()) -> None:
        """Prepare; `own_tools` are those that the gateway itself answers."""
        self._names = names
        self.own_tools = own_tools

    def one(self, method: str, params: RawObject) -> Target:
        """What tools/call, prompts/get, resources/read or completion/complete names.

        Raises:
            RpcError: the parameter is missing or no text.
        """
        (written,) = _NAMING[method](method, params)
        return self._target(written)

    def all(self, method: str, params: RawObject) -> list[Target] | None:
        """Whatever a method names; None for a method of which that isn't known.

        Raises:
            RpcError: a parameter that names something is missing or malformed.
        """
        if method in NAMELESS:
            return []
        naming = _NAMING.get(method)
        return None if naming is None else [self._target(it) for it in naming(method, params)]

    def _target(self, written: Written) -> Target:
        if written.kind is Kind.TOOL and written.text in self.own_tools:
            return Target(Kind.TOOL, OWN_SERVER, written.text, written.parameter, written.text, own=True)
        split = self._names.split_uri if written.kind is Kind.RESOURCE else self._names.split
        server, name = split(written.text)
        return Target(written.kind, server, name, written.parameter, written.text)


def _named(kind: Kind, method: str, params: RawObject, parameter: str) -> Written:
    try:
        text = decode_text(params[parameter])
    except (KeyError, *DECODE_ERRORS):
        raise RpcError(INVALID_PARAMS, f"{method} needs the parameter {parameter!r} (text)") from None
    if len(text) * 4 > MAX_NAME_BYTES and len(text.encode()) > MAX_NAME_BYTES:
        raise RpcError(INVALID_PARAMS, f"{method}: {parameter!r} is longer than {MAX_NAME_BYTES} bytes")
    return Written(kind, text, parameter)
