"""Score, verdict and the report that people read."""

ORDER = ["high", "medium", "low"]
WEIGHT = {"medium": 5.0, "low": 1.0}
# Each high finding costs this much, however big the change is.
COST_OF_HIGH = 20.0
# Others count per this many new lines, so that a big change is not bad for being big.
PER_LINES = 200


def score(findings, added):
    """Returns 0 to 100."""
    high = sum(COST_OF_HIGH for finding in findings if finding["severity"] == "high")
    rest = sum(WEIGHT.get(finding["severity"], 0) for finding in findings)
    return max(0, round(100 - high - rest * PER_LINES / max(added, PER_LINES)))


def verdict(findings, points):
    if any(finding["severity"] == "high" for finding in findings):
        return "block"
    return "approve" if points >= 80 else "request changes"


def counts(findings):
    return {level: sum(finding["severity"] == level for finding in findings) for level in ORDER}


def place(finding):
    return finding["path"] + (f":{finding['line']}" if finding["line"] else "")


def in_order(findings):
    return sorted(findings, key=lambda f: (ORDER.index(f["severity"]), f["path"], f["line"]))


def markdown(result):
    numbers = result["counts"]
    lines = [
        "# Code review",
        "",
        f"**{result['verdict'].capitalize()}**, {result['score']} of 100 points. Reviewed: {result['reviewed']}.",
        "",
        f"{result['files']} files, {result['added']} lines added, {result['deleted']} removed; "
        + ", ".join(f"{numbers[level]} {level}" for level in ORDER)
        + ".",
        "",
    ]
    for level in ORDER:
        of_level = [finding for finding in in_order(result["findings"]) if finding["severity"] == level]
        if not of_level:
            continue
        lines += [f"## {level.capitalize()}", ""]
        for finding in of_level:
            lines.append(f"- `{place(finding)}` **{finding['rule']}**: {finding['message']}")
            if finding["excerpt"]:
                quoted = finding["excerpt"].replace("`", "'")
                lines.append(f"  `{quoted}`")
        lines.append("")
    if not result["findings"]:
        lines += ["Nothing was found that needs a second look.", ""]
    lines += ["## Files", "", "| file | added | removed | findings |", "| --- | ---: | ---: | ---: |"]
    for file in result["per_file"]:
        name = file["path"].replace("|", "\\|")
        lines.append(f"| {name} | {file['added']} | {file['deleted']} | {file['findings']} |")
    return "\n".join(lines) + "\n"
