# SPDX-License-Identifier: Apache-2.0
"""The API's stubs for tests: made from proto/, once for each run of a test.

    pb, stubs = rpclab.openshell()      openshell_pb2, openshell_pb2_grpc

The messages are those of the files as they are, made by protoc.  grpc_tools brings a protoc of its
own, which may be too old for `optional`; the services are made from files without it, as our C code
is: they only name the messages.
"""
import atexit
import importlib
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import grpc  # noqa: F401
    from grpc_tools import protoc
except ImportError:  # a Python of its own, without the system's packages
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    raise

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CV_BUILD", os.path.join(ROOT, "build"))
GOOGLE = "/usr/include"  # of libprotobuf-dev
_made = None


def stubs():
    """A folder with the stubs, on sys.path."""
    global _made
    if _made is None:
        _made = tempfile.mkdtemp(prefix="cove-stubs-")
        atexit.register(shutil.rmtree, _made, True)
        source, plain = os.path.join(ROOT, "proto"), os.path.join(_made, "plain")
        os.mkdir(plain)
        protos = sorted(n for n in os.listdir(source) if n.endswith(".proto"))
        subprocess.run(["protoc", "-I" + source, "-I" + GOOGLE, "--python_out=" + _made, *protos],
                       check=True)
        for name in protos:
            with open(os.path.join(plain, name), "w") as f:
                subprocess.run(["sed", "-E", "-f", os.path.join(source, "presence.sed"),
                                os.path.join(source, name)], stdout=f, check=True)
        if protoc.main(["protoc", "-I" + plain, "-I" + GOOGLE, "--grpc_python_out=" + _made, *protos]):
            raise RuntimeError("grpc_tools.protoc failed")
        sys.path.insert(0, _made)
    return _made


def module(name):
    stubs()
    return importlib.import_module(name)


def openshell():
    return module("openshell_pb2"), module("openshell_pb2_grpc")
