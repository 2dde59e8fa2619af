#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""http://policy.local: what may I do, and why was I refused.

Goal: an agent reads the policy that decides it, its denials and what it may do at a host; the name
is nobody else's, on no port, whatever a policy lists; every request is in the audit.  Method: the
explicit proxy, and a second proxy whose listener takes every address, as for programs that know
of no proxy; a name server that must hear of nothing.
"""
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import look  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab, pack_str, read_all, read_response  # noqa: E402

POLICY = """
# a comment that stays
version: 1
network_policies:
  api:
    name: my-api
    endpoints:
      - host: api.test
        port: 443
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: GET, path: "/v1/**"}}, {allow: {method: POST, path: /v1/x}}]
      - {host: policy.local, port: 8080}
      - {host: policy.local, port: 443}
      - {host: inference.local, port: 80}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
w = world.World(["api.test", "policy.local"])
proxylab.add_local("198.18.0.0", 15)
proxylab.add_local("fd23:6f70:656e::", 48)
proxylab.add_local("10.200.0.1", 32)
dns_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # the host's: must hear of nothing
dns_server.bind(("10.77.0.1", 53))
dns_server.settimeout(0.2)
PINS = [("api.test", 443, P), ("policy.local", 80, P), ("policy.local", 8080, P),
        ("policy.local", 443, P), ("inference.local", 80, P), ("policy.local", 9, P)]
lab = Lab(w, POLICY, pins=PINS, resolv="nameserver 10.77.0.1\n")
origin = [proxylab.Bytes(P, port) for port in (80, 443, 8080)]
tap = world.Tap()


