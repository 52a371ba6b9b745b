"""Tools of the reviewing model, and the change that it reviews."""

import subprocess

# More of an answer is left out: every turn sends all of them again.
LONGEST_ANSWER = 20_000
DEFINITIONS = [
    {
        "type": "function",
        "function": {
            "name": "read_file",
            "description": "Returns a file of the repository as it is after the change, with line numbers.",
            "parameters": {
                "type": "object",
                "properties": {"path": {"type": "string"}},
                "required": ["path"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Returns the lines of the repository that contain a text.",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "report",
            "description": "Ends the review with its findings.",
            "parameters": {
                "type": "object",
                "properties": {
                    "summary": {"type": "string"},
                    "findings": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "path": {"type": "string"},
                                "line": {"type": "integer"},
                                "severity": {"enum": ["high", "medium", "low"]},
                                "message": {"type": "string"},
                            },
                            "required": ["path", "line", "severity", "message"],
                        },
                    },
                },
                "required": ["summary", "findings"],
            },
        },
    },
]


def git(*words):
    done = subprocess.run(["git", *words], capture_output=True, check=True, text=True, errors="replace")
    return done.stdout


def change(given):
    """Returns title and diff of what is to be reviewed: a diff, a range, or the last commit."""
    if given.startswith(("diff ", "--- ")) or "\n+++ " in given:
        return "the diff that was passed in", given
    wanted = given.strip() or "HEAD"
    if ".." in wanted:
        return wanted, git("diff", wanted, "--")
    title = git("log", "-1", "--format=%h %s", wanted, "--").strip()
    return title, git("show", "--format=", wanted, "--")


def use(name, arguments):
    """Returns what a tool answers; a failure is an answer, too."""
    try:
        if name == "read_file":
            # Only files that git knows: not the keys that lie beside them.
            path = git("ls-files", "--error-unmatch", "--", arguments["path"]).splitlines()[0]
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [f"{number}\t{line}" for number, line in enumerate(file, 1)]
            return "".join(lines)[:LONGEST_ANSWER]
        if name == "search":
            return git("grep", "-n", "-F", "-e", arguments["text"])[:LONGEST_ANSWER]
    except subprocess.CalledProcessError as error:
        return error.stderr.strip() or "nothing was found"
    except (OSError, LookupError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return f"there is no tool {name}"
