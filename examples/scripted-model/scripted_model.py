"""Serves a scripted model on the OpenAI wire, and runs a command with it.

    python3 scripted_model.py SCRIPT -- COMMAND…

SCRIPT is a Python file with a function `reply(messages, tools)`, which returns a text, or a list of
tool calls as pairs of name and arguments. COMMAND gets OPENAI_BASE_URL and OPENAI_API_KEY. If
OPENAI_API_KEY is set already, no model is served, and COMMAND runs with the provider of that key.
"""

import http.server
import json
import os
import runpy
import subprocess
import sys
import threading

BYTES_PER_TOKEN = 4


class Model(http.server.BaseHTTPRequestHandler):
    """Answers `POST /v1/chat/completions`, streamed or not, with what the script replies."""

    reply = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/v1/chat/completions":
            return self.send(404, {"error": {"message": f"there is no {self.path}", "type": "not_found"}})
        asked = json.loads(body)
        said = type(self).reply(asked["messages"], asked.get("tools", []))
        message, reason = {"role": "assistant", "content": said}, "stop"
        if not isinstance(said, str):
            message, reason = {"role": "assistant", "content": None, "tool_calls": calls(said)}, "tool_calls"
        spoken = len(json.dumps(said)) // BYTES_PER_TOKEN
        prompt = len(body) // BYTES_PER_TOKEN
        usage = {"prompt_tokens": prompt, "completion_tokens": spoken, "total_tokens": prompt + spoken}
        answer = {"id": "chatcmpl-scripted", "created": 0, "model": asked["model"]}
        if not asked.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {**answer, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self.send(200, whole)
        answer["object"] = "chat.completion.chunk"
        if reason == "tool_calls":
            for index, call in enumerate(message["tool_calls"]):
                call["index"] = index
        parts = [
            {**answer, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**answer, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        if asked.get("stream_options", {}).get("include_usage"):
            parts.append({**answer, "choices": [], "usage": usage})
        lines = [f"data: {json.dumps(part)}\n\n" for part in parts] + ["data: [DONE]\n\n"]
        return self.send_bytes(200, "text/event-stream", "".join(lines).encode())

    def send(self, status, value):
        self.send_bytes(status, "application/json", json.dumps(value).encode())

    def send_bytes(self, status, kind, data):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Prints nothing: the command has the terminal."""


def calls(said):
    for_wire = []
    for number, (name, arguments) in enumerate(said):
        function = {"name": name, "arguments": json.dumps(arguments)}
        for_wire.append({"id": f"call_{number}", "type": "function", "function": function})
    return for_wire


def main():
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        print(__doc__, file=sys.stderr)
        return 2
    script, command = sys.argv[1], sys.argv[3:]
    environment = dict(os.environ)
    if not environment.get("OPENAI_API_KEY"):
        Model.reply = staticmethod(runpy.run_path(script)["reply"])
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
        environment["OPENAI_API_KEY"] = "sk-no-key-needed-by-a-scripted-model"
        print("OPENAI_API_KEY is not set: a scripted model answers", file=sys.stderr, flush=True)
    return subprocess.call(command, env=environment)


sys.exit(main())
