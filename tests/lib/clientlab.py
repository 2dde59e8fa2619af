# SPDX-License-Identifier: Apache-2.0
"""The command-line client of a test, in the home of a gatewaylab.Gateway.

    with gatewaylab.Gateway(tls=False) as g:
        c = clientlab.Client(g)
        c("sandbox", "list").stdout           fails unless the exit status is 0
        c("sandbox", "get", "x", status=1)    another one is expected
        c(..., stdin=b"...", env={"KEY": "v"}, program="openshell")
"""
import os
import subprocess

import rpclab
import ttylab

EXE = os.environ.get("CV_CLIENT", os.path.join(rpclab.BUILD, "src/client/cove-client"))


class Client:
    def __init__(self, gateway=None, home=None):
        if gateway:
            self.env = dict(gateway.env)
        else:
            self.env = {k: v for k, v in os.environ.items() if not k.startswith(("COVE_", "OPENSHELL_"))}
            self.env.update(HOME=home, XDG_CONFIG_HOME=os.path.join(home, "config"))
        self.env["OPENSHELL_SYSTEM_GATEWAY_DIR"] = os.path.join(self.env["HOME"], "system")
        self.config = os.path.join(self.env["XDG_CONFIG_HOME"], "cove")
        if gateway:
            words = ["gateway", "add", gateway.url(""), "--name", "test"]
            if gateway.tls:
                for flag, name in (("--ca", "ca.crt"), ("--cert", "tls.crt"), ("--key", "tls.key")):
                    words += [flag, os.path.join(gateway.client, name)]
            self(*words)

    def start(self, *words, env=None, program="cove", **kw):
        """A process whose streams are pipes."""
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        pipes.update(kw)
        return subprocess.Popen([program, *words], executable=EXE, env=dict(self.env, **(env or {})),
                                **pipes)

    def start_on_terminal(self, *words, env=None, rows=24, cols=80):
        """(process, the terminal's other end)."""
        return ttylab.spawn([EXE, *words], rows, cols, name="cove", env=dict(self.env, TERM="xterm", **(env or {})))

    def __call__(self, *words, stdin=b"", status=0, timeout=60, text=True, **kw):
        process = self.start(*words, **kw)
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if text:
            out, err = out.decode(errors="replace"), err.decode(errors="replace")
        assert status is None or process.returncode == status, (
            f"{' '.join(words)}: exit status {process.returncode}\n{out}\n{err}")
        return subprocess.CompletedProcess(words, process.returncode, out, err)
