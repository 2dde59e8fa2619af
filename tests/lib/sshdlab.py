# SPDX-License-Identifier: Apache-2.0
"""OpenSSH's server (the machine's own, or tools/sshd's) as the one behind a relay: user `sandbox`, no key.

    s = sshdlab.Server()            s.port; a user without a password, in a mount namespace of its own
    s = sshdlab.Server(is_open=False)   one that lets nobody in
    s.close()

Only root can give a program another /etc/passwd: is_possible() says whether it can be had here.
"""
import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time

import ports

FETCHED = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../build/sshd"))
SSHD = next((s for s in ("/usr/sbin/sshd", os.path.join(FETCHED, "usr/sbin/sshd")) if os.path.exists(s)), None)
LIBRARIES = glob.glob(os.path.join(FETCHED, "usr/lib/*-linux-gnu"))  # that the machine's own needs nothing of


def is_possible():
    return SSHD is not None and bool(shutil.which("ssh-keygen")) and subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount --bind /etc/passwd /etc/passwd"], capture_output=True).returncode == 0


class Server:
    def __init__(self, is_open=True):
        self.directory = d = tempfile.mkdtemp(prefix="cove-sshd-")
        os.chmod(d, 0o755)
        self.port = ports.free()
        self._file("passwd", "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
                             "sandbox::1000:1000::/tmp:/bin/sh\n")
        self._file("shadow", "root:*:19000:0:99999:7:::\nsandbox::19000:0:99999:7:::\n")
        self._file("config", f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {d}/key
PidFile none
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitEmptyPasswords {"yes" if is_open else "no"}
MaxStartups 200:30:300
PrintMotd no
PrintLastLog no
StrictModes no
""")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{d}/key"], check=True)
        self.log = open(f"{d}/log", "wb")
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             f"mkdir -p /run/sshd && mount --bind {d}/passwd /etc/passwd && mount --bind {d}/shadow /etc/shadow && "
             f"exec {SSHD} -D -e -f {d}/config"],
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(LIBRARIES)}, stderr=self.log)
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, open(f"{d}/log").read()
                time.sleep(0.05)

    def _file(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(os.path.join(self.directory, name), 0o600 if name == "shadow" else 0o644)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
