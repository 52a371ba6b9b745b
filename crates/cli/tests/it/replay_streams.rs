//! Recorded streams of model calls, as a replay serves them.

use serde_json::json;

use crate::models::{KEY, sandbox};

/// Provider that sends each piece of a stream once the client has got the one before.
const PROVIDER: &str = r#"
import http.server, json, os, time
def chunk(delta, end=None):
    choice = {"index": 0, "delta": delta, "finish_reason": end}
    return "data: " + json.dumps({"id": "c1", "model": "gpt-4o", "choices": [choice]}) + "\n\n"
one, two = chunk({"content": "He"}), chunk({"content": "llo"})
PIECES = [one[:9], one[9:] + two, chunk({}, "stop") + "data: [DONE]\n\n"]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, piece in enumerate(PIECES):
            while number > 0 and not os.path.exists(f"got-{number}"):
                time.sleep(0.01)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"at {server.server_port}.", flush=True)
server.serve_forever()
"#;

/// Client that prints the first two pieces of a stream, and then what is left of it.
const CLIENT: &str = r#"
import json, os, sys, urllib.request
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
body = {"model": "gpt-4o", "stream": True, "messages": [], "stream_options": {"include_usage": True}}
answer = urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers))
for number in (1, 2):
    print(json.dumps(answer.read1(65536).decode()), flush=True)
    open(os.path.join(sys.argv[1], f"got-{number}"), "w").close()
print(json.dumps(answer.read().decode()))
"#;

#[test]
fn a_strict_replay_serves_a_stream_in_its_pieces() {
    let sandbox = sandbox();
    sandbox.write("provider.py", PROVIDER);
    sandbox.write("client.py", CLIENT);
    let provider = sandbox.tool("python3", ["provider.py"]).spawn();
    provider.wait_for_stdout(".");
    let port = provider.stdout().trim_matches(|it: char| !it.is_ascii_digit()).to_owned();
    let option = format!("openai=OPENAI_API_KEY,base_url=http://127.0.0.1:{port}/v1");
    let folder = sandbox.path("").display().to_string();
    let words = ["run", "--provider", &option, "--", "python3", "client.py", &folder];
    let ran = sandbox.errand(words).env("OPENAI_API_KEY", KEY).run().ok();
    let lines: Vec<String> = ran.stdout().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], json!("data: {\"i").to_string(), "{lines:?}");
    assert!(lines[1].ends_with("\\n\\n\"") && lines[1].contains("llo"), "{lines:?}");
    drop(provider);
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    // Its stdout is compared with the recorded one.
    let replayed = sandbox.errand(["replay", &id, "--policy", "strict"]).run().ok();
    assert!(replayed.stdout().contains("is identical with"), "{}", replayed.stdout());
}
