"""Takes the figures out of passages (TASK), and holds drafts against them (VALIDATION).

Its input is what `agent.yaml` of the team makes of a message: {"from", "type", "payload"}. What it prints goes to the
writer as a RESULT.
"""

import json
import os
import pathlib
import re


def findings(task):
    found = []
    for passage in task["passages"]:
        figures = re.findall(r"\d+", passage["text"])
        if figures or passage["score"] > 1:
            found.append({"source": passage["source"], "text": passage["text"], "figures": figures})
    return {"question": task["question"], "findings": found}


def verdict(request):
    """A draft is good if it has every figure that was found, and names where each comes from."""
    draft, problems = request["draft"], []
    for finding in request["findings"]:
        line = next((line for line in draft.splitlines() if finding["text"] in line), None)
        if line is None:
            problems.append(f"missing: {finding['text']}")
        elif f"[{finding['source']}]" not in line:
            problems.append(f"no source: {finding['text']}")
    return {"approved": not problems, "problems": problems}


message = json.loads(pathlib.Path(os.environ["ERRAND_INPUT"]).read_text())
answer = verdict if message["type"] == "VALIDATION" else findings
print(json.dumps(answer(message["payload"])))
