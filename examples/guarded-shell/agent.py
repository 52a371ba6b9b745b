"""Does a task with shell commands that a language model chooses. Standard library only.

Each command is a step of the run (`guard.py`): it is run once, however many attempts the run takes.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

MODEL = os.environ.get("SHELL_MODEL", "gpt-6-luna")
# More turns than this do not end: the model goes round in circles.
MOST_TURNS = 30
TASK = "Work out the primes below 100 with a program, keep them in primes.txt, and remove the program."
RULES = "You do tasks with the tool `shell`, in the current folder. A refused command is not to be repeated. " \
    "When all is done, say in one sentence what you did."
SHELL = {
    "type": "function",
    "function": {
        "name": "shell",
        "description": "Runs a command with sh, and returns its output and exit code.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}


def main():
    task = ("" if sys.stdin.isatty() else sys.stdin.read()).strip() or TASK
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": task}]
    commands = 0
    for _ in range(MOST_TURNS):
        message = ask(messages)
        messages.append(message)
        if not message.get("tool_calls"):
            print(message.get("content"))
            return
        for call in message["tool_calls"]:
            commands += 1
            result = shell(f"command-{commands}", call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    sys.exit(f"the task is not done after {MOST_TURNS} turns")


def shell(key, arguments):
    """Runs a command of the model as a step, and returns its output, or why it was refused."""
    try:
        command = json.loads(arguments)["command"]
    except (ValueError, LookupError, TypeError):
        return "the arguments are not {\"command\": \"…\"}"
    print(f"$ {command}", flush=True)
    guard = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard.py")
    step = ["errand", "agent", "step", key, "--", sys.executable, "-B", guard, str(command)]
    done = subprocess.run(step, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    result = done.stdout.decode(errors="replace")
    print(result, end="" if result.endswith("\n") else "\n", flush=True)
    return result


def ask(messages):
    """Returns the next message of the model."""
    body = {"model": MODEL, "messages": messages, "tools": [SHELL]}
    headers = {
        "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"],
        "Content-Type": "application/json",
    }
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        sys.exit(f"the model answers {error.code}: {error.read().decode(errors='replace')[:300]}")


main()
