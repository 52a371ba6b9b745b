"""Sends requests to the tools of the run, and prints each answer. An argument is `list`, a tool's
name, or a tool's name and its arguments after a space."""

import json
import os
import sys
import urllib.error
import urllib.request


def ask(method, params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    headers = {
        "authorization": "Bearer " + os.environ.get("KEY", os.environ["ERRAND_MCP_TOKEN"]),
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    request = urllib.request.Request(os.environ["ERRAND_MCP_URL"], body.encode(), headers)
    try:
        return json.loads(urllib.request.urlopen(request).read())
    except urllib.error.HTTPError as error:
        return {"status": error.code}


for given in sys.argv[1:]:
    name, _, arguments = given.partition(" ")
    if name == "list":
        answer = ask("tools/list", {})
        print(sorted(tool["name"] for tool in answer["result"]["tools"]), flush=True)
        continue
    answer = ask("tools/call", {"name": name, "arguments": json.loads(arguments or "{}")})
    result = answer.get("result", answer)
    text = result["content"][0]["text"] if "content" in result else json.dumps(result)
    print("error" if result.get("isError") else "ok", text[:200], flush=True)
if os.environ.get("FAIL") == os.environ["ERRAND_ATTEMPT"]:
    sys.exit(1)
