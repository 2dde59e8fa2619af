#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metadata servers of clouds, answered by cove-proxy with placeholders.

Goal: google-auth's and AWS's SDKs find project, account and keys where they look for them; what they get
is placeholders; a request that their servers refuse is refused; without such a provider the addresses
are as blocked as any.  Method: a proxy with facts, asked explicitly, by address, and by a name from its
DNS; then real runs with a provider, and programs in them that ask as SDKs do.
"""
import json
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from credlab import equal  # noqa: E402
from proxylab import Lab, read_response  # noqa: E402

GOOGLE, GOOGLE_IP, AWS = "metadata.google.internal", "169.254.169.254", "169.254.170.2"
TOKEN, SECRET = "ya29.placeholder-of-google", "placeholder/of/aws+secret"
FACTS = [TOKEN, "my-project", "me@my-project.iam.gserviceaccount.com", "scope-a scope-b",
         "/v2/credentials", "0123456789abcdef", "ASIAPLACEHOLDER00000", SECRET, "session-placeholder"]
FLAVOR = ["Metadata-Flavor: Google"]
POLICY = """
version: 1
network_policies:
  all:
    endpoints:
      - {host: api.test, port: 443}
      - {host: metadata.google.internal, ports: [443, 8080]}
      - {host: 169.254.169.254, ports: [80, 8080]}
      - {host: 169.254.170.2, ports: [80, 8080]}
    binaries: [{path: /usr/bin/curl}]
