"""The status page, in a real browser in front of real gateways."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from infra.cluster import packages

if TYPE_CHECKING:
    from conftest import Gateway, Launcher, Tokens

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000
"""Milliseconds; the machine may be busy."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, with a profile of its own; installed where it is missing and we may."""
    packages.ensure({"chromium": ["chromium"]}, print, "this test")
    program = shutil.which("chromium")
    assert program is not None
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=program, headless=True, args=FLAGS, timeout=PATIENCE
        )
        yield found
        found.close()


class Visit:
    """A page, and what the browser did for it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requested: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(PATIENCE)

    def row(self, server: str) -> Locator:
        return self.page.locator(f'tr[data-server="{server}"]')


Open = Callable[["Gateway"], Visit]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    opened: list[Page] = []

    def open_page(gateway: Gateway) -> Visit:
        page = browser.new_page()
        opened.append(page)
        found = Visit(page)
        page.goto(f"{gateway.url}/status")
        return found

    yield open_page
    for page in opened:
        page.close()


@pytest.fixture(autouse=True)
def _patient() -> None:
    expect.set_options(timeout=PATIENCE)


def test_servers_and_tools_are_shown(visit: Open, gateway: Gateway) -> None:
    found = visit(gateway)
    for name, endpoints in (("alpha", "1"), ("beta", "2"), ("odd", "1")):
        expect(found.row(name)).to_contain_text("ready")
        expect(found.row(name).locator("td").nth(1)).to_have_text(endpoints)
    expect(found.page.locator("#health")).to_have_text("ready")
    tools = found.page.locator("#tools li")
    listed = gateway.mcp("tools/list").json()["result"]["tools"]
    expect(tools).to_have_count(len(listed))
    expect(tools.filter(has_text="alpha__add")).to_contain_text("Add two numbers.")
    expect(found.page.locator("#login")).to_be_hidden()
    assert found.complaints == []


def test_figures_follow_what_happens(visit: Open, gateway: Gateway) -> None:
    found = visit(gateway)
    calls = found.row("alpha").locator("td").nth(7)
    expect(calls).not_to_have_text("")
    before = int(calls.inner_text().replace(",", "").partition(".")[0])
    for _ in range(20):
        gateway.mcp("tools/call", {"name": "alpha__add", "arguments": {"a": 1, "b": 2}})
    expect(calls).to_have_text(f"{before + 20:,}")
    errors = found.row("alpha").locator("td").nth(8)
    expect(errors).not_to_have_text("")
    gateway.mcp("tools/call", {"name": "alpha__fail", "arguments": {}})
    expect(errors).not_to_have_text("0")


def test_a_server_that_goes_away_is_seen(visit: Open, launcher: Launcher) -> None:
    port = launcher.program("mcp_server", "short")
    servers = [{"name": "short", "urls": [f"http://127.0.0.1:{port}/mcp"]}]
    gateway = launcher.gateway({"auth": "none", "servers": servers, "upstream": {"probe_seconds": 0.2}})
    found = visit(gateway)
    expect(found.row("short")).to_contain_text("ready")
    expect(found.page.locator("#tools li").filter(has_text="short__add")).to_be_visible()
    launcher.processes[0].stop()
    expect(found.row("short")).to_contain_text("no endpoint")
    expect(found.page.locator("#tools li")).to_have_count(0)
    expect(found.page.locator("#missing")).to_contain_text("short")


def test_a_gateway_that_goes_away_is_told(visit: Open, launcher: Launcher, odd: str) -> None:
    gateway = launcher.gateway({"auth": "none", "servers": [{"name": "odd", "urls": [odd]}]})
    found = visit(gateway)
    expect(found.row("odd")).to_be_visible()
    gateway.process.stop()
    expect(found.page.locator("#message")).to_contain_text("Not refreshed")
    expect(found.row("odd")).to_be_visible()


def test_hostile_tools_are_text(visit: Open, launcher: Launcher) -> None:
    port = launcher.program("hostile_server")
    servers = [{"name": "hostile", "urls": [f"http://127.0.0.1:{port}/mcp"]}]
    found = visit(launcher.gateway({"auth": "none", "servers": servers}))
    tools = found.page.locator("#tools li")
    expect(tools).to_have_count(2)
    expect(tools.filter(has_text="hostile__<img").locator("code")).to_contain_text("<img src=x onerror=")
    expect(tools.filter(has_text="hostile__plain")).to_contain_text("</li></ul><h1>taken</h1>")
    assert found.page.title() == "MCP gateway"
    assert found.page.locator("#tools img, #tools script, #tools h1").count() == 0
    assert found.complaints == []


def test_no_request_leaves_the_origin_and_nothing_is_stored(
    visit: Open, guarded: Gateway, tokens: Tokens
) -> None:
    found = visit(guarded)
    token = tokens.make(scope="mcp:read")
    found.page.locator("#token").fill(token)
    found.page.locator("button").click()
    expect(found.row("alpha")).to_be_visible()
    expect(found.page.locator("#tools li").first).to_be_visible()
    paths = {it.removeprefix(guarded.url) for it in found.requested}
    assert paths >= {"/status", "/status.css", "/status.js", "/status.json", "/tools"}
    assert all(path.startswith("/") for path in paths)
    assert not any(token in it for it in (*found.requested, found.page.content()))
    stored = "[document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)].join('')"
    assert found.page.evaluate(stored) == ""
    found.page.reload()
    expect(found.page.locator("#login")).to_be_visible()
    expect(found.page.locator("#main")).to_be_hidden()


@pytest.mark.parametrize("kind", ["nonsense", "other scope", "no token at all"])
def test_a_token_that_does_not_do_is_told(visit: Open, guarded: Gateway, tokens: Tokens, kind: str) -> None:
    given = {"nonsense": "nonsense", "other scope": tokens.make(scope="mcp:call")}.get(kind, "zwölf \u2028")
    expected = {"nonsense": "The gateway refuses", "other scope": "lacks the scope mcp:read"}
    found = visit(guarded)
    expect(found.page.locator("#login")).to_be_visible()
    assert found.requested
    assert not any(it.endswith(".json") for it in found.requested)
    found.page.locator("#token").fill(given)
    found.page.locator("button").click()
    expect(found.page.locator("#message")).to_contain_text(expected.get(kind, "That is no token"))
    expect(found.page.locator("#main")).to_be_hidden()
    found.page.locator("#token").fill(tokens.make(scope="mcp:read"))
    found.page.locator("button").click()
    expect(found.row("alpha")).to_be_visible()
    expect(found.page.locator("#message")).to_be_hidden()


def test_figures_need_a_token_and_the_page_does_not(guarded: Gateway, tokens: Tokens) -> None:
    for path in ("/status", "/status.css", "/status.js", "/status.svg"):
        response = httpx2.get(f"{guarded.url}{path}")
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    assert httpx2.get(f"{guarded.url}/status.json").status_code == 401
    for scope, status in (("mcp:call", 403), ("mcp:read", 200)):
        headers = {"Authorization": f"Bearer {tokens.make(scope=scope)}"}
        assert httpx2.get(f"{guarded.url}/status.json", headers=headers).status_code == status


def test_the_page_has_nothing_inline_and_nothing_foreign(guarded: Gateway) -> None:
    page = httpx2.get(f"{guarded.url}/status").text
    for found in ("style=", "<style", "javascript:", "onclick", "onload", "http://", "https://", "//"):
        assert found not in page.replace("<!doctype html>", "")
    script = httpx2.get(f"{guarded.url}/status.js").text
    for found in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "localStorage", "sessionStorage"):
        assert found not in script


def test_a_policy_hides_servers_from_the_figures(
    launcher: Launcher, alpha: str, odd: str, tokens: Tokens
) -> None:
    file = launcher.folder / "policy.yaml"
    file.write_text('rules:\n  - {effect: allow, groups: ["*"], servers: [alpha], tools: ["*"]}\n')
    servers = [{"name": "alpha", "urls": [alpha]}, {"name": "odd", "urls": [odd]}]
    ruled = launcher.gateway(
        {"auth": tokens.auth, "authorization": {"policy_file": str(file)}, "servers": servers}
    )
    headers = {"Authorization": f"Bearer {tokens.make()}"}
    shown = httpx2.get(f"{ruled.url}/status.json", headers=headers).json()
    assert [it["name"] for it in shown["servers"]] == ["alpha"]
