"""What is worth a reviewer's eye. Each rule says what it found, where, and what to do about it."""

import ast
import json
import os
import re

HIGH, MEDIUM, LOW = "high", "medium", "low"

# A line that ends with these words was looked at already.
EXCUSE = "review: ignore"

LONGEST_LINE = 140
LONGEST_FUNCTION = 80
BIG_FILE_BYTES = 1 << 20
MANY_LINES = 1500
# Of one rule in one file, so that a report stays readable.
MOST_OF_A_KIND = 5

LANGUAGES = {
    ".py": "python", ".rs": "rust", ".sh": "shell", ".bash": "shell", ".js": "javascript",
    ".mjs": "javascript", ".jsx": "javascript", ".ts": "javascript", ".tsx": "javascript",
    ".go": "go", ".rb": "ruby", ".java": "java", ".kt": "java", ".c": "c", ".h": "c",
    ".cc": "c", ".cpp": "c", ".cs": "java", ".php": "php", ".sql": "sql",
}
PROSE = {".md", ".txt", ".rst", ".adoc", ".csv", ".tsv", ".svg", ".json", ".lock", ".snap", ".html"}
GENERATED = re.compile(
    r"(^|/)(vendor|node_modules|third_party|dist)/|\.min\.(js|css)$|\.snap$|\.lock$|"
    r"(^|/)(package-lock\.json|go\.sum|LICENSE|COPYING)|_pb2\.py$|\.pb\.go$"
)
TEST = re.compile(r"(^|/)(tests?|testing|spec|__tests__|testdata|fixtures)(/|$)|(^|/)test_|[._-](test|spec)s?\.", re.I)


class Line:
    """A pattern that an added line should not match."""

    def __init__(self, rule, severity, pattern, message, languages=None, unless=None, in_tests=True):
        self.rule, self.severity, self.message = rule, severity, message
        self.pattern = re.compile(pattern)
        self.languages = languages
        self.unless = re.compile(unless) if unless else None
        self.in_tests = in_tests

    def matches(self, text, language, is_test):
        if self.languages and language not in self.languages:
            return False
        if is_test and not self.in_tests:
            return False
        return bool(self.pattern.search(text)) and not (self.unless and self.unless.search(text))


PLACEHOLDER = r"(?i)example|changeme|placeholder|dummy|fake|xxxx|\.\.\.|<[^>]*>|\$\{|\{\{|getenv|environ|not.a.secret|test"

LINES = [
    Line("conflict-marker", HIGH, r"^(<{7}( |$)|>{7}( |$)|\|{7}( |$))", "a merge conflict was committed"),
    Line("secret", HIGH, r"\bAKIA[0-9A-Z]{16}\b", "looks like an AWS access key: revoke it and use a secret"),
    Line("secret", HIGH, r"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----", "a private key does not belong in a repository"),  # review: ignore
    Line("secret", HIGH, r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,})", "looks like a GitHub token: revoke it"),
    Line("secret", HIGH, r"\bsk-(ant-|proj-)?[A-Za-z0-9_-]{32,}", "looks like a model provider's key: revoke it"),
    Line("secret", HIGH, r"\bxox[abprs]-[A-Za-z0-9-]{20,}", "looks like a Slack token: revoke it"),
    Line(
        "secret", MEDIUM,
        r"(?i)\b\w*(password|passwd|secret|token|api_?key)\w*[\"']?\s*[:=]\s*[\"'][^\"'\s]{8,}[\"']",
        "a literal is assigned to something secret: read it from the environment",
        unless=PLACEHOLDER, in_tests=False,
    ),
    Line("todo", LOW, r"(#|//|/\*|--|<!--|\*)\s*(TODO|FIXME|XXX|HACK)\b", "is left to do: do it, or name an issue", unless=r"#\d+|https?://"),
    Line("debug", MEDIUM, r"\b(breakpoint\(\)|i?pdb\.set_trace\(|import i?pdb\b)", "a debugger was left behind", ["python"]),
    Line("debug", MEDIUM, r"\bconsole\.(log|debug|trace)\(|^\s*debugger\b", "debug output was left behind", ["javascript"], in_tests=False),
    Line("debug", MEDIUM, r"\b(dbg|todo|unimplemented)!\(", "a macro of work in progress was left behind", ["rust"]),
    Line("debug", MEDIUM, r"\bbinding\.(pry|irb)\b|\bvar_dump\(|\bspew\.Dump\(", "a debugger was left behind", ["ruby", "php", "go"]),
    Line("debug", LOW, r"^\s*print\(\s*(f?[\"'](here|debug|xxx|>>>|---|\*\*\*)|repr\()", "looks like debug output", ["python"]),
    Line("risky", HIGH, r"\b(curl|wget)\b[^|;]*\|\s*(sudo\s+)?(ba|z|da)?sh\b", "runs what it downloads, unseen", unless=r"^\s*(#|//|\*)"),
    Line("risky", HIGH, r"\brm\s+-\w*r\w*\s+(-\w+\s+)*[\"']?(/|~|\$HOME)[\"']?\s*($|[;&|])", "removes far too much", ["shell"]),
    Line("risky", MEDIUM, r"\brm\s+-\w*r\w*\s+(-\w+\s+)*\$\w+", "an unquoted or empty variable removes the wrong folder: quote it and use ${name:?}", ["shell"]),
    Line("risky", MEDIUM, r"\bchmod\s+(-R\s+)?0?777\b", "anybody may write: give the least that works"),
    Line("risky", MEDIUM, r"\beval\s+[\"']?\$", "eval of a variable runs whatever is in it", ["shell"]),
    Line("risky", MEDIUM, r"(?<![\w.])(eval|exec)\(", "runs text as code", ["python", "javascript", "php"], in_tests=False),
    Line("risky", MEDIUM, r"\bshell\s*=\s*True\b|\bos\.system\(", "a shell sees the arguments: pass a list instead", ["python"]),
    Line("risky", MEDIUM, r"\b(pickle|marshal)\.loads?\(|\byaml\.load\((?!.*Safe)", "loading this runs code that the data chooses", ["python"]),
    Line("risky", MEDIUM, r"\bverify\s*=\s*False\b|InsecureSkipVerify:\s*true|rejectUnauthorized:\s*false", "certificates are not checked"),
    Line("risky", MEDIUM, r"\btempfile\.mktemp\(", "another program may take that name first: use mkstemp", ["python"]),
    Line("risky", LOW, r"^\s*except\s*:", "catches everything, Ctrl-C too: name the exception", ["python"]),
    Line("risky", LOW, r"def \w+\(.*=\s*(\[\]|\{\}|set\(\))\s*[,)]", "a mutable default is shared by all calls", ["python"]),
    Line("risky", MEDIUM, r"(?i)f[\"'](select|insert|update|delete)\b.*\{|[\"'](select|insert|update|delete)\b[^\"']*[\"']\s*(\+|%)\s*\w", "SQL from pieces of text: bind parameters instead", ["python", "javascript", "java", "php", "ruby", "go"], in_tests=False),
    Line("risky", LOW, r"\.innerHTML\s*=(?!=)", "text becomes markup: use textContent", ["javascript"]),
    Line("risky", LOW, r"^\s*#!?\[allow\(", "silences a lint: say why, with #[expect(…, reason = …)]", ["rust"]),
    Line("risky", LOW, r"(?i)^\s*FROM\s+\S+:latest\b", "the image changes under you: pin a version"),
]


