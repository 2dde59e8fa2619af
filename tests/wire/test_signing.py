#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what a sandbox signs with placeholders arrives signed with the real keys, for what arrived; the
secret is nowhere, and what can't be signed anew is refused with not a byte at the server (C12).
Method: a real run with the profiles of AWS; requests as SDKs write them; the origin computes Signature
Version 4 on its own from the bytes that it got."""
import datetime
import hashlib
import hmac
import os
import re
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import equal, field, refused, request, target  # noqa: E402

ID, SECRET = "AKIA2E7QWERTYUIOPLKJ", "s3cr3t/" + "Zx9+" * 8 + "q"
TOKEN = "IQoJb3JpZ2luX2VjE" + "Aa1+/" * 40 + "=="
ENV = {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
EMPTY = hashlib.sha256(b"").hexdigest()
BUCKET, PLAIN, BEDROCK = "mine.s3.eu-west-1.amazonaws.com", "s3.amazonaws.com", "dynamodb.eu-west-1.amazonaws.com"
FIXED, BODY, NO_BODY = "minio.test", "body.minio.test", "nobody.minio.test"
PROFILE = """\
id: my-aws
credentials:
  - {name: id, env_vars: [AWS_ACCESS_KEY_ID], required: true, shape: aws_key_id}
  - {name: secret, env_vars: [AWS_SECRET_ACCESS_KEY], required: true, shape: aws_secret_key}
%s
endpoints:
  - {host: "*.s3.*.amazonaws.com", port: 443, %s, credential_signing: sigv4, signing_service: s3}
  - {host: s3.amazonaws.com, port: 443, %s, credential_signing: sigv4, signing_service: s3}
  - {host: "dynamodb.*.amazonaws.com", port: 443, %s, credential_signing: sigv4, signing_service: dynamodb,
     signing_region: eu-west-1}
  - {host: minio.test, ports: [443, 8444], %s, credential_signing: sigv4, signing_service: s3,
     signing_region: us-test-7}
  - {host: body.minio.test, port: 443, %s, credential_signing: "sigv4:body", signing_service: s3,
     signing_region: us-test-7}
  - {host: nobody.minio.test, port: 443, %s, credential_signing: "sigv4:no_body", signing_service: s3,
     signing_region: us-test-7, credential_mode: require}
  - {host: lost.minio.test, port: 443, %s, credential_signing: sigv4, signing_service: s3}
binaries: [{path: "/**"}]
"""
REST = "protocol: rest, enforcement: enforce, access: full"
SESSION = "  - {name: token, env_vars: [AWS_SESSION_TOKEN], shape: aws_session_token}"


def profile(session=SESSION):
    return PROFILE % (session, *[REST] * 7)


# ---- the server's side: Signature Version 4 ----


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def uri(text, safe=""):
    return urllib.parse.quote(urllib.parse.unquote_to_bytes(text), safe=safe + "-_.~")


def verify(seen, region, service, token=TOKEN, secret=SECRET, seconds=300):
    """Raises unless the bytes of one request are signed; returns (head's fields, body)."""
    head, _, body = seen.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, url, _ = lines[0].split(" ")
    fields = {}
    for text in lines[1:]:
        name, _, value = text.partition(":")
        fields.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
    if "chunked" in fields.get("transfer-encoding", []):
        body, _ = credlab.decode_chunks(body)
    equal([len(fields.get(n, [])) for n in ("authorization", "x-amz-date", "host")], [1, 1, 1], head)
    said = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                        r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})", fields["authorization"][0])
    assert said, fields["authorization"]
    key_id, day, in_region, for_service, names, signature = said.groups()
    equal((key_id, in_region, for_service), (ID, region, service))
    when = datetime.datetime.strptime(fields["x-amz-date"][0], "%Y%m%dT%H%M%SZ")
    assert abs((datetime.datetime.utcnow() - when).total_seconds()) < seconds, when
    equal(fields["x-amz-date"][0][:8], day)
    equal(fields.get("x-amz-security-token", []), [token] if token else [])
    signed = names.split(";")
    equal(signed, sorted(signed))
    missing = [n for n in fields if (n.startswith("x-amz-") or n in ("host", "content-type", "content-md5"))
               and n not in signed]
    equal(missing, [])
    payload = fields.get("x-amz-content-sha256", [hashlib.sha256(body).hexdigest()])[0]
    if re.fullmatch("[0-9a-f]{64}", payload):
        equal(payload, hashlib.sha256(body).hexdigest(), "of the body")
    path, _, query = url.partition("?")
    pairs = sorted((uri(k), uri(v)) for k, _, v in (p.partition("=") for p in query.split("&") if p))
    canonical = "\n".join([
        method, path if service == "s3" else urllib.parse.quote(path, safe="/-_.~"),
        "&".join(f"{k}={v}" for k, v in pairs),
        *[f"{n}:{','.join(fields[n])}" for n in signed], "", names, payload])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", fields["x-amz-date"][0], scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = mac(mac(mac(mac(("AWS4" + secret).encode(), day), region), service), "aws4_request")
    equal(signature, mac(key, text).hex(), canonical)
    return fields, body


