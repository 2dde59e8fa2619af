// SPDX-License-Identifier: Apache-2.0
//
// console.js - the web console: what a gateway's REST API says, shown, and the few things it can be told
//
// Whatever a server sends goes into the page as text (text(), and the policy of the page forbids anything
// else), through shown(): names, hosts and log lines are written by agents, and somebody decides by
// what he reads here.  The token is a variable of this file and nothing else: no cookie, no storage.
//
// The list of sandboxes is asked for every few seconds.  Decisions, proposals and questions come as
// server-sent events, read with fetch() because EventSource cannot send a token.  A browser has six
// connections to a plaintext server and no limit that matters over HTTP/2, so there are fewer streams
// without TLS; sandboxes beyond them are asked in turn.
"use strict";

const USAGE_TICKS = 2;        // lists from one look at quotas to the next
const LIST_MS = 2000, DRAFTS_MS = 3000, DRAFTS_RARE_MS = 30000, RETRY_MIN_MS = 1000, RETRY_MAX_MS = 10000;
const STREAMS_MAX = location.protocol === "https:" ? 64 : 2;
const ASKED_AT_ONCE = 4;      // drafts and logs of this many sandboxes in one turn
const LINES_MAX = 500;        // in the page, of each list
const EVENT_CHARS_MAX = 8 << 20;
const PAGE = 100;
const DIFF_LINES_MAX = 3000;  // of a side; beyond, no diff is made and both are shown

const $ = (id) => document.getElementById(id);
let token = "", workspace = "default", rowsWanted = PAGE, epoch = 0, selected = null, turn = 0;
const boxes = new Map();      // id -> what is known of a sandbox

// ---- text of strangers ----

// Printable ASCII and Latin letters as they are; all else by its number, so that nothing hides,
// reorders, combines or looks like another.
function shown(value) {
  return String(value ?? "").replace(/\\|[^ -~\n\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0130\u0132-\u017e]/gu,
    (c) => c === "\\" ? "\\\\" : "\\u{" + c.codePointAt(0).toString(16) + "}");
}

const line = (value) => shown(value).replaceAll("\n", "\\u{a}");

function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);  // strings become text
  return e;
}

function text(e, value) {
  if (e.textContent !== value) e.textContent = value;
}

function button(label, spoken, act) {
  const b = make("button", "", label);
  b.type = "button";
  b.setAttribute("aria-label", spoken);
  b.addEventListener("click", () => run(act, b));
  return b;
}

function problem(e) {
  text($("problem"), e ? shown(e.message || e) : "");
  $("problem").hidden = !e;
}

async function run(act, control) {
  if (control) control.disabled = true;
  try {
    problem(null);
    await act();
  } catch (e) {
    problem(e);
  } finally {
    if (control) control.disabled = false;
  }
}

// ---- asking ----

function request(method, path, body, signal) {
  const headers = { accept: "application/json" };
  if (token) headers.authorization = "Bearer " + token;
  if (body !== undefined) headers["content-type"] = "application/json";
  return fetch("/v1/" + path, { method, headers, signal, cache: "no-store", redirect: "error",
    referrerPolicy: "no-referrer", body: body === undefined ? undefined : JSON.stringify(body) });
}

async function said(answer) {
  let message = "the gateway answered " + answer.status;
  try {
    message = (await answer.json()).error.message || message;
  } catch { /* it was no JSON */ }
  return Object.assign(new Error(message), { status: answer.status });
}

async function ask(method, path, body) {
  const answer = await request(method, path, body);
  if (!answer.ok) throw await said(answer);
  return answer.json();
}

const q = (params) => "?" + new URLSearchParams({ workspace, ...params });
const part = (name) => encodeURIComponent(name);

// Events of a stream, as (name, message).
async function events(path, signal, on) {
  const answer = await request("GET", path, undefined, signal);
  if (!answer.ok) throw await said(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split("\n\n");
    rest = whole.pop();
    if (rest.length > EVENT_CHARS_MAX) throw new Error("the gateway sends an event that is too long");
    for (const one of whole) {
      const lines = one.split("\n");
      const field = (name) => lines.filter((l) => l.startsWith(name + ": ")).map((l) => l.slice(name.length + 2)).join("\n");
      on(field("event"), JSON.parse(field("data") || "{}"));
    }
  }
}

