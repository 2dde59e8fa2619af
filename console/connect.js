// SPDX-License-Identifier: Apache-2.0
// The page /auth/connect: gives the log-in of this browser to the command line on the same machine, when
// the person says that both show the same code.
(() => {
  "use strict";
  const given = document.body.dataset;
  const button = document.getElementById("connect");
  const said = document.getElementById("said");

  const connect = async () => {
    button.disabled = true;
    said.textContent = "Connecting";
    try {
      const answer = await fetch("http://127.0.0.1:" + given.port + "/callback", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ token: given.token, code: given.code }),
        credentials: "omit",
        referrerPolicy: "no-referrer",
      });
      said.textContent = answer.ok
        ? "You are logged in. This page can be closed."
        : "The command line refused it: is it the one that shows this code?";
      button.hidden = answer.ok;
    } catch {
      said.textContent = "The command line cannot be reached from this browser: is it still waiting, on this machine?";
    }
    button.disabled = false;
  };
  button.addEventListener("click", connect);
})();
