# SPDX-License-Identifier: Apache-2.0
"""A broker for tests of the proxy: takes the streams that OPEN hands over, keeps every request, and
answers with what the test set.  What it does not hear of was refused by the proxy."""
import array
import re
import socket
import struct
import threading


def whole(data):
    """The end of one request in data, or 0 when it is not all there."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return 0
    length = re.search(rb"\r\ncontent-length: *(\d+)", data[:end].lower())
    end += int(length[1]) if length else 0
    return end if len(data) >= end else 0


def unpack_identity(body):
    """target, port, pid, exe, ancestors of OPEN's body."""
    target, port, _, pid = struct.unpack_from("<IIQI", body)
    at, texts = 20, []
    for _ in range(3):
        n, = struct.unpack_from("<I", body, at)
        texts.append(body[at + 4:at + 4 + n].decode())
        at += 4 + n
    count, = struct.unpack_from("<I", body, at)
    at += 4
    ancestors = []
    for _ in range(count):
        n, = struct.unpack_from("<I", body, at)
        ancestors.append(body[at + 4:at + 4 + n].decode())
        at += 4 + n
    assert at == len(body), (at, len(body))
    return {"target": target, "port": port, "pid": pid, "unknown": texts[0], "exe": texts[2],
            "ancestors": ancestors}


class Broker:
    """answer: bytes, or a list of bytes, of pauses (numbers) and of None (closes the stream), or a
    function of the request that returns one."""

    def __init__(self):
        self.answer, self.requests, self.opened = b"", [], []
        self.links, self.streams, self.lock = [], [], threading.Condition()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    def take(self, link):
        self.links.append(link)
        threading.Thread(target=self._link, args=(link,), daemon=True).start()

    def _link(self, link):
        while True:
            try:
                data, extra, _, _ = link.recvmsg(1 << 17, socket.CMSG_SPACE(16))
            except OSError:
                return
            if not data:
                return
            fds = array.array("i")
            for level, kind, value in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
            kind, n = struct.unpack_from("<II", data)
            assert kind == 0 and len(fds) == 1, (kind, fds)
            stream = socket.socket(fileno=fds[0])
            with self.lock:
                self.opened.append(unpack_identity(data[8:8 + n]))
                self.streams.append(stream)
                self.lock.notify_all()
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, s):
        pending = b""
        try:
            s.setblocking(True)
            while data := s.recv(65536):
                pending += data
                while end := whole(pending):
                    request, pending = pending[:end], pending[end:]
                    with self.lock:
                        self.requests.append(request)
                        self.lock.notify_all()
                    if not self._answer(s, request):
                        return
        except OSError:
            pass
        finally:
            s.close()

    def _answer(self, s, request):
        answer = self.answer(request) if callable(self.answer) else self.answer
        for piece in answer if isinstance(answer, list) else [answer]:
            if piece is None:
                return False
            if isinstance(piece, bytes):
                s.sendall(piece)
            else:
                threading.Event().wait(piece)
        return True

    def wait(self, count, seconds=20):
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.requests) >= count, seconds), self.requests

    def die(self):
        """As a broker that was killed: its link and all streams close."""
        for link in self.links:
            link.shutdown(socket.SHUT_RDWR)
            link.close()
        for s in self.streams:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.links, self.streams = [], []
