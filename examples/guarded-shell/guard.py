"""Runs one command of the model, if the policies of the run allow it. Prints what the model is told."""

import json
import subprocess
import sys

# More of an output is left out: every turn sends all of them again.
LONGEST_OUTPUT = 10_000
TIME_LIMIT_S = 300


def errand(*words):
    return subprocess.run(["errand", "agent", *words], capture_output=True, text=True, check=False)


def main(command):
    arguments = json.dumps({"command": command})
    # A rule under `ask` holds this call until a person has decided.
    asked = errand("reserve", "tool", "--tool", "shell", "--arguments", arguments)
    if asked.returncode != 0:
        return f"refused: {asked.stderr.strip()}"
    try:
        done = subprocess.run(
            ["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=TIME_LIMIT_S, check=False,
        )
        code, output = done.returncode, done.stdout.decode(errors="replace")[:LONGEST_OUTPUT]
    except subprocess.TimeoutExpired:
        code, output = 124, f"ended after {TIME_LIMIT_S} seconds\n"
    called = {
        "name": "shell",
        "arguments": {"command": command},
        "reservation_id": asked.stdout.strip(),
        "side_effect": "code_execution",
        "success": code == 0,
    }
    noted = errand("emit", "tool.called", json.dumps(called))
    if noted.returncode != 0:
        sys.exit(noted.stderr)
    return f"{output}[exit code {code}]"


print(main(sys.argv[1]))