// ---- sandboxes ----

const phaseOf = (s) => (s.status?.phase || "SANDBOX_PHASE_UNSPECIFIED").replace("SANDBOX_PHASE_", "").toLowerCase();

function age(ms) {
  const s = Math.max(0, Math.floor((Date.now() - Number(ms || Date.now())) / 1000));
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m";
  if (s < 86400) return Math.floor(s / 3600) + "h";
  return Math.floor(s / 86400) + "d";
}

function boxNew(s) {
  const b = { id: s.metadata.id, name: s.metadata.name, sandbox: s, chunks: [], asked: 0, seen: 0, log: [], stream: null,
    retry: RETRY_MIN_MS, cells: {} };
  const name = line(b.name), c = b.cells;
  c.open = button(name, "Show sandbox " + name, () => open(b));
  c.open.className = "link";
  for (const k of ["phase", "age", "policy", "pending"]) c[k] = make("td");
  for (const k of ["age", "policy", "pending"]) c[k].dataset.label = k[0].toUpperCase() + k.slice(1);
  c.stop = button("Stop", "Stop sandbox " + name, () => change(b, "POST", ":stop"));
  c.start = button("Start", "Start sandbox " + name, () => change(b, "POST", ":start"));
  c.remove = button("Delete", "Delete sandbox " + name, () => confirmed("Delete sandbox " + name + "?",
    "Its files are lost.", "Delete", () => change(b, "DELETE", "")));
  b.row = make("tr", "", make("td", "", c.open), c.phase, c.age, c.policy, c.pending,
    make("td", "", make("div", "actions", c.stop, c.start, c.remove)));
  return b;
}

function boxShow(b) {
  const phase = phaseOf(b.sandbox), c = b.cells, isDown = phase === "stopped" || phase === "error";
  text(c.phase, phase);
  c.phase.className = phase === "ready" ? "good" : phase === "error" ? "bad" : "";
  text(c.age, age(b.sandbox.metadata.createdAtMs));
  text(c.policy, String(b.sandbox.status?.currentPolicyVersion || 0));
  text(c.pending, String(b.chunks.length));
  c.stop.hidden = isDown || phase === "deleting" || phase === "stopping";
  c.start.hidden = !isDown;
  c.remove.hidden = phase === "deleting";
  b.row.hidden = !b.name.includes($("filter").value.trim());
}

function boxGone(b) {
  b.stream?.abort();
  b.row.remove();
  boxes.delete(b.id);
  if (selected === b) shut();
}

async function list() {
  const mine = epoch;
  const all = (await ask("GET", "sandboxes" + q({ limit: rowsWanted + 1 }))).sandboxes || [];
  if (mine !== epoch) return;
  $("more").hidden = all.length <= rowsWanted;
  all.length = Math.min(all.length, rowsWanted);
  const there = new Set(all.map((s) => s.metadata.id));
  for (const b of [...boxes.values()]) if (!there.has(b.id)) boxGone(b);
  for (const s of all) {
    let b = boxes.get(s.metadata.id);
    if (!b) {
      boxes.set(s.metadata.id, b = boxNew(s));
      $("rows").append(b.row);
    }
    b.sandbox = s;
    boxShow(b);
  }
  $("none").hidden = boxes.size > 0;
  if (selected) factsShow(selected);
  follow();
}

// ---- quotas ----

const SUFFIX = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

function amount(resource, value) {
  let n = Number(value || 0), i = 0;
  if (resource === "cpu") return String(n / 1000);
  if (resource !== "memory") return String(n);
  while (n >= 1024 && i < SUFFIX.length - 1) {
    n /= 1024;
    i++;
  }
  return Number(n.toFixed(1)) + SUFFIX[i];
}

// What is limited, and who waits; nothing where nothing is limited.
function usageText(u) {
  const limited = (u?.resources || []).filter((r) => r.limited).map((r) =>
    `${amount(r.resource, r.used)} of ${amount(r.resource, r.limit)} ${line(r.resource)}`).join(", ");
  const waits = u?.queued ? `${u.queued} wait${u.queued === 1 ? "s" : ""}` : "";
  return [limited, waits].filter((t) => t).join("; ");
}

