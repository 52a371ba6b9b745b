"""What is reviewed: which files, and which of their lines are new."""

import os
import re
import subprocess

# A review of everything stops here: the rest is said to be left out.
MOST_FILES = 2000
MOST_BYTES = 1 << 20

SKIPPED_FOLDERS = {".git", ".errand", "node_modules", "target", "vendor", "__pycache__", ".venv"}


class NothingToReview(Exception):
    """There is no change that could be reviewed, with the reason."""


def git(*arguments, check=True):
    """Runs git here; returns its output, or None where it failed and `check` is off."""
    command = ["git", "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        if check:
            raise NothingToReview("git is not installed") from None
        return None
    if done.returncode != 0:
        if check:
            complaint = done.stderr.decode(errors="replace").strip()
            raise NothingToReview(f"git {arguments[0]}: {complaint}")
        return None
    return done.stdout.decode(errors="replace")


def choose(request):
    """Decides what to review; returns a plan, which is small, JSON, and names commits by their ids.

    `request` is what the caller asked for: `range`, `diff`, or neither.
    """
    if request.get("diff"):
        return {"kind": "diff", "title": "the diff that was passed in"}
    if git("rev-parse", "--git-dir", check=False) is None:
        if request.get("range"):
            raise NothingToReview("a range was asked for, and this is no git repository")
        return {"kind": "folder", "title": "all files of this folder, which is no git repository"}
    if request.get("range"):
        return _range(request["range"])
    if git("rev-parse", "--verify", "--quiet", "HEAD", check=False) is None:
        return {"kind": "files", "title": "all files of a repository without history"}
    if git("status", "--porcelain", "--", ".").strip():
        return {"kind": "range", "title": "uncommitted changes", "base": _commit("HEAD"), "head": None}
    return _last_commit()


def _range(text):
    if text.startswith("-"):
        raise NothingToReview(f"{text!r} is no range of commits")
    base, dots, head = text.partition("..")
    if not dots:
        base, head = f"{text}~1", text
    head = _commit(head.lstrip(".") or "HEAD")
    # Three dots mean: since the two parted.
    base = git("merge-base", base, head).strip() if "..." in text else _commit(base, or_empty=not dots)
    return {"kind": "range", "title": f"the range {text}", "base": base, "head": head}


def _last_commit():
    head = _commit("HEAD")
    subject = git("log", "-1", "--format=%h %s").strip()
    title = f"the last commit, {subject}"
    return {"kind": "range", "title": title, "base": _commit("HEAD~1", or_empty=True), "head": head}


def _commit(name, or_empty=False):
    """Returns the id of a commit, or of the empty tree where there is no such commit."""
    found = git("rev-parse", "--verify", "--quiet", name + "^{commit}", check=False)
    if found is None and or_empty:
        return git("hash-object", "-t", "tree", "/dev/null").strip()
    if found is None:
        raise NothingToReview(f"there is no commit {name!r}")
    return found.strip()


def collect(plan, request):
    """Returns the changed files of a plan: {path, status, mode, added: [[number, text]], deleted, bytes}."""
    if plan["kind"] == "diff":
        return parse_diff(request["diff"])
    if plan["kind"] == "range":
        ends = [plan["base"]] + ([plan["head"]] if plan["head"] else [])
        options = ["--unified=0", "--no-color", "--no-ext-diff", "--find-renames", "--relative"]
        files = parse_diff(git("diff", *options, *ends, "--"))
        if plan["head"] is None:
            # Files that git does not know yet are part of the work too.
            new = git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
            files += [_whole_file(name) for name in sorted(filter(None, new))[:MOST_FILES]]
        return files
    if plan["kind"] == "files":
        names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        return [_whole_file(name) for name in sorted(filter(None, names))[:MOST_FILES]]
    return [_whole_file(name) for name in _walk()][:MOST_FILES]


def _walk():
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), ".")


def _whole_file(path):
    file = {"path": path, "status": "added", "mode": None, "added": [], "deleted": 0, "binary": False}
    try:
        if os.access(path, os.X_OK):
            file["mode"] = "100755"
        if os.path.islink(path) or os.path.getsize(path) > MOST_BYTES:
            file["binary"] = True
            return file
        with open(path, "rb") as handle:
            content = handle.read()
    except OSError:
        file["binary"] = True
        return file
    if b"\0" in content[:8000]:
        file["binary"] = True
        return file
    lines = content.decode(errors="replace").splitlines()
    file["added"] = [[number, line] for number, line in enumerate(lines, 1)]
    return file


_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def parse_diff(text):
    """Reads a unified diff, with git's headers or without."""
    files = []
    file = None
    old_left = new_left = number = 0
    for line in text.split("\n"):
        if file is not None and (old_left > 0 or new_left > 0):
            if line.startswith("+"):
                file["added"].append([number, line[1:].rstrip("\r")])
                number += 1
                new_left -= 1
                continue
            if line.startswith("-"):
                file["deleted"] += 1
                old_left -= 1
                continue
            if line.startswith("\\"):
                continue
            number += 1
            new_left -= 1
            old_left -= 1
            continue
        hunk = _HUNK.match(line)
        if hunk and file is not None:
            old_left = int(hunk[1] or 1)
            number = int(hunk[2])
            new_left = int(hunk[3] or 1)
        elif line.startswith("diff --git "):
            file = _new_file(line.rpartition(" b/")[2])
            files.append(file)
        elif line.startswith("+++ "):
            path = line[4:].split("\t")[0].strip('"')
            if file is None or file["added"] or file["deleted"]:
                file = _new_file("")
                files.append(file)
            if path != "/dev/null":
                file["path"] = path.removeprefix("b/")
        elif file is not None:
            _header(file, line)
    return [file for file in files if file["path"]]


def _new_file(path):
    return {"path": path, "status": "changed", "mode": None, "added": [], "deleted": 0, "binary": False}


def _header(file, line):
    if line.startswith("new file mode "):
        file["status"], file["mode"] = "added", line.split()[-1]
    elif line.startswith("deleted file mode "):
        file["status"] = "deleted"
    elif line.startswith("rename from "):
        file["status"] = "renamed"
    elif line.startswith("Binary files "):
        file["binary"] = True


def content(plan, path):
    """Returns the whole new text of a file, or None where it is not at hand or too big."""
    if plan["kind"] == "diff":
        return None
    if plan.get("head"):
        shown = git("show", f"{plan['head']}:./{path}", check=False)
        return shown if shown is not None and len(shown) <= MOST_BYTES else None
    try:
        if os.path.getsize(path) > MOST_BYTES:
            return None
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def size(plan, path):
    """Returns the size of a file in bytes, or 0 where it is not at hand."""
    if plan.get("head"):
        shown = git("cat-file", "-s", f"{plan['head']}:./{path}", check=False)
        return int(shown) if shown else 0
    try:
        return os.lstat(path).st_size if plan["kind"] != "diff" else 0
    except OSError:
        return 0
