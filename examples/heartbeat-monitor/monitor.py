"""Looks once at everything in checks.json, and says what changed since the last look.

Each wake of the service is a run of its own; what was seen last lives in the session, which outlives runs.
A wake may bring its own list of checks as payload: a JSON array of the same form.
"""

import http.client
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request

# A check that takes longer than this has failed.
PATIENCE_SECONDS = 5


class Unknown(Exception):
    """The list of checks is not understood, with the reason."""


def disk(check):
    usage = shutil.disk_usage(check["path"])
    percent = round(100 * usage.used / usage.total)
    return percent <= check.get("most_used_percent", 90), f"{percent} % of {check['path']} used"


def load(check):
    per_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return per_core <= check.get("most_per_core", 2.0), f"load {per_core:.2f} per core"


def memory(check):
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    mib = int(fields["MemAvailable"].split()[0]) // 1024
    return mib >= check.get("least_available_mib", 128), f"{mib} MiB available"


def path(check):
    age = time.time() - os.stat(check["path"]).st_mtime
    most = check.get("most_age_seconds")
    return most is None or age <= most, f"{check['path']} exists, {age:.0f} s old"


def port(check):
    host, number = check.get("host", "127.0.0.1"), check["port"]
    with socket.create_connection((host, number), timeout=PATIENCE_SECONDS):
        return True, f"{host}:{number} answers"


def url(check):
    expected = check.get("status", 200)
    try:
        with urllib.request.urlopen(check["url"], timeout=PATIENCE_SECONDS) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    return status == expected, f"{check['url']} answers {status}"


KINDS = {"disk": disk, "load": load, "memory": memory, "path": path, "port": port, "url": url}


def look(check):
    try:
        fine, detail = KINDS[check["kind"]](check)
    except OSError as error:
        fine, detail = False, f"{error.strerror or error}"
    return {"state": "ok" if fine else "failing", "detail": detail}


def read_checks():
    folder = os.environ.get("ERRAND_AGENT_DIR", os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(folder, "checks.json"), encoding="utf-8") as file:
        checks = json.load(file)
    payload = os.environ.get("ERRAND_INPUT")
    if payload:
        with open(payload, encoding="utf-8") as file:
            text = file.read().strip()
        if text.startswith("["):
            checks = json.loads(text)
    for number, check in enumerate(checks, 1):
        if not isinstance(check, dict) or check.get("kind") not in KINDS or not check.get("name"):
            raise Unknown(f"check {number} needs a name and a kind of {', '.join(KINDS)}")
    return checks


class Session:
    """The state document of the run's session, through the agent API."""

    def __init__(self):
        self.api = os.environ.get("ERRAND_API", "")

    def get(self):
        return self._call("GET", None).get("state") or {}

    def put(self, state):
        self._call("PUT", {"state": state})

    def _call(self, method, body):
        # One look by itself has no session: it remembers nothing.
        if not self.api.startswith("unix://") or not os.environ.get("ERRAND_SESSION_ID"):
            return {}
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(self.api.removeprefix("unix://"))
        headers = {"Authorization": f"Bearer {os.environ['ERRAND_TOKEN']}", "Content-Type": "application/json"}
        try:
            connection.request(method, "/agent/v1/session", json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} session: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else {}


def compare(before, name, seen, now):
    """Returns the entry to remember: since when the state holds, and for how many looks."""
    last = before.get(name)
    if last and last["state"] == seen["state"]:
        return {**seen, "since": last["since"], "looks": last["looks"] + 1}, False
    return {**seen, "since": now, "looks": 1}, last is not None or seen["state"] == "failing"


def main():
    try:
        checks = read_checks()
    except (Unknown, ValueError) as reason:
        print(f"heartbeat-monitor: {reason}", file=sys.stderr)
        return 2
    session = Session()
    before = session.get()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    seen, changes = {}, []
    for check in checks:
        name = check["name"]
        seen[name], changed = compare(before, name, look(check), now)
        entry = seen[name]
        mark = "ALERT" if entry["state"] == "failing" else "ok"
        print(f"{mark:<6} {name:<12} {entry['detail']} (for {entry['looks']} looks)", flush=True)
        if changed:
            changes.append({"name": name, **entry})
            print(f"changed: {name} is {entry['state']} now", flush=True)
    session.put(seen)
    failing = sorted(name for name, entry in seen.items() if entry["state"] == "failing")
    output = {"status": "failing" if failing else "ok", "failing": failing, "changes": changes}
    if "ERRAND_OUTPUT" in os.environ:
        with open(os.environ["ERRAND_OUTPUT"], "w", encoding="utf-8") as file:
            json.dump(output, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
