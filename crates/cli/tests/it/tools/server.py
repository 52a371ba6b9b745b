"""A tool server on stdio, as a plain program. Each call is a line of the file $CALLS."""

import json
import os
import sys
import time

CALLS = os.environ.get("CALLS")
BAD = os.environ.get("BAD", "")


def answer(message, result=None, error=None):
    body = {"jsonrpc": "2.0", "id": message["id"]}
    body.update({"error": error} if error else {"result": result})
    print(json.dumps(body), flush=True)


def tool(name, **annotations):
    return {
        "name": name,
        "description": os.environ.get("DESCRIPTION", "A tool"),
        "inputSchema": {"type": "object"},
        "annotations": annotations,
        "unknownMember": {"kept": True},
    }


TOOLS = [
    tool("echo", readOnlyHint=True),
    tool("write", destructiveHint=True),
    tool("die"),
    tool("fail"),
    tool("huge", readOnlyHint=True),
    tool("slow", readOnlyHint=True),
]
if BAD == "twice":
    TOOLS.append(tool("echo"))

if BAD == "exit":
    sys.exit("cannot read the token " + os.environ.get("TOKEN", ""))
if BAD == "noise":
    while True:
        print("this is no message", flush=True)
print("ready with", os.environ.get("TOKEN", "no token"), file=sys.stderr, flush=True)


def note(name, arguments):
    if CALLS:
        with open(CALLS, "a") as calls:
            calls.write(json.dumps([name, arguments]) + "\n")


def call(message):
    name, arguments = message["params"]["name"], message["params"].get("arguments", {})
    note(name, arguments)
    text = lambda text, **more: answer(message, {"content": [{"type": "text", "text": text}], **more})
    if name == "die":
        sys.exit("the server died")
    if name == "fail":
        return answer(message, error={"code": -32602, "message": "no such thing"})
    if name == "huge":
        return text("x" * (17 << 20))
    if name == "slow" or (name == "write" and arguments.get("hang") and not os.path.exists("hung")):
        open("hung", "w").close()
        time.sleep(3600)
    text(name + " " + json.dumps(arguments) + " " + os.environ.get("TOKEN", ""), structuredContent={"n": 1.5})


for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    version = message.get("params", {}).get("_meta", {}).get("io.modelcontextprotocol/protocolVersion")
    if BAD == "stateless" and method == "server/discover":
        answer(message, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})
    elif BAD == "stateless" and version != "2026-07-28":
        answer(message, error={"code": -32601, "message": "there are no sessions here"})
    elif method == "initialize":
        answer(message, {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "plain", "version": "1"},
        })
    elif method == "tools/list":
        start = int(message["params"].get("cursor", 0))
        page = {"tools": TOOLS[start:start + 2]}
        if start + 2 < len(TOOLS):
            page["nextCursor"] = str(start + 2)
        answer(message, page)
    elif method == "tools/call":
        call(message)
    elif "id" in message:
        answer(message, error={"code": -32601, "message": "unknown"})
