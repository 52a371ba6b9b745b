"""The agent API in one page: what a Python agent needs of it, with the standard library alone.

Outside a run (`python3 review.py` by hand) every call does the obvious thing without a record.
"""

import http.client
import json
import os
import socket
import sys
import urllib.parse


class Run:
    """The run this program is an attempt of."""

    def __init__(self):
        self.id = os.environ.get("ERRAND_RUN_ID")
        self.attempt = int(os.environ.get("ERRAND_ATTEMPT", "1"))
        self._api = os.environ.get("ERRAND_API")
        self._token = os.environ.get("ERRAND_TOKEN", "")

    def payload(self):
        """Returns what the caller passed with --job, byte for byte."""
        path = os.environ.get("ERRAND_INPUT")
        if path:
            with open(path, "rb") as file:
                return file.read()
        return b"" if sys.stdin.isatty() else sys.stdin.buffer.read()

    def step(self, key, work):
        """Does `work` once per run: an attempt after a crash gets the recorded result instead.

        Returns the result, which must be JSON, and whether an earlier attempt did it. A strict replay
        gets everything from the record too, and is to say the same as the run that it repeats.
        """
        if not self._api:
            return work(), False
        url = "/agent/v1/steps/" + urllib.parse.quote(key, safe="")
        begun = self._call("POST", url + "/begin", {})
        if begun["status"] == "done":
            return begun.get("output"), os.environ.get("ERRAND_ATTEMPT") != "1"
        if begun["status"] == "failed":
            raise RuntimeError(begun["error"]["message"])
        try:
            result = work()
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self._call("POST", url + "/fail", {"error": {"code": "step_failed", "message": message}})
            raise
        self._call("POST", url + "/complete", {"output": result})
        return result, False

    def artifact(self, name, content, content_type="text/plain"):
        """Keeps bytes as a named file of the run; returns its address."""
        if not self._api:
            return None
        url = "/agent/v1/artifacts/" + urllib.parse.quote(name, safe="")
        return self._call("POST", url, content, content_type)["uri"]

    def output(self, value):
        """Sets the output of the run. Returns False outside a run."""
        path = os.environ.get("ERRAND_OUTPUT")
        if not path:
            return False
        with open(path, "w", encoding="utf-8") as file:
            json.dump(value, file)
        return True

    def _call(self, method, url, body, content_type="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        connection = _connect(self._api)
        try:
            connection.request(method, url, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {url}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else {}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connect(api):
    if api.startswith("unix://"):
        return _UnixConnection(api.removeprefix("unix://"))
    url = urllib.parse.urlsplit(api)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.netloc, timeout=60)
