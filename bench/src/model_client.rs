//! The agent of the model measurement, and the provider that it calls.
//!
//! Both are small on purpose: a thread for each connection, and answers that are written at once.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;

/// The first word of the command line that makes this program the agent of the measurement.
pub(crate) const MODE: &str = "--call-models";

/// Connections at once.
const CONNECTIONS: usize = 10;

/// Time between two calls of a connection where the time of a call is measured: as many calls as go
/// through would measure how long calls wait for each other. The connections begin one after another,
/// so that their calls are spread over this time.
const PACE: Duration = Duration::from_millis(50);
/// Paced calls of each connection.
const PACED_CALLS: usize = 30;

/// A kind of call: its name, path, body, and the answer of the provider.
struct Workload {
    name: &'static str,
    path: &'static str,
    is_stream: bool,
}

/// Calls of the measurement: three formats, streamed and not.
const WORKLOADS: [Workload; 6] = [
    Workload { name: "chat", path: "/chat/completions", is_stream: false },
    Workload { name: "chat stream", path: "/chat/completions", is_stream: true },
    Workload { name: "responses", path: "/responses", is_stream: false },
    Workload { name: "responses stream", path: "/responses", is_stream: true },
    Workload { name: "messages", path: MESSAGES, is_stream: false },
    Workload { name: "messages stream", path: MESSAGES, is_stream: true },
];

/// Path of Anthropic's messages.
const MESSAGES: &str = "/v1/messages";
/// Models that are asked for.
pub(crate) const MODELS: [&str; 2] = ["gpt-4o", "claude-sonnet-4-5"];

/// Tokens in the answers of the provider.
const WORDS: usize = 64;

/// Starts a provider on a free port, which ends with this process. Returns its address.
pub(crate) fn provider() -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let answers: Vec<(Vec<u8>, Vec<u8>)> =
        WORKLOADS.chunks(2).map(|pair| (document(pair[0].path), stream(pair[0].path))).collect();
    let answers: &'static [(Vec<u8>, Vec<u8>)] = answers.leak();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the client's matter.
            thread::spawn(move || drop(serve(stream, answers)));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream, answers: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, headers) = head(&mut reader)?;
        let mut body = vec![0; length_of(&headers)];
        reader.read_exact(&mut body)?;
        let place = WORKLOADS.iter().position(|work| line.contains(work.path)).unwrap_or(0) / 2;
        let is_stream = body.windows(13).any(|it| it == b"\"stream\":true");
        let (document, stream) = &answers[place];
        writer.write_all(if is_stream { stream } else { document })?;
    }
}

fn text() -> String {
    vec!["word"; WORDS].join(" ")
}

/// Returns the response with a whole answer.
fn document(path: &str) -> Vec<u8> {
    let usage = json!({"prompt_tokens": 200, "completion_tokens": WORDS, "total_tokens": 264});
    let body = match path {
        "/chat/completions" => json!({
            "id": "c", "model": "gpt-4o", "object": "chat.completion",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text()},
            }],
            "usage": usage,
        }),
        "/responses" => response(),
        _ => json!({
            "id": "m", "model": "claude-sonnet-4-5", "type": "message", "role": "assistant",
            "content": [{"type": "text", "text": text()}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 200, "output_tokens": WORDS},
        }),
    };
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Returns the answer in the format of responses.
fn response() -> Value {
    json!({
        "id": "r", "model": "gpt-4o", "object": "response", "status": "completed",
        "created_at": 1_790_000_000, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "output": [{
            "id": "i", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text(), "annotations": []}],
        }],
        "usage": {"input_tokens": 200, "output_tokens": WORDS, "total_tokens": 264},
    })
}

