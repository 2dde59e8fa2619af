#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `provider create --from-gcloud-adc` makes a provider whose first token has come, or none at all; and shows
nothing of the file.
Method: gcloud's file as gcloud writes it, a real issuer over TLS, a profile that names it."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import issuers  # noqa: E402

tap = world.Tap()
ISSUER = "issuer.test"
w = world.World([ISSUER])
issuer = issuers.start(world.PRIVATE, 8443, w.pki)
issuer.refresh_token, issuer.token = "rt-first-0123456789abcdef", "at-%d-0123456789abcdef"
g = gatewaylab.Gateway(config={"resolve": [f"{ISSUER}:8443:{world.PRIVATE}"], "upstream_ca": [w.pki.ca]})
c = clientlab.Client(g)
pb = g.pb
FILE = {"type": "authorized_user", "client_id": issuers.CLIENT, "client_secret": issuers.CLIENT_SECRET,
        "refresh_token": "rt-first-0123456789abcdef", "account": "", "universe_domain": "googleapis.com"}
SECRETS = (issuers.CLIENT_SECRET, "rt-first-0123456789abcdef", "at-1-0123456789abcdef", "PRIVATE-KEY")
said = []


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def file(value, *where):
    path = os.path.join(g.directory, *where)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))
    return path


def create(name, status=0, kind="mine", **env):
    done = c("provider", "create", "--name", name, "--type", kind, "--from-gcloud-adc", status=status, env=env)
    said.append(done.stdout + done.stderr)
    return done


def names():
    return c("provider", "list", "--names").stdout.split()


def made_with_its_first_token():
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id="mine", display_name="mine", category=1, credentials=[
                pb.ProviderProfileCredential(name="other", env_vars=["OTHER"]),
                pb.ProviderProfileCredential(name="user_token", env_vars=["MY_TOKEN"], refresh=pb.ProviderCredentialRefresh(
                    strategy=3, token_url=f"https://{ISSUER}:8443/oauth/token",
                    material=[pb.ProviderCredentialRefreshMaterial(name="client_id", required=True),
                              pb.ProviderCredentialRefreshMaterial(name="client_secret", secret=True),
                              pb.ProviderCredentialRefreshMaterial(name="refresh_token", required=True, secret=True)]))]))]))
    path = file(FILE, "home/.config/gcloud/application_default_credentials.json")
    done = create("one", HOME=os.path.join(g.directory, "home"), GOOGLE_APPLICATION_CREDENTIALS="")
    assert done.stdout == "✓ Created provider one\n", done
    rows = json.loads(c("provider", "refresh", "status", "one", "-o", "json").stdout)
    assert [(r["credential_key"], r["status"]) for r in rows] == [("MY_TOKEN", "refreshed")], rows
    assert json.loads(c("provider", "get", "one", "-o", "json").stdout)["credential_keys"] == ["MY_TOKEN"]
    issuer.refresh_token = FILE["refresh_token"]
    create("two", CLOUDSDK_CONFIG=os.path.dirname(path))
    assert names() == ["one", "two"]


def none_when_it_fails():
    issuer.down = True
    assert "create" not in create("three", 1, GOOGLE_APPLICATION_CREDENTIALS=file(FILE, "a.json")).stdout
    issuer.down = False
    revoked = dict(FILE, refresh_token="rt-of-nobody-0123456789")
    create("three", 1, GOOGLE_APPLICATION_CREDENTIALS=file(revoked, "a.json"))
    assert names() == ["one", "two"], names()


def what_is_no_such_file():
    for value, want in (("{", "no JSON"), ("", "no JSON"), ({"type": "external_account"}, "external_account"), ({}, "type"),
                        ({"type": "authorized_user", "client_id": "x"}, "has no client_secret"),
                        ({"type": "service_account", "client_email": "a@b", "private_key": "PRIVATE-KEY"},
                         "no credential that is renewed by google_service_account_jwt")):
        assert want in create("x", 1, GOOGLE_APPLICATION_CREDENTIALS=file(value, "b.json")).stderr, value
    assert "gcloud auth application-default login" in create("x", 1, GOOGLE_APPLICATION_CREDENTIALS="/nowhere").stderr
    path = file(FILE, "a.json")
    assert "unsupported provider type" in create("x", 1, "nosuch", GOOGLE_APPLICATION_CREDENTIALS=path).stderr
    assert "already exists" in create("one", 1, GOOGLE_APPLICATION_CREDENTIALS=path).stderr
    assert names() == ["one", "two"], "and the one that was there is left alone"


def nothing_of_it_is_shown():
    assert not [s for text in said + g.lines for s in SECRETS if s in text]


try:
    for f in (made_with_its_first_token, none_when_it_fails, what_is_no_such_file, nothing_of_it_is_shown):
        check(f)
finally:
    g.close()
    w.close()
tap.done()