async function usage() {
  let parts = [];
  const mine = epoch;
  try {
    const m = await ask("GET", "usage" + q());
    parts = [["host", m.host], ...(m.workspaces || []).map((u) => [line(u.workspace), u])]
      .map(([of, u]) => [of, usageText(u)]).filter(([, t]) => t);
  } catch { /* not for us, or the list says what is wrong */ }
  if (mine !== epoch) return;
  text($("usage"), parts.length ? "Quota: " + parts.map(([of, t]) => of + ": " + t).join(" \u00b7 ") : "");
  $("usage").hidden = !parts.length;
}

async function change(b, method, verb) {
  await ask(method, "sandboxes/" + part(b.name) + verb + q());
  await list();
}

async function create() {
  const command = $("command").value.split("\n").filter((w) => w !== "");
  const name = $("name").value.trim();
  await ask("POST", "sandboxes", { workspace, ...(name && { name }), spec: { ...(command.length && { command }) } });
  $("create").reset();
  await list();
}

// ---- decisions and logs ----

function took(b, l) {
  const ms = Number(l.timestampMs || 0);
  b.seen = Math.max(b.seen, ms);
  b.log.push(l);
  if (b.log.length > LINES_MAX) b.log.shift();
  if (l.level === "OCSF") put($("decisions"), lineShow(l, b));
  if (selected === b) put($("logs"), lineShow(l));
}

function lineShow(l, b) {
  const when = new Date(Number(l.timestampMs || 0)).toISOString().slice(11, 23);
  const message = line(l.message), li = make("li");
  const isDenied = / DENIED /.test(message);
  li.append(make("span", "when", when), " ", ...(b ? [make("strong", "", line(b.name)), " "] : [make("span", "when", line(l.level)), " "]),
    make("span", l.level !== "OCSF" ? "" : isDenied ? "denied" : / ALLOWED /.test(message) ? "allowed" : "", message));
  if (b) li.hidden = $("deniedonly").checked && !isDenied;
  return li;
}

function put(ol, li) {
  const isAtEnd = ol.scrollHeight - ol.scrollTop - ol.clientHeight < 40;
  ol.append(li);
  while (ol.childElementCount > LINES_MAX) ol.firstElementChild.remove();
  if (isAtEnd) ol.scrollTop = ol.scrollHeight;
}

async function watch(b) {
  const mine = epoch;
  b.stream = new AbortController();
  const params = new URLSearchParams({ followLogs: true, followStatus: true, logTailLines: 100,
    ...(b.seen && { logSinceMs: b.seen + 1 }) });
  try {
    draftsFollow(b);
    await events("sandboxes/" + part(b.id) + "/watch?" + params, b.stream.signal, (name, m) => {
      b.retry = RETRY_MIN_MS;
      if (name === "message" && m.log) took(b, m.log);
      if (name === "message" && m.draftPolicyUpdate) draftsFollow(b);
      if (name === "message" && m.sandbox) {
        b.sandbox = m.sandbox;
        boxShow(b);
      }
    });
  } catch { /* the list says what is wrong, if it goes on */ }
  if (mine !== epoch || !boxes.has(b.id)) return;
  setTimeout(() => { b.stream = null; }, b.retry);
  b.retry = Math.min(b.retry * 2, RETRY_MAX_MS);
}

// The one that is looked at first, then as many as there is room for.
function follow() {
  let n = 0;
  for (const b of boxes.values()) if (b.stream) n++;
  if (selected && !selected.stream) {
    const victim = n >= STREAMS_MAX && [...boxes.values()].find((b) => b.stream && b !== selected);
    if (victim) victim.stream.abort();
    watch(selected);
    n++;
  }
  for (const b of boxes.values())
    if (!b.stream && n < STREAMS_MAX) {
      n++;
      watch(b);
    }
}

async function logsAsk(b) {
  const answer = await ask("GET", "sandboxes/" + part(b.id) + "/logs" + q({ lines: 100, ...(b.seen && { sinceMs: b.seen + 1 }) }));
  if (boxes.has(b.id) && !b.stream) for (const l of answer.logs || []) took(b, l);
}

// ---- approvals ----

const endpoint = (e) => line((e.host || "") + ":" + (e.ports?.length ? e.ports.join(",") : e.port || 0));

