"""Keeps a list for each session, and knows what was said before.

What it remembers is in the session: the list is the state document, what was said the history, and
what a slow tool gave is kept for the next time. Only the standard library is used.
"""

import http.client
import json
import os
import socket
import sys
import time
import urllib.parse

HELP = "say: add WORD, drop WORD, list, history, or count PATH"


class Session:
    """The session of this run, over the agent API."""

    def __init__(self):
        self.path = os.environ["ERRAND_API"].removeprefix("unix://")
        self.headers = {
            "Authorization": "Bearer " + os.environ["ERRAND_TOKEN"],
            "Content-Type": "application/json",
        }

    def call(self, method, path, document=None):
        connection = http.client.HTTPConnection("errand")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        body = None if document is None else json.dumps(document)
        connection.request(method, "/agent/v1/session" + path, body, self.headers)
        response = connection.getresponse()
        answer = json.load(response)
        connection.close()
        if response.status >= 400:
            sys.exit(f"chat-memory: {answer['detail']} ({answer['code']})")
        return answer

    def state(self):
        return self.call("GET", "")

    def put_state(self, state, revision):
        self.call("PUT", "", {"state": state, "revision": revision})

    def messages(self, last):
        return self.call("GET", f"/messages?last={last}")

    def cached(self, tool, value, compute):
        """What `tool` gives for `value`: from the session, or computed and kept for an hour."""
        path = "/results/" + urllib.parse.quote(tool, safe="")
        found = self.call("GET", path + "?input=" + urllib.parse.quote(json.dumps(value), safe=""))
        if found["status"] == "hit":
            return found["result"], True
        result = compute(value)
        self.call("PUT", path, {"input": value, "result": result, "ttl_ms": 3_600_000})
        return result, False


def count_files(folder):
    """A tool that is slow enough to be worth remembering."""
    started = time.monotonic()
    count = sum(len(files) for _, _, files in os.walk(folder))
    return {"files": count, "seconds": round(time.monotonic() - started, 3)}


def answer(session, text):
    verb, _, word = text.strip().partition(" ")
    word = word.strip()
    found = session.state()
    items = found["state"] or []
    if verb in ("add", "drop") and word:
        items = [item for item in items if item != word] + ([word] if verb == "add" else [])
        session.put_state(items, found["revision"])
        return f"{verb}: {word}; {len(items)} on the list"
    if verb == "list":
        return ", ".join(items) or "the list is empty"
    if verb == "history":
        said = session.messages(10)
        lines = [f"{m['role']}: {m['content']}".rstrip() for m in said["messages"]]
        return "\n".join([f"{said['total']} messages so far"] + lines)
    if verb == "count" and word:
        result, is_known = session.cached("count_files", word, count_files)
        where = "remembered" if is_known else f"counted in {result['seconds']} s"
        return f"{result['files']} files below {word} ({where})"
    return HELP


def main():
    if "ERRAND_SESSION_ID" not in os.environ:
        sys.exit("chat-memory: run it with --session NAME, so that it has something to remember")
    # What is printed is the run's output, and so becomes the assistant's message in the history;
    # the payload becomes the user's. Neither is appended here.
    print(answer(Session(), sys.stdin.read()))


if __name__ == "__main__":
    main()
