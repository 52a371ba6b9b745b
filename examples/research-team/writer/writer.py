"""Writes a report of findings. It is final only once the analyst approved of it: until then the drafts go back and
forth as messages, and this process waits for each verdict.
"""

import json
import os
import pathlib
import subprocess
import sys

DRAFTS = 3


def send(to, kind, payload):
    command = ["errand", "agent", "message", "send", "--to", to, "--type", kind, "-"]
    subprocess.run(command, input=json.dumps(payload), text=True, check=True)


def next_message():
    command = ["errand", "agent", "message", "next", "--timeout", "2m"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout)


def write(question, findings, with_sources):
    lines = [f"# {question}", ""]
    for finding in findings:
        source = f" [{finding['source']}]" if with_sources else ""
        lines.append(f"- {finding['text']}{source}")
    return "\n".join(lines) + "\n"


def main():
    given = json.loads(pathlib.Path(os.environ["ERRAND_INPUT"]).read_text())
    question, findings = given["question"], given["findings"]
    # The first draft is in a hurry.
    draft = write(question, findings, with_sources=False)
    for number in range(1, DRAFTS + 1):
        send("analyst", "VALIDATION", {"draft": draft, "findings": findings})
        verdict = next_message()["payload"]
        print(f"draft {number}: {len(verdict['problems'])} problems")
        if verdict["approved"]:
            send("__end__", "RESULT", {"report": draft, "drafts": number, "findings": len(findings)})
            return
        draft = write(question, findings, with_sources=True)
    sys.exit(f"the analyst did not approve of {DRAFTS} drafts")


main()
