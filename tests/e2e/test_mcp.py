#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MCP's official SDK in a real sandbox: everything that a client does, over the reserved route.

Goal: an agent that was written for any MCP server works with host tools, is told of refusals as errors
with their data, and gets its results through streams that break.  Method: tests/e2e/mcp_client.mjs,
run by Node under the real `cove run --tools`; what it found is judged here, and by the audit."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import mcplab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
if not mcplab.is_there():
    tap.skip("MCP's SDK", "not installed: tools/node-clients installs it")
    tap.done()
MANY = "".join(f"  many.t{i:03}:\n    description: One of many.\n    command: {{argv: [/bin/true]}}\n"
               for i in range(230))
agent = mcplab.Agent(mcplab.CATALOG + MANY)
found = agent.run("initialize", "list", "call", "progress", "log", "cancel", "dropped", "denied", "batch",
                  "sessions", "token", "long=20")
events = agent.w.events()
EVENT = "text/event-stream"


def initialize():
    it = found["initialize"]
    assert it["version"] == "2025-11-25" and it["server"]["name"] == "cove", it
    assert it["capabilities"] == {"logging": {}, "tools": {"listChanged": True}}, it
    assert len(it["session"]) == 32
    first, *others = it["log"]
    assert first["session"] is None and all(r["session"] == it["session"] for r in others), it
    events = [r for r in others if r["method"] == "GET"]  # answered whenever it is
    assert [(r["status"], r["type"]) for r in events] == [(200, EVENT)], others
    assert [r["status"] for r in others if r["method"] == "POST"] == [202, 200], others


def listing():
    it = found["list"]
    assert it["pages"] == 3 and len(it["names"]) == 236 == len(set(it["names"])), it
    assert it["echo"]["inputSchema"]["required"] == ["text"] and it["echo"]["annotations"]["readOnlyHint"], it["echo"]


def calls():
    it = found["call"]
    assert it["one"]["content"] == [{"type": "text", "text": "hello\n"}], it
    assert it["one"]["structuredContent"] == {"output": "hello\n"}, it
    assert it["json"]["structuredContent"] == {"output": {"answer": 42, "list": [1, 2]}}, it
    assert it["failed"]["isError"] and it["failed"]["structuredContent"]["stderr"] == "why\n", it
    assert it["types"][0] == "application/json", it


def progress():
    it = found["progress"]
    numbers = [p["progress"] for p in it["told"]]
    assert len(numbers) >= 3 and numbers == sorted(set(numbers)), it
    assert "step 2" in [p.get("message") for p in it["told"]], it
    assert it["result"]["structuredContent"]["output"] == "done\n", it


def log():
    said = found["log"]["said"]
    assert [s["level"] for s in said] == ["info"] * len(said) and said[0]["logger"] == "steps", said
    assert "".join(s["data"] for s in said) == "step 1\nstep 2\n", said


def cancel():
    it = found["cancel"]
    assert "enough" in it["message"] and it["seconds"] < 5 and not it["errors"], it
    assert it["after"]["content"][0]["text"] == "still here\n", it
    assert subprocess.run(["pgrep", "-f", "^/bin/sleep 77$"], check=False, capture_output=True).returncode == 1
    assert [e for e in events if "cancelled" in json.dumps(e)], "and it is recorded"


def dropped():
    it = found["dropped"]
    assert it["wasCut"] and [r["status"] for r in it["resumed"]] == [200], it
    assert it["told"] == sorted(set(it["told"])) and it["told"][-1] >= 2, "each once, none lost"
    assert it["result"]["structuredContent"]["output"] == "done\n", it


def denied():
    it = found["denied"]
    assert it["policy"]["code"] == -32003 and it["policy"]["data"]["error"] == "policy_denied", it
    allowed = {row["name"]: row["conditions"] for row in it["policy"]["data"]["allowed"]}
    assert "acme/app" in allowed["issues.close"][0] and allowed["echo"] == [], allowed
    assert it["unknown"]["code"] == -32602 and "echo" in it["unknown"]["data"]["known"], it
    assert it["fine"]["structuredContent"]["output"] == "closed acme/app 7\n", it


