#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MCP servers of the catalog: their tools as tools of the route, whatever they say and do.

Servers on stdio (tests/lib/mcpserver.py) and over HTTP with JSON and with event streams.
"""
import http.server
import json
import os
import signal
import sys
import tempfile
import threading
import time

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib")
sys.path.insert(0, LIB)
import mcpserver  # noqa: E402
from brokerlab import Keeper, Lab, Sandbox, Tap, eventually  # noqa: E402

SECRET = "mcp-SECRET-value-0123456789"
DIR = tempfile.mkdtemp(prefix="cove-mcp-")
SCRIPT = os.path.join(LIB, "mcpserver.py")


def tool(name, properties=None, required=(), **more):
    return {"name": name, "description": f"The tool {name}.",
            "inputSchema": {"type": "object", "properties": properties or {}, "required": list(required)}, **more}


TOOLS = [mcpserver.ECHO, tool("slow", {"steps": {"type": "integer"}, "pause": {"type": "number"}}), tool("fail"),
         tool("structured", annotations={"readOnlyHint": True}), tool("image"), tool("large"),
         tool("env", {"name": {"type": "string"}}, ["name"]), tool("hidden"), tool("gone")]


def directory(name, tools=None, mode=""):
    path = os.path.join(DIR, name)
    os.makedirs(path, exist_ok=True)
    put(path, "tools", json.dumps(TOOLS if tools is None else tools))
    if mode:
        put(path, "mode", mode)
    return path


def put(path, name, text):
    with open(os.path.join(path, name + ".new"), "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(os.path.join(path, name + ".new"), os.path.join(path, name))


def sent(path):
    with open(os.path.join(path, "log"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


# --- over HTTP ---------------------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        lab_server, kind = self.server.lab, self.server.kind
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.headers_seen.append(dict(self.headers.items()))
        session = self.headers.get("Mcp-Session-Id")
        if message.get("method") != "initialize" and session != self.server.session:
            return self._say(404, b"", {})
        if "id" not in message:
            lab_server.handle(message, lambda m: None)
            return self._say(202, b"", {})
        more = {}
        if message["method"] == "initialize":
            self.server.session = f"session-{time.monotonic_ns()}"
            more = {"Mcp-Session-Id": self.server.session}
        if kind == "json" or message["method"] == "initialize":
            out = []
            lab_server.handle(message, out.append)
            return self._say(200, json.dumps(out[-1]).encode(), {**more, "Content-Type": "application/json"})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def send(m):
            data = f"event: message\nid: {time.monotonic_ns()}\ndata: {json.dumps(m)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        try:
            lab_server.handle(message, send)
            if kind == "open":
                time.sleep(20)  # a server that leaves the stream open behind its answer
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def _say(self, status, body, headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(kind, path):
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.handle_error = lambda *_: None  # a client that is gone is no news, least of all within a line of TAP
    s.lab, s.kind, s.session, s.headers_seen = mcpserver.Server(path, None), kind, None, []
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s


MAIN, JSON, SSE, OPEN = (directory(n) for n in ("main", "json", "sse", "open"))
servers = {"json": serve("json", JSON), "sse": serve("sse", SSE), "open": serve("open", OPEN)}
NAMES = '["echo", "slow", "fail", "struct*", "image", "large", "env", "gone"]'
CATALOG = f"""
version: 1
credentials:
  KEY: {{env: KEY}}
mcp_servers:
  main:
    argv: [/usr/bin/python3, {SCRIPT}, {MAIN}]
    env: {{TOKEN: "{{credential:KEY}}"}}
    allow: {NAMES}
    prefix: main.
""" + "".join(f"""\
  {name}:
    url: http://127.0.0.1:{s.server_address[1]}/mcp
    headers: {{Authorization: "Bearer {{credential:KEY}}"}}
    allow: {NAMES}
    prefix: {name}_
""" for name, s in servers.items()) + """
tools:
  main.fail:
    description: Has the name of one that the server has.
    command: {argv: [/bin/echo, "the catalog's own"]}
  secret_tool:
    description: One that allow does not have, named.
    mcp: {server: main, tool: hidden}
  short:
    description: With little time and room.
    input: {properties: {steps: {type: integer}, pause: {type: number}}}
    mcp: {server: main, tool: slow}
    limits: {seconds: 1, bytes: 1000}
