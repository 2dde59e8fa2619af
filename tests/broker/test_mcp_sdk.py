#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server of the official MCP SDK (npm) on stdio: listed, called, its list changed, its progress."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import Lab, Sandbox, Tap, eventually  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
if subprocess.run([os.path.join(ROOT, "tools/node-clients")], check=False, capture_output=True).returncode:
    print("1..0 # SKIP no SDK from npm")
    sys.exit(0)
NODE = os.path.join(ROOT, "build/node")
DIR = tempfile.mkdtemp(prefix="cove-sdk-")
with open(os.path.join(DIR, "server.mjs"), "w", encoding="utf-8") as f:
    f.write(f"""
import {{ McpServer }} from "{NODE}/node_modules/@modelcontextprotocol/sdk/dist/esm/server/mcp.js";
import {{ StdioServerTransport }} from "{NODE}/node_modules/@modelcontextprotocol/sdk/dist/esm/server/stdio.js";
import {{ z }} from "{NODE}/node_modules/zod/index.js";
const server = new McpServer({{ name: "sdk", version: "1" }});
server.registerTool("add", {{ description: "Adds.", inputSchema: {{ a: z.number(), b: z.number() }} }},
  async ({{ a, b }}) => ({{ content: [{{ type: "text", text: String(a + b) }}] }}));
server.registerTool("more", {{ description: "Has one tool more." }}, async () => {{
  server.registerTool("late", {{ description: "Came late." }}, async () => ({{ content: [{{ type: "text", text: "late" }}] }}));
  return {{ content: [{{ type: "text", text: "yes" }}] }}; }});
await server.connect(new StdioServerTransport());
""")
node = subprocess.run(["which", "node"], capture_output=True, text=True, check=True).stdout.strip()
lab = Lab(f"""
version: 1
mcp_servers: {{sdk: {{argv: [{node}, {DIR}/server.mjs], allow: ["*"], prefix: sdk.}}}}
tools: {{}}
""", is_ready=False)
lab.wait("READY", 30)
box = Sandbox(lab, "one")


def its_tools_are_called():
    assert box.call("sdk.add", {"a": 2, "b": 3}).json == {"output": "5"}
    r = box.call("sdk.add", {"a": "2", "b": 3})
    assert (r.status, r.json["error"]) == (400, "invalid_arguments"), r


def its_list_changes():
    assert box.call("sdk.late").status == 404
    assert box.call("sdk.more").json == {"output": "yes"}
    assert eventually(lambda: box.call("sdk.late").status == 200)


if __name__ == "__main__":
    code = Tap().run([its_tools_are_called, its_list_changes])
    lab.close()
    sys.exit(code)
