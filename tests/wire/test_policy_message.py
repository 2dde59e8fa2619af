#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a policy's message is what protobuf's own library says it is: every policy of the tree, encoded
by us, is decoded by it, and its deterministic encoding is ours to the byte (so the hash of a policy can
be made by any client); and a message that it made becomes text that says every field."""
import glob
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
OURS = os.path.join(os.path.dirname(world.COVE), "../../tests/differential/policy_pb")

FULL = """version: 1
filesystem_policy: {include_workdir: true, read_only: [/usr, /lib], read_write: [/tmp]}
landlock: {compatibility: hard_requirement}
process: {run_as_user: sandbox, run_as_group: "1000"}
network_policies:
  z: {name: shown, endpoints: [{host: z.test, ports: [443, 8443], protocol: mcp,
    rules: [{allow: {method: tools/call, tool: "a*"}}], mcp: {max_body_bytes: 10, strict_tool_names: false}}]}
  a: {endpoints: [{host: "*.a.test", port: 80, protocol: rest, enforcement: enforce, path: /x/**,
    rules: [{allow: {method: GET, path: "/**", query: {b: {any: [x, y]}, a: "1"}}}],
    deny_rules: [{method: "*", path: /admin}], allowed_ips: [10.1.0.0/16], h2c: true}],
    binaries: [{path: /usr/bin/curl}]}
network_middlewares:
  m: {middleware: cove/dlp, order: -1, config: {z: 1.5, a: [x, null, true, {k: v}]},
    endpoints: {include: ["*.a.test"]}}
tools:
  t: {tools: ["a/*"], limits: {calls: 2}}
"""


def messages(directory):
    """The classes that protoc makes of proto/."""
    proto = os.path.join(ROOT, "proto")
    subprocess.run(["protoc", "-I" + proto, "--python_out=" + directory, "sandbox.proto"], check=True)
    sys.path.insert(0, directory)
    import sandbox_pb2
    return sandbox_pb2


def run(what, data):
    done = subprocess.run([OURS, what], input=data, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def check_bytes(pb, name, text):
    code, ours, err = run("encode", text)
    if code:
        return "%s: %s" % (name, err)
    theirs = pb.SandboxPolicy.FromString(ours)
    if theirs.SerializeToString(deterministic=True) != ours:
        return "%s: the encodings differ" % name
    return None


def check_fields(pb):
    _, ours, _ = run("encode", FULL.encode())
    m = pb.SandboxPolicy.FromString(ours)
    a, z = m.network_policies["a"].endpoints[0], m.network_policies["z"].endpoints[0]
    facts = [
        (m.filesystem.include_workdir, True), (list(m.filesystem.read_only), ["/usr", "/lib"]),
        (m.landlock.compatibility, "hard_requirement"), (m.process.run_as_group, "1000"),
        (m.network_policies["a"].name, "a"), (m.network_policies["z"].name, "shown"),
        (list(z.ports), [443, 8443]), (z.rules[0].allow.params["name"].glob, "a*"),
        (z.json_rpc_max_body_bytes, 10), (z.mcp.strict_tool_names, False),
        (z.mcp.HasField("strict_tool_names"), True), (a.port, 80), (list(a.ports), [80]),
        (list(a.rules[0].allow.query["b"].any), ["x", "y"]), (a.rules[0].allow.query["a"].glob, "1"),
        (a.deny_rules[0].path, "/admin"), (a.h2c, True),
        (m.network_middlewares["m"].config["z"], 1.5), (m.network_middlewares["m"].order, -1),
        (m.tools, '{"t":{"tools":["a/*"],"limits":{"calls":2}}}'),
    ]
    for i, (got, wanted) in enumerate(facts):
        if got != wanted:
            return "fact %d: %r, not %r" % (i, got, wanted)
    m.network_policies["z"].endpoints[0].advisor_proposed = True
    m.version = 0
    code, text, err = run("decode", m.SerializeToString())
    code2, again, err2 = run("encode", text)
    if code or code2 or again != ours:
        return "the way back differs: %s%s" % (err, err2)
    return None


def main():
    files = sorted(glob.glob(os.path.join(ROOT, "examples/policies/*.yaml")))
    with tempfile.TemporaryDirectory() as directory:
        pb = messages(directory)
        wrong = [check_fields(pb), check_bytes(pb, "full", FULL.encode())]
        for path in files:
            with open(path, "rb") as f:
                wrong.append(check_bytes(pb, path, f.read()))
    wrong = [w for w in wrong if w]
    print("1..1")
    for w in wrong:
        print("# " + w)
    print("%s 1 - policies are the messages that protobuf's library reads" % ("not ok" if wrong else "ok"))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