def ask(target, method="GET", head="", body=b"", lab=lab, url="http://policy.local"):
    s = lab.connect()
    host = url.split("/")[2]
    s.sendall(f"{method} {url}{target} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode() + body)
    status, headers, answer = read_response(s)
    assert method == "HEAD" or headers["connection"] == "close", headers
    return status, headers, answer


def ask_json(target, want=200, **kw):
    status, headers, body = ask(target, **kw)
    assert status == want, (status, body)
    assert headers["content-type"] == "application/json", headers
    return json.loads(body)


def current():
    assert ask_json("/v1/policy/current") == {"format": "yaml", "policy_yaml": POLICY}
    status, headers, body = ask("/v1/policy/current?format=raw")
    assert (status, body.decode()) == (200, POLICY), body
    assert headers["content-type"] == "application/yaml"
    got = ask_json("/v1/policy/current?format=json")
    assert got["format"] == "json" and got["policy"]["version"] == 1, got
    endpoint = got["policy"]["network_policies"]["api"]["endpoints"][0]
    assert endpoint == {"host": "api.test", "port": 443, "protocol": "rest", "enforcement": "enforce",
                        "rules": [{"allow": {"method": "GET", "path": "/v1/**"}},
                                  {"allow": {"method": "POST", "path": "/v1/x"}}]}, endpoint


tap.check("the policy is told as text and as JSON", current)


def reloaded():
    text = POLICY.replace("/v1/x", "/v1/y")
    assert lab.policy(text)[0] == 0
    assert ask_json("/v1/policy/current")["policy_yaml"] == text
    assert lab.policy("version: 3\n")[0] != 0
    assert ask_json("/v1/policy/current")["policy_yaml"] == text
    assert lab.policy(POLICY)[0] == 0


tap.check("a new policy is told at once, a bad one never", reloaded)


def denials():
    assert ask_json("/v1/denials") == {"denials": [], "log_available": True}
    for i in range(3):
        s, status, _ = lab.tunnel(f"n{i}.evil.test", 443)
        assert status == 403
    s = lab.connect()
    s.sendall(b"GET http://evil.test/a?secret=word HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    assert read_all(s).startswith(b"HTTP/1.1 403")
    got = ask_json("/v1/denials?last=2")["denials"]
    assert len(got) == 2 and "evil.test" in got[0] and "n2.evil.test" in got[1], got
    assert "?[redacted]" in got[0] and "word" not in got[0], got
    assert all("DENIED" in line for line in got)
    assert len(ask_json("/v1/denials")["denials"]) == 4
    for odd in ("0", "x", "-1", "99999999999999999999", "1&last=2", ""):
        assert ask("/v1/denials?last=" + odd)[0] == 200, odd
    assert len(ask_json("/v1/denials?last=0")["denials"]) == 1


tap.check("denials are told, newest first, without queries", denials)


def ring():
    for i in range(120):
        lab.tunnel("x" * 60 + f".r{i}.evil.test", 443)[0].close()
    got = ask_json("/v1/denials?last=100")["denials"]
    assert len(got) == 100 and ".r119." in got[0] and ".r20." in got[-1], (len(got), got[-1])
    assert all(len(line) <= 4096 + 14 for line in got)


tap.check("a hundred of them are kept", ring)


def allowed():
    got = ask_json("/v1/allowed?host=api.test&port=443")
    assert got["connect"] is True and got["policy"] == "my-api" and got["inspected"] is True, got
    assert {"method": "GET", "path": "/v1/**"} in got["allowed"], got
    assert got["binary"] == "/usr/bin/curl", got
    assert ask_json("/v1/allowed?host=api.test")["port"] == 443
    got = ask_json("/v1/allowed?host=api.test&port=80")
    assert got["connect"] is False and "api.test:80" in got["reason"], got
    got = ask_json("/v1/allowed?host=policy.local&port=8080")
    assert got["connect"] is False, got
    for bad in ("", "?host=", "?host=a..b", "?host=api.test&port=0", "?host=api.test&port=x",
                "?host=api.test&port=65536"):
        assert ask_json("/v1/allowed" + bad, want=400)["error"] == "invalid_request", bad


tap.check("what the caller may do at a host is told", allowed)


def other_caller():
    s = lab.connect(exe="/usr/bin/wget")
    s.sendall(b"GET http://policy.local/v1/allowed?host=api.test HTTP/1.1\r\nHost: policy.local\r\n\r\n")
    got = json.loads(read_response(s)[2])
    assert got["connect"] is False and "wget" in got["reason"], got


tap.check("... and that depends on who asks", other_caller)


def routes():
    for method, target, status, error in [
            ("GET", "/", 404, "not_found"), ("GET", "/v1/policy", 404, "not_found"),
            ("GET", "/v1/policy/current/", 404, "not_found"), ("POST", "/v1/denials", 404, "not_found"),
            ("GET", "/v1/proposals", 404, "not_found"), ("DELETE", "/v1/proposals/x", 404, "not_found"),
            ("GET", "/V1/denials", 404, "not_found"), ("OPTIONS", "/v1/denials", 404, "not_found"),
            ("GET", "/v1/x/../denials", 404, "not_found"), ("GET", "/v1/proposals/..", 404, "not_found"),
            ("GET", "/v1/proposals/abc/wait?timeout=301", 400, "invalid_request")]:
        got = ask_json(target, want=status, method=method)
        assert got["error"] == error, (method, target, got)
    body = b"{}" * 40000
    got = ask_json("/v1/proposals", want=400, method="POST", head=f"Content-Length: {len(body)}\r\n",
                   body=body)
    assert got["error"] == "invalid_proposal", got
    s = lab.connect()
    s.sendall(b"HEAD http://policy.local/v1/denials HTTP/1.1\r\nHost: policy.local\r\n\r\n")
    answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 404") and answer.endswith(b"\r\n\r\n"), answer


tap.check("every other route says so", routes)


PROPOSAL = {"intent_summary": "why", "operations": [{"addRule": {"ruleName": "r", "rule": {
    "endpoints": [{"host": "api.test", "port": 443}], "binaries": [{"path": "/usr/bin/curl"}]}}}]}


def asked(method, path, body=b"", head=""):
    """A request that is on its way to the gateway, and what the gateway is asked: (socket, tag, what, text)."""
    s = lab.connect()
    s.sendall(f"{method} http://policy.local{path} HTTP/1.1\r\nHost: policy.local\r\n{head}\r\n".encode() + body)
    message = lab.wait("PROPOSE")
    tag, what, n = struct.unpack_from("<QII", message)
    assert len(message) == 16 + n, message
    return s, tag, what, message[16:]


def told(tag, status, is_final, document):
    lab.send("PROPOSED", struct.pack("<QII", tag, status, is_final) + pack_str(json.dumps(document)))


def proposals():
    body = json.dumps(PROPOSAL).encode()
    for head, sent in ((f"Content-Length: {len(body)}\r\n", body),
                       ("Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))):
        s, tag, what, text = asked("POST", "/v1/proposals", sent, head)
        assert what == 0 and b"operations" not in text and b"api.test\0" in text, text
        told(tag + 1000, 500, 1, {})  # of nobody
        told(tag, 202, 1, {"status": "submitted"})
        status, _, got = read_response(s)
        assert (status, json.loads(got)) == (202, {"status": "submitted"}), (status, got)
    s, tag, what, text = asked("GET", "/v1/proposals/abc-1")
    assert (what, text) == (1, b"abc-1")
    told(tag, 200, 0, {"status": "pending"})
    assert json.loads(read_response(s)[2]) == {"status": "pending"}


def waiting():
    """Asked again and again, until there is nothing to wait for, or the time is over."""
    s, tag, what, text = asked("GET", "/v1/proposals/abc/wait?timeout=30")
    for _ in range(2):
        told(tag, 200, 0, {"status": "pending"})
        again = lab.wait("PROPOSE")
        assert again[8:] == struct.pack("<II", 1, 3) + b"abc" and again[:8] != struct.pack("<Q", tag), again
        tag, = struct.unpack_from("<Q", again)
    told(tag, 200, 1, {"status": "approved"})
    assert json.loads(read_response(s)[2]) == {"status": "approved"}
    s, tag, what, text = asked("GET", "/v1/proposals/abc/wait?timeout=1")
    told(tag, 200, 0, {"status": "pending"})
    tag, = struct.unpack_from("<Q", lab.wait("PROPOSE"))
    told(tag, 200, 0, {"status": "pending"})
    assert json.loads(read_response(s)[2]) == {"status": "pending", "timed_out": True}
    s, tag, what, text = asked("GET", "/v1/proposals/abc/wait")  # who hangs up is forgotten
    s.close()
    told(tag, 200, 0, {"status": "pending"})
    s, tag, what, text = asked("GET", "/v1/proposals/abc")  # and a gateway that says nothing is told of
    s.settimeout(20)
    status, _, got = read_response(s)
    assert status == 502 and json.loads(got)["error"] == "gateway_lookup_failed", got


tap.check("proposals go on as data, and their answers come back", proposals)
tap.check("who waits for one is answered in time", waiting)


def scheme():
    got = ask_json("/v1/denials", want=400, url="https://policy.local")
    assert got["error"] == "invalid_policy_local_scheme", got
    for url in ("http://policy.local:8080", "http://policy.local:9", "http://inference.local"):
        got = ask_json("/v1/denials", want=403, url=url)
        assert got["error"] == "policy_denied", got
    for port in (80, 443, 8080):
        s, status, head = lab.tunnel("policy.local", port)
        assert status == 403, head
        assert json.loads(read_all(s))["error"] == "policy_denied"
    assert all(o.connections == 0 for o in origin)


tap.check("t12 no policy, pin or port makes the name a network route", scheme)


def behind():
    s = lab.connect()
    s.sendall(b"GET http://policy.local/v1/denials?last=1 HTTP/1.1\r\nHost: policy.local\r\n\r\n"
              b"GET http://policy.local/v1/policy/current HTTP/1.1\r\nHost: policy.local\r\n\r\n")
    answer = read_all(s)
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    s = lab.connect()
    s.sendall(b"GET http://policy.local/v1/denials HTTP/1.1\r\nHost: policy.local\r\nHost: a\r\n\r\n")
    assert read_all(s).startswith(b"HTTP/1.1 400")


tap.check("t11 nothing behind a request is looked at", behind)


LARGE = POLICY + "# " + "\"\\" * 200000 + "\n"


def gone():
    assert lab.policy(LARGE)[0] == 0
    assert ask_json("/v1/policy/current")["policy_yaml"] == LARGE
    # who leaves in the middle of an answer is noticed by whichever call comes first, read or write
    before = look.descriptor_count(lab.process.pid)
    for i in range(200):
        s = lab.connect()
        s.sendall(b"GET http://policy.local/v1/policy/current HTTP/1.1\r\nHost: policy.local\r\n\r\n")
        time.sleep(i % 20 / 5000)
        s.close()
    assert box.until(lambda: look.descriptor_count(lab.process.pid) <= before, 10), (
        before, look.descriptor_count(lab.process.pid))


tap.check("who leaves in the middle of an answer leaves nothing", gone)


def large():
    # many that ask and never read: bounded, and told so
    idle = []
    for _ in range(120):
        s = lab.connect()
        s.sendall(b"GET http://policy.local/v1/policy/current HTTP/1.1\r\nHost: policy.local\r\n\r\n")
        idle.append(s)
    statuses = {read_response(s)[0] for s in idle[-3:]}
    rss = int(next(line for line in open(f"/proc/{lab.process.pid}/status")
                   if line.startswith("VmRSS")).split()[1])
    for s in idle:
        s.close()
    assert rss < 150000 or "san" in proxylab.BUILD, rss
    assert statuses == {503}, statuses
    assert box.until(lambda: ask("/v1/policy/current")[0] == 200, 20), "not when those are closed"
    assert lab.policy(POLICY)[0] == 0


tap.check("t20 large answers are bounded together", large)


def audited():
    mine = [e for e in lab.events() if e.get("http_request", {}).get("url", {}).get("hostname") == "policy.local"
            or e.get("dst_endpoint", {}).get("hostname") == "policy.local"]
    asked = [e for e in mine if "/v1/policy/current" in json.dumps(e)]
    assert asked and all(e.get("action") == "Allowed" for e in asked), asked[:1]
    assert any("local" in json.dumps(e) and e.get("activity_name") for e in mine)
    line = [x for x in lab.lines() if "policy.local" in x and "/v1/denials" in x]
    assert line, lab.lines()[:5]


tap.check("each request is in the audit", audited)


# ---- transparently ----

trans = Lab(w, POLICY, listen=("0.0.0.0", 80), resolv="nameserver 10.77.0.1\n")
UDP = ("127.0.0.1", trans.udp[0].getsockname()[1])


def resolve(name, qtype=1):
    q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(
        bytes([len(x)]) + x.encode() for x in name.split(".")) + struct.pack(">BHH", 0, qtype, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(15)
    s.sendto(q, UDP)
    answer = s.recv(4096)
    assert answer[3] & 15 == 0, answer
    n = 16 if qtype == 28 else 4
    return socket.inet_ntop(socket.AF_INET6 if n == 16 else socket.AF_INET, answer[-n:])


def transparent():
    ip = resolve("policy.local")
    assert ip.startswith("198.18."), ip
    assert resolve("policy.local", 28).startswith("fd23:6f70:656e:")
    assert resolve("inference.local").startswith("198.18.")
    s = trans.connect(to=(ip, 80))
    s.sendall(b"GET /v1/policy/current HTTP/1.1\r\nHost: policy.local\r\n\r\n")
    status, _, body = read_response(s)
    assert (status, json.loads(body)["policy_yaml"]) == (200, POLICY), body
    s = trans.connect(to=(ip, 80))
    s.sendall(b"GET /v1/denials HTTP/1.1\r\nHost: api.test\r\n\r\n")
    status, _, body = read_response(s)
    assert status == 403 and json.loads(body)["error"] == "request_authority_mismatch", body
    s = trans.connect(to=(resolve("inference.local"), 80))
    s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: inference.local\r\n\r\n")
    assert read_response(s)[0] == 403


tap.check("programs that know of no proxy reach it by its name", transparent)


def silent():
    try:
        raise AssertionError(dns_server.recv(512))
    except socket.timeout:
        pass


tap.check("n4 no name was asked of anybody", silent)


def sandboxed():
    """From a real sandbox: through the proxy variables, and by its name alone."""
    asks = ("import urllib.request as u, urllib.error\n"
            "for o in (u.build_opener(), u.build_opener(u.ProxyHandler({}))):\n"
            "    try: print(o.open('http://policy.local/v1/policy/current', timeout=20).status)\n"
            "    except urllib.error.HTTPError as e: print(e.code, e.read().decode())\n")
    done = w.cove(["/usr/bin/python3", "-c", asks], policy=w.policy(POLICY))
    assert done.stdout.split() == ["200", "200"], done
    done = w.cove(["/usr/bin/python3", "-c", asks])
    assert done.stdout.count("policy_unavailable") == 2, done


tap.check("from a sandbox, with a policy and without", sandboxed)
tap.check("both proxies end well", lambda: [lab.close(), trans.close()] == [0, 0] or 1 / 0)
w.close()
tap.done()
