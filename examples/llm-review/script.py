"""What the scripted model says in a review: it reads what changed, and reports what a few rules find."""

import re

# Pattern of an added line, severity, message.
RULES = [
    (r"^(<{7}|>{7}) ", "high", "a merge conflict was committed"),
    (r"(?i)(password|secret|api_key)\s*=\s*[\"'][^\"']{8,}", "high", "a secret in the source"),
    (r"\bbreakpoint\(\)|\bpdb\.set_trace|\bdbg!\(|\bdebugger;", "high", "a debugger was left behind"),
    (r"\beval\(|\bos\.system\(|shell=True", "medium", "runs text as code"),
    (r"except:\s*(pass)?$|\.unwrap\(\)", "medium", "an error is not handled"),
    (r"\b(TODO|FIXME|XXX)\b", "low", "unfinished work"),
]
MOST_FILES = 3


def reply(messages, tools):
    added = list(added_lines(messages[1]["content"]))
    if not any(message["role"] == "assistant" for message in messages):
        paths = list(dict.fromkeys(path for path, _, _ in added))[:MOST_FILES]
        if paths:
            return [("read_file", {"path": path}) for path in paths]
    findings = [
        {"path": path, "line": line, "severity": severity, "message": message}
        for path, line, text in added
        for pattern, severity, message in RULES
        if re.search(pattern, text)
    ]
    summary = "Do not merge it yet." if findings else "I see no defect."
    return [("report", {"summary": summary, "findings": findings[:20]})]


def added_lines(diff):
    path, line = None, 0
    for text in diff.splitlines():
        if text.startswith("+++ "):
            path = text[6:] if text.startswith("+++ b/") else None
        elif found := re.match(r"@@ -\S+ \+(\d+)", text):
            line = int(found[1])
        elif text.startswith("+"):
            if path:
                yield path, line, text[1:]
            line += 1
        elif text.startswith(" "):
            line += 1
