"""CSV with a header line on stdin, rows as JSON on stdout."""

import csv
import json
import sys

print(json.dumps({"rows": list(csv.DictReader(sys.stdin))}))
