#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: each strategy renews at an issuer that checks signatures by its own means, rotates, and tells
death from an outage (c8).  Method: the keeper's part as a tool, the courier itself, issuers over TLS."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import courier  # noqa: E402
import issuers  # noqa: E402
import world  # noqa: E402

NAME, PORT = "issuer.example.test", 8443
URL = f"https://{NAME}:{PORT}"
TOOL = os.path.join(os.environ.get("CV_BUILD", os.path.join(os.getcwd(), "build")),
                    "tests/unit/cred/cred_carry_tool")

tap = world.Tap()
w = world.World([NAME])
issuer = issuers.start(world.PRIVATE, PORT, w.pki)
carrier = courier.Courier(w.pki.ca, [(NAME, PORT, world.PRIVATE)])
with open(issuer.private, encoding="ascii") as file:
    KEY = file.read()


def renew(strategy, path, *materials, scopes=""):
    """(slug, lifetime, retry) and a dict of the outputs."""
    argv = [str(int(time.time())), strategy, URL + path, scopes, *materials]
    asked = subprocess.run([TOOL, "ask", *argv], capture_output=True, text=True, check=False).stdout
    kind, errand = asked.split()
    courier.send(carrier.keeper, int(kind), bytes.fromhex(errand))
    kind, message, fds = courier.receive(carrier.keeper)
    body = os.pread(fds[0], 1 << 20, 0) if fds else b""
    for fd in fds:
        os.close(fd)
    lines = subprocess.run([TOOL, "read", *argv], capture_output=True, text=True, check=False,
                           input=f"{kind:02x}\n{message.hex()}\n{body.hex()}\n").stdout.splitlines()
    slug, lifetime, retry = lines[0].split()
    return (slug, int(lifetime), int(retry)), dict(line.split(" ", 1) for line in lines[1:])


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


CLIENT = (f"client_id={issuers.CLIENT}", f"client_secret={issuers.CLIENT_SECRET}")
AWS = (f"aws_access_key_id={issuers.KEY_ID}", f"aws_secret_access_key={issuers.KEY_SECRET}",
       f"aws_region={issuers.REGION}", "role_arn=arn:aws:iam::1:role/r", "external_id=e x&t")
APP = (f"app_id={issuers.APP}", f"installation_id={issuers.INSTALLATION}", f"private_key={KEY}")
GITHUB = "/app/installations/{installation_id}/access_tokens"


def oauth_rotates():
    token = "rt-0"
    for _ in range(3):
        said, outputs = renew("oauth2_refresh_token", "/oauth/token", *CLIENT, f"refresh_token={token}",
                              scopes="a b")
        equal(said, ("ok", 600, 0))
        token = outputs["rotated"]
        equal(outputs["access_token"], f"at-{issuer.count}")
    equal(renew("oauth2_refresh_token", "/oauth/token", *CLIENT, "refresh_token=rt-0")[0],
          ("grant_rejected", 0, 0))


def oauth_client():
    for method in (), ("client_auth_method=client_secret_basic",):
        equal(renew("oauth2_client_credentials", "/oauth/token", *CLIENT, *method)[0], ("ok", 600, 0))
    equal(renew("oauth2_client_credentials", "/oauth/token", CLIENT[0], "client_secret=wrong")[0],
          ("client_rejected", 0, 0))


def google():
    said, outputs = renew("google_service_account_jwt", "/oauth/token",
                          f"client_email={issuers.ACCOUNT}", f"private_key={KEY}")
    equal((said, sorted(outputs)), (("ok", 600, 0), ["access_token"]))


def sts():
    (slug, lifetime, _), outputs = renew("aws_sts_assume_role", "/sts", *AWS)
    equal((slug, 890 <= lifetime <= 900, sorted(outputs)),
          ("ok", True, ["access_key_id", "secret_access_key", "session_token"]))
    wrong = [m.replace("FEMI", "FEMO") for m in AWS]
    equal(renew("aws_sts_assume_role", "/sts", *wrong)[0], ("client_rejected", 0, 0))


def github():
    (slug, lifetime, _), outputs = renew("github_app_installation", GITHUB, *APP, scopes="contents:read")
    equal((slug, abs(lifetime - 3600) <= 10, outputs["token"]), ("ok", True, f"ghs_{issuer.count}"))
    equal(issuer.seen[-1][2], b'{"permissions":{"contents":"read"}}')
    equal(renew("github_app_installation", GITHUB, "app_id=1", *APP[1:])[0], ("client_rejected", 0, 0))


PLANS = (("oauth2_refresh_token", "/oauth/token", *CLIENT, "refresh_token=rt-0"),
         ("google_service_account_jwt", "/oauth/token", f"client_email={issuers.ACCOUNT}",
          f"private_key={KEY}"),
         ("aws_sts_assume_role", "/sts", *AWS),
         ("github_app_installation", GITHUB, *APP))


def outage_is_not_death():
    issuer.down = True
    for plan in PLANS:
        equal((plan[0], renew(*plan)[0]), (plan[0], ("rate_limited", 0, 11)))
    issuer.down = False


def death_is_said():
    issuer.revoked = True
    equal([renew(*plan)[0][0] for plan in PLANS],
          ["grant_rejected", "grant_rejected", "forbidden", "forbidden"])
    issuer.revoked = False


tap.check("OAuth: a refresh token is used once and rotated", oauth_rotates)
tap.check("OAuth: client credentials in the form and in Authorization", oauth_client)
tap.check("Google: an assertion that openssl verifies", google)
tap.check("STS: a signature that another implementation computes too", sts)
tap.check("GitHub App: an assertion, permissions, and a wrong App", github)
tap.check("c8 an outage is not death", outage_is_not_death)
tap.check("c8 death is said by every strategy", death_is_said)
carrier.close()
issuer.shutdown()
w.close()
tap.done()
