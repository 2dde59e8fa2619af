#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""MCP as Streamable HTTP has it: sessions, event streams that are lost and taken up again, progress,
log messages, cancellation."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import ALLOW, Lab, Sandbox, Tap, eventually  # noqa: E402

CATALOG = """
version: 1
tools:
  sh:
    description: Runs a script of the test's.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {seconds: 60, concurrency: 64, bytes: 4000000}
  held:
    description: Asks first.
    input: {properties: {}}
    command: {argv: [/bin/true]}
""" + "".join(f"""
  many.t{i:03}:
    description: One of many.
    command: {{argv: [/bin/true]}}
""" for i in range(230))
POLICY = """
version: 1
tools:
  a: {tools: [sh, "many.*"]}
  b: {tools: [held], approval: always}
"""
BOTH = "application/json, text/event-stream"
lab = Lab(CATALOG)
box = Sandbox(lab, "one", POLICY)
other = Sandbox(lab, "two", POLICY)


class Client:
    """A client of MCP in a sandbox."""

    def __init__(self, sandbox=box, version="2025-11-25", begin=True):
        self.box, self.version, self.session, self.number = sandbox, version, None, 0
        if begin:
            r = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
            assert r.status == 200, r
            self.session = r.headers["mcp-session-id"]
            assert len(self.session) == 32 and int(self.session, 16), r

    def headers(self, **more):
        return {"mcp_session_id": self.session, "mcp_protocol_version": self.version if self.session else None,
                "accept": BOTH, **more}

    def post(self, message, **more):
        return self.box.request("POST", "/mcp", message, **self.headers(**more))

    def message(self, method, params=None, number=None):
        self.number += 1
        return {"jsonrpc": "2.0", "id": number or self.number, "method": method, "params": params or {}}

    def call(self, script, token=None, number=None):
        params = {"name": "sh", "arguments": {"script": script}}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return self.message("tools/call", params, number)

    def open(self, method="POST", message=None, **more):
        """The connection and what its events are; JSON is one event without an id."""
        stream = self.box.open()
        stream.send(method, "/mcp", message, **self.headers(**more))
        status, headers = stream.head()
        assert status == 200 and headers["content-type"] == "text/event-stream", (status, headers)
        return stream, events(stream)

    def again(self, last, **more):
        return self.open("GET", last_event_id=last, **more)

    def notify(self, method, **params):
        r = self.post({"jsonrpc": "2.0", "method": method, "params": params})
        assert r.status == 202 and not r.body, r


def events(stream):
    """(id, message or None) of each event; a comment is (None, text)."""
    text = b""
    while chunk := stream.chunk():
        text += chunk
        while b"\n\n" in text:
            one, text = text.split(b"\n\n", 1)
            fields = {}
            for line in one.decode().split("\n"):
                key, _, value = line.partition(":")
                fields[key] = fields.get(key, "") + value.removeprefix(" ")
            if "id" in fields:
                yield fields["id"], json.loads(fields["data"]) if fields["data"] else None
            else:
                yield None, fields.get("")


def results(found):
    return [m for _, m in found if m and "id" in m]


def text_of(message):
    """The tool's output; where it had more to say, the text is the whole result."""
    text = message["result"]["content"][0]["text"]
    return json.loads(text)["output"] if text.startswith('{"output"') else text


def runs(mark):
    return any(mark in open(f"/proc/{p}/cmdline", encoding="utf-8", errors="replace").read()
               for p in os.listdir("/proc") if p.isdigit() and os.path.exists(f"/proc/{p}/cmdline"))


def sessions_begin_and_end():
    one, two = Client(), Client()
    assert one.session != two.session
    assert one.post(one.message("ping")).json["result"] == {}
    r = box.request("DELETE", "/mcp", mcp_session_id=one.session)
    assert r.status == 204, r
    for method in ("POST", "GET", "DELETE"):
        r = box.request(method, "/mcp", one.message("ping") if method == "POST" else None,
                        mcp_session_id=one.session, accept=BOTH)
        assert r.status == 404 and r.json["error"] == "unknown_session", r
    assert two.post(two.message("ping")).status == 200
    assert box.request("DELETE", "/mcp").status == 400
    assert box.request("GET", "/mcp", accept=BOTH).status == 400


def sessions_of_another_sandbox_are_nobody_s():
    one = Client()
    stolen = Client(other, begin=False)
    stolen.session = one.session
    assert stolen.post(stolen.message("ping")).status == 404
    assert other.request("DELETE", "/mcp", mcp_session_id=one.session).status == 404
    s, found = one.open(message=one.call("sleep 1; echo done", "t"))
    last = next(found)[0]
    theirs = Client(other)
    for client in (theirs, Client(other, begin=False), Client(), Client(begin=False)):
        r = client.box.request("GET", "/mcp", **client.headers(last_event_id=last))
        assert r.status == 400 and r.json["error"] == "unknown_event", r
    assert text_of(results(found)[0]) == "done\n"
    s.close()


