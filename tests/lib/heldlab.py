# SPDX-License-Identifier: Apache-2.0
"""Calls of a host tool that are held until a person answers.

    lab = heldlab.Lab()
    g = gatewaylab.Gateway(config=lab.config)
    box = lab.sandbox(g, "asker")              it is ready; its id
    call = heldlab.Asking(g, box, "hello")     is held; what came of it: call.wait(), (status, document)
"""
import json
import os
import tempfile
import threading
import time

import rpclab

CATALOG = """version: 1
tools:
  each:
    description: Is asked about.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
"""
RULES = {"asked": {"tools": ["each"], "approval": "always"}}


class Lab:
    def __init__(self, timeout_s=60):
        self.directory = tempfile.TemporaryDirectory(prefix="cove-held-")
        path = os.path.join(self.directory.name, "tools.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(CATALOG)
        self.config = {"tools": {"catalogs": [path], "approve_timeout_secs": timeout_s}}

    def sandbox(self, g, name, seconds=45):
        policy = rpclab.module("sandbox_pb2").SandboxPolicy(version=1, tools=json.dumps(RULES))
        g.stub.CreateSandbox(g.pb.CreateSandboxRequest(name=name, spec=g.pb.SandboxSpec(
            command=["/bin/sleep", "100000"], policy=policy)))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            s = g.stub.GetSandbox(g.pb.GetSandboxRequest(name=name)).sandbox
            if s.status.phase == 2:
                return s.metadata.id
            time.sleep(0.05)
        raise AssertionError("it does not get ready")


class Asking(threading.Thread):
    def __init__(self, g, sandbox_id, text):
        super().__init__(daemon=True)
        self.g, self.sandbox_id, self.text, self.got = g, sandbox_id, text, None
        self.start()

    def run(self):
        line = ("curl -sS -m 60 -w '\\n%{http_code}' -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" "
                "-H 'Content-Type: application/json' --data-binary @- http://tools.local/v1/tools/each")
        out = b""
        for e in self.g.stub.ExecSandbox(self.g.pb.ExecSandboxRequest(
                sandbox_id=self.sandbox_id, command=["/bin/sh", "-c", line],
                stdin=json.dumps({"text": self.text}, ensure_ascii=False).encode()), timeout=90):
            if e.WhichOneof("payload") == "stdout":
                out += e.stdout.data
        text, _, status = out.decode("utf-8", "replace").rpartition("\n")
        self.got = int(status or 0), json.loads(text or "null")

    def wait(self):
        self.join(90)
        assert self.got, "no answer came"
        return self.got