function term(dl, name, value) {
  if (value) dl.append(make("dt", "", name), make("dd", "", value));
}

function chunkFacts(b, k) {
  const dl = make("dl"), rule = k.proposedRule || {};
  term(dl, "Sandbox", line(b.name));
  term(dl, "Rule", line(k.ruleName));
  term(dl, "Endpoints", (rule.endpoints || []).map(endpoint).join(", "));
  term(dl, "Programs", (rule.binaries || []).map((p) => line(p.path)).join(", ") || line(k.binary));
  term(dl, "Reason given", line(k.rationale));
  term(dl, "Security", line(k.securityNotes));
  term(dl, "Validation", line(k.validationResult));
  term(dl, "Cannot be applied", line(k.applicationError));
  term(dl, "Seen", String(k.hitCount || 0));
  return dl;
}

async function drafts(b) {
  const answer = await ask("GET", "sandboxes/" + part(b.name) + "/draft" + q({ statusFilter: "pending" }));
  b.asked = Date.now();
  if (!boxes.has(b.id)) return;
  b.chunks = answer.chunks || [];
  boxShow(b);
  chunksShow();
}

// One question at a time; what comes meanwhile is one more.
async function draftsFollow(b) {
  b.wantsDrafts = true;
  if (b.isAsked) return;
  b.isAsked = true;
  try {
    while (b.wantsDrafts && boxes.has(b.id)) {
      b.wantsDrafts = false;
      await drafts(b);
    }
  } catch { /* it is gone, or the list says what is wrong */ }
  b.isAsked = false;
}

function chunksShow() {
  const wanted = new Map();
  for (const b of boxes.values()) for (const k of b.chunks) wanted.set(b.id + "/" + k.id, [b, k]);
  for (const e of [...$("chunks").children]) {
    const now = wanted.get(e.dataset.key);
    if (!now || e.dataset.token !== now[1].reviewToken) e.remove();
    else wanted.delete(e.dataset.key);
  }
  for (const [key, [b, k]] of wanted) {
    const e = make("div", "chunk", chunkFacts(b, k), button("Review", "Review the rule " + line(k.ruleName) + " for " + line(b.name),
      () => review(b, k)));
    e.dataset.key = key;
    e.dataset.token = k.reviewToken || "";
    $("chunks").append(e);
  }
  emptyShow();
}

// ---- questions that hold a sandbox up until somebody answers ----

let asking = null, askingRetry = RETRY_MIN_MS;

// What is held; then a message that is empty; then what comes and goes.
async function questionsWatch() {
  const mine = epoch, all = new Map();
  let isWhole = false;
  asking = new AbortController();
  try {
    await events("approvals:watch" + q(), asking.signal, (name, m) => {
      if (name !== "message") return;
      askingRetry = RETRY_MIN_MS;
      if (m.held) all.set(m.held.id, m.held);
      else if (m.endedId) all.delete(m.endedId);
      else isWhole = true;
      if (isWhole && mine === epoch) questionsShow(all);
    });
  } catch (e) {
    if (e.status && mine === epoch) questionsShow(new Map());  // not for us to answer: the rest of the page is
  }
  if (mine !== epoch) return;
  setTimeout(() => { if (mine === epoch) questionsWatch(); }, askingRetry);
  askingRetry = Math.min(askingRetry * 2, RETRY_MAX_MS);
}

function questionsShow(all) {
  const there = new Map(all);
  for (const e of [...$("questions").children]) if (!there.delete(e.dataset.key)) e.remove();
  for (const a of there.values()) {
    const e = make("div", "chunk", questionFacts(a), button("Answer", "Answer the question of " + line(a.sandboxName), () => answer(a)));
    e.dataset.key = a.id;
    $("questions").append(e);
  }
  emptyShow();
}

function questionFacts(a) {
  const dl = make("dl");
  term(dl, "Sandbox", line(a.sandboxName));
  term(dl, a.kind === "network" ? "Held request" : "Held call of a tool", line(a.subject));
  term(dl, "Asked by", line(a.binary) + (a.ancestors?.length ? " < " + a.ancestors.map(line).join(" < ") : ""));
  term(dl, "Rule", line(a.rule));
  term(dl, "Denied at", new Date(Number(a.expiresAtMs || 0)).toLocaleTimeString());
  return dl;
}

