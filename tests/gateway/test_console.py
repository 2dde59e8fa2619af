#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the web console does in a real browser what it is for, and nothing that a sandbox writes gets to be
more than text in it.
Method: Chromium by the DevTools protocol against a real gateway and real sandboxes.  Violations of the
page's own policy, exceptions and errors on the console fail the run.  For hostile names, which a gateway
would not take, answers are given in the network's place."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import browserlab  # noqa: E402
import gatewaylab  # noqa: E402
import heldlab  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402

CURL = "/usr/bin/curl"
tap = world.Tap()
lab = heldlab.Lab()
EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202egnp.exe\u2066\u200b'
UGLY = EVIL + "\x1b[2J\n" + "\u0430pple.example"  # a Cyrillic a


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def ready(g, name, **spec):
    pb = g.pb
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "600"], **spec)))
    end = time.monotonic() + 30
    while time.monotonic() < end:
        s = g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox
        if s.status.phase == 2:
            return s.metadata.id
        time.sleep(0.05)
    raise AssertionError("it does not get ready")


def curl_in(g, sandbox_id, url):
    for _ in g.stub.ExecSandbox(g.pb.ExecSandboxRequest(
            sandbox_id=sandbox_id, command=[CURL, "-sS", "-m", "5", url])):
        pass


def row(name):
    return "[...document.querySelectorAll('#rows tr')].find((r) => r.innerText.includes(%s))" % json.dumps(name)


def has(name):
    return "!!" + row(name)


def status(g, path="/console/", host=None, **headers):
    words = ["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"]
    for name, value in dict(headers, **({"host": host} if host else {})).items():
        words += ["-H", name + ": " + value]
    return int(subprocess.run(words + [g.url(path)], capture_output=True, text=True, check=True).stdout)


def heads():
    with gatewaylab.Gateway(tls=False) as g:
        text = subprocess.run(["curl", "-sSi", g.url("/console/")], capture_output=True, text=True, check=True).stdout
        head = text.split("\n\n")[0].lower()
        for want in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "nosniff",
                     "referrer-policy: no-referrer", "x-frame-options: deny", "require-trusted-types-for"):
            assert want in head, (want, head)
        assert "unsafe" not in head and "<script>" not in text and " style=" not in text
        assert status(g, "/console") == 308 and status(g, "/console/none") == 404
        assert status(g, "/console/%2e%2e/v1/user") in (400, 404), "no way out of the folder"


def t_rebinding():
    """A foreign name that points here is its own Origin: the host itself must be ours."""
    with gatewaylab.Gateway(tls=False) as g:
        port = g.port
        for path in ("/console/", "/v1/sandboxes", "/v1/health", "/openapi.json", "/metrics"):
            for host in ("evil.example:%d" % port, "evil.example", "localhost", "127.0.0.1:%d" % (port + 1),
                         "localhost.evil.example:%d" % port, "127.0.0.1.evil.example:%d" % port):
                assert status(g, path, host) == 421, (path, host)
                assert status(g, path, host, origin="http://" + host) == 421, (path, host)
            for host in ("localhost:%d" % port, "127.0.0.1:%d" % port, "[::1]:%d" % port, "LOCALHOST:%d" % port):
                assert status(g, path, host) == 200, (path, host)
        assert status(g, "/v1/sandboxes", "localhost:%d" % port, origin="http://localhost:%d" % (port + 1)) == 403


tap.check("the heads of the files", heads)
tap.check("t_rebinding: only this machine's own names", t_rebinding)


