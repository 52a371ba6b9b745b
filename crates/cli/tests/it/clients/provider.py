"""A scripted provider of all formats, for coding agents and SDKs. Runs a command with it.

    python3 provider.py LOG -- COMMAND…

A request that offers a shell gets a call of the shell, which writes a file; one that offers another tool
gets a call of that; one with the result of a tool, and one without tools, gets a text. Each request is a
line of JSON in LOG.
"""

import http.server
import json
import os
import subprocess
import sys
import threading

TEXT = "All is done."
SHELL = "echo made > made.txt"
# Tools of coding agents that run a command, and their arguments.
SHELLS = {
    "bash": {"command": SHELL, "description": "makes a file"},
    "Bash": {"command": SHELL, "description": "makes a file"},
    "run_shell_command": {"command": SHELL, "description": "makes a file"},
    "exec_command": {"cmd": SHELL},
}
RESULTS = ("tool_call_id", '"tool_result"', "function_call_output", "functionResponse")
INPUT, OUTPUT = 1000, 50


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        asked = json.loads(body or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.log.write(json.dumps({"path": self.path, "headers": headers}) + "\n")
        self.log.flush()
        call = None if any(mark in body.decode() for mark in RESULTS) else chosen(asked)
        if path.endswith("/chat/completions"):
            return self.send_any(asked.get("stream"), chat(asked, call), chat_events(asked, call))
        if path.endswith("/responses"):
            whole = response(asked, call)
            return self.send_any(asked.get("stream"), whole, response_events(whole))
        if path.endswith("/messages"):
            whole = message(asked, call)
            return self.send_any(asked.get("stream"), whole, message_events(whole))
        if path.endswith("/count_tokens"):
            return self.send(200, {"input_tokens": INPUT})
        if "enerateContent" in path:
            whole = generated(call)
            return self.send_any("stream" in path, whole, [("", whole)])
        return self.send(404, {"error": {"message": "not found"}})

    def do_GET(self):
        self.send(404, {"error": {"message": "not found"}})

    def do_HEAD(self):
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def send_any(self, is_stream, whole, events):
        if not is_stream:
            return self.send(200, whole)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, value in events:
            head = f"event: {name}\n" if name else ""
            text = value if isinstance(value, str) else json.dumps(value)
            self.wfile.write(f"{head}data: {text}\n\n".encode())
        self.close_connection = True

    def send(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def chosen(asked):
    """Returns name and arguments of the tool that the model calls; None if there are no tools."""
    names = []
    for tool in asked.get("tools") or []:
        declared = tool.get("functionDeclarations")
        if declared:
            names += [function["name"] for function in declared]
        else:
            names.append(tool.get("name") or tool.get("function", {}).get("name"))
    for name in names:
        if name in SHELLS:
            return name, SHELLS[name]
    return (names[0], {"city": "Rome"}) if len(names) == 1 and names[0] else None


def chat(asked, call):
    said = {"role": "assistant", "content": None if call else TEXT}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        said["tool_calls"] = [{"index": 0, "id": "call_1", "type": "function", "function": function}]
    reason = "tool_calls" if call else "stop"
    usage = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    choice = {"index": 0, "message": said, "finish_reason": reason}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": asked["model"],
        "choices": [choice], "usage": usage,
    }


def chat_events(asked, call):
    whole = chat(asked, call)
    usage, choice = whole.pop("usage"), whole.pop("choices")[0]
    whole["object"] = "chat.completion.chunk"
    delta = {"index": 0, "delta": choice["message"], "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    events = [("", {**whole, "choices": [delta]}), ("", {**whole, "choices": [end]})]
    if asked.get("stream_options", {}).get("include_usage"):
        events.append(("", {**whole, "choices": [], "usage": usage}))
    return [*events, ("", "[DONE]")]


def response(asked, call):
    text = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
    if call:
        item = {
            "type": "function_call", "id": "f", "call_id": "call_1", "name": call[0],
            "arguments": json.dumps(call[1]), "status": "completed",
        }
    usage = {
        "input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": asked["model"],
        "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "error": None, "incomplete_details": None, "usage": usage,
    }


def response_events(whole):
    item = whole["output"][0]
    place = {"output_index": 0, "item_id": item["id"]}
    events = [
        ("response.created", {"response": {**whole, "status": "in_progress", "output": []}}),
    ]
    if item["type"] == "message":
        part = {**item["content"][0], "text": ""}
        events += [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
            ("response.content_part.added", {**place, "content_index": 0, "part": part}),
            ("response.output_text.delta", {**place, "content_index": 0, "delta": TEXT, "logprobs": []}),
            ("response.output_text.done", {**place, "content_index": 0, "text": TEXT, "logprobs": []}),
            ("response.content_part.done", {**place, "content_index": 0, "part": item["content"][0]}),
        ]
    else:
        arguments = item["arguments"]
        events += [
            ("response.output_item.added", {"output_index": 0, "item": {**item, "arguments": ""}}),
            ("response.function_call_arguments.delta", {**place, "delta": arguments}),
            ("response.function_call_arguments.done", {**place, "arguments": arguments}),
        ]
    events += [
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole}),
    ]
    numbered = enumerate(events)
    return [(name, {"type": name, "sequence_number": at, **data}) for at, (name, data) in numbered]


def message(asked, call):
    block = {"type": "text", "text": TEXT}
    if call:
        block = {"type": "tool_use", "id": "toolu_1", "name": call[0], "input": call[1]}
    return {
        "id": "m", "type": "message", "role": "assistant", "model": asked["model"], "content": [block],
        "stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT},
    }


def message_events(whole):
    block = whole["content"][0]
    empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": TEXT}
    if block["type"] == "tool_use":
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events = [
        ("message_start", {"message": {**whole, "content": [], "stop_reason": None}}),
        ("content_block_start", {"index": 0, "content_block": empty}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": end, "usage": {"output_tokens": OUTPUT}}),
        ("message_stop", {}),
    ]
    return [(name, {"type": name, **data}) for name, data in events]


def generated(call):
    part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": TEXT}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT, "totalTokenCount": INPUT + OUTPUT,
        },
        "modelVersion": "gemini-scripted",
    }


def main():
    Provider.log = open(sys.argv[1], "a", encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    environment = dict(
        os.environ, OPENAI_BASE_URL=f"{address}/v1", ANTHROPIC_BASE_URL=address,
        GOOGLE_GEMINI_BASE_URL=address,
    )
    return subprocess.call(sys.argv[3:], env=environment)


sys.exit(main())
