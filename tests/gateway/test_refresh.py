#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: credentials that an issuer renews: configured, rotated, shown, deleted; renewed before they
expire, for all sandboxes at once, with the refresh token that the issuer put in the place of ours; and
neither materials nor tokens anywhere but where they belong.
Method: a real issuer over TLS whose refresh tokens hold once, real sandboxes, a gateway that is killed."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import issuers  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from credlab import memory_has  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
HOST, ISSUER = "api.test", "issuer.test"
w = world.World([HOST, ISSUER])
server = world.Server(world.PUBLIC, 443, w.pki)
issuer = issuers.start(world.PRIVATE, 8443, w.pki)
issuer.refresh_token, issuer.token = "rt-first-0123456789abcdef", "at-%d-0123456789abcdef"
g = gatewaylab.Gateway(config={"resolve": [f"{HOST}:443:{world.PUBLIC}", f"{ISSUER}:8443:{world.PRIVATE}"],
                               "upstream_ca": [w.pki.ca]})
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")
MATERIAL = {"client_id": issuers.CLIENT, "client_secret": issuers.CLIENT_SECRET,
            "refresh_token": "rt-first-0123456789abcdef"}


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def configure(name="p", key="MY_TOKEN", material=None, **kw):
    return g.stub.ConfigureProviderRefresh(pb.ConfigureProviderRefreshRequest(
        provider=name, credential_key=key, material=MATERIAL if material is None else material, **kw)).status


def rotate(name="p", key="MY_TOKEN"):
    return g.stub.RotateProviderCredential(
        pb.RotateProviderCredentialRequest(provider=name, credential_key=key)).status


def status(name="p"):
    return g.stub.GetProviderRefreshStatus(pb.GetProviderRefreshStatusRequest(provider=name)).credentials


def get(name):
    return g.stub.GetProvider(pb.GetProviderRequest(name=name)).provider


def run(s, *command):
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=s.metadata.id, command=command), timeout=40))
    return said.both.decode(errors="replace")


def sent(s):
    """What the server was shown by curl inside."""
    before = len(server.seen)
    run(s, "/bin/sh", "-c", f'/usr/bin/curl -sS --max-time 10 -H "Authorization: Bearer $MY_TOKEN" https://{HOST}/')
    return [{k.lower(): v for k, v in r["headers"].items()}["authorization"] for r in server.seen[before:]]


def sandbox(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "1000"], providers=["p"])))
    return until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox)
                 .status.phase == 2 and s)


def is_anywhere(value):
    found = subprocess.run(["grep", "-rlaF", value, g.directory], capture_output=True, text=True,
                           check=False).stdout.split()
    return found + [line for line in g.lines if value in line]


def what_is_refused():
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id="mine", display_name="mine", category=1,
            credentials=[pb.ProviderProfileCredential(
                name="token", env_vars=["MY_TOKEN"], refresh=pb.ProviderCredentialRefresh(
                    strategy=3, token_url=f"https://{ISSUER}:8443/oauth/token", refresh_before_seconds=5,
                    material=[pb.ProviderCredentialRefreshMaterial(name="client_id", required=True),
                              pb.ProviderCredentialRefreshMaterial(name="client_secret", secret=True),
                              pb.ProviderCredentialRefreshMaterial(name="refresh_token", required=True,
                                                                   secret=True)]))],
            endpoints=[sb.NetworkEndpoint(host=HOST, port=443, protocol="rest", enforcement="enforce",
                                          access="full")],
            binaries=[sb.NetworkBinary(path="/usr/bin/curl")]))]))
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="p"), type="mine")))
    for call, code, words in [
        (lambda: configure("nosuch"), "NOT_FOUND", "provider not found"),
        (lambda: configure(key=""), "INVALID_ARGUMENT", "credential_key is required"),
        (lambda: configure(material={"client_id": "x"}), "INVALID_ARGUMENT", "refresh_token"),
        (lambda: configure(strategy=1), "INVALID_ARGUMENT", "static"),
        (lambda: configure(strategy=77), "INVALID_ARGUMENT", "strategy is unknown"),
        (lambda: configure(secret_material_keys=["nosuch"]), "INVALID_ARGUMENT", "'nosuch' does not occur"),
        (lambda: configure(material={**MATERIAL, "a b": "x"}), "INVALID_ARGUMENT", "'a b'"),
        (rotate, "NOT_FOUND", "provider refresh not found"),
    ]:
        got = code_of(call)
        assert got[0] == code and words in got[1], (got, words)
    equal(list(status()), [])
    equal(g.stub.DeleteProviderRefresh(pb.DeleteProviderRefreshRequest(
        provider="p", credential_key="MY_TOKEN")).deleted, False)