def language_of(path, first_line=""):
    language = LANGUAGES.get(os.path.splitext(path)[1])
    if language is None and first_line.startswith("#!"):
        if "python" in first_line:
            return "python"
        if re.search(r"\b(ba|da|z)?sh\b", first_line):
            return "shell"
    return language


def check_file(file, content, size_bytes):
    """Returns the findings of one changed file."""
    path = file["path"]
    if file["status"] == "deleted" or GENERATED.search(path):
        return []
    findings = list(_big(file, size_bytes))
    if file["binary"]:
        return findings
    first = (content or "").split("\n", 1)[0] or (file["added"][0][1] if file["added"] else "")
    language = language_of(path, first)
    findings += _lines(file, language)
    if content is not None:
        findings += _does_not_parse(path, content, language)
        findings += _long_functions(file, content, language)
        findings += _script(file, content, language)
    return _bounded(findings)


def _finding(rule, severity, path, line, message, excerpt=""):
    return {"rule": rule, "severity": severity, "path": path, "line": line, "message": message, "excerpt": excerpt}


def _lines(file, language):
    path = file["path"]
    is_test = bool(TEST.search(path))
    may_be_long = os.path.splitext(path)[1] in PROSE
    previous = ""
    for number, text in file["added"]:
        if text.rstrip().endswith(EXCUSE):
            continue
        for rule in LINES:
            if rule.matches(text, language, is_test):
                yield _finding(rule.rule, rule.severity, path, number, rule.message, _excerpt(rule, text))
        if language == "rust":
            yield from _rust(path, number, text, previous, is_test)
        if len(text) > LONGEST_LINE and language and not may_be_long:
            yield _finding("long-line", LOW, path, number, f"{len(text)} characters: nobody reads to the end")
        previous = text


def _rust(path, number, text, previous, is_test):
    if re.search(r"^\s*(let .*=\s*)?unsafe\s*\{", text) and "SAFETY" not in previous:
        yield _finding("risky", MEDIUM, path, number, "an unsafe block without a SAFETY comment", text.strip()[:100])
    if not is_test and re.search(r"\.lock\(\)\.unwrap\(\)", text):
        yield _finding("risky", LOW, path, number, "a poisoned lock ends the program", text.strip()[:100])


def _excerpt(rule, text):
    """Returns what to show of a line. Never a secret: a report is read by more people than the code."""
    if rule.rule != "secret":
        return text.strip()[:100]
    found = rule.pattern.search(text)
    return f"{text[:found.start()].strip()[-40:]} {found.group()[:6]}[masked]".strip()


