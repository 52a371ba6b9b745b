"""Reviews a change with a language model, on the OpenAI wire. Standard library only.

    python3 review.py [RANGE]       a range of commits; without one the last commit
    git diff | python3 review.py    a diff

It finds its model as any program does: OPENAI_BASE_URL, OPENAI_API_KEY, REVIEW_MODEL.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import tools

MODEL = os.environ.get("REVIEW_MODEL", "gpt-6-luna")
# More turns than this do not end: the model goes round in circles.
MOST_TURNS = 12
# More of a diff does not fit beside the files that the model reads.
LONGEST_DIFF = 60_000
TASK = """You review a change of a git repository. Look for defects: wrong results, crashes, leaks of \
secrets, missing checks, debugging that was left behind. Read what you need with the tools, then call \
`report` once. Do not report matters of taste."""


class Stopped(Exception):
    """The review cannot go on."""


def main():
    given = sys.argv[1] if len(sys.argv) > 1 else "" if sys.stdin.isatty() else sys.stdin.read()
    title, diff = tools.change(given)
    if not diff.strip():
        print(f"{title}: there is nothing to review")
        return 0
    print(f"reviewing {title} with {MODEL}", flush=True)
    if len(diff) > LONGEST_DIFF:
        diff = diff[:LONGEST_DIFF] + "\n[the rest of the diff is left out]"
    messages = [{"role": "system", "content": TASK}, {"role": "user", "content": diff}]
    for _ in range(MOST_TURNS):
        message = ask(messages)
        messages.append(message)
        for call in message.get("tool_calls") or []:
            name, text = call["function"]["name"], call["function"]["arguments"]
            try:
                arguments = json.loads(text)
            except ValueError:
                arguments = None
            if name == "report" and isinstance(arguments, dict):
                show(arguments)
                return 0
            result = tools.use(name, arguments)
            print(f"  {name} {text}: {len(result)} characters", flush=True)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        if not message.get("tool_calls"):
            messages.append({"role": "user", "content": "Call `report` now."})
    raise Stopped(f"no report after {MOST_TURNS} turns")


def ask(messages):
    """Returns the next message of the model."""
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").rstrip("/")
    body = {"model": MODEL, "messages": messages, "tools": tools.DEFINITIONS}
    headers = {
        "Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", ""),
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(base + "/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        raise Stopped(f"the model answers {error.code}: {reason(error.read())}") from None
    except (OSError, ValueError, LookupError) as error:
        raise Stopped(f"the model cannot be called: {error}") from None


def reason(body):
    """Returns the message of a refusal."""
    try:
        return json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace")[:200]


def show(report):
    """Prints the findings."""
    findings = report.get("findings", [])
    for found in findings:
        place = f"{found.get('path')}:{found.get('line')}"
        print(f"  {found.get('severity', '?'):<7} {place}: {found.get('message')}")
    print(f"{len(findings)} findings. {report.get('summary', '')}")


try:
    sys.exit(main())
except (Stopped, subprocess.CalledProcessError) as problem:
    sys.exit(f"review: {getattr(problem, 'stderr', None) or problem}")