function answer(a) {
  const pre = make("pre", "", shown(a.text)), path = "approvals/" + part(a.id) + ":decide";
  const cut = Number(a.textBytes || 0) > new TextEncoder().encode(a.text || "").length;
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", "What would be sent");
  const decide = async (approve) => {
    $("ask").close();
    await ask("POST", path, { approve });  // that it ended comes as an event
  };
  dialog("Let " + line(a.sandboxName) + " do this?", [questionFacts(a), make("h3", "", "What would be sent"), pre,
    make("p", "bad", cut ? "This is not all of it: " + a.textBytes + " bytes." : ""),
    button("Deny", "Deny this", () => decide(false))], "Approve", () => decide(true));
}

function emptyShow() {
  $("nochunks").hidden = $("chunks").childElementCount + $("questions").childElementCount > 0;
}

function sorted(v) {
  if (Array.isArray(v)) return v.map(sorted);
  if (v && typeof v === "object") return Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])]));
  return v;
}

const policyText = (p) => JSON.stringify(sorted(p || {}), null, 2);

// Longest common subsequence of lines: [" " | "-" | "+", line].
function diff(a, b) {
  if (a.length > DIFF_LINES_MAX || b.length > DIFF_LINES_MAX)
    return [...a.map((l) => ["-", l]), ...b.map((l) => ["+", l])];
  const n = b.length + 1, t = new Uint16Array((a.length + 1) * n), out = [];
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      t[i * n + j] = a[i] === b[j] ? t[(i + 1) * n + j + 1] + 1 : Math.max(t[(i + 1) * n + j], t[i * n + j + 1]);
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) out.push([" ", a[i++], j++]);
    else if (j >= b.length || (i < a.length && t[(i + 1) * n + j] >= t[i * n + j + 1])) out.push(["-", a[i++]]);
    else out.push(["+", b[j++]]);
  }
  return out;
}

function diffShow(k) {
  const pre = make("pre");
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", "What changes in the policy");
  for (const [mark, l] of diff(policyText(k.currentEffectivePolicy).split("\n"), policyText(k.candidateEffectivePolicy).split("\n")))
    pre.append(make("span", mark === "+" ? "add" : mark === "-" ? "del" : "", mark + " " + shown(l) + "\n"));
  return pre;
}

function review(b, k) {
  const reason = make("input");
  reason.id = "reason";
  reason.maxLength = 500;
  const label = make("label", "", "Reason, when it is rejected");
  label.htmlFor = "reason";
  const path = "sandboxes/" + part(b.name) + "/draft/" + part(k.id);
  const decide = async (verb, body) => {
    $("ask").close();
    try {
      await ask("POST", path + verb + q(), body);
    } finally {
      await drafts(b);
    }
  };
  const reject = button("Reject", "Reject this rule", () => decide(":reject", reason.value ? { reason: reason.value } : {}));
  dialog("Allow this for " + line(b.name) + "?", [chunkFacts(b, k), make("h3", "", "What changes"), diffShow(k),
    make("p", "", label, " ", reason, " ", reject)], "Approve",
  () => decide(":approve", { reviewToken: k.reviewToken || "" }));
}

// ---- dialogs, one sandbox ----

let agreed = null;

function dialog(title, body, yes, act) {
  text($("ask-title"), title);
  $("ask-body").replaceChildren(...body);
  text($("ask-yes"), yes);
  agreed = act;
  if (!$("ask").open) $("ask").showModal();
  $("ask-no").focus();  // a key that was pressed before it opened agrees to nothing
}

function confirmed(title, body, yes, act) {
  dialog(title, [make("p", "", body)], yes, async () => {
    $("ask").close();
    await act();
  });
}

function factsShow(b) {
  const dl = make("dl"), s = b.sandbox, condition = (s.status?.conditions || []).find((x) => x.type === "Ready");
  term(dl, "Id", line(b.id));
  term(dl, "Phase", phaseOf(s));
  term(dl, "Condition", condition && line((condition.reason || "") + " " + (condition.message || "")));
  term(dl, "Command", (s.spec?.command || []).map(line).join(" "));
  term(dl, "Labels", Object.entries(s.metadata.labels || {}).map(([k, v]) => line(k + "=" + v)).join(", "));
  term(dl, "Providers", (s.spec?.providers || []).map(line).join(", "));
  if ($("facts").textContent !== dl.textContent) $("facts").replaceChildren(dl);
}