def run(g, b):
    box = {}

    @check
    def it_loads_and_lists():
        box["id"] = ready(g, "box")
        b.open(g.url("/console/"))
        b.until("document.querySelector('#who').textContent === 'local'")
        b.until(has("box"))
        b.until(row("box") + ".innerText.includes('ready')")

    @check
    def it_shows_quotas_where_there_are_any():
        assert b.js("document.querySelector('#usage').hidden")
        g.write_config(dict(lab.config, quotas={
            "host": {"sandboxes": 50, "memory": "6Gi"}, "workspace": {"cpu": "7500m"}}))
        g.hup()
        b.until("document.querySelector('#usage').textContent === "
                "'Quota: host: 1 of 50 sandboxes, 1Gi of 6Gi memory \u00b7 default: 1 of 7.5 cpu'")
        g.write_config(lab.config)
        g.hup()
        b.until("document.querySelector('#usage').hidden")

    @check
    def it_creates_stops_starts_and_deletes():
        b.type("#name", "made")
        b.type("#command", "sleep\n600")
        b.click("#create button")
        b.until(row("made") + "?.innerText.includes('ready')")
        s = g.stub.GetSandbox(g.pb.GetSandboxRequest(name="made")).sandbox
        assert list(s.spec.command) == ["sleep", "600"], s.spec.command
        b.click("[aria-label='Stop sandbox made']")
        b.until(row("made") + "?.innerText.includes('stopped')")
        b.click("[aria-label='Start sandbox made']")
        b.until(row("made") + "?.innerText.includes('ready')")
        b.click("[aria-label='Delete sandbox made']")
        b.until("document.querySelector('#ask').open")
        b.click("#ask-no")
        assert b.js(has("made")), "it asks first"
        b.click("[aria-label='Delete sandbox made']")
        b.click("#ask-yes")
        b.until("!" + row("made"))

    @check
    def it_shows_a_decision_live():
        before = b.js("document.querySelectorAll('#decisions li').length")
        curl_in(g, box["id"], "https://wanted.test/")
        b.until("document.querySelectorAll('#decisions li').length > %d" % before)
        b.until("[...document.querySelectorAll('#decisions .denied')].some((e) => e.textContent.includes('wanted.test'))")

    @check
    def it_shows_one_sandbox():
        b.click("[aria-label='Show sandbox box']")
        b.until("document.querySelector('#policy').textContent.includes('version')")
        b.until("document.querySelector('#logs').innerText.includes('wanted.test')")
        assert b.js("document.activeElement.id") == "one-title"
        b.click("#close")

    @check
    def it_reviews_and_approves():
        b.until("document.querySelector('#chunks').innerText.includes('wanted.test')", 30)
        b.click("#chunks button")
        b.until("document.querySelector('#ask').open")
        assert b.js("document.activeElement.id") == "ask-no", "Enter must not approve"
        added = b.js("[...document.querySelectorAll('#ask .add')].map((e) => e.textContent).join('')")
        assert "wanted.test" in added and CURL in added, added
        b.click("#ask-yes")
        b.until("!document.querySelector('#chunks').innerText.includes('wanted.test')")
        drafts = g.stub.GetDraftPolicy(g.pb.GetDraftPolicyRequest(name="box", status_filter="approved")).chunks
        assert [c.proposed_rule.endpoints[0].host for c in drafts] == ["wanted.test"], drafts

    @check
    def it_rejects_with_a_reason():
        curl_in(g, box["id"], "https://refused.test/")
        b.until("document.querySelector('#chunks').innerText.includes('refused.test')", 30)
        b.click("#chunks button")
        b.type("#reason", "not this one")
        b.click("[aria-label='Reject this rule']")
        b.until("!document.querySelector('#chunks').innerText.includes('refused.test')")
        drafts = g.stub.GetDraftPolicy(g.pb.GetDraftPolicyRequest(name="box", status_filter="rejected")).chunks
        assert [c.rejection_reason for c in drafts] == ["not this one"], drafts

    @check
    def it_answers_a_held_call():
        """The call waits; what it would do is shown; the answer of the person is the call's."""
        asker = lab.sandbox(g, "asker")
        begun = time.monotonic()
        call = heldlab.Asking(g, asker, "the first \u202ewords")
        b.until("document.querySelector('#questions').innerText.includes('each')")
        assert time.monotonic() - begun < 20 and call.got is None
        b.click("#questions button")
        b.until("document.querySelector('#ask').open")
        assert b.js("document.activeElement.id") == "ask-no", "Enter must not approve"
        said = b.js("document.querySelector('#ask').innerText")
        assert "the first " in said and "202ewords" in said and "\u202e" not in said and "asker" in said and "curl" in said, said
        b.click("#ask-no")
        time.sleep(0.3)
        assert call.got is None, "Cancel is no answer"
        b.click("#questions button")
        b.until("document.querySelector('#ask').open")
        b.click("#ask-yes")
        assert call.wait() == (200, {"output": "the first \u202ewords\n"}), call.got
        b.until("document.querySelectorAll('#questions button').length === 0")
        call = heldlab.Asking(g, asker, "the second")
        b.click("#questions button")
        b.click("[aria-label='Deny this']")
        status, what = call.wait()
        assert (status, what["error"]) == (403, "approval_denied"), call.got
        b.until("document.querySelectorAll('#questions button').length === 0")
        # answered elsewhere: it goes from the page
        call = heldlab.Asking(g, asker, "the third")
        b.until("document.querySelectorAll('#questions button').length === 1")
        q, = json.loads(g.get("/v1/approvals")[1])["approvals"]
        assert g.get("/v1/approvals/%s:decide" % q["id"], "-X", "POST", "-H", "Content-Type: application/json", "-d",
                     '{"approve": true}')[0] == 200
        assert call.wait()[0] == 200
        b.until("document.querySelectorAll('#questions button').length === 0")

    @check
    def it_does_not_ask_without_need():
        """Nothing happens: no list of questions or proposals is asked for again and again."""
        b.js("window.asked = []; window.wasFetch = fetch; window.fetch = (u, o) => { asked.push(u); return wasFetch(u, o); }; 1")
        time.sleep(6)
        asked = b.js("asked")
        b.js("window.fetch = wasFetch; 1")
        assert any("/v1/sandboxes?" in u for u in asked), asked
        assert not [u for u in asked if "/approvals" in u], asked
        g.stub.DeleteSandbox(g.pb.DeleteSandboxRequest(name="asker"))
        b.until("!" + row("asker"))

    @check
    def it_comes_back_after_the_gateway():
        g.kill()
        b.until("document.querySelector('#who').textContent.includes('not connected')")
        g.start()
        b.until("document.querySelector('#who').textContent === 'local'", 30)
        end = time.monotonic() + 30
        while g.stub.GetSandbox(g.pb.GetSandboxRequest(name="box")).sandbox.status.phase != 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(2)
        curl_in(g, box["id"], "https://later.test/")
        b.until("document.querySelector('#decisions').innerText.includes('later.test')", 30)

    @check
    def it_is_usable_by_all():
        nameless = b.js("""[...document.querySelectorAll('input, textarea, button, select, [tabindex="0"]')].filter((e) =>
            !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')))
            .map((e) => e.outerHTML)""")
        assert nameless == [], nameless
        b.key("Tab", 9)
        assert b.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
        for dark in (False, True):
            b.size(360, 740, dark)
            assert b.js("document.documentElement.scrollWidth") <= 360, "it scrolls sideways at 360 px"
            pale = b.js("""(() => {
                const rgb = (s) => s.match(/[\\d.]+/g).map(Number);
                const light = (c) => { const v = c.slice(0, 3).map((x) => (x /= 255) <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
                    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
                const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
                return [...document.querySelectorAll('body *')].filter((e) => e.offsetParent && [...e.childNodes].some((n) =>
                    n.nodeType === 3 && n.data.trim())).map((e) => { const a = light(rgb(getComputedStyle(e).color)), c = light(ground(e));
                    return [(Math.max(a, c) + .05) / (Math.min(a, c) + .05), e.outerHTML.slice(0, 80)]; }).filter(([x]) => x < 4.5); })()""")
            assert pale == [], pale
        b.size(1280, 900)

    @check
    def t_markup_stays_text():
        """Names, lines and proposals that a gateway would never take."""
        meta = {"id": "00000000-0000-4000-8000-000000000000", "name": EVIL, "createdAtMs": "1", "labels": {EVIL: EVIL}}
        fake = {"metadata": meta, "spec": {"command": [EVIL], "providers": [EVIL]},
                "status": {"phase": "SANDBOX_PHASE_READY", "conditions": [{"type": "Ready", "reason": EVIL, "message": EVIL}]}}
        line = {"timestampMs": "1", "level": "OCSF", "source": EVIL, "message": "NET:OPEN DENIED " + UGLY}
        chunk = {"id": "c", "ruleName": EVIL, "rationale": UGLY, "securityNotes": EVIL, "binary": EVIL, "reviewToken": "t",
                 "proposedRule": {"endpoints": [{"host": "\u0430pple.example" + EVIL, "port": 443}]},
                 "currentEffectivePolicy": {"version": 1}, "candidateEffectivePolicy": {"version": 1, EVIL: UGLY}}

        held = {"id": "q-1", "sandboxName": EVIL, "kind": "tool", "subject": EVIL, "text": UGLY, "textBytes": "9999",
                "binary": EVIL, "ancestors": [EVIL], "rule": EVIL, "expiresAtMs": "99999999999999"}
        decided = []

        def answer(url):
            if ":decide" in url:
                decided.append(url)
            if "/approvals:watch" in url:
                there = [] if decided else [{"held": held}]
                return "text/event-stream", b"".join(
                    b"event: message\ndata: " + json.dumps(m).encode() + b"\n\n" for m in there + [{}])
            if ":decide" in url:
                return "application/json", b"{}"
            if "/watch" in url:
                return "text/event-stream", b"event: message\ndata: " + json.dumps({"log": line}).encode() + b"\n\n"
            value = ({"chunks": [chunk]} if "/draft" in url else {"policy": {EVIL: UGLY}} if "/config" in url else
                     {"logs": [line]} if "/logs" in url else {"subject": EVIL, "displayName": EVIL} if "/user" in url else
                     {"sandboxes": [fake]} if "/sandboxes?" in url else None)
            return value and ("application/json", json.dumps(value).encode())

        b.answer(answer)
        b.open(g.url("/console/?hostile"))
        b.until("document.querySelectorAll('#rows tr').length === 1 && document.querySelector('#chunks button')"
                " && document.querySelector('#decisions li') !== null")
        b.click("#rows button.link")
        b.until("document.querySelector('#policy').textContent.includes('<img') && "
                "document.querySelector('#facts').textContent.includes('<img')")
        b.click("#chunks button")
        b.until("document.querySelector('#ask').open && document.querySelector('#ask .add') !== null")
        b.click("#ask-no")
        b.click("#questions button")
        b.until("document.querySelector('#ask-body').textContent.includes('not all of it')")
        assert not b.js("window.pwned")
        assert b.js("document.images.length + document.querySelectorAll('script:not([src])').length") == 0
        text = b.js("document.body.textContent")
        assert "<img src=x onerror=" in text and "\\u{202e}" in text and "\\u{1b}[2J" in text and "\\u{430}pple" in text
        for hidden in "\u202e\u2066\u200b\x1b\u0430":
            assert hidden not in text, "%r is in the page" % hidden
        b.click("#ask-yes")
        b.until("document.querySelectorAll('#questions button').length === 0")
        assert len(decided) == 1 and "/v1/approvals/q-1:decide" in decided[0], decided
        b.answer(lambda url: None)


def without_a_certificate():
    with gatewaylab.Gateway() as g, browserlab.Browser() as b:
        b.open("https://localhost:%d/console/" % g.port)
        b.until("document.querySelector('#who').textContent.includes('not signed in')")
        b.until("document.querySelector('#token').checkVisibility()")
        b.type("#token", "no-token-of-ours")
        b.click("#login button[type=submit]")
        b.until("document.querySelector('#who').textContent.includes('not signed in')")
        assert b.js("document.querySelector('#token').value") == "", "it is not kept where it was typed"
        assert b.js("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        assert b.js("document.querySelectorAll('#rows tr').length") == 0
        assert b.problems == [], b.problems


try:
    with gatewaylab.Gateway(tls=False, config=lab.config) as gateway, browserlab.Browser() as browser:
        run(gateway, browser)
        tap.ok(browser.problems == [], "no error on the console, no violation of the policy", "\n".join(browser.problems))
    tap.check("a stranger sees the form, and no more", without_a_certificate)
except look.Unavailable as e:
    tap.skip("in a browser", e)
tap.done()