/// Returns the events of a streamed answer: their names, if the format names them, and data.
fn events(path: &str) -> Vec<(Option<&'static str>, Value)> {
    let mut events = Vec::new();
    match path {
        "/chat/completions" => {
            let chunk = |choices: Value| {
                json!({
                    "id": "c", "model": "gpt-4o", "object": "chat.completion.chunk",
                    "created": 1_790_000_000, "choices": choices,
                })
            };
            for _ in 0..WORDS {
                let delta = json!([{"index": 0, "delta": {"content": "word "}}]);
                events.push((None, chunk(delta)));
            }
            let end = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
            events.push((None, chunk(end)));
            let mut usage = chunk(json!([]));
            usage["usage"] = json!({"prompt_tokens": 200, "completion_tokens": WORDS});
            events.push((None, usage));
        }
        "/responses" => {
            for _ in 0..WORDS {
                let delta = json!({
                    "type": "response.output_text.delta", "item_id": "i", "output_index": 0,
                    "content_index": 0, "delta": "word ",
                });
                events.push((Some("response.output_text.delta"), delta));
            }
            let end = json!({"type": "response.completed", "response": response()});
            events.push((Some("response.completed"), end));
        }
        _ => {
            let usage = json!({"input_tokens": 200, "output_tokens": 1});
            let message = json!({
                "id": "m", "model": "claude-sonnet-4-5", "type": "message", "role": "assistant",
                "content": [], "usage": usage,
            });
            events.push((
                Some("message_start"),
                json!({"type": "message_start", "message": message}),
            ));
            let block = json!({"type": "text", "text": ""});
            let begin = json!({"type": "content_block_start", "index": 0, "content_block": block});
            events.push((Some("content_block_start"), begin));
            for _ in 0..WORDS {
                let delta = json!({"type": "text_delta", "text": "word "});
                let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
                events.push((Some("content_block_delta"), event));
            }
            let end = json!({"type": "content_block_stop", "index": 0});
            events.push((Some("content_block_stop"), end));
            let delta = json!({"stop_reason": "end_turn"});
            let end = json!({
                "type": "message_delta", "delta": delta, "usage": {"output_tokens": WORDS},
            });
            events.push((Some("message_delta"), end));
            events.push((Some("message_stop"), json!({"type": "message_stop"})));
        }
    }
    events
}

/// Returns the response with a streamed answer.
fn stream(path: &str) -> Vec<u8> {
    let mut response =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    let mut add = |text: String| {
        response.extend_from_slice(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
    };
    for (name, data) in events(path) {
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        add(format!("{name}data: {data}\n\n"));
    }
    if path == "/chat/completions" {
        add("data: [DONE]\n\n".to_owned());
    }
    response.extend_from_slice(b"0\r\n\r\n");
    response
}

/// Runs as the agent: calls the provider directly (`direct`, its address) and through errand, and
/// writes the times of both to the run's output.
#[expect(clippy::disallowed_methods, reason = "an agent finds its provider in the environment")]
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let [direct, calls] = words else { return Err("expected an address and a number".into()) };
    let calls: usize = calls.parse()?;
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let address = |url: String| -> Result<(String, String), Failure> {
        let rest = url.strip_prefix("http://").ok_or("no address of this machine")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok((host.to_owned(), format!("/{path}")))
    };
    let openai = address(variable("OPENAI_BASE_URL")?)?;
    let anthropic = address(variable("ANTHROPIC_BASE_URL")?)?;
    let token = variable("OPENAI_API_KEY")?;
    let (openai, anthropic) =
        ((openai.0.as_str(), openai.1.as_str()), (anthropic.0.as_str(), anthropic.1.as_str()));
    let report = compare(direct, Gateway { openai, anthropic, token: &token }, calls)?;
    std::fs::write(variable("ERRAND_OUTPUT")?, Value::from(report).to_string())?;
    Ok(())
}

/// Asks the proxy at an address whether it is ready.
pub(crate) fn is_alive(host: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(host)?;
    let request = format!("GET /health/liveliness HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (line, _) = head(&mut BufReader::new(stream))?;
    if line.contains(" 200 ") { Ok(()) } else { Err(format!("answered {line}").into()) }
}

/// A gateway in front of the provider: its hosts and the begins of its paths, and the key for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gateway<'a> {
    pub(crate) openai: (&'a str, &'a str),
    pub(crate) anthropic: (&'a str, &'a str),
    pub(crate) token: &'a str,
}

/// Measures each workload at the provider and through a gateway.
pub(crate) fn compare(
    direct: &str,
    gateway: Gateway<'_>,
    calls: usize,
) -> Result<Vec<Value>, Failure> {
    let token = gateway.token;
    let each = calls / CONNECTIONS;
    let mut report = Vec::new();
    for work in &WORKLOADS {
        let (host, prefix) = if work.path == MESSAGES { gateway.anthropic } else { gateway.openai };
        let path = format!("{}{}", prefix.trim_end_matches('/'), work.path);
        let alone = measure(work, (direct, work.path), token, (each, None))?;
        let through = measure(work, (host, &path), token, (each, None))?;
        let paced_alone = measure(work, (direct, work.path), token, (PACED_CALLS, Some(PACE)))?;
        let paced_through = measure(work, (host, &path), token, (PACED_CALLS, Some(PACE)))?;
        report.push(json!({
            "workload": work.name,
            "direct": shown(&alone),
            "through": shown(&through),
            "paced_direct": shown(&paced_alone),
            "paced_through": shown(&paced_through),
        }));
    }
    Ok(report)
}

