# SPDX-License-Identifier: Apache-2.0
"""An interactive shell on a pseudo-terminal, and its tab key."""
import os
import re
import select
import shutil
import time

import look
import ttylab


class Shell:
    def __init__(self, *argv, cwd, env, setup=()):
        if not shutil.which(argv[0]):
            raise look.Unavailable("unavailable: no " + argv[0])
        self.process, self.fd = ttylab.spawn(argv, cwd=cwd, env=env)
        self.text = ""
        for line in setup:
            os.write(self.fd, line.encode() + b"\n")
        os.write(self.fd, b"echo begi''ns\n")
        self.until("begins")

    def until(self, wanted, seconds=20):
        end = time.monotonic() + seconds
        while not re.search(wanted, self.text):
            assert time.monotonic() < end, f"no {wanted!r} in {self.text!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
        return self.text

    def tab(self, line, wanted):
        """Types the line and the key; then clears the line."""
        self.text = ""
        os.write(self.fd, line.encode() + b"\t")
        self.until(wanted)
        os.write(self.fd, b"\x15")
        time.sleep(0.1)

    def close(self):
        os.close(self.fd)
        self.process.kill()
        self.process.wait()


def with_completion(name, **where):
    """bash or zsh as it starts without anybody's own settings, with the script that cove prints."""
    script = f"source <(cove completions {name})"
    if name == "bash":
        return Shell("bash", "--norc", "--noprofile", "-i", setup=[script], **where)
    return Shell("zsh", "-f", "-i", setup=["autoload -U compinit && compinit -u", script], **where)
