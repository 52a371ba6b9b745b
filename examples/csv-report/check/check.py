"""Rows are good that have an item and a whole number as their count."""

import json
import sys

rows, refused = [], []
for row in json.load(sys.stdin)["rows"]:
    is_good = bool(row.get("item")) and (row.get("count") or "").isdigit()
    (rows if is_good else refused).append(row)
print(json.dumps({"rows": rows, "refused": refused}))