def the_oldest_session_makes_room():
    first = Client()
    busy = Client()
    stream, found = busy.open(message=busy.call("sleep 3; echo still", "t"))
    for _ in range(127):
        Client()
    assert first.post(first.message("ping")).status == 404
    assert text_of(results(found)[0]) == "still\n", "what is in use stays"
    stream.close()


def versions():
    client = Client(version="2025-06-18")
    assert client.post(client.message("ping"), mcp_protocol_version=None).status == 200
    r = client.post(client.message("ping"), mcp_protocol_version="2025-11-25")
    assert r.status == 400 and "error" in r.json, r
    assert client.post(client.message("ping"), mcp_protocol_version="1999-01-01").status == 400
    batch = [client.message("ping"), client.message("ping")]
    assert client.post(batch).status == 400
    old = Client(version="2025-03-26")
    assert len(old.post(batch).json) == 2
    assert len(Client(begin=False).post(batch).json) == 2, "without a word it is 2025-03-26"
    r = old.post([old.message("initialize")])
    assert r.status == 400, r


def accept_is_heard():
    client = Client()
    for accept, status, kind in [(BOTH, 200, "application/json"), ("application/json", 200, "application/json"),
                                 ("*/*", 200, "application/json"), (None, 200, "application/json"),
                                 ("text/event-stream", 200, "text/event-stream"),
                                 ("text/event-stream, application/json;q=0", 200, "text/event-stream"),
                                 ("text/html", 406, None), ("application/json;q=0", 406, None)]:
        r = client.post(client.message("ping"), accept=accept)
        assert r.status == status and (not kind or r.headers["content-type"] == kind), (accept, r)
    assert box.request("GET", "/mcp", **client.headers(accept="application/json")).status == 406
    r = client.post(client.call("sleep 0.6; echo x"), accept="application/json")
    assert r.headers["content-type"] == "application/json" and text_of(r.json) == "x\n", r
    r = Client(begin=False).post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
        accept="text/event-stream")
    assert r.headers["content-type"] == "text/event-stream" and len(r.headers["mcp-session-id"]) == 32, r
    assert client.post(client.call("echo fast")).headers["content-type"] == "application/json"


def slow_calls_become_events():
    for version, primed in (("2025-11-25", True), ("2025-06-18", False), ("2025-03-26", False)):
        client = Client(version=version)
        begun = time.monotonic()
        stream, found = client.open(message=client.call("sleep 4; echo done"))
        assert time.monotonic() - begun < 3
        first = next(found)
        assert (first[1] is None) == primed, (version, first)
        answers = results([first, *found])
        assert len(answers) == 1 and text_of(answers[0]) == "done\n" and answers[0]["id"] == client.number
        assert stream.request("POST", "/mcp", client.message("ping"), **client.headers()).json["result"] == {}
        stream.close()


def progress_grows():
    took = []
    while not took or min(took) >= 0.2:  # on a busy machine one may be late
        assert len(took) < 10, f"at once, when it was asked for: {took}"
        client = Client()
        begun = time.monotonic()
        stream, found = client.open(message=client.call(
            "for i in 1 2 3; do echo step $i >&2; sleep 1; done; echo done", "tok"))
        took.append(time.monotonic() - begun)
    found = list(found)
    told = [m["params"] for _, m in found if m and m.get("method") == "notifications/progress"]
    numbers = [p["progress"] for p in told]
    assert len(numbers) >= 3 and numbers == sorted(set(numbers)), told
    assert all(p["progressToken"] == "tok" for p in told)
    assert "step 2" in [p.get("message") for p in told], told
    assert text_of(results(found)[0]) == "done\n"
    ids = [i for i, _ in found]
    assert len(set(ids)) == len(ids) and all(ids), "each event has its id"
    stream.close()
    stream, found = client.open(message=client.call("sleep 0.6; echo x >&2"))
    assert not [m for _, m in found if m and "method" in m], "nobody asked"
    stream.close()


