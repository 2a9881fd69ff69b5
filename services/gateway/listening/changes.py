"""What can change, and what callers are told of it."""

from typing import Final

import msgspec

from services.gateway.authorization import Kind
from services.gateway.messages import RawObject, RequestId, encode
from services.gateway.messages import raw as raw_json

METHOD: Final = "subscriptions/listen"
SUBSCRIPTION_KEY: Final = "io.modelcontextprotocol/subscriptionId"

LIST_METHODS: Final = {f"notifications/{kind}/list_changed": kind for kind in Kind}
UPDATED_METHOD: Final = "notifications/resources/updated"
ACKNOWLEDGED_METHOD: Final = "notifications/subscriptions/acknowledged"


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Something of a server changed: one of its lists, or a resource. Whoever cares asks for it again."""

    server: str
    kind: Kind
    """Of the list; always RESOURCE where there is a URI."""
    uri: str = ""
    """Of the resource, as its server has it; empty for a list."""


class Filter(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """The `notifications` of a request to listen, and of the acknowledgement: what is wanted."""

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: list[str] | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        """The lists whose changes are wanted."""
        wanted = {
            Kind.TOOL: self.tools_list_changed,
            Kind.PROMPT: self.prompts_list_changed,
            Kind.RESOURCE: self.resources_list_changed,
        }
        return frozenset(kind for kind, value in wanted.items() if value)


def filter_of(kinds: frozenset[Kind], uris: list[str]) -> Filter:
    """The filter for these lists and resources."""
    return Filter(
        tools_list_changed=Kind.TOOL in kinds or None,
        prompts_list_changed=Kind.PROMPT in kinds or None,
        resources_list_changed=Kind.RESOURCE in kinds or None,
        resource_subscriptions=uris or None,
    )


def changes_of(server: str) -> list[Change]:
    """All of a server's lists changed."""
    return [Change(server, kind) for kind in Kind]


def acknowledgement(subscription: RequestId, honored: Filter) -> bytes:
    """The first message of a stream."""
    return _notification(ACKNOWLEDGED_METHOD, subscription, notifications=honored)


def list_changed(subscription: RequestId | None, kind: Kind) -> bytes:
    """A list is worth asking for again. The older generation's messages name no subscription."""
    return _notification(f"notifications/{kind}/list_changed", subscription)


def resource_updated(subscription: RequestId | None, uri: str) -> bytes:
    """A resource is worth reading again; `uri` is the caller's."""
    return _notification(UPDATED_METHOD, subscription, uri=uri)


def closing(subscription: RequestId) -> RawObject:
    """The result that ends a stream properly."""
    return {"_meta": raw_json({SUBSCRIPTION_KEY: subscription})}


def _notification(method: str, subscription: RequestId | None, **params: object) -> bytes:
    meta = {} if subscription is None else {"_meta": {SUBSCRIPTION_KEY: subscription}}
    content = {**meta, **params}
    return encode({"jsonrpc": "2.0", "method": method, **({"params": content} if content else {})})
