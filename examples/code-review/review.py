"""Reviews a change of the git repository it is started in.

Each batch of files is a durable step: when this program is killed and its run is restarted, what was
reviewed already comes from the record, and the rest is done.
"""

import json
import signal
import sys

import change
import report
import rules
from durable import Run

# More steps than this say nothing to a reader of the timeline: then a step takes several files.
MOST_STEPS = 40
LONGEST_KEY = 200


def say(text=""):
    print(text, flush=True)


def read_request(payload):
    """Returns {range | diff, fail_on}. The payload is a range, a diff, a JSON object of these, or nothing."""
    text = payload.decode(errors="replace")
    stripped = text.strip()
    if not stripped or stripped in {"null", "{}"}:
        return {}
    if stripped.startswith(("diff --git ", "--- ", "Index: ")) or "\n+++ " in text:
        return {"diff": text}
    if stripped.startswith(("{", '"')):
        try:
            value = json.loads(stripped)
        except ValueError as error:
            raise change.NothingToReview(f"the payload is no JSON: {error}") from None
        request = {"range": value} if isinstance(value, str) else value
        unknown = set(request) - {"range", "diff", "fail_on"}
        if unknown:
            raise change.NothingToReview(f"unknown fields in the payload: {', '.join(sorted(unknown))}")
        if request.get("fail_on") not in (None, *report.ORDER):
            raise change.NothingToReview("fail_on must be high, medium or low")
        return request
    if "\n" in stripped or " " in stripped:
        raise change.NothingToReview(f"{stripped[:60]!r} is neither a range of commits, nor a diff, nor JSON")
    return {"range": stripped}


def batches(files):
    """Groups the files so that there are not more than MOST_STEPS; returns (step key, files) pairs."""
    size = -(-len(files) // MOST_STEPS) or 1
    for start in range(0, len(files), size):
        batch = files[start:start + size]
        key = "check " + batch[0]["path"]
        if len(batch) > 1:
            key += f" and {len(batch) - 1} more"
        fits = key.isprintable() and len(key.encode()) <= LONGEST_KEY
        yield (key if fits else f"check file {start + 1}"), batch


def check(plan, batch):
    result = []
    for file in batch:
        path = file["path"]
        found = rules.check_file(file, change.content(plan, path), change.size(plan, path))
        result.append({
            "path": path, "added": len(file["added"]), "deleted": file["deleted"], "found": found,
        })
    return result


def show(entry, replayed, width):
    levels = report.counts(entry["found"])
    verdict = ", ".join(f"{count} {level}" for level, count in levels.items() if count) or "ok"
    path = entry["path"]
    if len(path) > width:
        path = "…" + path[1 - width:]
    added, deleted = f"+{entry['added']}", f"-{entry['deleted']}"
    again = "  (from the record)" if replayed else ""
    say(f"  {path:<{width}} {added:>6} {deleted:>6}  {verdict}{again}")


def review(run):
    request = read_request(run.payload())
    # The plan names commits by id, so that a later attempt reviews the same change. Only what is not
    # committed may have moved on meanwhile.
    plan, replayed = run.step("choose", lambda: change.choose(request))
    files = change.collect(plan, request)
    say(f"reviewing {plan['title']}: {len(files)} files" + (" (from the record)" if replayed else ""))
    if not files:
        say("there is nothing to review: no file changed")

    findings, per_file = [], []
    width = min(60, max((len(file["path"]) for file in files), default=0))
    for key, batch in batches(files):
        checked, replayed = run.step(key, lambda batch=batch: check(plan, batch))
        for entry in checked:
            show(entry, replayed, width)
            findings += entry["found"]
            per_file.append({**entry, "findings": len(entry["found"])})

    def has_own_tests(path):
        return "#[cfg(test)]" in (change.content(plan, path) or "")

    findings += rules.missing_tests(files, has_own_tests)
    return summarise(plan, request, findings, per_file)


def summarise(plan, request, findings, per_file):
    added = sum(file["added"] for file in per_file)
    points = report.score(findings, added)
    for file in per_file:
        del file["found"]
    return {
        "verdict": report.verdict(findings, points),
        "score": points,
        "reviewed": plan["title"],
        "files": len(per_file),
        "added": added,
        "deleted": sum(file["deleted"] for file in per_file),
        "counts": report.counts(findings),
        "findings": report.in_order(findings),
        "per_file": per_file,
        "fail_on": request.get("fail_on"),
    }


def finish(run, result):
    say()
    for finding in result["findings"]:
        say(f"  {finding['severity']:<7} {report.place(finding)}: {finding['message']}")
    if result["findings"]:
        say()
    numbers = ", ".join(f"{count} {level}" for level, count in result["counts"].items())
    say(f"verdict: {result['verdict']}, {result['score']} of 100 points ({numbers})")

    text = report.markdown(result)
    address = run.artifact("review.md", text.encode(), "text/markdown")
    if address:
        say(f"report:  {address}")
    else:
        say("\n" + text)
    del result["per_file"]
    fail_on = result.pop("fail_on")
    run.output({**result, "report": address})
    levels = report.ORDER[: report.ORDER.index(fail_on) + 1] if fail_on else []
    return 1 if any(result["counts"][level] for level in levels) else 0


def main():
    # A reader that goes away ends this program as it ends any other.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    run = Run()
    try:
        return finish(run, review(run))
    except change.NothingToReview as reason:
        print(f"code-review: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
