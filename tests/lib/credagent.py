# SPDX-License-Identifier: Apache-2.0
"""What runs in the sandbox for credlab.py: does one job after the other and says what came back.

One JSON object a line on stdin, one a line on stdout; both have an "id".  Jobs run at the same time,
each in a thread.  Of ours it imports h2lab, which lies beside it; the sandbox sees only the working
directory.  Bytes travel as latin-1 text.
"""
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

PROXY = ("10.200.0.1", 3128)
out_lock = threading.Lock()


def read_head(s):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = s.recv(1)
        if not byte:
            break
        data += byte
    return data


def is_whole(data, method):
    """One response is there, as far as its head says; a caller who asks for more sets `count`."""
    head, sep, body = data.partition(b"\r\n\r\n")
    if not sep:
        return None
    lines = head.lower().split(b"\r\n")
    status = int(lines[0].split(b" ")[1])
    if 100 <= status < 200 and status != 101:
        return is_whole(body, method)
    fields = dict(line.split(b":", 1) for line in lines[1:] if b":" in line)
    if method == "HEAD" or status in (204, 304):
        return len(head) + 4
    if b"content-length" in fields:
        end = len(head) + 4 + int(fields[b"content-length"])
        return end if len(data) >= end else None
    if fields.get(b"transfer-encoding", b"").strip() == b"chunked":
        at = 0
        while True:
            line, sep, _ = body[at:].partition(b"\r\n")
            if not sep:
                return None
            size = int(line.split(b";")[0], 16)
            at += len(line) + 2
            if size == 0:
                break
            at += size + 2
        end = body.find(b"\r\n\r\n", at - 2)
        return len(head) + 4 + end + 4 if end >= 0 else None
    return None  # until the end of the connection


def talk(job):
    """Sends pieces over a tunnel, TLS or not, or to the proxy itself; returns all that came back.  A
    piece is a text, a pause in seconds, or [text, how often]; once refused, the rest is left out.
    When all is sent, a file of the name `sent` is there."""
    s = socket.create_connection(PROXY, timeout=job.get("timeout", 20))
    answer = {"connect": b"", "data": b"", "end": "", "times": []}
    try:
        if job["how"] != "forward":
            authority = f"{job['host']}:{job['port']}"
            s.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            answer["connect"] = read_head(s)
            if b" 200 " not in answer["connect"].split(b"\r\n")[0] + b" ":
                answer["connect"] += s.recv(65536)
                return answer
        if job["how"] == "tls":
            context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
            context.set_alpn_protocols(["http/1.1"])
            s = context.wrap_socket(s, server_hostname=job.get("sni", job["host"]))
        begin = time.monotonic()
        left, seen = job.get("count", 1), 0
        for i, piece in enumerate(job["pieces"]):
            if isinstance(piece, (int, float)):
                time.sleep(piece)
                continue
            if i:
                time.sleep(job.get("pause", 0.02))
            text, times = piece if isinstance(piece, list) else (piece, 1)
            try:
                s.sendall(text.encode("latin-1") * times)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                break
        if "sent" in job:
            open(os.path.join(os.path.dirname(__file__), job["sent"]), "w").close()
        while left:
            piece = s.recv(65536)
            if not piece:
                answer["end"] = "closed"
                break
            answer["data"] += piece
            answer["times"].append((time.monotonic() - begin, len(piece)))
            while left and (end := is_whole(answer["data"][seen:], job.get("method", "GET"))):
                seen += end
                left -= 1
                if seen >= len(answer["data"]):
                    break
    except ConnectionResetError:
        answer["end"] = "reset"
    except (socket.timeout, TimeoutError):
        answer["end"] = "timeout"
    except ssl.SSLError as e:
        answer["end"] = f"tls {e.reason}"
    except OSError as e:
        answer["end"] = str(e)
    finally:
        s.close()
    return answer


def send_pieces(client, sid, pieces):
    """A stream's body in pieces; what is refused meanwhile is not sent on."""
    import h2.exceptions
    try:
        for piece in pieces:
            if isinstance(piece, (int, float)):
                time.sleep(piece)
                continue
            text, times = piece if isinstance(piece, list) else (piece, 1)
            data = text.encode("latin-1") * times
            while data and not client.streams[sid]["end"]:
                client.read(lambda: client.h2.local_flow_control_window(sid) > 0 or client.streams[sid]["end"])
                n = min(16384, client.h2.local_flow_control_window(sid))
                client.data(sid, data[:n])
                data = data[n:]
        client.data(sid, b"", end=True)
    except (h2.exceptions.H2Error, OSError):
        pass


def streams(job):
    """HTTP/2: all requests on one connection, and what came of each."""
    import h2lab
    s = socket.create_connection(PROXY, timeout=20)
    authority = f"{job['host']}:{job['port']}"
    s.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    assert b" 200 " in read_head(s)
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    context.set_alpn_protocols(["h2"])
    client = h2lab.Client(context.wrap_socket(s, server_hostname=job["host"]),
                          job["host"] if job["port"] == 443 else authority)
    ids = []
    for one in job["requests"]:
        fields = client.head(one.get("method", "GET"), one.get("path", "/"),
                             [tuple(f) for f in one.get("fields", [])])
        body, trailers = one.get("body", "").encode("latin-1"), one.get("trailers")
        pieces = one.get("pieces")  # as talk()'s
        sid = client.send(fields, end=not trailers and not pieces, body=body)
        if pieces:
            send_pieces(client, sid, pieces)
        if trailers:
            client.h2.send_headers(sid, [tuple(f) for f in trailers], end_stream=True)
            client.flush()
        ids.append(sid)
        if job.get("is_in_turn"):
            client.finish(sid)
    answers = []
    for sid in ids:
        one = client.finish(sid)
        answers.append({**one, "body": one["body"].decode("latin-1")})
    s.close()
    return {"streams": answers, "goaway": client.goaway}


def run(job):
    try:
        if job["do"] == "talk":
            answer = {k: v.decode("latin-1") if isinstance(v, bytes) else v for k, v in talk(job).items()}
        elif job["do"] == "h2":
            answer = streams(job)
        elif job["do"] == "env":
            answer = {"env": dict(os.environ)}
        else:
            r = subprocess.run(["/bin/sh", "-c", job["script"]], capture_output=True,
                               timeout=job.get("timeout", 20))
            answer = {"status": r.returncode, "out": r.stdout.decode("latin-1"),
                      "err": r.stderr.decode("latin-1")}
    except Exception as e:  # whatever it was, the test has to hear of it
        answer = {"error": f"{type(e).__name__}: {e}"}
    with out_lock:
        print(json.dumps({"id": job["id"], **answer}), flush=True)


for text in sys.stdin:
    threading.Thread(target=run, args=(json.loads(text),), daemon=True).start()
