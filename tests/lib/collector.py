# SPDX-License-Identifier: Apache-2.0
"""A collector of traces: OTLP over HTTP or over gRPC, and what it was sent.

    with collector.Http() as c:                 c.endpoint is what a gateway is configured with
        span = c.wait("sandbox start")          the first span of that name; AssertionError
        c.answer = 503                          what it answers from now on
    collector.Grpc(tls=(key, certificate))      c.answer is a grpc.StatusCode

A span is a dict: name, trace, id, parent (hex), kind, begin, end (ns), attributes, failure.
"""
import http.server
import threading
import time
from concurrent import futures

import rpclab

import grpc

PATH = "opentelemetry.proto.collector.trace.v1.TraceService"


def value(v):
    return getattr(v, v.WhichOneof("value"))


class Collector:
    """What both have in common."""

    def __init__(self):
        self.pb = rpclab.module("otlp_pb2")
        self.answer, self.spans, self.headers, self.bodies = None, [], [], []
        self.resource, self.requests, self.rejected = {}, 0, 0
        self.more = threading.Condition()

    def take(self, body, headers):
        """The bytes of an ExportTraceServiceRequest."""
        m = self.pb.ExportRequest.FromString(body)
        with self.more:
            self.bodies.append(body)
            self.headers.append(headers)
            for r in m.resource_spans:
                self.resource = {a.key: value(a.value) for a in r.resource.attributes}
                for s in (s for scope in r.scope_spans for s in scope.spans):
                    self.spans.append({
                        "name": s.name, "trace": s.trace_id.hex(), "id": s.span_id.hex(),
                        "parent": s.parent_span_id.hex(), "kind": s.kind,
                        "begin": s.start_time_unix_nano, "end": s.end_time_unix_nano,
                        "attributes": {a.key: value(a.value) for a in s.attributes},
                        "failure": s.status.message if s.status.code == 2 else None})
            self.more.notify_all()
        answer = self.pb.ExportResponse()
        if self.rejected:
            answer.partial_success.rejected_spans = self.rejected
        return answer.SerializeToString()

    def wait(self, name, seconds=20, **attributes):
        """The first span of this name with these attributes ("_" stands for ".")."""
        wanted = {k.replace("_", "."): v for k, v in attributes.items()}
        end = time.monotonic() + seconds
        with self.more:
            while True:
                for s in self.spans:
                    if s["name"] == name and wanted.items() <= s["attributes"].items():
                        return s
                left = end - time.monotonic()
                assert left > 0, f"no span {name}: {[s['name'] for s in self.spans]}"
                self.more.wait(left)

    def below(self, span):
        with self.more:
            return [s for s in self.spans if s["parent"] == span["id"] and s["trace"] == span["trace"]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Http(Collector):
    def __init__(self, port=0, tls=None):
        super().__init__()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests += 1
                outer.path = self.path
                answer = b"" if outer.answer else outer.take(body, {k.lower(): v for k, v in self.headers.items()})
                self.send_response(outer.answer or 200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.endpoint = f"http{'s' if tls else ''}://localhost:{self.port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Grpc(Collector):
    def __init__(self, tls=None):
        super().__init__()

        def export(body, context):
            self.requests += 1
            if self.answer:
                context.abort(self.answer, "not now")
            return self.take(body, dict(context.invocation_metadata()))

        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
            PATH, {"Export": grpc.unary_unary_rpc_method_handler(export)})])
        if tls:
            self.port = self.server.add_secure_port("localhost:0", grpc.ssl_server_credentials([tls]))
        else:
            self.port = self.server.add_insecure_port("localhost:0")
        self.endpoint = f"grpc{'s' if tls else ''}://localhost:{self.port}"
        self.server.start()

    def close(self):
        self.server.stop(0).wait()
