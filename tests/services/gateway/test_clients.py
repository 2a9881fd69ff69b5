"""The official client in front, official servers behind, in both protocol generations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

if TYPE_CHECKING:
    from conftest import Gateway

pytestmark = pytest.mark.parametrize("mode", ["auto", "legacy"])


def as_client(gateway: Gateway, mode: str, action: Callable[[Client], Awaitable[Any]]) -> Any:
    async def connected() -> Any:
        async with Client(f"{gateway.url}/mcp", mode=mode) as client:
            return await action(client)

    return asyncio.run(connected())


def test_the_generation_is_the_clients_choice(gateway: Gateway, mode: str) -> None:
    async def version(client: Client) -> str:
        return client.protocol_version

    expected = {"auto": "2026-07-28", "legacy": "2025-11-25"}
    assert as_client(gateway, mode, version) == expected[mode]


def test_tools_of_all_servers_are_listed_in_order_with_their_servers_name(
    gateway: Gateway, mode: str
) -> None:
    tools = as_client(gateway, mode, lambda client: client.list_tools()).tools
    names = [tool.name for tool in tools]
    assert names == sorted(names)
    assert {"alpha__add", "beta__add", "odd__mirror", "odd__link"} <= set(names)
    descriptions = {tool.name: tool.description for tool in tools}
    assert descriptions["odd__mirror"] == "  mirror\n"


def test_a_call_reaches_the_named_server(gateway: Gateway, mode: str) -> None:
    result = as_client(gateway, mode, lambda client: client.call_tool("alpha__add", {"a": 19, "b": 23}))
    assert not result.is_error
    assert result.content[0].text == "42"
    assert result.structured_content == {"result": 42}


def test_a_failing_tool_is_a_result_not_a_protocol_error(gateway: Gateway, mode: str) -> None:
    result = as_client(gateway, mode, lambda client: client.call_tool("alpha__fail", {}))
    assert result.is_error


@pytest.mark.parametrize("name", ["nowhere__add", "add", "alpha__", "__add"])
def test_an_unknown_tool_is_invalid_params(gateway: Gateway, mode: str, name: str) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(MCPError, match="Unknown tool"), flatten_subgroups=True
    ) as caught:
        as_client(gateway, mode, lambda client: client.call_tool(name, {}))
    (error,) = caught.value.exceptions
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, MCPError)
    assert error.code == -32602


def test_resources_and_templates_carry_their_servers_name_and_can_be_read(
    gateway: Gateway, mode: str
) -> None:
    async def read(client: Client) -> tuple[list[str], list[str], Any, Any]:
        resources = [resource.uri for resource in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates
        first = await client.read_resource("beta+note://first")
        other = await client.read_resource("alpha+note://by/me")
        return resources, [template.uri_template for template in templates], first, other

    resources, templates, first, other = as_client(gateway, mode, read)
    assert resources == ["alpha+note://first", "beta+note://first"]
    assert templates == ["alpha+note://by/{title}", "beta+note://by/{title}"]
    assert (first.contents[0].uri, first.contents[0].text) == ("beta+note://first", "the first note of beta")
    assert other.contents[0].text == "a note called me"


def test_prompts(gateway: Gateway, mode: str) -> None:
    async def prompts(client: Client) -> tuple[list[str], Any]:
        listed = await client.list_prompts()
        return [prompt.name for prompt in listed.prompts], await client.get_prompt(
            "beta__greet", {"whom": "Ada"}
        )

    names, prompt = as_client(gateway, mode, prompts)
    assert names == ["alpha__greet", "beta__greet"]
    assert prompt.messages[0].content.text == "Say hello to Ada."


@pytest.mark.parametrize(
    "reference",
    [
        PromptReference(type="ref/prompt", name="beta__greet"),
        ResourceTemplateReference(type="ref/resource", uri="beta+note://by/{title}"),
    ],
)
def test_completions(
    gateway: Gateway, mode: str, reference: PromptReference | ResourceTemplateReference
) -> None:
    async def complete(client: Client) -> list[str]:
        return (await client.complete(reference, {"name": "whom", "value": "a"})).completion.values

    assert as_client(gateway, mode, complete) == [f"beta {type(reference).__name__} a"]


@pytest.mark.parametrize("region", ["eu-1", " padded ", "Zürich", "=?base64?eA==?="])
def test_parameters_that_are_repeated_in_headers(gateway: Gateway, mode: str, region: str) -> None:
    async def call(client: Client) -> str:
        await client.list_tools()
        result = await client.call_tool("alpha__place", {"region": region, "rack": 7})
        return result.content[0].text  # pyright: ignore[reportAttributeAccessIssue] - it is text

    assert as_client(gateway, mode, call) == f"{region} 7"


def test_progress_streams_through(gateway: Gateway, mode: str) -> None:
    steps: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert (total, message) == (3, None)
        steps.append(progress)

    async def call(client: Client) -> Any:
        return await client.call_tool("beta__steps", {"count": 3}, progress_callback=note)

    assert as_client(gateway, mode, call).content[0].text == "3 steps"
    assert steps == [1, 2, 3]


def test_links_in_results_can_be_read_through_the_gateway(gateway: Gateway, mode: str) -> None:
    content = as_client(gateway, mode, lambda client: client.call_tool("odd__link", {})).content
    assert content[0].uri == "odd+note://linked"
    assert content[1].resource.uri == "odd+note://embedded"
    assert content[2].text == "note://plain"


def test_calls_are_spread_over_replicas(gateway: Gateway, mode: str) -> None:
    async def ask(client: Client) -> set[str]:
        return {(await client.call_tool("beta__which", {})).content[0].text for _ in range(6)}  # pyright: ignore[reportAttributeAccessIssue] - it is text

    assert len(as_client(gateway, mode, ask)) == 2
