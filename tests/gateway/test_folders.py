#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: directories of policies and of provider profiles are followed while the gateway runs: an edit
holds at the next request, what is wrong changes nothing and is said with its line, and who got a
policy of his own keeps it.
Method: a real gateway, sandboxes with curl against a server of ours, files written as editors do."""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
HOST = "site.test"
w = world.World([HOST])
server = world.Server(world.PUBLIC, 443, w.pki)
home = tempfile.mkdtemp(prefix="cove-folders-")
policies, profiles = os.path.join(home, "policies"), os.path.join(home, "profiles")
os.mkdir(policies)
CONFIG = {"resolve": [f"{HOST}:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca], "policies_dir": policies,
          "profiles_dir": profiles}
g = gatewaylab.Gateway(config=CONFIG)
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")


def write(path, text):
    """As editors do: another file, then renamed."""
    with open(path + "~", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + "~", path)


def policy(access):
    return f"""version: 1
network_policies:
  site:
    endpoints:
      - {{host: {HOST}, port: 443, protocol: rest, access: {access}, enforcement: enforce}}
    binaries: [{{path: "/**"}}]
"""


def profile(name="lab", host=HOST):
    return f"""id: {name}
display_name: Lab
category: other
credentials:
  - name: token
    env_vars: [LAB_TOKEN]
endpoints:
  - {{host: {host}, port: 443, protocol: rest, access: read-only, enforcement: enforce}}