async function open(b) {
  selected = b;
  text($("one-title"), "Sandbox " + line(b.name));
  $("one").hidden = false;
  $("logs").replaceChildren(...b.log.map((l) => lineShow(l)));
  factsShow(b);
  text($("policy"), "");
  $("one-title").focus();
  follow();
  const config = await ask("GET", "sandboxes/" + part(b.id) + "/config");
  if (selected === b) text($("policy"), shown(policyText(config.policy)));
}

function shut() {
  const b = selected;
  selected = null;
  $("one").hidden = true;
  if (b && boxes.has(b.id)) b.cells.open.focus();
}

// ---- the clock ----

async function who() {
  const u = await ask("GET", "user");
  text($("who"), line(u.displayName || u.subject || u.user?.displayName || u.user?.subject || "somebody"));
}

function lost(e) {
  text($("who"), e.status === 401 ? "not signed in: a client certificate or a token is needed" : "not connected, trying again");
  if (e.status) problem(e);
  if (e.status === 401) {
    $("login").hidden = false;
    $("signin").setAttribute("aria-expanded", "true");
  }
}

let isLost = true, ticks = 0;

async function tick() {
  let wait = LIST_MS;
  try {
    if (isLost) {
      await who();
      problem(null);
    }
    isLost = false;
    await list();
    if (ticks++ % USAGE_TICKS === 0) await usage();
  } catch (e) {
    isLost = true;
    lost(e);
    wait = e.status === 401 ? RETRY_MAX_MS : LIST_MS;
  }
  timer = setTimeout(tick, wait);
}

// A few sandboxes at a time, all of them in turn.  Of those with a stream rarely: that proposals were
// cleared it does not say.
async function tickOthers() {
  const all = [...boxes.values()];
  for (let i = 0; i < Math.min(ASKED_AT_ONCE, all.length) && !isLost; i++) {
    const b = all[turn++ % all.length];
    if (b.stream && Date.now() - b.asked < DRAFTS_RARE_MS) continue;
    try {
      await drafts(b);
      if (!b.stream) await logsAsk(b);
    } catch { /* it is gone, or the list says what is wrong */ }
  }
  setTimeout(tickOthers, DRAFTS_MS / Math.max(1, Math.min(3, all.length / ASKED_AT_ONCE)));
}

let timer = 0;

function restart() {
  epoch++;
  for (const b of [...boxes.values()]) boxGone(b);
  $("decisions").replaceChildren();
  $("questions").replaceChildren();
  chunksShow();
  isLost = true;
  clearTimeout(timer);
  asking?.abort();
  askingRetry = RETRY_MIN_MS;
  questionsWatch();
  tick();
}

function submitted(form, act) {
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    run(act, form.querySelector("button[type=submit]"));
  });
}

submitted($("create"), create);
submitted($("login"), async () => {
  token = $("token").value.trim();
  $("token").value = "";
  $("login").hidden = true;
  $("signin").setAttribute("aria-expanded", "false");
  restart();
});
$("forget").addEventListener("click", () => {
  token = "";
  restart();
});
$("signin").addEventListener("click", () => {
  $("login").hidden = !$("login").hidden;
  $("signin").setAttribute("aria-expanded", String(!$("login").hidden));
  if (!$("login").hidden) $("token").focus();
});
$("workspace").addEventListener("change", () => {
  workspace = $("workspace").value.trim() || "default";
  restart();
});
$("filter").addEventListener("input", () => boxes.forEach(boxShow));
$("more").addEventListener("click", () => run(() => {
  rowsWanted += PAGE;
  return list();
}));
$("deniedonly").addEventListener("change", () => {
  for (const li of $("decisions").children) li.hidden = $("deniedonly").checked && !li.querySelector(".denied");
});
$("close").addEventListener("click", shut);
$("ask-yes").addEventListener("click", () => run(async () => agreed?.(), $("ask-yes")));
$("ask-no").addEventListener("click", () => $("ask").close());
tick();
tickOthers();
questionsWatch();
