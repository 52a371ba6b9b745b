"""Adds up the counts of each item."""

import json
import sys

given, sums = json.load(sys.stdin), {}
for row in given["rows"]:
    sums[row["item"]] = sums.get(row["item"], 0) + int(row["count"])
print(json.dumps({"sums": sums, "rows": len(given["read"]), "refused": len(given["refused"])}))
