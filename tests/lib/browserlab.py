# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, headless, driven by the DevTools protocol.

    with browserlab.Browser() as b:
        b.open("http://127.0.0.1:8080/console/")
        b.js("document.title")                    the value of an expression
        b.until("document.querySelector('tr')")   waits until it is true
        b.click("#create button"); b.type("#name", "box"); b.key("Tab")
        b.problems                                what no page may cause: exceptions, console errors,
                                                  violations of its own policy
        b.answer(lambda url: (type, bytes) or None)   answers requests in the network's place

look.Unavailable when there is no Chromium."""
import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import look

try:
    import websockets
except ImportError:
    websockets = None

START_S, WAIT_S = 40, 20
WATCH = """addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + e.violatedDirective + ' '
    + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber), true);"""


class Browser:
    def __init__(self, width=1280, height=900):
        self.exe = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if not self.exe or not websockets:
            raise look.Unavailable("unavailable: no chromium or no python3-websockets (tools/deps test)")
        self.width, self.height = width, height
        self.problems, self._answers, self._id, self._answerer = [], {}, 0, None
        self.home = tempfile.mkdtemp(prefix="cove-browser-", dir="/tmp")
        self.loop = asyncio.new_event_loop()

    def __enter__(self):
        words = [self.exe, "--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu",
                 "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
                 "--ignore-certificate-errors", "--user-data-dir=" + self.home,
                 "--window-size=%d,%d" % (self.width, self.height)]
        if os.geteuid() == 0:
            words.append("--no-sandbox")
        self.log = open(os.path.join(self.home, "log"), "w+")
        self.process = subprocess.Popen(words + ["about:blank"], stdout=self.log, stderr=self.log,
                                        env=dict(os.environ, HOME=self.home), start_new_session=True)
        try:
            self._run(self._attach(), START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._run(self._detach(), 10)
        except Exception:  # it may be gone already, or never have come
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.loop.close()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, what, seconds=WAIT_S):
        return self.loop.run_until_complete(asyncio.wait_for(what, seconds))

    async def _attach(self):
        url = None
        while not url:
            await asyncio.sleep(0.1)
            with open(self.log.name, errors="replace") as f:
                text = f.read()
            url = re.search(r"DevTools listening on (ws://\S+)", text)
            if self.process.poll() is not None:
                raise look.Unavailable("unavailable: chromium does not start: " + text[-300:].replace("\n", " "))
        self.ws = await websockets.connect(url.group(1), max_size=None)
        self.reader = asyncio.ensure_future(self._read())
        self.session = None
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._call(domain + ".enable")
        await self._call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        await self._call("Emulation.setDeviceMetricsOverride", width=self.width, height=self.height,
                         deviceScaleFactor=1, mobile=False)

    async def _detach(self):
        await self._call("Browser.close", session=False)
        await self.ws.close()
        await asyncio.gather(self.reader, return_exceptions=True)

    async def _call(self, method, session=True, **params):
        self._id += 1
        future = self._answers[self._id] = self.loop.create_future()
        message = {"id": self._id, "method": method, "params": params}
        if session and self.session:
            message["sessionId"] = self.session
        await self.ws.send(json.dumps(message))
        answer = await future
        if "error" in answer:
            raise RuntimeError("%s: %s" % (method, answer["error"]))
        return answer["result"]

    async def _read(self):
        async for text in self.ws:
            m = json.loads(text)
            if "id" in m:
                future = self._answers.pop(m["id"])
                if not future.done():
                    future.set_result(m)
            else:
                self._event(m["method"], m["params"])

    def _event(self, method, p):
        if method == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            self.problems.append("exception: " + d.get("exception", {}).get("description", d["text"]))
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.problems.append("console: " + " ".join(str(a.get("value")) for a in p["args"]))
        elif method == "Log.entryAdded" and p["entry"]["level"] == "error" and p["entry"]["source"] != "network":
            self.problems.append("log: " + p["entry"]["text"])  # a status of 4xx is not the page's fault
        elif method == "Fetch.requestPaused":
            asyncio.ensure_future(self._answer(p))

    async def _answer(self, p):
        given = self._answerer and self._answerer(p["request"]["url"])
        if not given:
            await self._call("Fetch.continueRequest", requestId=p["requestId"])
            return
        kind, body = given
        await self._call("Fetch.fulfillRequest", requestId=p["requestId"], responseCode=200,
                         responseHeaders=[{"name": "content-type", "value": kind}],
                         body=base64.b64encode(body).decode())

    # ---- what tests say ----

    def call(self, method, **params):
        return self._run(self._call(method, **params))

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def answer(self, function, patterns=("*/v1/*",)):
        self._answerer = function
        self.call("Fetch.enable", patterns=[{"urlPattern": p} for p in patterns])

    def js(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise RuntimeError(expression + ": " + str(r["exceptionDetails"].get("exception", {}).get("description")))
        return r["result"].get("value")

    def until(self, expression, seconds=WAIT_S):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                value = self.js(expression)
            except RuntimeError:
                value = None  # between two documents
            if value:
                return value
            self._run(asyncio.sleep(0.1))
        raise AssertionError("it did not come to %s; the page says:\n%s" % (
            expression, self.js("document.body && document.body.innerText")))

    def click(self, selector):
        """As a mouse does, at the middle of what is seen."""
        box = self.until("""(() => { const e = document.querySelector(%s); if (!e || e.disabled) return null;
            e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();
            return r.width ? {x: r.x + r.width / 2, y: r.y + r.height / 2} : null; })()""" % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)

    def type(self, selector, text):
        self.js("document.querySelector(%s).focus()" % json.dumps(selector))
        self.call("Input.insertText", text=text)

    def key(self, name, code=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def size(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
