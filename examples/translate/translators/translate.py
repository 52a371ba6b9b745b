"""Translates the input word by word with the words of glossary.json; others stay as they are."""

import json
import os
import pathlib
import re
import sys

language = sys.argv[1]
words = json.loads((pathlib.Path(os.environ["ERRAND_AGENT_DIR"]) / "glossary.json").read_text())
text = pathlib.Path(os.environ["ERRAND_INPUT"]).read_text().strip() or "the small house and the good water"


def translated(match):
    known = words.get(match[0].lower(), {}).get(language, match[0])
    return known.capitalize() if match[0][0].isupper() else known


print(json.dumps({"text": re.sub(r"[A-Za-z]+", translated, text)}, ensure_ascii=False))