def schema():
    it = found["denied"]["schema"]
    assert it["code"] == -32602 and it["data"]["error"] == "invalid_arguments", it
    pointers = {e["pointer"]: e for e in it["data"]["errors"]}
    assert set(pointers) == {"", "/more", "/txt"} and pointers["/txt"]["nearest"] == "text", pointers


def t16_batch():
    it = found["batch"]
    assert [m["result"]["content"][0]["text"] for m in it["fine"]["body"]] == ["a\n", "b\n"], it
    assert [m["error"]["code"] for m in it["denied"]["body"]] == [-32003] * 3, it
    assert it["denied"]["body"][1]["error"]["data"]["tool"] == "issues.close", it
    assert it["late"]["status"] == 400 and "error" in it["late"]["body"], it
    ran = [e for e in events if e["class_name"] == "API Activity" and e["api"]["operation"] == "echo"
           and e["action"] == "Allowed"]
    assert len(ran) == 4, "one of call, one of cancel, two of the batch that was fine"


def sessions():
    assert found["sessions"] == {**found["sessions"], "differ": True, "gone": 404}


def token():
    assert found["token"]["code"] == 401 and "token_invalid" in found["token"]["message"], found["token"]


def long():
    it = found["long=20"]
    assert it["result"]["isError"] is False and 19.5 < it["seconds"] < 25 and not it["errors"], it


def changes():
    p = agent.start("changes")
    assert json.loads(p.stdout.readline())["name"] == "ready"
    agent.w.policy(mcplab.POLICY.replace("echo, facts, ", ""))
    out, err = p.communicate(timeout=30)
    agent.w.policy(mcplab.POLICY)
    it = json.loads(out)
    assert it["ok"] and it["before"] == 100, (it, err)


def a_proxy_that_is_killed():
    os.unlink(agent.w.audit)
    p = agent.start("survives")
    assert json.loads(p.stdout.readline())["name"] == "ready"
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(p.pid)], capture_output=True, text=True,
                           check=True).stdout
    os.kill(next(int(line.split()[0]) for line in found.splitlines() if "cove-proxy" in line), signal.SIGKILL)
    out, err = p.communicate(timeout=40)
    it = json.loads(out)
    assert it["ok"] and it["result"]["structuredContent"]["output"] == "done\n" and it["resumed"] >= 1, (it, err)
    assert it["told"] == sorted(set(it["told"])), it
    ran = [e for e in agent.w.events() if e["class_name"] == "API Activity"]
    assert len(ran) == 1, "it was not called again"


