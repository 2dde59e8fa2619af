#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An MCP server for tests of the client: on stdio, or as a handler of http.server.

Its behaviour is in files of a directory, so that a test may change it while it runs:

    tools     JSON: the list of tools; when it changes, the server says so
    mode      words: crash (at the next call), garbage, slow, ask (asks the client things), huge,
              silent (no answer to initialize), flood (stderr)
    log       what it was sent, one message a line
"""
import json
import os
import sys
import threading
import time

ECHO = {"name": "echo", "description": "Says what it is told.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"],
                        "$schema": "http://json-schema.org/draft-07/schema#"}}
VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]


class Server:
    def __init__(self, directory, send):
        self.dir, self.send, self.lock = directory, send, threading.Lock()
        self.cancelled = set()

    def read(self, name, default):
        try:
            with open(os.path.join(self.dir, name), encoding="utf-8") as f:
                return f.read()
        except OSError:
            return default

    def tools(self):
        return json.loads(self.read("tools", json.dumps([ECHO])))

    def log(self, message):
        with self.lock, open(os.path.join(self.dir, "log"), "a", encoding="utf-8") as f:
            f.write(json.dumps(message) + "\n")

    def result(self, request, send):
        """The result of a request, or an exception's text as a JSON-RPC error."""
        method, params = request["method"], request.get("params") or {}
        mode = self.read("mode", "").split()
        if method == "initialize":
            if "silent" in mode:
                time.sleep(1000)
            version = params["protocolVersion"] if "old" not in mode else "1999-01-01"
            return {"protocolVersion": version, "capabilities": {"tools": {"listChanged": True}},
                    "serverInfo": {"name": "lab", "version": "1"}}
        if method == "ping":
            return {}
        if method == "tools/list":
            tools, at = self.tools(), int(params.get("cursor", "0"))
            page = tools[at:at + 3]
            return {"tools": page, **({"nextCursor": str(at + 3)} if at + 3 < len(tools) else {})}
        if method != "tools/call":
            raise ValueError("no such method")
        return self.call(request["id"], params, mode, send)

    def call(self, number, params, mode, send):
        name, a = params["name"], params.get("arguments") or {}
        if "crash" in mode:
            os.unlink(os.path.join(self.dir, "mode"))
            print("about to crash", file=sys.stderr, flush=True)
            os._exit(3)
        if "garbage" in mode:
            send("this is { no JSON")
        if "ask" in mode:
            send({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}})
            send({"jsonrpc": "2.0", "id": "s2", "method": "ping"})
            send({"jsonrpc": "2.0", "id": 99999, "result": {}})
            time.sleep(0.3)
        if "huge" in mode:
            return {"content": [{"type": "text", "text": "x" * 20_000_000}]}
        if name == "slow":
            token = params.get("_meta", {}).get("progressToken")
            for i in range(int(a.get("steps", 3))):
                send({"jsonrpc": "2.0", "method": "notifications/progress",
                      "params": {"progressToken": token, "progress": i + 1, "total": 3, "message": "step"}})
                time.sleep(float(a.get("pause", 0.1)))
                if number in self.cancelled:
                    return {"content": []}
            return {"content": [{"type": "text", "text": "slow done"}]}
        if name == "fail":
            return {"content": [{"type": "text", "text": "it went wrong"}], "isError": True}
        if name == "structured":
            return {"content": [{"type": "text", "text": "{}"}], "structuredContent": {"answer": 42}}
        if name == "image":
            return {"content": [{"type": "text", "text": "see"}, {"type": "image", "data": "AA==", "mimeType": "image/png"}]}
        if name == "env":
            return {"content": [{"type": "text", "text": os.environ.get(a["name"], "")}]}
        if name == "large":
            return {"content": [{"type": "text", "text": "y" * 3_000_000}]}
        if name == "gone":
            raise ValueError("unknown tool")
        return {"content": [{"type": "text", "text": a.get("text", "")}]}

    def handle(self, message, send=None):
        send = send or self.send
        self.log(message)
        if "method" not in message:
            return
        if "id" not in message:
            if message["method"] == "notifications/cancelled":
                self.cancelled.add(message["params"]["requestId"])
            return
        try:
            send({"jsonrpc": "2.0", "id": message["id"], "result": self.result(message, send)})
        except ValueError as error:
            send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": str(error)}})


def main():
    lock = threading.Lock()

    def send(message):
        with lock:
            sys.stdout.write((message if isinstance(message, str) else json.dumps(message)) + "\n")
            sys.stdout.flush()

    server = Server(sys.argv[1], send)
    print("lab server starts", file=sys.stderr, flush=True)
    before = server.tools()

    def watch():
        nonlocal before
        while True:
            time.sleep(0.05)
            try:
                now = server.tools()
            except ValueError:
                continue
            if now != before:
                before = now
                send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})

    threading.Thread(target=watch, daemon=True).start()
    for line in sys.stdin:
        message = json.loads(line)
        threading.Thread(target=server.handle, args=(message,), daemon=True).start()


if __name__ == "__main__":
    main()
