#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p9 and the terminal of a run: it is the command's own, resized with the caller's, Ctrl-C and
Ctrl-D work, and the caller's is as before at the end, whatever the end was.
Method: a pseudo-terminal of the test's; cove in it as the foreground session."""
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402


class Terminal:
    def __init__(self, b, argv, options=("--tty",), rows=30, columns=100):
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""

        def session():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.p = subprocess.Popen(
            [box.COVE, "run", "-q", "--workdir", b.work, *options, "--", *argv], stdin=self.slave,
            stdout=self.slave, stderr=self.slave, preexec_fn=session)

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.master, data)

    def expect(self, what, seconds=20):
        end = time.monotonic() + seconds
        while what not in self.output and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.output += os.read(self.master, 65536)
        return what in self.output

    def wait(self, seconds=20):
        end = time.monotonic() + seconds
        while self.p.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.output += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
            return "hangs"
        return self.p.returncode

    def is_restored(self):
        now = termios.tcgetattr(self.slave)
        return now == self.before

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        os.close(self.master)
        os.close(self.slave)


def main(tap, b):
    def terminal(argv, **kw):
        return Terminal(b, argv, **kw)

    t = terminal(["sh", "-c", "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; "
                              "ls -l /proc/self/fd/0; ps -o tty= -p $$; exit 9"])
    status = t.wait()
    tap.ok(status == 9, "the command's status", (status, t.output))
    tap.ok(b"/dev/pts/0" in t.output and b"all" in t.output, "a terminal of its own on all three", t.output)
    tap.ok(b"30 100" in t.output, "with the caller's size", t.output)
    tap.ok(t.is_restored(), "the caller's modes are as before")
    t.close()

    t = terminal(["sh", "-c", "test -t 0 && echo is-a-tty || echo is-none"], options=())
    t.wait()
    tap.ok(b"is-a-tty" in t.output, "a terminal by default when the caller has one", t.output)
    t.close()

    t = terminal(["sh", "-c", "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"])
    t.expect(b"ready")
    t.resize(41, 77)
    t.p.send_signal(signal.SIGWINCH)
    status = t.wait()
    tap.ok(status == 0 and b"41 77" in t.output, "a new size reaches the command", (status, t.output))
    t.close()

    t = terminal(["sh", "-c", "trap 'echo got-int; exit 33' INT; echo ready; while :; do sleep 0.05; done"])
    t.expect(b"ready")
    t.send(b"\x03")
    status = t.wait()
    tap.ok(status == 33 and b"got-int" in t.output, "Ctrl-C interrupts the command, not cove",
           (status, t.output))
    tap.ok(t.is_restored(), "and the modes are as before")
    t.close()
    t = terminal(["sh", "-c", "echo ready; exec sleep 30"])
    t.expect(b"ready")
    t.send(b"\x03")
    status = t.wait()
    tap.ok(status == 130, "Ctrl-C ends a plain command: 130", status)
    t.close()
    t = terminal(["sh", "-c", "trap '' QUIT; echo ready; exec sleep 30"])
    t.expect(b"ready")
    t.send(b"\x1c\x03")
    tap.ok(t.wait() == 130, "Ctrl-\\ is the command's too")
    t.close()

    t = terminal(["cat"])
    t.send(b"hello\n")
    tap.ok(t.expect(b"hello\r\nhello"), "what is typed arrives", t.output)
    t.send(b"\x04")
    status = t.wait()
    tap.ok(status == 0, "Ctrl-D is the end of the input", status)
    t.close()

    t = terminal(["sh", "-c", "stty raw -echo; echo ready; head -c 3 | od -An -tx1"])
    t.expect(b"ready")
    t.send(b"\x03\x04\x1a")
    tap.ok(t.expect(b"03 04 1a"), "raw mode inside: every key is a byte", t.output)
    t.wait()
    t.close()

    t = terminal(["sh", "-i"])
    t.expect(b"$")
    t.send(b"sleep 30\n")
    box.until(lambda: "sleep" in box.descendants().values())
    time.sleep(0.3)
    t.send(b"\x1a")
    time.sleep(0.3)
    t.send(b"jobs\n")
    is_stopped = t.expect(b"Stopped") or b"[1]" in t.output
    tap.ok(is_stopped, "job control: Ctrl-Z stops a job of the shell inside", t.output)
    t.send(b"kill -9 %1; fg; echo go''ne\n")  # fg waits for a job that is stopped too; wait does not
    t.expect(b"gone")  # with a job that is stopped it would not exit
    t.send(b"\nexit 4\n")
    status = t.wait()
    tap.ok(status == 4, "and the shell ends as told", (status, t.output[-200:]))
    t.close()

    t = terminal(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo END"])
    status = t.wait(20)
    tap.ok(status == 0 and t.output.count(b"x") == 3000000 and b"END" in t.output,
           "3 MB arrive whole before the end", (status, t.output.count(b"x")))
    t.close()

    for name, number in (("TERM", signal.SIGTERM), ("HUP", signal.SIGHUP)):
        t = terminal(["sh", "-c", "echo ready; exec sleep 30"])
        t.expect(b"ready")
        t.p.send_signal(number)
        status = t.wait()
        tap.ok(status == 128 + number and t.is_restored(), f"{name} to cove: its status, modes restored",
               (status, t.is_restored()))
        t.close()
    for victim in ("cove-init", "cove-supervisor"):
        t = terminal(["sh", "-c", "echo ready; exec sleep 30"])
        t.expect(b"ready")
        for pid, name in box.descendants().items():
            if name == victim[:15]:
                os.kill(pid, signal.SIGKILL)
                break
        status = t.wait()
        if victim == "cove-init":
            tap.ok(t.is_restored(), f"p16 kill -9 {victim}: the caller's terminal is as before", status)
        else:
            tap.ok(not box.survivors(), f"p16 kill -9 {victim} with a terminal leaves no process")
        t.close()

    t = terminal(["sleep", "30"])
    box.until(lambda: "sleep" in box.descendants().values())
    os.close(t.master)  # the window is closed
    try:
        t.p.wait(20)
        is_ended = True
    except subprocess.TimeoutExpired:
        is_ended = False
    tap.ok(is_ended, "a closed window ends the run")
    t.master = os.open("/dev/null", os.O_RDONLY)
    t.close()
    tap.ok(not (left := box.survivors()), "and leaves nothing", left)

    # p9: nothing typed into the caller's terminal, by the ioctl or by the descriptor
    attack = ("import fcntl,termios,os\n"
              "for fd in (0,1,2): \n"
              "  for req in (0x5412, 0x541C, 0x540E):\n"
              "    try: fcntl.ioctl(fd, req, b'i'); print('INJECTED', hex(req))\n"
              "    except OSError as e: print(hex(req), e.errno)\n"
              "try: os.open('/dev/tty', os.O_RDWR); print('TTY-OPEN')\n"
              "except OSError as e: print('tty', e.errno)\n")
    t = terminal(["python3", "-c", attack])
    t.wait()
    tap.ok(b"INJECTED 0x5412" not in t.output and b"INJECTED 0x541c" not in t.output,
           "p9 TIOCSTI and TIOCLINUX on its own terminal are refused", t.output)
    t.close()
    t = terminal(["python3", "-c", attack], options=("--no-tty",))
    t.wait()
    tap.ok(b"0x5412 1" in t.output and b"INJECTED" not in t.output,
           "p9 with --no-tty on the caller's terminal too", t.output)
    tap.ok(b"TTY-OPEN" not in t.output, "p9 and the caller's terminal cannot be opened anew by /dev/tty",
           t.output)
    t.close()
    r = subprocess.run([box.COVE, "run", "-q", "--tty", "--workdir", b.work, "--", "tty"],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    tap.result("/dev/pts/0" in r.stdout or (r.returncode in (2, 125) and "terminal" in r.stderr),
               "--tty without a terminal: one of its own, or refused in words", r)


if __name__ == "__main__":
    box.each_user(main)
