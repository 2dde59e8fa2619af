# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL server in a temporary directory, with every way to authenticate.

Runs as the user `postgres` where the test is root, since the server refuses to be run by root.
Its log has every statement it was given: "the server never heard of it" is a search in `log()`.
"""
import glob
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time


def binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    return os.path.dirname(found[-1]) if found else None


HBA = """\
local   all all trust
hostssl all scram all scram-sha-256
hostssl all md5user all md5
hostssl all clear all password
hostssl all trusted all trust
hostssl all owner all scram-sha-256
host    all all all reject
"""


def socket_echo(address, port):
    """A server that says back what it hears."""
    s = socket.create_server((address, port))

    def serve():
        while True:
            c, _ = s.accept()
            c.sendall(c.recv(4096))
            c.close()

    threading.Thread(target=serve, daemon=True).start()
    return s


class PgServer:
    def __init__(self, address, port, cert, key, ssl=True):
        self.bin = binaries()
        self.dir = tempfile.mkdtemp(prefix="cove-pg-")
        self.data = os.path.join(self.dir, "data")
        self.logfile = os.path.join(self.dir, "log")
        self.address, self.port = address, port
        self._own(self.dir)
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8",
                  "--locale=C", "--no-sync")
        for name, source in (("server.crt", cert), ("server.key", key)):
            path = os.path.join(self.data, name)
            shutil.copy(source, path)
            os.chmod(path, 0o600)
            self._own(path)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as f:
            f.write(f"""
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{self.dir}'
ssl = {'on' if ssl else 'off'}
log_statement = 'all'
log_connections = on
log_min_error_statement = error
fsync = off
max_connections = 40
shared_buffers = 16MB
""")
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="utf-8") as f:
            f.write(HBA if ssl else "local all all trust\nhost all all all scram-sha-256\n")
        self._run("pg_ctl", "-D", self.data, "-l", self.logfile, "-w", "-t", "60", "start")

    def _own(self, path):
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def _as(self):
        return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def _run(self, program, *argv):
        r = subprocess.run([*self._as(), os.path.join(self.bin, program), *argv], check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
                           timeout=120) if program != "pg_ctl" else subprocess.run(
            [*self._as(), os.path.join(self.bin, program), *argv], check=False, cwd="/",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        if r.returncode:
            raise RuntimeError(f"{program}: {r.stdout}")

    def sql(self, text, database="postgres"):
        """As the superuser, over the local socket; what psql -At prints."""
        r = subprocess.run(["psql", "-X", "-At", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-p",
                            str(self.port), "-U", "postgres", "-d", database],
                           input=text, capture_output=True, text=True, check=False, timeout=60)
        if r.returncode:
            raise RuntimeError(r.stderr)
        return r.stdout.strip()

    def log(self):
        time.sleep(0.1)
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.dir, ignore_errors=True)