tap = world.Tap()
NAMES = [BUCKET, PLAIN, BEDROCK, FIXED, BODY, NO_BODY, "lost.minio.test", "mine.s3.us-east-2.amazonaws.com",
         "dynamodb.us-east-1.amazonaws.com"]
lab = credlab.Lab({"my-aws.yaml": profile()}, env=ENV, names=NAMES, plain=(8444,))
P = lab.inside


def signed_by_sdk(sha256=EMPTY, more=(), names="host;x-amz-content-sha256;x-amz-date;x-amz-security-token"):
    """What an SDK adds, with the placeholders of its environment."""
    return [*([f"x-amz-content-sha256: {sha256}"] if sha256 else []), "X-Amz-Date: 20150830T123600Z",
            f"X-Amz-Security-Token: {P['AWS_SESSION_TOKEN']}", *more,
            f"Authorization: AWS4-HMAC-SHA256 Credential={P['AWS_ACCESS_KEY_ID']}/20150830/eu-west-1/s3/aws4_request, "
            f"SignedHeaders={names}, Signature={'0' * 64}"]


def is_whole():
    """Whether the body is there: the origin answers the head."""
    head, _, body = lab.origin.seen().partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    if length:
        return len(body) >= int(length[1])
    return b"chunked" not in head.lower() or body.endswith(b"0\r\n\r\n")


def arrived(reply, region="eu-west-1", service="s3", **more):
    equal(reply.status, 200, repr(reply))
    box.until(is_whole)
    seen = lab.origin.seen()
    for name, placeholder in P.items():
        if name in ENV:
            assert placeholder.encode() not in seen, seen[:900]
    assert SECRET.encode() not in seen and b"openshell:resolve" not in seen, seen[:900]
    return verify(seen, region, service, **more)


def get(host=BUCKET, path="/", **more):
    return lab.get(host, path, signed_by_sdk(), **more)


def put(host, body=b"x" * 3000, sha256=None, fields=(), **more):
    sha256 = hashlib.sha256(body).hexdigest() if sha256 is None else sha256
    return lab.post(host, body, method="PUT", path="/key", fields=signed_by_sdk(sha256, fields), **more)


tap.check("the sandbox has placeholders of the right shapes", lambda: equal(
    (len(P["AWS_ACCESS_KEY_ID"]), len(P["AWS_SECRET_ACCESS_KEY"]), any(P[k] == v for k, v in ENV.items())),
    (20, 40, False)))

# ---- what arrives is signed ----

tap.check("C12 a GET, signed for the region of its host", lambda: arrived(get()))
tap.check("C12 a global host is us-east-1", lambda: arrived(get(PLAIN), "us-east-1"))
tap.check("C12 the endpoint's region, where the host has none", lambda: arrived(get(FIXED), "us-test-7"))
for path in ("/a/b%20c/d.txt", "/a+b", "/k%C3%A9y", "/k?list-type=2&prefix=a%2Fb&delimiter=%2F", "/k?uploads",
             "/k?b=2&a=1&a=0&c", "/k?x=a+b", "/a*b'c(d)!", "/k?q=%7e%41", "/k?versioning="):
    tap.check(f"C12 path and query are signed as they arrive: {path}", lambda: arrived(get(path=path)))
