#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the programs that people use work through cove when policy allows them, and are refused,
with one audit event and nothing sent, when it does not; with proxy variables and without.
Method: the real programs in a real sandbox against local servers with a private CA."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import world  # noqa: E402

NAMES = ["api.example.test", "git.example.test", "other.example.test"]
POLICY = """\
version: 1
network_policies:
  api:
    endpoints:
      - host: api.example.test
        port: 443
        protocol: rest
        enforcement: enforce
        rules:
          - allow: {method: GET, path: "/v1/**"}
          - allow: {method: POST, path: /v1/items}
      - host: api.example.test
        port: 80
        protocol: rest
        enforcement: enforce
        access: read-only
    binaries: [{path: "/usr/**"}]
  git:
    endpoints:
      - {host: git.example.test, port: 443, protocol: rest, enforcement: enforce, access: read-write}
    binaries: [{path: /usr/bin/git}]
"""

tap = world.Tap()
w = world.World(NAMES)
https = world.Server(world.PRIVATE, 443, w.pki)
plain = world.Server(world.PRIVATE, 80)
policy = w.policy(POLICY)
pins = [f"{n}:{p}:{world.PRIVATE}" for n in NAMES for p in (80, 443)]

UNPROXY = "env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u all_proxy "


def cove(script, **kw):
    return w.cove(["/bin/sh", "-c", script], policy=policy, pins=pins, **kw)


def allowed(name, script, want, server=https):
    before = len(server.seen)
    r = cove(script)
    tap.ok(r.returncode == 0 and want in r.stdout and len(server.seen) == before + 1, name,
           f"status {r.returncode}, stdout {r.stdout!r}, stderr {r.stderr!r}, "
           f"server saw {len(server.seen) - before}")


def denied(name, script, server=https, text=None):
    before = len(server.seen)
    r = cove(script)
    events = [e for e in w.events() if e.get("action_id") == 2]
    tap.ok(len(server.seen) == before and (text is None or text in r.stdout + r.stderr) and events,
           name, f"status {r.returncode}, stdout {r.stdout!r}, stderr {r.stderr!r}, "
                 f"server saw {len(server.seen) - before}, denials {len(events)}")


allowed("curl GET over HTTPS, explicit proxy", "curl -sS https://api.example.test/v1/a", "GET /v1/a")
allowed("curl GET over HTTPS, proxy variables unset",
        UNPROXY + "curl -sS https://api.example.test/v1/b", "GET /v1/b")
allowed("curl GET over HTTP, explicit proxy", "curl -sS http://api.example.test/p", "GET /p", plain)
allowed("curl GET over HTTP, proxy variables unset",
        UNPROXY + "curl -sS http://api.example.test/q", "GET /q", plain)
allowed("curl POST with a body", "curl -sS -d name=x https://api.example.test/v1/items", "name=x")
allowed("curl POST chunked with Expect: 100-continue",
        "printf %2000s x | curl -sS -T - -X POST -H 'Expect: 100-continue' "
        "https://api.example.test/v1/items", "x")
allowed("wget", "wget -q -O - https://api.example.test/v1/w", "GET /v1/w")
allowed("python urllib", "/usr/bin/python3 -c \"import urllib.request as u; "
        "print(u.urlopen('https://api.example.test/v1/u').read().decode())\"", "GET /v1/u")
allowed("python requests", "/usr/bin/python3 -c \"import requests; "
        "print(requests.get('https://api.example.test/v1/r').text)\"", "GET /v1/r")
allowed("node fetch", "node -e \"fetch('https://api.example.test/v1/n').then(r => r.text())"
        ".then(console.log)\"", "GET /v1/n")
allowed("openssl s_client, transparent",
        "(printf 'GET /v1/s HTTP/1.1\\r\\nHost: api.example.test\\r\\nConnection: close\\r\\n\\r\\n'; "
        "sleep 1) | openssl s_client -quiet -verify_return_error -connect api.example.test:443 "
        "-servername api.example.test", "GET /v1/s")

denied("curl to a path that no rule names", "curl -sS https://api.example.test/v2/a",
       text="policy_denied")
denied("curl with a method that no rule names", "curl -sS -X DELETE https://api.example.test/v1/a",
       text="policy_denied")
denied("curl to a host that no endpoint names", "curl -sS https://other.example.test/v1/a")
denied("the same, proxy variables unset", UNPROXY + "curl -sS https://other.example.test/v1/a")
denied("the same, by address", UNPROXY + f"curl -sSk --connect-timeout 5 https://{world.PRIVATE}/v1/a")
denied("curl to git's endpoint: the binary is not allowed", "curl -sS https://git.example.test/x")

r = cove("dig +short +tries=1 +time=2 api.example.test A; dig +tries=1 +time=2 exfil.evil.test A")
tap.ok("198.1" in r.stdout and "REFUSED" in r.stdout, "dig: listed name synthetic, other REFUSED",
       r.stdout + r.stderr)
r = cove("dig +tries=1 +time=2 api.example.test TXT")
tap.ok("NOERROR" in r.stdout and "ANSWER: 0" in r.stdout, "n6 dig TXT of a listed name: NODATA", r.stdout)

# git over HTTPS: a real repository behind git's own CGI
origin = os.path.join(w.dir, "srv", "demo.git")
subprocess.run(f"git init -q --bare {origin} && git init -q {w.dir}/seed && cd {w.dir}/seed && "
               "git -c user.name=t -c user.email=t@t commit -q --allow-empty -m first && "
               f"git push -q {origin} HEAD:refs/heads/main && "
               f"git -C {origin} symbolic-ref HEAD refs/heads/main && "
               f"git -C {origin} update-server-info", shell=True, check=True)


class Dumb(world._Handler):
    """git's dumb protocol: files below srv/."""

    def do_GET(self):
        path = os.path.join(w.dir, "srv", self.path.split("?")[0].lstrip("/"))
        self.server.seen.append({"path": self.path})
        data = open(path, "rb").read() if os.path.isfile(path) else None
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")


git_server = world.Server(world.PUBLIC, 443, w.pki, handler=Dumb)
pins = [p for p in pins if not p.startswith("git.")] + [f"git.example.test:443:{world.PUBLIC}"]
r = cove("git clone -q https://git.example.test/demo.git d && git -C d log --oneline && rm -rf d")
tap.ok(r.returncode == 0 and "first" in r.stdout, "git clone over HTTPS", r.stderr)

events = w.events()
tap.ok(any(e.get("http_request", {}).get("url") and e.get("action_id") == 1 for e in events),
       "the audit log names what was allowed", str(events)[:400])
w.close()
tap.done()