def first_value():
    s = configure(key="token")  # by the credential's name
    equal((s.credential_key, s.strategy, s.provider_name, s.last_error), ("MY_TOKEN", 3, "p", ""))
    s = until(lambda: (v := status()[0]).status == "refreshed" and v)
    assert s.expires_at_ms > time.time() * 1000 and s.next_refresh_at_ms < s.expires_at_ms, s
    equal((issuer.count, list(get("p").credential_handles)), (1, ["MY_TOKEN"]))
    equal(get("p").credential_expires_at_ms["MY_TOKEN"], s.expires_at_ms)
    global box
    box = sandbox("box")
    equal(sent(box), ["Bearer at-1-0123456789abcdef"])


def rotated():
    s = rotate()
    equal((s.status, issuer.count), ("refreshed", 2))
    equal(sent(box), ["Bearer at-2-0123456789abcdef"])
    got = code_of(lambda: g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="p"), credentials={"MY_TOKEN": "mine"}))))
    equal(got[0], "FAILED_PRECONDITION")


def before_it_expires():
    issuer.lifetime = 8
    rotate()
    global two
    two = sandbox("two")
    before = issuer.count
    until(lambda: issuer.count > before)  # by itself
    issuer.lifetime = 600
    until(lambda: status()[0].status == "refreshed" and issuer.count > before + 1 or
          status()[0].expires_at_ms > (time.time() + 60) * 1000)
    value = f"Bearer at-{issuer.count}-0123456789abcdef"
    until(lambda: sent(box) == [value] and sent(two) == [value])  # both, by one renewal


def killed_in_between():
    g.kill()
    g.start()
    count = issuer.count
    equal(rotate().status, "refreshed")  # with the refresh token of the last answer
    equal(issuer.count, count + 1)
    until(lambda: code_of(lambda: run(box, "/bin/true"))[0] == "OK")
    equal(sent(box), [f"Bearer at-{issuer.count}-0123456789abcdef"])


def issuer_says_no():
    issuer.down = True
    code, why = code_of(rotate)
    equal(code, "UNAVAILABLE")
    assert "rate_limited" in why, why
    s = status()[0]
    assert s.status == "error" and "rate_limited" in s.last_error, s
    equal(sent(box), [f"Bearer at-{issuer.count}-0123456789abcdef"])  # it still holds
    issuer.down = False
    until(lambda: status()[0].status == "refreshed", 40)  # tried again by itself
    issuer.revoked = True
    code, why = code_of(rotate)
    equal(code, "FAILED_PRECONDITION")
    assert "grant_rejected" in why, why
    equal(status()[0].status, "reauthorization_required")
    issuer.revoked = False
    issuer.refresh_token = MATERIAL["refresh_token"]
    configure()
    equal(rotate().status, "refreshed")


def nowhere():
    values = [MATERIAL["refresh_token"], issuers.CLIENT_SECRET,
              *(f"at-{i}-0123456789abcdef" for i in range(1, issuer.count + 1))]
    for value in values:
        equal(is_anywhere(value), [])
    at = memory_has(g.process.pid, [v.encode() for v in values])
    assert not at, at


def one_provider_sets_a_variable():
    """Whether its value is there, or a renewal will bring it."""
    def attach(name):
        return code_of(lambda: g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(
            sandbox_name="two", provider_name=name)))

    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="later"), type="mine")))
    equal(attach("later")[0], "OK")
    equal(code_of(lambda: configure("later", material={**MATERIAL, "refresh_token": "nobodys"})), (
        "FAILED_PRECONDITION", "MY_TOKEN is set by provider 'p', which is attached beside 'later' to "
        "sandbox(es): two; detach one of them first"))
    equal(list(status("later")), [])
    g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(sandbox_name="two", provider_name="later"))
    configure("later", material={**MATERIAL, "refresh_token": "nobodys"})
    equal(attach("later"), (
        "FAILED_PRECONDITION", "providers 'p' and 'later' both set MY_TOKEN; attach one of them"))
    g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(sandbox_name="two", provider_name="p"))
    equal(attach("later")[0], "OK")
    equal(attach("p"), (
        "FAILED_PRECONDITION", "providers 'later' and 'p' both set MY_TOKEN; attach one of them"))
    equal(list(get("later").credential_handles), [])


def deleted():
    equal(g.stub.DeleteProviderRefresh(pb.DeleteProviderRefreshRequest(
        provider="p", credential_key="MY_TOKEN")).deleted, True)
    equal(list(status()), [])
    equal(sent(box), [f"Bearer at-{issuer.count}-0123456789abcdef"])  # as it was
    configure()
    for name in ("box", "two"):
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
        until(lambda: code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name=name)))[0] == "NOT_FOUND")
    assert g.stub.DeleteProvider(pb.DeleteProviderRequest(name="p")).deleted
    equal(code_of(status)[0], "NOT_FOUND")


try:
    for check in (what_is_refused, first_value, rotated, before_it_expires, killed_in_between, issuer_says_no,
                  nowhere, one_provider_sets_a_variable, deleted):
        tap.check(check.__name__.replace("_", " "), check)
        if tap.failed and os.environ.get("CV_TEST_LOG"):
            print("\n".join("# " + x for x in g.lines[-20:]))
finally:
    for name in ("box", "two"):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(1)
    g.close()
    w.close()
tap.done()
