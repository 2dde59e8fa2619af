# SPDX-License-Identifier: Apache-2.0
"""Ports of this machine that nobody listens at."""
import random
import socket

# Below those that the kernel gives to who asks for none (ip_local_port_range), which another test's
# connection may have a moment later; and any of many, since tests run beside each other.
RANGE = range(12000, 32000)


def free():
    """Of IPv4 and of IPv6."""
    while True:
        port = random.choice(RANGE)
        try:
            for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                with socket.socket(family) as s:
                    if family == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.bind((address, port))
            return port
        except OSError:
            continue
