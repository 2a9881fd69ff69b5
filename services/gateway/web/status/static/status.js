// The status page. Whatever it shows becomes text, never markup; the token stays in this script's memory.
"use strict";

const REFRESH_SECONDS = 3;
const TOOLS_SECONDS = 60;
const MISSING = "dev.mcp-platform/missingServers";

const byId = (id) => document.getElementById(id);
const tokenNeeded = document.querySelector('meta[name="token"]').content === "needed";

let token = null;
let before = null; // the reading before, for rates
let toolsOf = null; // which servers the tools shown are of
let toolsAt = 0;
let timer = null;

class Refused extends Error {}

function element(tag, text, classes = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = classes;
  return made;
}

function badge(text, kind) {
  return element("span", text, `badge ${kind}`);
}

function tell(text, kind) {
  byId("message").textContent = text;
  byId("message").className = kind;
  byId("message").hidden = !text;
}

async function get(path) {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(path, { headers, cache: "no-store", credentials: "omit" });
  if (response.ok) {
    return response.json();
  }
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail || `HTTP ${response.status}`;
  throw response.status === 401 || response.status === 403 ? new Refused(message) : new Error(message);
}

// Per second, between two readings; nothing after the gateway started anew.
function rate(now, then, seconds) {
  return then === undefined || seconds <= 0 || now < then ? null : (now - then) / seconds;
}

function shown(number) {
  if (number === null) {
    return "–";
  }
  const short = number < 10 && !Number.isInteger(number);
  return short ? number.toFixed(1) : Math.round(number).toLocaleString("en");
}

function share(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–";
}

function tile(name, value, kind = "") {
  const made = element("div", "", "tile");
  made.append(element("strong", value, kind), element("span", name, "quiet"));
  return made;
}

function showTiles(figures, seconds) {
  const now = figures.totals;
  const then = before ? before.totals : {};
  const per = (key) => rate(now[key], then[key], seconds);
  byId("tiles").replaceChildren(
    tile("requests/s", shown(per("requests"))),
    tile("refused/s", shown(per("refused"))),
    tile("failed/s", shown(per("failed"))),
    tile("in flight", shown(figures.in_flight)),
    tile("cache hits", share(now.cache_hits, now.cache_requests)),
    tile("rate-limit hits", shown(now.rate_limit_hits)),
    tile("shed by overload", shown(now.shed)),
    tile("security violations", shown(now.violations)),
    tile("requests since start", shown(now.requests)),
  );
}

function stateOf(server) {
  if (server.endpoints === 0) {
    return badge("no endpoint", "bad");
  }
  if (server.breaker === "open") {
    return badge("paused", "bad");
  }
  if (server.breaker === "half_open" || server.resting > 0) {
    return badge("unsteady", "warn");
  }
  return badge("ready", "good");
}

function row(server, then, seconds) {
  const made = document.createElement("tr");
  made.dataset.server = server.name;
  const state = document.createElement("td");
  state.append(stateOf(server));
  const name = element("th", server.name);
  name.scope = "row";
  const resting = server.resting > 0 ? ` (${server.resting} resting)` : "";
  made.append(name, state, element("td", `${server.endpoints}${resting}`));
  made.append(element("td", server.breaker.replace("_", " ")));
  const rest = [
    server.in_flight,
    server.waiting,
    rate(server.calls, then.calls, seconds),
    rate(server.errors, then.errors, seconds),
    server.calls,
    server.errors,
  ];
  made.append(...rest.map((number) => element("td", shown(number))));
  return made;
}

function showServers(figures, seconds) {
  const then = new Map((before ? before.servers : []).map((it) => [it.name, it]));
  byId("servers").replaceChildren(...figures.servers.map((it) => row(it, then.get(it.name) || {}, seconds)));
}

function showHealth(health) {
  const good = health.status === "ready";
  byId("health").textContent = health.status;
  byId("health").className = `badge ${good ? "good" : "bad"}`;
  const checks = Object.entries(health.checks).map(([name, result]) => {
    const made = document.createElement("li");
    made.append(badge(`${name}: ${result}`, result === "ok" ? "good" : "bad"));
    return made;
  });
  byId("checks").replaceChildren(...checks);
}

function showTools(list) {
  const items = list.tools.map((tool) => {
    const made = document.createElement("li");
    made.append(element("code", tool.name), element("p", tool.description || "", "quiet"));
    return made;
  });
  byId("tools").replaceChildren(...items);
  byId("tool-count").textContent = String(items.length);
  const missing = Object.entries((list._meta && list._meta[MISSING]) || {});
  byId("missing").textContent = `Missing: ${missing.map(([name, why]) => `${name} (${why})`).join(", ")}`;
  byId("missing").hidden = missing.length === 0;
}

async function refreshTools(figures) {
  const servers = JSON.stringify(figures.servers.map((it) => [it.name, it.endpoints, it.breaker]));
  if (servers !== toolsOf || figures.seconds - toolsAt > TOOLS_SECONDS) {
    showTools(await get("tools"));
    toolsOf = servers;
    toolsAt = figures.seconds;
  }
}

async function refresh() {
  const figures = await get("status.json");
  const same = before !== null && before.replica === figures.replica && before.seconds < figures.seconds;
  before = same ? before : null;
  const seconds = before ? figures.seconds - before.seconds : 0;
  byId("login").hidden = true;
  byId("main").hidden = false;
  byId("about").textContent = `${figures.replica} · version ${figures.health.version}`;
  showHealth(figures.health);
  showTiles(figures, seconds);
  showServers(figures, seconds);
  before = figures;
  await refreshTools(figures);
  byId("updated").textContent = `updated ${new Date().toLocaleTimeString()}`;
  byId("main").classList.remove("stale");
  tell("", "");
}

function askForToken() {
  token = null;
  byId("main").hidden = true;
  byId("login").hidden = false;
  byId("token").focus();
}

async function keepRefreshing() {
  clearTimeout(timer);
  try {
    await refresh();
  } catch (error) {
    byId("main").classList.add("stale");
    if (error instanceof Refused) {
      tell(`The gateway refuses: ${error.message}.`, "bad");
      askForToken();
      return;
    }
    tell(`Not refreshed: ${error.message}. It is tried again.`, "warn");
  }
  timer = setTimeout(keepRefreshing, REFRESH_SECONDS * 1000);
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = byId("token").value.trim();
  byId("token").value = "";
  if (/^[\x21-\x7e]+$/.test(given)) {
    token = given;
    keepRefreshing();
  } else {
    tell("That is no token.", "bad");
  }
});

if (tokenNeeded) {
  askForToken();
} else {
  keepRefreshing();
}