def two_sandboxes():
    """The session and the events of one are nobody's in another, where its token is not known either."""
    script = ("H=\"Authorization: Bearer $COVE_TOOLS_TOKEN\"; cat > s.mjs; echo \"$COVE_TOOLS_TOKEN\"; "
              "curl -sS -D - -o /dev/null -H \"$H\" -H 'Content-Type: application/json' $COVE_TOOLS_URL/mcp -d "
              "'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\","
              "\"capabilities\":{},\"clientInfo\":{\"name\":\"a\",\"version\":\"1\"}}}' | tr -d '\\r'; sleep 20")
    one = subprocess.Popen(agent.command("/bin/sh", "-c", script), env=agent.env, text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        theirs, session = one.stdout.readline().strip(), ""
        while not session:
            line = one.stdout.readline()
            assert line, one.stderr.read()
            key, _, value = line.strip().partition(": ")
            session = value if key.lower() == "mcp-session-id" else ""
        r = subprocess.run(agent.command(
            "/bin/sh", "-c", "for t in $COVE_TOOLS_TOKEN " + theirs + "; do curl -sS -H \"Authorization: Bearer $t\" "
            "-H 'Accept: text/event-stream' -H 'Mcp-Session-Id: " + session + "' -w ' %{http_code}\\n' "
            "$COVE_TOOLS_URL/mcp; done"), env=agent.env, text=True, capture_output=True, timeout=30, check=False)
        assert "unknown_session" in r.stdout and " 404" in r.stdout and " 401" in r.stdout, (r.stdout, r.stderr)
    finally:
        one.terminate()
        one.communicate()


RELAY = r"""
import re, socket, sys, threading, json, subprocess, os
counts = {"requests": 0, "sent": 0, "received": 0}
def pump(a, b, is_request):
    while data := a.recv(65536):
        data = data.replace(b"127.0.0.1:8000", b"tools.local")
        counts["sent" if is_request else "received"] += len(data)
        if is_request:
            counts["requests"] += len(re.findall(rb"(?:^|\n)[A-Z]+ /\S* HTTP/1.1\r\n", data))
        b.sendall(data)
    try:
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
listener = socket.create_server(("127.0.0.1", 8000))
def serve():
    while True:
        c, _ = listener.accept()
        s = socket.create_connection(("tools.local", 80))
        threading.Thread(target=pump, args=(c, s, True), daemon=True).start()
        threading.Thread(target=pump, args=(s, c, False), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
r = subprocess.run(["/bin/sh", "-c", sys.argv[1]], capture_output=True, text=True)
print(json.dumps({**counts, "out": r.stdout[-3000:], "err": r.stderr[-500:]}))
"""
CURL = ("c() { curl -sS --noproxy '*' --connect-to tools.local:80:127.0.0.1:8000 "
        "-H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" \"$@\"; }; ")
CLOSE = "c -H 'Content-Type: application/json' http://tools.local/v1/tools/issues.close -d " \
        "'{\"repo\":\"acme/app\",\"number\":7}'"
WAYS = {
    "`GET /`, then curl": CURL + "c http://tools.local/; " + CLOSE,
    "`/tools.json`, then curl": CURL + "c http://tools.local/tools.json; " + CLOSE,
    "`/openapi.json`, then curl": CURL + "c http://tools.local/openapi.json; " + CLOSE,
    "MCP, the official SDK": "node mcp_client.mjs task=http://127.0.0.1:8000",
    "the skill file, then curl": CURL + "cat $COVE_TOOLS_SKILL; " + CLOSE,
}


def ways():
    """The same task, found out about in each way: what it costs in requests and bytes."""
    with open(os.path.join(agent.w.work, "relay.py"), "w", encoding="utf-8") as f:
        f.write(RELAY)
    agent.tools = agent.w.policy(mcplab.CATALOG, "few.yaml")
    print("# | way | requests | bytes sent | bytes received |\n# |---|---|---|---|")
    for name, script in WAYS.items():
        r = subprocess.run(agent.command("/usr/bin/python3", "relay.py", script), env=agent.env, text=True,
                           capture_output=True, timeout=30, check=False)
        it = json.loads(r.stdout)
        assert "closed acme/app 7" in it["out"], (name, it, r.stderr)
        print(f"# | {name} | {it['requests']} | {it['sent']} | {it['received']} |")
        want = {"MCP": (6, 7), "the": (1, 1)}.get(name.split()[0].rstrip(","), (2, 2))
        assert want[0] <= it["requests"] <= want[1], (name, it)


tap.check("initialize: version, capabilities, a session that is kept to", initialize)
tap.check("tools/list: filtered, in pages, with schemas", listing)
tap.check("tools/call: text, data, a tool that fails", calls)
tap.check("progress of a call", progress)
tap.check("log messages, when they are asked for", log)
tap.check("a call that is cancelled ends on the host", cancel)
tap.check("a stream that breaks is taken up again: nothing twice, nothing lost", dropped)
tap.check("T16 a denial is an error with what is allowed", denied)
tap.check("what is wrong with arguments, all of it at once", schema)
tap.check("T16 batches: where the version has them; denied as a whole", t16_batch)
tap.check("a session that was ended is gone", sessions)
tap.check("B1 a token that is not this run's", token)
tap.check("a call of 20 seconds", long)
tap.check("a policy that changes is told", changes)
tap.check("a proxy that is killed during a call: its stream goes on", a_proxy_that_is_killed)
tap.check("two sandboxes: sessions and tokens", two_sandboxes)
tap.check("the same task by each way of finding out", ways)
agent.w.close()
tap.done()
