#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Container builds by podman: registries, all that tests/e2e/test_build_registry.py asks of buildah."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ["CV_ENGINE"] = "podman"
os.execv(sys.executable, [sys.executable, os.path.join(HERE, "test_build_registry.py")])