def log_messages():
    client = Client()
    r = client.post(client.message("logging/setLevel", {"level": "loud"}))
    assert r.json["error"]["code"] == -32602, r
    assert client.post(client.message("logging/setLevel", {"level": "info"})).json["result"] == {}
    script = "echo one >&2; sleep 0.7; echo two >&2; printf '\\377' >&2; sleep 0.3; echo; echo last >&2"
    stream, found = client.open(message=client.call(script))
    found = list(found)
    logs = [m["params"] for _, m in found if m and m.get("method") == "notifications/message"]
    assert [p["level"] for p in logs] == ["info"] * len(logs) and logs[0]["logger"] == "sh", logs
    text = "".join(p["data"] for p in logs)
    assert text.startswith("one\ntwo\n") and text.endswith("last\n"), text
    stream.close()
    client.post(client.message("logging/setLevel", {"level": "warning"}))
    stream, found = client.open(message=client.call(script))
    assert not [m for _, m in found if m and "method" in m]
    stream.close()


def lost_and_taken_up():
    client = Client()
    stream, found = client.open(message=client.call("for i in 1 2 3; do echo $i >&2; sleep 1; done; echo done", 7))
    next(found)
    last, first = next(found)
    assert first["params"]["progressToken"] == 7
    stream.close()
    time.sleep(1.5)
    stream, found = client.again(last)
    found = list(found)
    assert [m for _, m in found if m and m.get("method")], "what was said meanwhile"
    assert text_of(results(found)[0]) == "done\n"
    stream.close()
    # All of it again, from an earlier event; behind the last there is nothing more.
    again = list(client.again(last)[1])
    assert again == found
    r = box.request("GET", "/mcp", **client.headers(last_event_id=found[-1][0]))
    assert r.status == 204 and not r.body, r
    channel = last.split("-")[0]
    for wrong in ("x", channel, f"{channel}-", f"{channel}-999", f"{channel}-x", "0" * 16 + "-1", "-1",
                  f"{channel}-18446744073709551615", channel.upper() + "g-1"):
        r = box.request("GET", "/mcp", **client.headers(last_event_id=wrong))
        assert r.status == 400, (wrong, r)


def lost_before_the_end_and_a_reader_that_is_replaced():
    client = Client()
    stream, found = client.open(message=client.call("sleep 1.2; echo one", number="n"))
    last = next(found)[0]
    second, more = client.again(last)
    assert not list(found), "one reader at a time"
    assert text_of(results(more)[0]) == "one\n"
    second.close()
    # The result comes while nobody reads; and it is a job as well.
    client = Client()
    stream, found = client.open(message=client.call("sleep 4; echo two", number="n"))
    last = next(found)[0]
    stream.close()
    assert eventually(lambda: [j for j in box.request("GET", "/v1/jobs").json["jobs"]
                               if j["tool"] == "sh" and j["state"] == "running"], 3)
    time.sleep(4.2)
    assert text_of(results(client.again(last)[1])[0]) == "two\n"


def a_proxy_that_is_started_anew():
    client = Client()
    stream, found = client.open(message=client.call("sleep 1; echo done", 1))
    last = next(found)[0]
    stream.close()
    box.relink()
    assert text_of(results(client.again(last)[1])[0]) == "done\n"


def cancelled():
    client = Client()
    stream, found = client.open(message=client.call("sleep 33.25", "t", "mine"))
    next(found)
    Client().notify("notifications/cancelled", requestId="mine")
    other_box = Client(other)
    other_box.notify("notifications/cancelled", requestId="mine")
    client.notify("notifications/cancelled", requestId="another")
    time.sleep(0.3)
    assert runs("sleep\x0033.25") or runs("sleep 33.25"), "not by another session, sandbox, or id"
    client.notify("notifications/cancelled", requestId="mine", reason="bored")
    assert not results(found), "no answer to what was cancelled"
    assert eventually(lambda: not runs("33.25"))
    assert lab.events()[-1]["api"]["response"]["error"] == "cancelled" or "cancelled" in json.dumps(lab.events()[-1])
    stream.close()
    # Of a batch: the others are answered.
    client = Client(version="2025-03-26")
    batch = [client.call("sleep 0.5; echo a", number=1), client.call("echo b", number=2),
             client.call("sleep 34.25", number=3), client.call("echo c", number=4)]
    stream, found = client.open(message=batch)
    client.notify("notifications/cancelled", requestId=2)
    assert next(found)[1]["id"] == 1
    time.sleep(0.2)
    client.notify("notifications/cancelled", requestId=3)
    assert [m["id"] for m in results(found)] == [4]
    stream.close()


def a_session_s_end_ends_its_calls():
    client = Client()
    stream, found = client.open(message=client.call("sleep 35.25", "t"))
    next(found)
    listening, heard = client.open("GET")
    assert box.request("DELETE", "/mcp", mcp_session_id=client.session).status == 204
    assert not results(found) and not results(heard), "both streams end"
    assert eventually(lambda: not runs("35.25"))