"""
w = world.World(["api.test"])
for address, bits in (("198.18.0.0", 15), ("10.200.0.1", 32), (GOOGLE_IP, 32), (AWS, 32)):
    proxylab.add_local(address, bits)
tap = world.Tap()


def ask(lab, host, path, fields=(), method="GET", to=None, port=""):
    """By the explicit proxy, or, with an address, as one that knows of none."""
    s = lab.connect(to=(to, lab.port)) if to else lab.connect()
    target = path if to else f"http://{host}{port}{path}"
    s.sendall("\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}{port}", *fields, "", ""]).encode())
    status, headers, body = read_response(s)
    s.close()
    return status, headers, body.decode()


lab = Lab(w, POLICY, metadata=FACTS)
for host in (GOOGLE, GOOGLE_IP):
    tap.check(f"{host}: the ping of google-auth", lambda: equal(
        (lambda r: (r[0], r[1]["metadata-flavor"]))(ask(lab, host, "/", FLAVOR)), (200, "Google")))
    tap.check(f"{host}: project", lambda: equal(
        ask(lab, host, "/computeMetadata/v1/project/project-id", FLAVOR)[::2], (200, "my-project")))
    tap.check(f"{host}: token", lambda: equal(
        json.loads(ask(lab, host, "/computeMetadata/v1/instance/service-accounts/default/token?scopes=a", FLAVOR)[2]),
        {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}))
tap.check("the account, as google-auth asks for it", lambda: equal(
    {k: v for k, v in json.loads(ask(
        lab, GOOGLE, "/computeMetadata/v1/instance/service-accounts/default/?recursive=true", FLAVOR)[2]).items()},
    {"aliases": ["default"], "email": FACTS[2], "scopes": ["scope-a", "scope-b"]}))
tap.check("without Metadata-Flavor: 403", lambda: equal(
    ask(lab, GOOGLE, "/computeMetadata/v1/project/project-id")[0], 403))
tap.check("with X-Forwarded-For: 403", lambda: equal(
    ask(lab, GOOGLE, "/computeMetadata/v1/project/project-id", [*FLAVOR, "X-Forwarded-For: 1.2.3.4"])[0], 403))
tap.check("another method: 405", lambda: equal(
    ask(lab, GOOGLE, "/computeMetadata/v1/project/project-id", [*FLAVOR, "Content-Length: 0"], "PUT")[0], 405))
tap.check("what is not there: 404", lambda: equal(
    ask(lab, GOOGLE, "/computeMetadata/v1/instance/attributes/", FLAVOR)[0], 404))

AUTH = ["Authorization: 0123456789abcdef"]


def aws_keys(to=None):
    status, headers, body = ask(lab if not to else open_lab, AWS, "/v2/credentials", AUTH, to=to)
    said = json.loads(body)
    equal((status, headers["content-type"]), (200, "application/json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said.pop("Expiration")), body
    equal(said, {"AccessKeyId": FACTS[6], "SecretAccessKey": SECRET, "Token": FACTS[8]})


tap.check("AWS: keys", aws_keys)
tap.check("AWS: without its token: 401", lambda: equal(ask(lab, AWS, "/v2/credentials")[0], 401))
tap.check("AWS: another's token: 401", lambda: equal(
    ask(lab, AWS, "/v2/credentials", ["Authorization: 0123456789abcdeF"])[0], 401))
tap.check("AWS: another path: 404", lambda: equal(
    ask(lab, AWS, "/latest/meta-data/iam/security-credentials/", AUTH)[0], 404))
for host in (GOOGLE, GOOGLE_IP, AWS):
    tap.check(f"{host}: no route on another port, whatever is listed", lambda: equal(
        ask(lab, host, "/", FLAVOR, port=":8080")[0], 403))
    tap.check(f"{host}: no tunnel", lambda: equal(
        [lab.tunnel(host, port)[1] for port in (80, 443, 8080)], [403] * 3))


def recorded():
    events = [e for e in lab.decisions("Allowed") if "project-id" in json.dumps(e)]
    assert events, lab.lines()[-3:]
    assert TOKEN not in open(lab.audit_path).read() and SECRET not in open(lab.audit_path).read()


tap.check("every request is recorded, no answer is", recorded)
equal(lab.close(), 0)

# ---- programs that know of no proxy ----

open_lab = Lab(w, POLICY, metadata=FACTS, listen=("0.0.0.0", 80))
open_lab.port = 80


def resolve(name, of):
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"".join(
        bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(15)
        s.sendto(query, ("127.0.0.1", of.udp[0].getsockname()[1]))
        answer = s.recv(512)
    rcode, count = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
    return (rcode, socket.inet_ntoa(answer[-4:]) if count else "")


tap.check("by address: Google's", lambda: equal(ask(
    open_lab, GOOGLE_IP, "/computeMetadata/v1/project/project-id", FLAVOR, to=GOOGLE_IP)[::2], (200, "my-project")))
tap.check("by address: AWS's", lambda: aws_keys(to=AWS))


def by_name():
    rcode, address = resolve(GOOGLE, open_lab)
    equal((rcode, address.startswith("198.18.") or address.startswith("198.19.")), (0, True), address)
    equal(ask(open_lab, GOOGLE, "/computeMetadata/v1/project/project-id", FLAVOR, to=address)[::2],
          (200, "my-project"))


tap.check("by a name from the sandbox's DNS", by_name)
tap.check("another Host than the address asked (rebinding): 403", lambda: equal(ask(
    open_lab, "api.test", "/computeMetadata/v1/project/project-id", FLAVOR, to=GOOGLE_IP)[0], 403))
equal(open_lab.close(), 0)

# ---- only where there is something to say ----

for name, facts in (("no provider", []), ("a provider of AWS alone", [""] * 4 + FACTS[4:])):
    lab = Lab(w, POLICY, metadata=facts)
    for host in (GOOGLE, GOOGLE_IP, *([] if facts else [AWS])):
        tap.check(f"{name}: {host} is blocked", lambda: equal(
            ask(lab, host, "/computeMetadata/v1/project/project-id", FLAVOR)[0], 403))
    if not facts:
        tap.check(f"{name}: its name is listed on other ports, and is an address as any", lambda: equal(
            lab.tunnel(GOOGLE_IP, 80)[1], 403))
    lab.close()
w.close()

# ---- real runs ----

PROFILE = """\
id: my-cloud
credentials:
  - {name: token, env_vars: [MY_GOOGLE_TOKEN], required: true, shape: google_access_token}