fn shown(times: &Times) -> Value {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    json!({
        "p50_ms": ms(times.p50),
        "p99_ms": ms(times.p99),
        "first_p50_ms": ms(times.first_p50),
        "per_second": times.rate,
    })
}

/// Times of a workload.
struct Times {
    p50: Duration,
    p99: Duration,
    /// Until the head of an answer came, which is followed by its first bytes.
    first_p50: Duration,
    rate: f64,
}

/// Times of a call.
struct CallTime {
    /// Until the head of its answer came.
    first: Duration,
    whole: Duration,
}

fn measure(
    work: &Workload,
    (host, path): (&str, &str),
    token: &str,
    (each, pace): (usize, Option<Duration>),
) -> Result<Times, Failure> {
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| {
            let (host, path, token) = (host.to_owned(), path.to_owned(), token.to_owned());
            let is_stream = work.is_stream;
            thread::spawn(move || {
                calls_of(client, is_stream, (&host, &path, &token), (each, pace))
                    .map_err(|error| error.to_string())
            })
        })
        .collect();
    let mut all: Vec<CallTime> = Vec::new();
    for client in clients {
        all.extend(client.join().map_err(|_| "a client died")??);
    }
    let took = began.elapsed().as_secs_f64();
    let sorted = |time: fn(&CallTime) -> Duration| {
        let mut times: Vec<_> = all.iter().map(time).collect();
        times.sort_unstable();
        times
    };
    let (first, whole) = (sorted(|call| call.first), sorted(|call| call.whole));
    let at = |times: &[Duration], part: usize| {
        times.get(times.len() * part / 100).copied().unwrap_or_default()
    };
    let count = f64::from(u32::try_from(all.len())?);
    Ok(Times {
        p50: at(&whole, 50),
        p99: at(&whole, 99),
        first_p50: at(&first, 50),
        rate: count / took,
    })
}

fn calls_of(
    client: usize,
    is_stream: bool,
    (host, path, token): (&str, &str, &str),
    (calls, pace): (usize, Option<Duration>),
) -> Result<Vec<CallTime>, Failure> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut times = Vec::with_capacity(calls);
    // Paced calls of all connections come one after the other, evenly.
    let mut next = Instant::now();
    if let Some(pace) = pace {
        next += pace * u32::try_from(client)? / u32::try_from(CONNECTIONS)?;
    }
    for call in 0..calls {
        let kind = if pace.is_some() { "paced" } else { "urgent" };
        let question = format!("{kind} call {call} of client {client} {}", "context ".repeat(100));
        let messages = json!([{"role": "user", "content": question}]);
        let (list, limit) = if path.ends_with("/responses") {
            ("input", "max_output_tokens")
        } else {
            ("messages", "max_tokens")
        };
        let model = MODELS[usize::from(path.ends_with(MESSAGES))];
        let mut body = json!({"model": model, limit: 100, list: messages});
        if is_stream {
            body["stream"] = true.into();
        }
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if let Some(pace) = pace {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next += pace;
        }
        let began = Instant::now();
        writer.write_all(request.as_bytes())?;
        let (line, headers) = head(&mut reader)?;
        if !line.contains(" 200 ") {
            return Err(format!("answered {line}").into());
        }
        let first = began.elapsed();
        read_body(&mut reader, &headers)?;
        times.push(CallTime { first, whole: began.elapsed() });
    }
    Ok(times)
}

fn head(reader: &mut BufReader<TcpStream>) -> Result<(String, Vec<String>), Failure> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err("the connection ended".into());
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            return Ok((line, headers));
        }
        headers.push(header.trim().to_ascii_lowercase());
    }
}

fn length_of(headers: &[String]) -> usize {
    let value = headers.iter().find_map(|header| header.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn read_body(reader: &mut BufReader<TcpStream>, headers: &[String]) -> Result<(), Failure> {
    if !headers.iter().any(|header| header == "transfer-encoding: chunked") {
        let mut body = vec![0; length_of(headers)];
        return Ok(reader.read_exact(&mut body)?);
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(());
        }
    }
}