tap.check("C12 no signature of the client: signed all the same", lambda: arrived(lab.get(BUCKET, "/")))
tap.check("C12 another's signature: ours", lambda: arrived(lab.get(BUCKET, "/", [
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAFOREIGNFOREIGN00/20150830/eu-west-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=" + "1" * 64, "X-Amz-Security-Token: foreign"])))
tap.check("C12 Authorization twice, and in another case: once, ours", lambda: arrived(lab.get(BUCKET, "/", [
    *signed_by_sdk(), "AUTHORIZATION: Basic YTpi", "x_amz_date: 1"])))
tap.check("C12 not S3: a path is encoded twice", lambda: arrived(lab.post(
    BEDROCK, '{"a":1}', kind="application/x-amz-json-1.0", path="/model/a%3Ab%20c/invoke",
    fields=signed_by_sdk(None, ["X-Amz-Target: DynamoDB_20120810.GetItem"])), service="dynamodb"))


def covered():
    fields, _ = arrived(put(BUCKET, fields=["x-amz-meta-a:  two   words ", "x-amz-meta-b: 1", "x-amz-meta-b: 2",
                                            "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "X-Other: 1"]))
    equal(fields["x-other"], ["1"])


tap.check("C12 x-amz-*, Content-Type and Content-MD5 are covered", covered)
tap.check("C12 fields that the client covered are covered, save what changes on the way", lambda: equal(
    [n for n in ("x-mine", "range", "accept-encoding", "user-agent") if n in arrived(lab.get(BUCKET, "/", [
        "X-Mine: 1", "Range: bytes=0-9", "Accept-Encoding: gzip", "User-Agent: sdk", *signed_by_sdk(
            names="accept-encoding;host;range;user-agent;x-amz-date;x-mine")]))[0]["authorization"][0]
     .split("SignedHeaders=")[1].split(",")[0].split(";")], ["x-mine", "user-agent"]))
tap.check("C12 HEAD and DELETE", lambda: [arrived(lab.talk(BUCKET, request(m, BUCKET, "/k", signed_by_sdk()),
                                                           answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
                                          for m in ("HEAD", "DELETE")])

# ---- bodies ----

BIG, TEN = os.urandom(3 << 20), b"ten\n" * ((10 << 20) // 4)


def body_arrives(reply, want, payload=None, **more):
    fields, body = arrived(reply, **more)
    equal(len(body), len(want))
    assert body == want
    equal(fields["x-amz-content-sha256"], [payload or hashlib.sha256(want).hexdigest()])


tap.check("C12 a body is hashed", lambda: body_arrives(put(BUCKET), b"x" * 3000))
tap.check("C12 a hash that is wrong is made right", lambda: body_arrives(put(BUCKET, sha256="0" * 64), b"x" * 3000))
tap.check("C12 no hash but a length: hashed", lambda: body_arrives(put(BUCKET, sha256=""), b"x" * 3000))
tap.check("C12 three MiB", lambda: body_arrives(put(BUCKET, BIG), BIG))
tap.check("C12 ten MiB", lambda: body_arrives(put(BUCKET, TEN), TEN))
tap.check("C12 chunks are put together", lambda: body_arrives(
    put(BUCKET, is_chunked=True, size=700), b"x" * 3000))
tap.check("C12 no hash and no length: not covered", lambda: body_arrives(
    put(BUCKET, sha256="", is_chunked=True), b"x" * 3000, "UNSIGNED-PAYLOAD"))
tap.check("C12 UNSIGNED-PAYLOAD stays", lambda: body_arrives(
    put(BUCKET, sha256="UNSIGNED-PAYLOAD"), b"x" * 3000, "UNSIGNED-PAYLOAD"))
tap.check("C12 a payload with trailers passes as it is", lambda: body_arrives(
    put(BUCKET, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        ["Content-Encoding: aws-chunked"]),
    b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"))
tap.check("sigv4:body hashes what the client left uncovered", lambda: body_arrives(
    put(BODY, sha256="UNSIGNED-PAYLOAD"), b"x" * 3000, region="us-test-7"))
tap.check("sigv4:no_body covers none", lambda: body_arrives(
    put(NO_BODY), b"x" * 3000, "UNSIGNED-PAYLOAD", region="us-test-7"))


def goes_on():
    reply = put(BUCKET, fields=["Expect: 100-continue"])
    assert reply.data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), repr(reply)
    reply.status = 200
    body_arrives(reply, b"x" * 3000)


tap.check("a client that waits for 100 is told to go on", goes_on)
tap.check("C4 a placeholder in a body that is hashed", lambda: refused(
    lab, put(BUCKET, b"a=" + P["AWS_SECRET_ACCESS_KEY"].encode())))
tap.check("ten MiB and a byte: refused", lambda: refused(lab, lab.talk(BUCKET, request(
    "PUT", BUCKET, "/k", [*signed_by_sdk("0" * 64), f"Content-Length: {(10 << 20) + 1}"])),
    error="credential_signing_refused"))

# ---- one connection, many requests ----


def twice():
    one = request("GET", BUCKET, "/one", signed_by_sdk())
    two = request("GET", BUCKET, "/two", signed_by_sdk())
    reply = lab.talk(BUCKET, [one, two], count=2)
    equal(reply.data.count(b"200 OK"), 2, repr(reply))
    seen = lab.origin.seen()
    first, second = (x for x in re.split(rb"(?=GET )", seen) if x)
    verify(first, "eu-west-1", "s3")
    verify(second, "eu-west-1", "s3")


tap.check("C12 each request of a connection is signed", twice)

# ---- refused ----

for name, query in (
        ("presigned", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAFOREIGN/1/2/s3/aws4_request&X-Amz-Signature=0"),
        ("presigned with placeholders", f"X-Amz-Credential={P['AWS_ACCESS_KEY_ID']}%2F1%2F2%2Fs3%2Faws4_request"),
        ("signed in its query as of old", "AWSAccessKeyId=AKIAFOREIGN&Signature=abc&Expires=9999999999")):
    tap.check(f"C12 {name}: refused", lambda: refused(
        lab, lab.get(BUCKET, "/k?" + query), error="credential_signing_refused"))
for sha256 in ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
               "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
    for host in (BUCKET, BODY, NO_BODY):
        tap.check(f"C12 {sha256} at {host}: refused", lambda: refused(
            lab, put(host, sha256=sha256), error="credential_signing_refused"))
tap.check("C12 a host of another region than the endpoint's: refused", lambda: refused(
    lab, lab.get("dynamodb.us-east-1.amazonaws.com", "/", signed_by_sdk()), error="credential_signing_refused"))
tap.check("C12 no region to sign for: refused", lambda: refused(
    lab, lab.get("lost.minio.test", "/", signed_by_sdk()), error="credential_signing_refused"))
tap.check("C1 over plain HTTP: refused", lambda: refused(
    lab, lab.talk(FIXED, request(
        "GET", f"{FIXED}:8444", f"http://{FIXED}:8444/", signed_by_sdk()), port=8444, how="forward"), error="credential_signing_refused"))
tap.check("C1 over plain HTTP in a tunnel: refused", lambda: refused(
    lab, lab.talk(FIXED, request("GET", f"{FIXED}:8444", "/", signed_by_sdk()), port=8444, how="plain"), error="credential_signing_refused"))
tap.check("C4 a placeholder elsewhere in the head: refused", lambda: refused(
    lab, lab.get(BUCKET, "/", [*signed_by_sdk(), "X-Note: see " + P["AWS_ACCESS_KEY_ID"] + " there"])))
tap.check("credential_mode require: what is dropped is not held against it", lambda: arrived(
    get(NO_BODY), "us-test-7"))
tap.check("credential_mode require: another's key is", lambda: refused(
    lab, lab.get(NO_BODY, "/", [*signed_by_sdk(), "X-Api-Key: mine"]), error="own_credential_refused"))

# ---- what comes back ----


def scrubbed():
    reply = lab.get(BUCKET, "/", signed_by_sdk(), answer=lambda seen: (
        lambda body: b"HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s" % (ID.encode(), len(body), body))(
            b"<AWSAccessKeyId>" + ID.encode() + b"</AWSAccessKeyId>" + TOKEN.encode()))
    equal(reply.status, 200)
    assert ID.encode() not in reply.data and TOKEN.encode() not in reply.data, reply.data


tap.check("C2 key id and token are scrubbed from what comes back", scrubbed)


def log_is_clean():
    with open(lab.world.audit, "rb") as f:
        data = f.read()
    equal([k for k, v in ENV.items() if v.encode() in data], [])
    for slug in (b"signed_query", b"signed_chunks", b"signing_region", b"signing_body_too_large", b"plain_http"):
        assert slug in data, slug


tap.check("C10 the log names each refusal and no value", log_is_clean)


def memory_is_clean():
    hits = []
    for name, pids in lab.processes().items():
        for pid in pids if name == "cove-proxy" else []:
            hits += credlab.memory_has(pid, [SECRET.encode()])
    equal(hits, [])


tap.check("C10 the proxy's memory has no secret between requests", memory_is_clean)
equal(lab.close(), 0)
lab.remove()

# ---- without a session, and the profiles that are shipped ----

OTHER = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: other.test, port: 443, %s, credential_signing: sigv4, signing_service: s3, signing_region: us-test-7}
    binaries: [{path: "/**"}]
""" % REST
lab = credlab.Lab({"my-aws.yaml": profile("")}, OTHER, env=ENV, names=[BUCKET, "other.test"])
P = {**lab.inside, "AWS_SESSION_TOKEN": "foreign-token"}
tap.check("without a session token none arrives, whatever the client sent", lambda: arrived(
    lab.get(BUCKET, "/", signed_by_sdk()), token=None))
tap.check("C1 an endpoint that the keys are not bound to: refused", lambda: refused(
    lab, lab.get("other.test", "/", signed_by_sdk())))
lab.close()
lab.remove()
lab = credlab.Lab({"key.yaml": "id: key\ncredentials: [{name: key, env_vars: [MY_KEY], required: true}]\nendpoints:\n"
                   f"  - {{host: api.test, port: 443, {REST}}}\nbinaries: [{{path: '/**'}}]\n"}, OTHER,
                  env={"MY_KEY": "v4lue-of-a-key"}, names=["other.test"])
tap.check("no provider with keys of AWS: refused", lambda: refused(
    lab, lab.get("other.test", "/"), error="credential_signing_refused"))
lab.close()
lab.remove()

BOUND = OTHER.replace("signing_region: us-test-7", "signing_region: us-test-7%s")
BINDING = ", credential_binding: {provider: aws}"
lab = credlab.Lab({"aws.yaml": "profile: aws\n"}, BOUND % BINDING, env=ENV, names=["other.test"])
P = lab.inside
tap.check("profile aws signs where a policy binds it", lambda: arrived(
    lab.get("other.test", "/", signed_by_sdk()), "us-test-7"))


def unbound():
    time.sleep(1.2)  # the watch begins a second into the run
    with open(lab.policy_path, "w", encoding="utf-8") as f:
        f.write(BOUND % "")
    for _ in range(200):
        reply = lab.get("other.test", "/", signed_by_sdk())
        if reply.status != 200:
            break
        time.sleep(0.1)
    refused(lab, reply)


tap.check("C1 a binding that the policy takes away no longer holds", unbound)
lab.close()
lab.remove()

for name, host, service in (("aws-s3", BUCKET, "s3"),
                            ("aws-bedrock", "bedrock-runtime.eu-west-1.amazonaws.com", "bedrock")):
    lab = credlab.Lab({"shipped.yaml": f"profile: {name}\n"}, env=ENV, names=[host])
    P = lab.inside
    tap.check(f"profile {name} signs", lambda: arrived(lab.post(
        host, '{"a": 1}', path="/model/some-model/invoke", fields=signed_by_sdk(None)), service=service))
    lab.close()
    lab.remove()
tap.done()