endpoints: [{host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}]
binaries: [{path: "/**"}]
"""
INSTANCE = """\
profile: ./profile.yaml
credentials: {token: {env: MY_GOOGLE_TOKEN}}
config: {GOOGLE_CLOUD_PROJECT: the-project}
"""
REAL = "ya29.r3al-t0ken-of-google-0123456789"
lab = credlab.Lab({"profile.yaml": PROFILE, "instance.yaml": INSTANCE}, env={"MY_GOOGLE_TOKEN": REAL},
                  names=["api.test"], instances=["instance.yaml"])
CURL = "curl -sS --max-time 10 -H 'Metadata-Flavor: Google' "
PATH = "/computeMetadata/v1/instance/service-accounts/default/token"


def in_run(how, url):
    r = lab.sh(CURL + f"{how} http://{url}{PATH}")
    equal(json.loads(r["out"] or "{}").get("access_token"), lab.inside["MY_GOOGLE_TOKEN"], r)
    assert REAL not in r["out"]


tap.check("in a run: the variable that libraries look at", lambda: equal(lab.inside.get("GCE_METADATA_HOST"), GOOGLE))
tap.check("in a run: by the proxy of the environment", lambda: in_run("", GOOGLE))
tap.check("in a run: by the name, without a proxy", lambda: in_run("--noproxy '*'", GOOGLE))
tap.check("in a run: by the address, without a proxy", lambda: in_run("--noproxy '*'", GOOGLE_IP))
tap.check("in a run: the project of the instance", lambda: equal(
    lab.sh(CURL + f"http://{GOOGLE}/computeMetadata/v1/project/project-id")["out"], "the-project"))


def goes_out():
    token = json.loads(lab.sh(CURL + f"http://{GOOGLE}{PATH}")["out"])["access_token"]
    reply = lab.get("api.test", "/", [f"Authorization: Bearer {token}"])
    equal((reply.status, credlab.field(lab.origin.seen(), "authorization")), (200, [f"Bearer {REAL}"]))


tap.check("in a run: the token is the real one where it is bound", goes_out)
tap.check("in a run: AWS's is not there", lambda: equal(
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI" in lab.inside,
     lab.sh(f"curl -s -o /dev/null -w '%{{http_code}}' http://{AWS}/v2/credentials")["out"]), (False, "403")))
lab.close()
lab.remove()

MINT = """\
profile: aws-s3
refresh:
  access_key_id:
    strategy: command
    command: [/bin/echo, '%s']
""" % json.dumps({"Version": 1, "AccessKeyId": "ASIAREALREALREALREAL", "SecretAccessKey": "real-secret",
                  "SessionToken": "real-session", "Expiration": "2099-01-01T00:00:00Z"})
lab = credlab.Lab({"aws.yaml": MINT}, names=["s3.amazonaws.com"])


def container():
    r = lab.sh('curl -sS --noproxy "*" -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" '
               '"$AWS_CONTAINER_CREDENTIALS_FULL_URI"')
    said = json.loads(r["out"] or "{}")
    equal([said.get(k) for k in ("AccessKeyId", "SecretAccessKey", "Token")],
          [lab.inside[k] for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")], r)
    assert not any("real" in str(v).lower() for v in said.values()), said


tap.check("in a run with keys that are renewed: AWS's container credentials", container)
tap.check("in such a run: Google's is blocked", lambda: equal(
    ("GCE_METADATA_HOST" in lab.inside,
     lab.sh(f"curl -s -o /dev/null -w '%{{http_code}}' http://{GOOGLE_IP}/")["out"]), (False, "403")))
lab.close()
lab.remove()
tap.done()
