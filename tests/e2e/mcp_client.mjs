// SPDX-License-Identifier: Apache-2.0
// mcp_client.mjs - an agent in a sandbox that calls host tools with the official SDK of MCP
//
//     node mcp_client.mjs SCENARIO...
//
// Prints a line of JSON for each: {"name", "ok", "seconds", ...what the scenario found}.  Scenarios run
// at the same time, each with a client of its own; what they found is judged by whoever started it.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { LoggingMessageNotificationSchema, ToolListChangedNotificationSchema }
  from "@modelcontextprotocol/sdk/types.js";

const url = new URL("/mcp", process.env.COVE_TOOLS_URL);
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

// A client, and what was sent and answered beneath it.  fetch may cut a stream, or go elsewhere.
async function connect({ token = process.env.COVE_TOOLS_TOKEN, fetch: through = fetch } = {}) {
  const log = [];
  const transport = new StreamableHTTPClientTransport(url, {
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
    reconnectionOptions: { initialReconnectionDelay: 100, maxReconnectionDelay: 1000,
      reconnectionDelayGrowFactor: 1.5, maxRetries: 5 },
    fetch: async (where, init) => {
      const response = await through(where, init);
      const headers = new Headers(init.headers);
      log.push({ method: init.method, status: response.status, type: response.headers.get("content-type"),
        body: init.body, version: headers.get("mcp-protocol-version"), last: headers.get("last-event-id"),
        session: headers.get("mcp-session-id") });
      return response;
    },
  });
  const client = new Client({ name: "agent", version: "1" });
  client.errors = [];
  client.onerror = (error) => client.errors.push(String(error));
  await client.connect(transport);
  return { client, transport, log };
}

