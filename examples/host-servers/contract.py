# SPDX-License-Identifier: Apache-2.0
"""What every host server does, by the contract: its flags, its token, its health, its limits.

    server --port N [--bind-address A]       TOKEN or BEARER_TOKEN in the environment

GET /healthz, /openapi.json and /tools.json need no token; everything else does, before its body is
read.  Bodies are JSON objects of at most 1 MiB; a field that is not known is refused by its name.
"""
import argparse
import difflib
import hmac
import http.server
import json
import os
import re
import signal
import sys
import threading

BODY_BYTES_MAX = 1 << 20


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Operation:
    """One row of /tools.json and /openapi.json, and what does it."""

    def __init__(self, name, method, endpoint, description, properties, required, run):
        self.name, self.method, self.endpoint, self.run = name, method, endpoint, run
        self.description, self.properties, self.required = description, properties, required
        self.pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", endpoint) + r"\Z")

    def schema(self):
        return {"type": "object", "properties": self.properties, "required": self.required,
                "additionalProperties": False}

    def check(self, arguments):
        for name in arguments:
            if name not in self.properties:
                near = difflib.get_close_matches(name, self.properties, 1)
                raise Refused(400, f"unknown field '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
        for name in self.required:
            if name not in arguments:
                raise Refused(400, f"{name} is required")
        for name, value in arguments.items():
            if self.properties[name]["type"] == "string" and not isinstance(value, str):
                raise Refused(400, f"{name} must be a string")


def openapi(title, operations):
    paths = {}
    for o in operations:
        entry = {"operationId": o.name, "summary": o.description, "responses": {"200": {"description": "done"}}}
        if o.method == "POST":
            entry["requestBody"] = {"content": {"application/json": {"schema": o.schema()}}}
        paths.setdefault(o.endpoint, {})[o.method.lower()] = entry
    return {"openapi": "3.1.0", "info": {"title": title, "version": "1"}, "paths": paths}


def handler(title, operations, token):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def authorize(self):
            scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
            if not scheme:
                raise Refused(401, "missing authorization header")
            if not (scheme == "Bearer" and hmac.compare_digest(given.encode(), token.encode())):
                raise Refused(401, "invalid token")

        def arguments(self):
            length = int(self.headers.get("Content-Length") or 0)
            if length > BODY_BYTES_MAX:
                self.close_connection = True
                raise Refused(413, "request body too large")
            try:
                value = json.loads(self.rfile.read(length) or b"{}")
            except ValueError as error:
                raise Refused(400, f"invalid JSON: {error}") from error
            if not isinstance(value, dict):
                raise Refused(400, "the body must be an object")
            return value

        def serve(self):
            free = {"/healthz": {"status": "ok"}, "/openapi.json": openapi(title, operations),
                    "/tools.json": [{"name": o.name, "description": o.description, "endpoint": o.endpoint,
                                     "method": o.method, "input_schema": o.schema()} for o in operations]}
            if self.command == "GET" and self.path in free:
                return self.answer(200, free[self.path])
            self.authorize()
            for o in operations:
                match = o.pattern.match(self.path)
                if match and o.method == self.command:
                    arguments = {**match.groupdict(), **self.arguments()}
                    o.check(arguments)
                    return self.answer(200, o.run(arguments))
            raise Refused(404, "not found")

        def do(self):
            try:
                self.serve()
            except Refused as refused:
                self.answer(refused.status, {"error": str(refused)})

        do_GET = do_POST = do

        def log_message(self, fmt, *words):
            print(fmt % words, file=sys.stderr, flush=True)

    return Handler


def main(title, operations):
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--bind-address", default="127.0.0.1")
    p.add_argument("--sandbox", help="not used: who asks is known to who relays")
    o = p.parse_args()
    token = os.environ.pop("BEARER_TOKEN", "") or os.environ.pop("TOKEN", "")
    if not token:
        sys.exit("BEARER_TOKEN is not set")
    server = http.server.ThreadingHTTPServer((o.bind_address, o.port), handler(title, operations, token))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"{title} listens on {o.bind_address}:{o.port}", file=sys.stderr, flush=True)
    server.serve_forever()
    print("stopped", file=sys.stderr, flush=True)
