"""Reads what a webhook brought, and decides what it is, how urgent, and what to do next.

Understands issues as GitHub, GitLab and Forgejo send them, alerts as Alertmanager sends them, any JSON with a
title, and plain text. The decision is a list of reasons that a person can check.
"""

import json
import os
import re
import subprocess
import sys

# What a word says about the kind of a report, and how strongly.
KINDS = {
    "security": [(r"\b(CVE-\d+|vulnerab\w+|exploit|XSS|SQL injection|leak(ed|s)? (token|secret|key))\b", 5), (r"\bsecurity\b", 3)],
    "outage": [(r"\b(down|outage|unavailable|5\d\d errors?|unreachable)\b", 3), (r"\b(all (users|customers)|production)\b", 2)],
    "bug": [(r"\b(crash\w*|panic\w*|traceback|segfault|exception|stack ?trace)\b", 4), (r"\b(bug|broken|error|fails?|regression|wrong)\b", 2)],
    "feature": [(r"\b(feature request|would be (nice|great)|please add|proposal)\b", 4), (r"\b(support for|ability to|allow)\b", 1)],
    "question": [(r"\b(how (do|can|to)|is it possible|what is|why does)\b", 3), (r"\?\s*$", 1)],
    "spam": [(r"\b(casino|crypto giveaway|buy followers|viagra)\b", 9)],
}

URGENT = [
    (r"\b(data loss|lost data|corrupt\w*)\b", "data may be lost", 3),
    (r"\b(production|prod|customers?)\b", "it is said to touch production", 2),
    (r"\b(asap|urgent|immediately|critical|sev-?1|P1)\b", "the writer says so", 1),
    (r"\b(workaround|minor|cosmetic|typo|nice to have)\b", "there is a way around, or it is small", -2),
]

NEXT = {
    "security": "move it to a private channel and page the security contact",
    "outage": "page whoever is on call",
    "bug": "reproduce it on the newest version",
    "feature": "ask for the use case and put it to the next planning",
    "question": "answer it with a link to the documentation",
    "spam": "close it",
    "unclear": "ask what happened, what was expected, and which version",
}


def read_event():
    """Returns the body of the request and its headers; a payload by hand is taken as the body."""
    with open(os.environ["ERRAND_INPUT"], encoding="utf-8", errors="replace") as file:
        text = file.read()
    try:
        envelope = json.loads(text)
    except ValueError:
        return text, {}
    if isinstance(envelope, dict) and "body" in envelope and "method" in envelope:
        return envelope["body"] or "", envelope.get("headers") or {}
    return text, {}


def understand(body):
    """Returns source, title, text, labels and a severity that the source states itself."""
    try:
        event = json.loads(body)
    except ValueError:
        first, _, rest = body.strip().partition("\n")
        return {"source": "text", "title": first[:200], "text": rest, "labels": [], "stated": None}
    if not isinstance(event, dict):
        return {"source": "json", "title": "", "text": body, "labels": [], "stated": None}
    if isinstance(event.get("alerts"), list):
        return alert(event)
    issue = event.get("issue") or event.get("object_attributes") or event
    issue = issue if isinstance(issue, dict) else event
    labels = [label.get("name", "") if isinstance(label, dict) else str(label) for label in issue.get("labels") or []]
    title = str(issue.get("title") or issue.get("summary") or "")
    text = str(issue.get("body") or issue.get("description") or issue.get("text") or "")
    source = "issue" if "issue" in event or "object_attributes" in event else "json"
    return {"source": source, "title": title, "text": text, "labels": labels, "stated": issue.get("severity")}


def alert(event):
    firing = [one for one in event["alerts"] if one.get("status", "firing") == "firing"]
    names = sorted({one.get("labels", {}).get("alertname", "alert") for one in firing})
    text = "\n".join(str(value) for one in firing for value in (one.get("annotations") or {}).values())
    severities = {one.get("labels", {}).get("severity") for one in firing}
    stated = next((level for level in ("critical", "warning", "info") if level in severities), None)
    title = f"{len(firing)} firing: {', '.join(names)}" if firing else "resolved"
    return {"source": "alert", "title": title, "text": text, "labels": names, "stated": stated}


def classify(event):
    text = "\n".join([event["title"], event["text"], " ".join(event["labels"])])
    scores, reasons = {}, []
    for kind, patterns in KINDS.items():
        for pattern, weight in patterns:
            found = re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
            if found:
                scores[kind] = scores.get(kind, 0) + weight
                reasons.append(f"{kind} +{weight}: says {found.group().strip()!r}")
    if event["source"] == "alert":
        scores["outage"] = scores.get("outage", 0) + 3
        reasons.append("outage +3: it comes from the alerting")
    kind = max(scores, key=scores.get) if scores else "unclear"
    urgency = {"security": 3, "outage": 3, "bug": 1}.get(kind, 0)
    urgency += {"critical": 2, "warning": 0, "info": -3}.get(event["stated"], 0)
    if event["stated"]:
        reasons.append(f"the source states severity {event['stated']}")
    for pattern, reason, weight in URGENT:
        if re.search(pattern, text, re.IGNORECASE):
            urgency += weight
            reasons.append(f"urgency {weight:+d}: {reason}")
    if event["title"] == "resolved" or kind == "spam":
        urgency = 0
    priority = "P1" if urgency >= 5 else "P2" if urgency >= 3 else "P3" if urgency >= 1 else "P4"
    return kind, priority, reasons


def main():
    body, headers = read_event()
    if not body.strip():
        print("webhook-triage: the request has no body", file=sys.stderr)
        return 2
    event = understand(body)
    kind, priority, reasons = classify(event)
    verdict = {
        "kind": kind,
        "priority": priority,
        "title": event["title"],
        "source": event["source"],
        "delivery": headers.get("x-github-delivery") or headers.get("x-gitlab-event-uuid"),
        "next": NEXT[kind],
        "reasons": reasons,
    }
    print(f"{priority} {kind}: {event['title'] or '(no title)'}")
    for reason in reasons:
        print(f"  {reason}")
    print(f"next: {verdict['next']}")
    with open("verdict.json", "w", encoding="utf-8") as file:
        json.dump(verdict, file, indent=2)
    subprocess.run(["errand", "agent", "artifact", "verdict.json"], check=True, stdout=subprocess.DEVNULL)
    with open(os.environ["ERRAND_OUTPUT"], "w", encoding="utf-8") as file:
        json.dump(verdict, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