def batches_as_events():
    client = Client(version="2025-03-26")
    batch = [client.message("ping", number=1), client.call("sleep 0.4; echo two", number=2),
             client.message("tools/call", {"name": "nothing"}, 3), client.call("echo four", "t", 4)]
    stream, found = client.open(message=batch)
    assert [m["id"] for m in results(found)] == [1, 2, 3, 4]
    stream.close()
    stream, found = client.open(message=batch)
    last = next(found)[0]
    stream.close()
    assert [m["id"] for m in results(client.again(last)[1])] == [2, 3, 4], "they go on without a reader"


def held_calls_tell_why():
    client = Client()
    message = client.message("tools/call", {"name": "held", "arguments": {}, "_meta": {"progressToken": 1}})
    stream, found = client.open(message=message)
    ask = lab.ask()
    told = [next(found)[1], next(found)[1]][-1]
    assert told["params"]["message"] == "waits for approval", told
    lab.answer(ask["id"], ALLOW)
    assert results(found)[0]["result"]["isError"] is False
    stream.close()


def the_list_changes():
    sandbox = Sandbox(lab, "changing", POLICY)
    client = Client(sandbox)
    stream, heard = client.open("GET")
    last = next(heard)[0]
    sandbox.policy(POLICY.replace("sh, ", ""))
    change = next(heard)
    assert change[1]["method"] == "notifications/tools/list_changed", change
    stream.close()
    sandbox.policy(POLICY)
    stream, heard = client.again(last)
    assert [next(heard)[1]["method"] for _ in range(2)] == ["notifications/tools/list_changed"] * 2
    stream.close()
    sandbox.end()


def lists_in_pages():
    client = Client()
    names, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        r = client.post(client.message("tools/list", {"cursor": cursor} if cursor else {})).json["result"]
        names += [t["name"] for t in r["tools"]]
        cursor, pages = r.get("nextCursor"), pages + 1
    assert pages == 3 and len(names) == len(set(names)) == 232, (pages, len(names))
    r = client.post(client.message("tools/list", {"cursor": "\u0000"}))
    assert r.json["error"]["code"] == -32602, r


def what_is_kept_is_bounded():
    client = Client()
    client.post(client.message("logging/setLevel", {"level": "debug"}))
    script = "for i in $(seq 40); do head -c 30000 /dev/zero | tr '\\0' x >&2; echo >&2; done; sleep 0.6; echo end"
    stream, found = client.open(message=client.call(script, "t"))
    last = next(found)[0]
    stream.close()
    time.sleep(1.5)
    found = list(client.again(last)[1])
    assert text_of(results(found)[0]) == "end\n", "the answer is kept"
    assert sum(len(json.dumps(m)) for _, m in found if "method" in m) < 80000, "and the last of the rest"
    lasts = []
    for _ in range(4):
        stream, found = client.open(message=client.call("head -c 900000 /dev/zero | tr '\\0' y; sleep 0.4"))
        lasts.append(next(found)[0])
        assert len(text_of(results(found)[0])) == 900000
        stream.close()
    status = [client.box.request("GET", "/mcp", **client.headers(last_event_id=i)).status for i in lasts]
    assert status[0] == 400 and status[-1] == 200, status
    assert box.request("GET", "/healthz", token=False).status == 200


def many_at_once():
    client = Client()
    streams = [client.open(message=client.call("sleep 2; echo x", f"t{i}")) for i in range(60)]
    for stream, found in streams:
        assert text_of(results(found)[0]) == "x\n"
        stream.close()


def a_reader_that_is_slow():
    client = Client()
    client.post(client.message("logging/setLevel", {"level": "debug"}))
    stream = client.box.open()
    stream.send("POST", "/mcp", client.call("head -c 3000000 /dev/zero | tr '\\0' z; sleep 0.4", "t"),
                **client.headers())
    time.sleep(1.5)
    stream.head()
    assert len(text_of(results(events(stream))[0])) == 3000000
    stream.close()


def keep_alive():
    client = Client()
    stream, heard = client.open("GET")
    next(heard)
    begun = time.monotonic()
    assert next(heard) == (None, ""), "a comment"
    assert 10 < time.monotonic() - begun < 18
    stream.close()


TESTS = [sessions_begin_and_end, sessions_of_another_sandbox_are_nobody_s, the_oldest_session_makes_room, versions,
         accept_is_heard, slow_calls_become_events, progress_grows, log_messages, lost_and_taken_up,
         lost_before_the_end_and_a_reader_that_is_replaced, a_proxy_that_is_started_anew, cancelled,
         a_session_s_end_ends_its_calls, batches_as_events, held_calls_tell_why, the_list_changes, lists_in_pages,
         what_is_kept_is_bounded, many_at_once, a_reader_that_is_slow, keep_alive]
if __name__ == "__main__":
    status = Tap().run(TESTS)
    assert lab.close() == 0
    sys.exit(status)