def _big(file, size_bytes):
    if size_bytes > BIG_FILE_BYTES:
        megabytes = size_bytes / (1 << 20)
        yield _finding("big-file", MEDIUM, file["path"], 0, f"{megabytes:.1f} MiB stay in the history for ever")
    elif len(file["added"]) > MANY_LINES and os.path.splitext(file["path"])[1] not in PROSE:
        yield _finding("big-file", MEDIUM, file["path"], 0, f"{len(file['added'])} new lines are more than a reviewer can read")


def _does_not_parse(path, content, language):
    try:
        if language == "python":
            ast.parse(content)
        elif path.endswith(".json"):
            json.loads(content)
        elif path.endswith(".toml"):
            import tomllib
            tomllib.loads(content)
    except SyntaxError as error:
        return [_finding("does-not-parse", HIGH, path, error.lineno or 0, f"is no valid Python: {error.msg}")]
    except ImportError:
        return []
    except ValueError as error:
        line = getattr(error, "lineno", 0) or int((re.search(r"line (\d+)", str(error)) or [0, 0])[1])
        return [_finding("does-not-parse", HIGH, path, line, f"does not parse: {error}")]
    return []


_FUNCTION = {
    "rust": re.compile(r"^(\s*)(pub(\([^)]*\))?\s+)?(const\s+|async\s+|unsafe\s+)*fn\s+(\w+)"),
    "go": re.compile(r"^()func\s+(\([^)]*\)\s*)?(\w+)"),
    "javascript": re.compile(r"^(\s*)(export\s+)?(default\s+)?(async\s+)?function\s*\*?\s*(\w+)"),
    "shell": re.compile(r"^(\s*)(function\s+)?([\w-]+)\s*\(\)\s*\{"),
}


def _long_functions(file, content, language):
    touched = {number for number, _ in file["added"]}
    for name, first, last in _functions(content, language):
        length = last - first + 1
        if length > LONGEST_FUNCTION and touched.intersection(range(first, last + 1)):
            message = f"{name} has {length} lines: split it where it changes the subject"
            yield _finding("long-function", LOW, file["path"], first, message)


def _functions(content, language):
    if language == "python":
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, node.lineno, node.end_lineno
        return
    pattern = _FUNCTION.get(language)
    if pattern is None:
        return
    lines = content.split("\n")
    for first, line in enumerate(lines, 1):
        found = pattern.match(line)
        if not found or line.rstrip().endswith(";"):
            continue
        # Formatted code closes a function with a brace at the margin where it began.
        closing = found[1] + "}"
        for last in range(first, len(lines) + 1):
            if lines[last - 1].rstrip() == closing:
                yield found[found.lastindex], first, last
                break


def _script(file, content, language):
    path, first = file["path"], content.split("\n", 1)[0]
    if file["status"] != "added" or not first.startswith("#!"):
        return
    if file["mode"] == "100644" and re.search(r"\b(python|sh|bash|node|ruby|perl)", first):
        yield _finding("script", LOW, path, 1, "has an interpreter line and is not executable")
    if language == "shell" and not re.search(r"^\s*set -\w*e|^#!.*\s-\w*e", content, re.M):
        yield _finding("script", LOW, path, 1, "goes on after a command fails: begin with `set -eu`")


def _bounded(findings):
    seen, kept = {}, []
    for finding in findings:
        kind = (finding["rule"], finding["severity"])
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= MOST_OF_A_KIND:
            kept.append(finding)
    for (rule, severity), count in seen.items():
        if count > MOST_OF_A_KIND:
            more = count - MOST_OF_A_KIND
            kept.append(_finding(rule, severity, kept[0]["path"], 0, f"and {more} more of this kind in this file"))
    return kept


def missing_tests(files, has_own_tests):
    """Returns a finding for each part of the tree whose sources changed and whose tests did not.

    `has_own_tests(path)` says whether a source file carries its tests within.
    """
    changed, tested = {}, set()
    for file in files:
        if file["status"] == "deleted" or GENERATED.search(file["path"]):
            continue
        part = _part(file["path"])
        if TEST.search(file["path"]):
            tested.add(part)
        elif language_of(file["path"]) in {"python", "rust", "javascript", "go", "ruby", "java"}:
            if has_own_tests(file["path"]):
                tested.add(part)
            changed.setdefault(part, []).append(file)
    for part, sources in sorted(changed.items()):
        added = sum(len(file["added"]) for file in sources)
        if part not in tested and added >= 20:
            largest = max(sources, key=lambda file: len(file["added"]))["path"]
            message = f"{added} new lines in {len(sources)} source files of {part}, and no test changed"
            yield _finding("missing-tests", MEDIUM, largest, 0, message)


def _part(path):
    """Returns the part of the tree a file belongs to: what stands before `src`, `lib` or `tests`."""
    folders = path.split("/")[:-1]
    for at, name in enumerate(folders):
        if name in {"src", "lib", "tests", "test", "benches"}:
            return "/".join(folders[:at]) or "the root"
    return "/".join(folders[:2]) or "the root"