binaries: [{{path: "/**"}}]
"""


def sandbox(name, **spec):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "1000"], **spec)))
    return until(lambda: (s := get(name)).status.phase == 2 and s)


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def status(name, method="GET"):
    return gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=get(name).metadata.id, command=[
        "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-X", method,
        f"https://{HOST}/"]), timeout=30)).out.decode()


def latest(name):
    return g.stub.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name=name)).revision


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def without_files_nothing_is_allowed():
    sandbox("early")
    assert status("early") in ("000", "403")


def a_file_that_comes_holds_for_those_that_run():
    write(os.path.join(policies, "default.yaml"), policy("read-only"))
    until(lambda: status("early") == "200")
    assert status("early", "POST") == "403"
    assert dict(latest("early").provenance) == {"policy-file": "default.yaml"}


def and_for_those_that_come():
    sandbox("late")
    assert status("late") == "200" and status("late", "POST") == "403"
    assert latest("late").version == 1 and latest("late").provenance["policy-file"] == "default.yaml"


def an_edit_holds_at_the_next_request():
    begun = time.monotonic()
    write(os.path.join(policies, "default.yaml"), policy("read-write"))
    until(lambda: status("late", "POST") == "200")
    assert time.monotonic() - begun < 15, "an edit that takes its time"
    until(lambda: status("early", "POST") == "200")


def what_is_wrong_changes_nothing_and_is_said():
    since = len(g.lines)
    write(os.path.join(policies, "default.yaml"), "version: 1\nnetwork_polices: {}\n")
    line = g.logged("the policy is not taken", since)
    assert line and "default.yaml" in line and "2:1" in line, line
    assert status("late", "POST") == "200"


def who_has_a_policy_of_his_own_keeps_it():
    own = sb.SandboxPolicy(version=1)
    sandbox("own", policy=own)
    g.stub.UpdateConfig(pb.UpdateConfigRequest(name="early", policy=own))
    write(os.path.join(policies, "default.yaml"), policy("full"))
    until(lambda: status("late", "DELETE") == "200")
    assert status("own") in ("000", "403") and status("early") in ("000", "403")
    assert not latest("early").provenance


def a_file_that_goes_holds_for_nobody_who_comes():
    """Who has its policy keeps it; who comes has none, as without a file; both follow it when it is back."""
    since = len(g.lines)
    os.unlink(os.path.join(policies, "default.yaml"))
    line = g.logged("the file is gone", since)
    assert line and "default.yaml" in line and "WARN" in line.upper(), line
    sandbox("between")
    assert not latest("between").provenance and status("between") in ("000", "403")
    assert status("late") == "200"
    write(os.path.join(policies, "default.yaml"), policy("full"))
    until(lambda: status("between") == "200")
    assert latest("between").provenance["policy-file"] == "default.yaml"


def another_file_of_the_workspace_takes_its_place():
    since = len(g.lines)
    write(os.path.join(policies, "default.yml"), policy("read-only"))
    time.sleep(0.5)
    assert status("between", "POST") == "200", "WORKSPACE.yaml is the first"
    line = g.logged("the file is not used", since)
    assert line and "default.yml" in line and "the workspace's is default.yaml" in line, line
    write(os.path.join(policies, "default.yaml"), policy("full") + "# another look\n")
    time.sleep(0.5)
    assert len([x for x in g.lines[since:] if "the file is not used" in x]) == 1, "once"
    os.unlink(os.path.join(policies, "default.yaml"))
    until(lambda: status("between", "POST") == "403")
    assert g.logged("the file is gone", since)
    assert latest("between").provenance["policy-file"] == "default.yml"
    # The first by name, whichever was there before: so it is the same after a restart.
    since = len(g.lines)
    write(os.path.join(policies, "default.yaml"), policy("full"))
    until(lambda: status("between", "POST") == "200")
    assert g.logged("the file is not used", since), "again: it was used meanwhile"
    os.unlink(os.path.join(policies, "default.yml"))


def the_first_counts_also_when_it_is_wrong():
    g.stop()
    write(os.path.join(policies, "default.yml"), policy("full"))
    write(os.path.join(policies, "default.yaml"), "version: 1\nnetwork_polices: {}\n")
    since = len(g.lines)
    g.start()
    assert g.logged("the policy is not taken", since) and g.logged("the file is not used", since)
    sandbox("second")
    assert status("second") in ("000", "403"), "a policy of a file that is not the workspace's"
    write(os.path.join(policies, "default.yaml"), policy("full"))
    until(lambda: status("second", "POST") == "200")
    os.unlink(os.path.join(policies, "default.yml"))


def a_directory_that_is_away_takes_nothing_away():
    since = len(g.lines)
    os.rename(policies, policies + ".away")
    assert g.logged("policies stay as they are", since)
    sandbox("away")
    assert status("away") == "200"
    os.rename(policies + ".away", policies)


def of_another_directory_only_its_files_hold():
    other, since = os.path.join(home, "other"), len(g.lines)
    os.mkdir(other)
    g.write_config(dict(CONFIG, policies_dir=other))
    g.hup()
    assert g.logged("the file is gone", since)
    sandbox("elsewhere")
    assert status("elsewhere") in ("000", "403")
    write(os.path.join(other, "default.yaml"), policy("read-only"))
    until(lambda: status("elsewhere") == "200")
    since = len(g.lines)
    g.write_config({k: v for k, v in CONFIG.items() if k != "policies_dir"})
    g.hup()
    assert g.logged("the file is gone", since)
    g.write_config(CONFIG)
    g.hup()
    until(lambda: status("elsewhere", "DELETE") == "200")


def more_files_than_are_read():
    """The first 1000 by name; the first that is not is said, once."""
    since = len(g.lines)
    for i in range(1100):
        write(os.path.join(policies, "z%04d.yaml" % i), "version: 1\n")
    line = g.logged("CV_GW_FOLDER_FILES_MAX", since, 30)
    assert line and policies in line, line
    until(lambda: [x for x in g.lines[since:] if "nor are 100 behind it" in x and "z0999.yaml" in x])
    before = len([x for x in g.lines[since:] if "CV_GW_FOLDER_FILES_MAX" in x])
    write(os.path.join(policies, "default.yaml"), policy("read-only"))
    until(lambda: status("late", "POST") == "403")
    assert len([x for x in g.lines[since:] if "CV_GW_FOLDER_FILES_MAX" in x]) == before, "once"
    done = g.run("config", "check", g.config_path, check=False)
    assert done.returncode == 2 and "'z0999.yaml' and 100 behind it are not read" in done.stderr, done.stderr
    for i in range(1100):
        os.unlink(os.path.join(policies, "z%04d.yaml" % i))
    write(os.path.join(policies, "default.yaml"), policy("full"))
    until(lambda: status("late", "DELETE") == "200")


def what_can_not_change_while_it_runs_does_not():
    since = len(g.lines)
    write(os.path.join(policies, "default.yaml"), "landlock: {compatibility: hard_requirement}\n" + policy("full"))
    line = g.logged("keeps its policy", since)
    assert line and "landlock" in line, line
    assert status("late") == "200"
    write(os.path.join(policies, "default.yaml"), policy("full"))


def a_directory_that_comes_later_is_found():
    assert code_of(lambda: g.stub.GetProviderProfile(pb.GetProviderProfileRequest(id="lab")))[0] == "NOT_FOUND"
    os.mkdir(profiles)
    write(os.path.join(profiles, "lab.yaml"), profile())
    until(lambda: code_of(lambda: g.stub.GetProviderProfile(pb.GetProviderProfileRequest(id="lab")))[0] == "OK")
    p = g.stub.GetProviderProfile(pb.GetProviderProfileRequest(id="lab")).profile
    assert (p.source, p.scope, p.display_name) == ("user", "platform", "Lab"), p


def a_profile_of_a_file_serves_and_follows_it():
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="lab"), type="lab", credentials={"LAB_TOKEN": "value-0123456789"})))
    sandbox("uses", providers=["lab"], policy=sb.SandboxPolicy(version=1))
    assert status("uses") == "200" and status("uses", "POST") == "403"
    write(os.path.join(profiles, "lab.yaml"), profile().replace("read-only", "read-write"))
    until(lambda: status("uses", "POST") == "200")


def clients_are_sent_to_the_file():
    p = g.stub.GetProviderProfile(pb.GetProviderProfileRequest(id="lab")).profile
    for call in (lambda: g.stub.DeleteProviderProfile(pb.DeleteProviderProfileRequest(id="lab")),
                 lambda: g.stub.UpdateProviderProfiles(pb.UpdateProviderProfilesRequest(
                     id="lab", profile=pb.ProviderProfileImportItem(source="x", profile=p)))):
        code, text = code_of(call)
        assert code == "FAILED_PRECONDITION" and "lab.yaml" in text, (code, text)


def a_wrong_profile_leaves_the_former():
    since = len(g.lines)
    write(os.path.join(profiles, "lab.yaml"), "id: lab\nnosuch: 1\n")
    assert g.logged("the profile is not taken", since)
    time.sleep(0.3)
    assert status("uses", "POST") == "200"


def one_that_is_used_stays_and_goes_when_it_is_not():
    since = len(g.lines)
    os.unlink(os.path.join(profiles, "lab.yaml"))
    line = g.logged("the profile stays", since)
    assert line and "provider 'lab'" in line, line
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="uses"))
    until(lambda: g.stub.DeleteProvider(pb.DeleteProviderRequest(name="lab")).deleted
          if code_of(lambda: get("uses"))[0] == "NOT_FOUND" else None)
    write(os.path.join(profiles, "other.yaml"), profile("other"))
    until(lambda: code_of(lambda: g.stub.GetProviderProfile(pb.GetProviderProfileRequest(id="lab")))[0] == "NOT_FOUND")


def a_gateway_that_was_away_catches_up():
    g.stop()
    write(os.path.join(policies, "default.yaml"), policy("read-only"))
    g.start()
    until(lambda: status("late", "POST") == "403")
    assert status("late") == "200"


try:
    for step in (without_files_nothing_is_allowed, a_file_that_comes_holds_for_those_that_run,
                 and_for_those_that_come, an_edit_holds_at_the_next_request,
                 what_is_wrong_changes_nothing_and_is_said, who_has_a_policy_of_his_own_keeps_it,
                 a_file_that_goes_holds_for_nobody_who_comes, another_file_of_the_workspace_takes_its_place, the_first_counts_also_when_it_is_wrong,
                 a_directory_that_is_away_takes_nothing_away, of_another_directory_only_its_files_hold,
                 more_files_than_are_read, what_can_not_change_while_it_runs_does_not,
                 a_directory_that_comes_later_is_found, a_profile_of_a_file_serves_and_follows_it,
                 clients_are_sent_to_the_file, a_wrong_profile_leaves_the_former,
                 one_that_is_used_stays_and_goes_when_it_is_not, a_gateway_that_was_away_catches_up):
        check(step)
finally:
    for name in ("early", "late", "own", "uses", "between", "away", "elsewhere", "second"):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(1)
    g.close()
    w.close()
tap.done()