"""
keeper = Keeper({"KEY": SECRET}, [("mcp:" + n, "KEY") for n in ("main", *servers)])
lab = Lab(CATALOG, keeper=keeper)
box = Sandbox(lab, "one")


def names():
    return [t["name"] for t in box.request("GET", "/tools.json", token=False).json]


def what_there_is():
    have = names()
    for want in ("main.echo", "json_echo", "sse_echo", "open_echo", "main.structured", "secret_tool", "short"):
        assert want in have, (want, have)
    assert "main.hidden" not in have and "hidden" not in have, have
    listed = {t["name"]: t for t in box.request("GET", "/tools.json", token=False).json}
    assert listed["main.echo"]["input_schema"]["properties"]["text"] == {"type": "string"}, listed["main.echo"]
    assert listed["main.echo"]["description"] == "Says what it is told."
    notes = open(lab.audit_path, encoding="utf-8").read()
    assert "main.fail" in notes and "there is one of this name" in notes
    assert box.call("main.fail").json["output"] == "the catalog's own\n"


def calls_of_each_transport():
    for prefix in ("main.", "json_", "sse_", "open_"):
        start = time.monotonic()
        r = box.call(prefix + "echo", {"text": 'ä"\n'})
        assert r.status == 200 and r.json == {"output": 'ä"\n'}, (prefix, r)
        assert time.monotonic() - start < 10, prefix
        assert box.call(prefix + "structured").json == {"output": {"answer": 42}}
        r = box.call(prefix + "image")
        assert r.json["output"][1]["type"] == "image", r
        r = box.call(prefix + "large")
        if prefix in ("main.", "json_"):
            assert r.status == 200 and r.json["truncated"] and len(r.json["output"]) == 1 << 20, r.status
        else:  # an event is smaller than a message may be
            assert r.status == 502 and "too large" in r.json["detail"], r.json["detail"]
        if prefix != "main.":
            r = box.call(prefix + "fail")
            assert (r.status, r.json["error"], r.json["output"]) == (502, "tool_failed", "it went wrong"), r
    assert box.call("secret_tool").json == {"output": ""}


def arguments_by_the_servers_schema():
    for body, words in (({}, "must have"), ({"text": 3}, "string"), ({"text": "a", "texd": "b"}, "texd")):
        n = len(sent(MAIN))
        r = box.call("main.echo", body)
        assert (r.status, r.json["error"]) == (400, "invalid_arguments"), r
        assert words in json.dumps(r.json), r
        assert len(sent(MAIN)) == n, "the server heard of it"


def c10_its_credential_is_its_own():
    r = box.call("main.env", {"name": "TOKEN"})
    assert r.status == 200 and r.json["output"] == "*" * len(SECRET), r
    assert servers["json"].headers_seen[-1]["Authorization"] == "Bearer " + SECRET
    r = box.call("json_echo", {"text": "x"})
    assert SECRET not in r.body.decode()
    assert servers["sse"].headers_seen[-1]["MCP-Protocol-Version"] == "2025-11-25"
    servers["json"].lab.call = lambda *_: {"content": [{"type": "text", "text": f"it is {SECRET}!"}]}
    r = box.call("json_echo", {"text": "x"})
    del servers["json"].lab.call
    assert r.json["output"] == f"it is {'*' * len(SECRET)}!", r


def progress_and_cancel():
    for prefix in ("main.", "sse_"):
        job = box.job(prefix + "slow", {"steps": 8, "pause": 0.1})
        seen = eventually(lambda: (box.request("GET", f"/v1/jobs/{job}").json["progress"] or {}).get("total") == 3)
        assert seen, box.request("GET", f"/v1/jobs/{job}").json
        assert box.wait(job)["state"] == "succeeded"
        job = box.job(prefix + "slow", {"steps": 100, "pause": 0.1})
        time.sleep(0.3)
        assert box.request("POST", f"/v1/jobs/{job}/cancel", {}).status in (200, 202)
        assert box.wait(job)["state"] == "cancelled"
        path = MAIN if prefix == "main." else SSE
        assert eventually(lambda: [m for m in sent(path) if m.get("method") == "notifications/cancelled"])
    start = time.monotonic()
    r = box.call("short", {"steps": 100, "pause": 0.1})
    assert (r.status, r.json["error"]) == (504, "tool_timeout") and time.monotonic() - start < 6, r  # of ten seconds


def t16_a_server_that_asks():
    put(MAIN, "mode", "ask")
    r = box.call("main.echo", {"text": "still"})
    os.unlink(MAIN + "/mode")
    assert r.json == {"output": "still"}, r
    answers = {m["id"]: m for m in sent(MAIN) if "method" not in m}
    assert answers["s1"]["error"]["code"] == -32601 and answers["s2"]["result"] == {}, answers


def t16_the_list_changes():
    more = TOOLS + [tool("env2"), tool("struct_new"), tool("a b"), tool("../x"), tool("slow\u0441"),
                    tool("gone2"), tool("gone2"), {"name": "struct_bad", "inputSchema": {"type": "object", "properties": 7}},
                    {"name": "struct_none"}]
    more = [t for t in more if t["name"] != "gone"]
    put(MAIN, "tools", json.dumps(more))
    assert eventually(lambda: "main.struct_new" in names()), names()
    have = names()
    assert "main.gone" not in have and "main.env2" not in have, have
    assert not [n for n in have if "bad" in n or "none" in n or " " in n or ".." in n or "gone2" in n], have
    r = box.call("main.gone")
    assert (r.status, r.json["error"]) == (404, "unknown_tool"), r
    notes = open(lab.audit_path, encoding="utf-8").read()
    for word in ("letters, digits", "is there twice", "can't be read", "of no object"):
        assert word in notes, word
    put(MAIN, "tools", json.dumps(TOOLS))
    assert eventually(lambda: "main.gone" in names()), names()
    r = box.call("main.gone")
    assert (r.status, r.json["error"]) == (502, "backend_failed") and "unknown tool" in r.json["detail"], r


def t16_a_schema_that_changes():
    changed = [dict(t) for t in TOOLS]
    changed[0] = {**mcpserver.ECHO, "inputSchema": {"type": "object", "properties": {"words": {"type": "string"}}}}
    put(MAIN, "tools", json.dumps(changed))
    assert eventually(lambda: box.call("main.echo", {"text": "a"}).status == 400)
    assert box.call("main.echo", {"words": "a"}).status == 200
    put(MAIN, "tools", json.dumps(TOOLS))
    assert eventually(lambda: box.call("main.echo", {"text": "a"}).status == 200)


def one_that_crashes():
    put(MAIN, "mode", "crash")
    r = box.call("main.echo", {"text": "x"})
    assert (r.status, r.json["error"]) == (502, "backend_failed"), r
    assert "exit code 3" in r.json["detail"] and "main" in r.json["detail"], r
    assert eventually(lambda: box.call("main.echo", {"text": "x"}).status == 200), "not started again"
    put(MAIN, "mode", "garbage")
    r = box.call("main.echo", {"text": "x"})
    assert r.status == 502 and "not JSON" in r.json["detail"], r
    os.unlink(MAIN + "/mode")
    assert eventually(lambda: box.call("main.echo", {"text": "x"}).status == 200)
    put(MAIN, "mode", "huge")
    r = box.call("main.echo", {"text": "x"})
    assert r.status == 502 and "MiB" in r.json["detail"], r
    os.unlink(MAIN + "/mode")
    assert eventually(lambda: box.call("main.echo", {"text": "x"}).status == 200)


def a_session_that_is_lost():
    servers["sse"].session = "forgotten"
    r = box.call("sse_echo", {"text": "x"})
    assert (r.status, r.json["error"]) == (502, "backend_failed") and "404" in r.json["detail"], r
    assert eventually(lambda: box.call("sse_echo", {"text": "x"}).status == 200)


def many_at_once():
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(
        box.call(("main.", "sse_", "json_")[i % 3] + "slow", {"steps": 1, "pause": 2}).json["output"])) for i in range(9)]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert results == ["slow done"] * 9 and time.monotonic() - start < 9, results


def one_that_dies_too_often():
    def kill():
        for pid in lab.shepherds():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if MAIN.encode() in f.read():
                        os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def is_given_up():
        kill()
        time.sleep(0.8)
        return "it dies too often" in open(lab.audit_path, encoding="utf-8").read()

    assert eventually(is_given_up, 60)
    r = box.call("main.echo", {"text": "x"})
    assert r.status == 502 and "down" in r.json["detail"], r
    assert box.call("json_echo", {"text": "x"}).status == 200
    notes = open(lab.audit_path, encoding="utf-8").read()
    assert "it dies too often" in notes


def fatal(mode, words, seconds=10, argv=None):
    path = directory("fatal", mode=mode)
    argv = argv or f"/usr/bin/python3, {SCRIPT}, {path}"
    bad = Lab(f"version: 1\nmcp_servers:\n  bad: {{argv: [{argv}], allow: ['*']}}\ntools: {{}}\n", is_ready=False)
    try:
        bad.wait("READY", seconds)
        raise RuntimeError("it is ready")
    except AssertionError as error:
        assert words in str(error), error
    bad.kill()


def one_that_does_not_come_up():
    fatal("old", "speaks no version")
    fatal("", "can't be started", argv="/nonexistent/server")
    fatal("", "exit code 1", argv="/bin/false")


if __name__ == "__main__":
    code = Tap().run([what_there_is, calls_of_each_transport, arguments_by_the_servers_schema,
                      c10_its_credential_is_its_own, progress_and_cancel, t16_a_server_that_asks,
                      t16_the_list_changes, t16_a_schema_that_changes, one_that_crashes,
                      a_session_that_is_lost, many_at_once, one_that_dies_too_often, one_that_does_not_come_up])
    lab.close()
    keeper.close()
    sys.exit(code)
