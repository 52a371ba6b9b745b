"""Finds the passages that have to do with a question, and asks the analyst to look into them.

The input is nothing (then the notes beside this file are searched), the path of a folder with .txt files, or
{"question": …, "folder": …} or {"question": …, "texts": {name: text}}.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

QUESTION = "How did the harbour change, and what did it cost?"
COMMON = set("a an and are did do does how in is it its of on or the to was what when where which who why".split())


def read_input():
    text = pathlib.Path(os.environ["ERRAND_INPUT"]).read_text().strip()
    try:
        given = json.loads(text) if text else {}
    except ValueError:
        given = text
    return {"folder": given} if isinstance(given, str) else given or {}


def read_texts(given):
    if "texts" in given:
        return given["texts"]
    folder = pathlib.Path(given.get("folder") or pathlib.Path(os.environ["ERRAND_AGENT_DIR"]) / "notes")
    files = sorted(folder.glob("*.txt"))
    if not files:
        sys.exit(f"there is no .txt file in {folder.absolute()}")
    return {file.stem: file.read_text() for file in files}


def words(text):
    return [word for word in re.findall(r"[a-zà-ÿ]+", text.lower()) if word not in COMMON]


def main():
    given = read_input()
    question = given.get("question") or QUESTION
    wanted = set(words(question))
    passages = []
    for source, text in read_texts(given).items():
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
            score = len(wanted & set(words(sentence)))
            if score or re.search(r"\d", sentence):
                passages.append({"source": source, "text": sentence, "score": score})
    passages.sort(key=lambda passage: -passage["score"])
    print(f"{len(passages)} passages for: {question}")
    task = {"question": question, "passages": passages}
    send = ["errand", "agent", "message", "send", "--to", "analyst", "--type", "TASK", "-"]
    subprocess.run(send, input=json.dumps(task), text=True, check=True)


main()
