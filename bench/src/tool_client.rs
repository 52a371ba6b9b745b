//! The agent of the tool measurement, and the tool server that it calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;

/// The first word of the command line that makes this program the agent of the measurement.
pub(crate) const MODE: &str = "--call-tools";
/// The first word of the command line that makes this program a tool server on stdio.
pub(crate) const SERVER_MODE: &str = "--serve-tools";

/// Runs as a tool server: answers each line of stdin.
pub(crate) fn serve() -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "bench", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [
                { "name": "look", "description": "Looks", "inputSchema": { "type": "object" } },
            ] }),
            Some("tools/call") => {
                json!({ "content": [{ "type": "text", "text": "word ".repeat(64) }] })
            }
            Some(_) | None => continue,
        };
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// Runs as the agent: calls a server of its own and the one behind errand, one call after the
/// other, and writes the times of both to the run's output.
#[expect(clippy::disallowed_methods, reason = "an agent finds its tools in the environment")]
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let [calls] = words else { return Err("expected a number".into()) };
    let calls: usize = calls.parse()?;
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let url = variable("ERRAND_MCP_URL")?;
    let rest = url.strip_prefix("http://").ok_or("no address of this machine")?;
    let (host, path) = rest.split_once('/').ok_or("no path")?;
    let direct = directly(calls)?;
    let through = through(host, &format!("/{path}"), (&variable("ERRAND_MCP_TOKEN")?, calls))?;
    let report = json!({ "direct": shown(direct), "through": shown(through) });
    std::fs::write(variable("ERRAND_OUTPUT")?, report.to_string())?;
    Ok(())
}

fn shown(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    json!({ "p50_ms": at(50).as_secs_f64() * 1e3, "p99_ms": at(99).as_secs_f64() * 1e3 })
}

fn request(number: usize, tool: &str) -> String {
    let arguments = json!({ "number": number, "context": "word ".repeat(20) });
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params }).to_string()
}

/// Calls a server that this process starts.
fn directly(calls: usize) -> Result<Vec<Duration>, Failure> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg(SERVER_MODE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut to_server = server.stdin.take().ok_or("no stdin")?;
    let mut from_server = BufReader::new(server.stdout.take().ok_or("no stdout")?);
    let mut times = Vec::with_capacity(calls);
    let mut answer = String::new();
    for number in 0..calls {
        let request = request(number, "look");
        let began = Instant::now();
        writeln!(to_server, "{request}")?;
        answer.clear();
        from_server.read_line(&mut answer)?;
        times.push(began.elapsed());
    }
    drop(to_server);
    server.wait()?;
    Ok(times)
}

/// Calls the server behind errand.
fn through(
    host: &str,
    path: &str,
    (token, calls): (&str, usize),
) -> Result<Vec<Duration>, Failure> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut times = Vec::with_capacity(calls);
    // The first one waits for the server to start.
    for number in 0..=calls {
        let body = request(number, "bench_look");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        writer.write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if number > 0 {
            times.push(began.elapsed());
        }
        let answer: Value = serde_json::from_slice(&body)?;
        if answer["result"]["content"][0]["text"].as_str().is_none_or(|it| !it.starts_with("word "))
        {
            return Err(format!("answered {answer}").into());
        }
    }
    Ok(times)
}