const call = (client, name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
const problem = async (promise) => {
  try {
    return { result: await promise };
  } catch (error) {
    return { code: error.code, data: error.data, message: error.message };
  }
};

// Passes a response's first event and breaks the connection in the middle of what follows.
async function cutting(where, init, state) {
  const breaker = new AbortController();
  const response = await fetch(where, { ...init, signal: breaker.signal });
  if (state.isCut || !response.headers.get("content-type")?.startsWith("text/event-stream") ||
      init.method !== "POST")
    return response;
  state.isCut = true;
  const reader = response.body.getReader();
  const body = new ReadableStream({
    async start(to) {
      while (!state.seen) {
        const { value, done } = await reader.read();
        if (done) break;
        const text = new TextDecoder().decode(value);
        to.enqueue(value);
        state.seen = text.includes("progressToken");
      }
      await sleep(0.1); // an error takes along what was not read yet
      breaker.abort();
      to.error(new Error("cut"));
    },
  });
  return new Response(body, { status: response.status, headers: response.headers });
}

const scenarios = {
  async initialize() {
    const { client, transport, log } = await connect();
    await client.ping();
    // The SDK opens its stream of events by itself and waits for nothing.
    for (let i = 0; i < 100 && !log.some((r) => r.method === "GET"); i++)
      await sleep(0.1);
    return { server: client.getServerVersion(), capabilities: client.getServerCapabilities(),
      version: transport.protocolVersion, session: transport.sessionId, log };
  },

  async list() {
    const { client, log } = await connect();
    const names = [];
    let cursor;
    do {
      const page = await client.listTools(cursor ? { cursor } : {});
      names.push(...page.tools.map((t) => t.name));
      cursor = page.nextCursor;
    } while (cursor);
    const echo = (await client.listTools()).tools.find((t) => t.name === "echo");
    return { names, echo, pages: log.filter((r) => r.body?.includes("tools/list")).length - 1 };
  },

  async call() {
    const { client, log } = await connect();
    const one = await call(client, "echo", { text: "hello" });
    const json = await call(client, "facts", {});
    const failed = await call(client, "fails", {});
    return { one, json, failed, types: log.filter((r) => r.body?.includes("tools/call")).map((r) => r.type) };
  },

  async progress() {
    const { client } = await connect();
    const told = [];
    const result = await call(client, "steps", { count: 3 }, { onprogress: (p) => told.push(p) });
    return { told, result };
  },

  async log() {
    const { client } = await connect();
    const said = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, (n) => { said.push(n.params); });
    await client.setLoggingLevel("info");
    await call(client, "steps", { count: 2 });
    return { said };
  },

  async cancel() {
    const { client } = await connect();
    const abort = new AbortController();
    const begun = Date.now();
    const pending = problem(call(client, "slow", { seconds: 77 }, { signal: abort.signal, onprogress() {} }));
    await sleep(0.7);
    abort.abort("enough");
    const { message } = await pending;
    const after = await call(client, "echo", { text: "still here" });
    return { message, after, seconds: (Date.now() - begun) / 1000, errors: client.errors };
  },

  async dropped() {
    const state = {};
    const { client, log } = await connect({ fetch: (where, init) => cutting(where, init, state) });
    const told = [];
    const result = await call(client, "steps", { count: 3 }, { onprogress: (p) => told.push(p.progress) });
    return { told, result, wasCut: state.isCut, resumed: log.filter((r) => r.last), errors: client.errors };
  },

  // Whoever started this breaks something when it says that it is ready.
  async survives() {
    const { client, log } = await connect();
    const told = [];
    const result = await call(client, "steps", { count: 4 }, { onprogress(p) {
      if (told.push(p.progress) === 2) console.log(JSON.stringify({ name: "ready" }));
    } });
    return { told, result, resumed: log.filter((r) => r.last && r.status === 200).length };
  },

  async long(seconds = 20) {
    const { client } = await connect();
    return { result: await call(client, "slow", { seconds: Number(seconds) },
      { timeout: (Number(seconds) + 60) * 1000 }), errors: client.errors };
  },

  // As the SDK has it when nothing is said about time.
  async defaults(seconds) {
    const { client } = await connect();
    return await problem(call(client, "slow", { seconds: Number(seconds) }));
  },

  // With the SDK's usual limit of a minute, which progress begins anew.
  async progressing(seconds) {
    const { client } = await connect();
    let count = 0;
    const it = await problem(call(client, "slow", { seconds: Number(seconds) },
      { onprogress() { count++; }, resetTimeoutOnProgress: true }));
    return { ...it, count };
  },

  async denied() {
    const { client } = await connect();
    const policy = await problem(call(client, "issues.close", { repo: "acme/other", number: 1 }));
    const unknown = await problem(call(client, "ech", { text: "x" }));
    const schema = await problem(call(client, "echo", { txt: 1, more: [] }));
    const fine = await call(client, "issues.close", { repo: "acme/app", number: 7 });
    return { policy, unknown, schema, fine };
  },

  async batch() {
    const { client, transport } = await connect();
    const post = async (body, version) => {
      const headers = { Authorization: `Bearer ${process.env.COVE_TOOLS_TOKEN}`, "Content-Type": "application/json",
        Accept: "application/json, text/event-stream", "MCP-Protocol-Version": version };
      const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
      return { status: response.status, body: await response.json() };
    };
    const one = (id, name, args) => ({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } });
    await client.ping();
    return {
      fine: await post([one(1, "echo", { text: "a" }), one(2, "echo", { text: "b" })], "2025-03-26"),
      denied: await post([one(1, "echo", { text: "no" }), one(2, "issues.close", { repo: "x", number: 1 }),
        { jsonrpc: "2.0", id: 3, method: "ping" }], "2025-03-26"),
      late: await post([one(1, "echo", { text: "a" })], transport.protocolVersion),
    };
  },

  async sessions() {
    const first = await connect();
    const second = await connect();
    const id = first.transport.sessionId;
    await first.transport.terminateSession();
    const headers = { Authorization: `Bearer ${process.env.COVE_TOOLS_TOKEN}`, Accept: "text/event-stream",
      "Mcp-Session-Id": id };
    const gone = (await fetch(url, { headers })).status;
    await second.client.ping();
    return { differ: id !== second.transport.sessionId, gone };
  },

  async token() {
    return await problem(connect({ token: "cvt_" + "0".repeat(64) }));
  },

  // Waits until the list changes, which whoever started this makes happen.
  async changes() {
    const { client } = await connect();
    const changed = new Promise((done) => client.setNotificationHandler(ToolListChangedNotificationSchema, done));
    const before = (await client.listTools()).tools.length;
    await sleep(0.3);
    console.log(JSON.stringify({ name: "ready" }));
    await changed;
    return { before, after: (await client.listTools()).tools.length };
  },

  // One task: what is there, and then to close an issue.
  async task(through) {
    const elsewhere = new URL(through);
    const { client, transport } = await connect({
      fetch: (where, init) => fetch(new URL(new URL(where).pathname, elsewhere), init),
    });
    const tool = (await client.listTools()).tools.find((t) => t.name === "issues.close");
    const result = await call(client, tool.name, { repo: "acme/app", number: 7 });
    await transport.terminateSession();
    await client.close();
    return { result };
  },
};

async function run(word) {
  const [name, ...args] = word.split("=");
  const begun = Date.now();
  let found;
  try {
    found = { ok: true, ...(await scenarios[name](...args)) };
  } catch (error) {
    found = { ok: false, error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify({ name: word, seconds: (Date.now() - begun) / 1000, ...found }));
}

await Promise.all(process.argv.slice(2).map(run));
process.exit(0);
