# SPDX-License-Identifier: Apache-2.0
"""tests/rpc/rpc_lab as a process: a server on loopback whose calls are counted."""
import os
import queue
import socket
import ssl
import subprocess
import threading

import rpclab

LAB = os.path.join(rpclab.BUILD, "tests/rpc/rpc_lab")


class Server:
    def __init__(self, *tls, binary=LAB, prefix=(), **env):
        argv = [*prefix, binary, *(["--tls", *tls] if tls else [])]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.PIPE, env={**os.environ, **env})
        self.tls, self.lines, self.ended = tls, queue.Queue(), []
        self.errors = []
        self.port = int(self.process.stdout.readline().split()[1])
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            word = line.split()
            if word[0] == "ended":
                self.ended.append((word[1], word[2]))
            else:
                self.lines.put(word)

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def open(self):
        """Calls and pages that were begun and not closed."""
        self.say("count")
        word = self.lines.get(timeout=20)
        assert word[0] == "count", word
        return int(word[1]), int(word[2])

    def rss(self):
        """KiB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def connect(self, alpn=("h2",), ca=None, cert=None):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        if not self.tls:
            return s
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(*cert)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(s, server_hostname="localhost")

    def close(self):
        """Ends it; every call must have been closed."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        status = self.process.wait(30)
        assert status == 0, (status, "".join(self.errors)[-2000:])
