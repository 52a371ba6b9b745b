//! Streams of server-sent events: their latency, and the memory for a thousand of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor;
use crate::lab::{Lab, memory_kib};
use crate::report::{Line, median};
use crate::step_agent::{MODE, monotonic};

/// Tokens of the agent's output, and the time between two of them: a thousand per second.
const TOKENS: u32 = 3_000;
const TOKEN_EVERY_US: u32 = 1_000;
/// Allowed delay of the 99th percentile of tokens.
const TOKEN_LIMIT: Duration = Duration::from_millis(5);
/// Clients that watch one run, and the server's allowed memory.
const CLIENTS: u32 = 1_000;
const CLIENTS_LIMIT_KIB: u32 = 100 * 1_024;
/// Allowed time until the first event: durable commits, and a fixed part.
const FIRST_COMMITS: f64 = 3.0;
const FIRST_FIXED: Duration = Duration::from_millis(2);
/// Runs whose first event is timed.
const FIRSTS: u32 = 30;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let command = format!("[{own}, {MODE}, tokens, '{TOKENS}', '{TOKEN_EVERY_US}']");
    drop(lab.agent("teller", &command, "")?);
    drop(lab.agent("quick", "[/bin/true]", "")?);
    drop(lab.agent("sleeper", "[sleep, '600']", "")?);
    let server = Server::start(&lab)?;
    Ok(vec![first(&lab, &server)?, tokens(&server)?, many(&server)?])
}

/// Measures the time from a request to the first event of its run.
fn first(lab: &Lab, server: &Server) -> Result<Line, Failure> {
    let mut all = Vec::new();
    let mut shares = Vec::new();
    for _ in 0..FIRSTS {
        let commit = floor::commit(lab.folder())?;
        let started = Instant::now();
        let mut stream = server.start_run("quick")?;
        stream.until("event: run.created")?;
        let taken = started.elapsed().as_secs_f64();
        let allowed = FIRST_COMMITS * commit.as_secs_f64() + FIRST_FIXED.as_secs_f64();
        shares.push(taken / allowed);
        all.push(taken);
        stream.until("event: end")?;
    }
    Ok(Line {
        name: "first event of a run".to_owned(),
        measured: format!("{:.1} ms", median(all) * 1_000.0),
        target: format!("{FIRST_COMMITS} commits + {FIRST_FIXED:?}"),
        floor: String::new(),
        share: Some(median(shares)),
        note: "POST /v1/runs/stream".to_owned(),
    })
}

/// Measures the time from the agent's call to the client.
fn tokens(server: &Server) -> Result<Line, Failure> {
    let mut stream = server.start_run("teller")?;
    let mut late = Vec::new();
    // A token may arrive in two parts.
    let mut begun = String::new();
    loop {
        stream.until("event: ")?;
        let name = stream.name.clone();
        if name == "end" {
            break;
        }
        if name == "output" {
            let now = monotonic()?;
            let data: Value = serde_json::from_str(&stream.data)?;
            begun.push_str(data["text"].as_str().unwrap_or_default());
            let whole = begun.rfind(' ').map_or(0, |at| at + 1);
            for said in begun[..whole].split_whitespace() {
                let said = Duration::from_nanos(said.parse()?);
                late.push(now.saturating_sub(said).as_secs_f64());
            }
            begun.drain(..whole);
        }
    }
    let heard = u32::try_from(late.len())?;
    if heard != TOKENS {
        return Err(format!("{heard} of {TOKENS} tokens came").into());
    }
    late.sort_by(f64::total_cmp);
    let at = |share: usize| late.get(late.len() * share / 1_000).copied().unwrap_or_default();
    Ok(Line {
        name: format!("token to client, {} a second, p99", 1_000_000 / TOKEN_EVERY_US),
        measured: format!("{:.2} ms", at(990) * 1_000.0),
        target: format!("{TOKEN_LIMIT:?}"),
        floor: String::new(),
        share: Some(at(990) / TOKEN_LIMIT.as_secs_f64()),
        note: format!("p50 {:.2} ms, p99.9 {:.2} ms", at(500) * 1_000.0, at(999) * 1_000.0),
    })
}

/// Measures many clients of one run.
fn many(server: &Server) -> Result<Line, Failure> {
    let first = server.start_run("sleeper")?;
    let run_id = first.run_id;
    let alone = memory_kib(server.id(), "VmRSS")?;
    let target = format!("/v1/runs/{run_id}/events");
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        streams.push(server.stream(&format!("GET {target}"), "")?);
    }
    for stream in &mut streams {
        stream.until("event: attempt.running")?;
    }
    let kib = memory_kib(server.id(), "VmRSS")?;
    let started = Instant::now();
    server.stream(&format!("POST /v1/runs/{run_id}/cancel?wait=true"), "{}")?;
    for stream in &mut streams {
        stream.until("event: end")?;
    }
    let ended = started.elapsed();
    Ok(Line {
        name: format!("{CLIENTS} clients of one run, RSS of the server"),
        measured: format!("{} MiB", kib / 1_024),
        target: format!("{} MiB", CLIENTS_LIMIT_KIB / 1_024),
        floor: String::new(),
        share: Some(f64::from(u32::try_from(kib)?) / f64::from(CLIENTS_LIMIT_KIB)),
        note: format!("{} MiB before; all had the end after {ended:.0?}", alone / 1_024),
    })
}

/// A server with its agents.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(lab: &Lab) -> Result<Self, Failure> {
        let mut command = lab.errand(&["up", "--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or("the server has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
        let server = Self { process, address };
        for agent in ["teller", "quick", "sleeper"] {
            server.push(&lab.folder().join(agent))?;
        }
        server.start_run("quick")?.until("event: end")?;
        Ok(server)
    }

    fn id(&self) -> u64 {
        self.process.id().into()
    }

    fn start_run(&self, agent: &str) -> Result<Stream, Failure> {
        self.stream("POST /v1/runs/stream", &format!("{{\"agent\": \"{agent}\"}}"))
    }

    /// Registers an agent.
    fn push(&self, folder: &Path) -> Result<(), Failure> {
        let tar = Command::new("tar").arg("-C").arg(folder).args(["-cf", "-", "."]).output()?;
        self.send("POST /v1/agents", "application/x-tar", &tar.stdout).map(drop)
    }

    fn stream(&self, what: &str, body: &str) -> Result<Stream, Failure> {
        self.send(what, "application/json", body.as_bytes())
    }

    fn send(&self, what: &str, media_type: &str, body: &[u8]) -> Result<Stream, Failure> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        let length = body.len();
        let request = format!(
            "{what} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\
             Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes())?;
        stream.write_all(body)?;
        Stream::open(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A response that is read line by line.
struct Stream {
    reader: BufReader<TcpStream>,
    run_id: String,
    /// Name and data of the last event.
    name: String,
    data: String,
}

impl Stream {
    fn open(stream: TcpStream) -> Result<Self, Failure> {
        let mut reader = BufReader::with_capacity(4_096, stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.contains(" 20") {
            let mut rest = vec![0; 600];
            let read = reader.read(&mut rest)?;
            rest.truncate(read);
            return Err(format!("{line}{}", String::from_utf8_lossy(&rest)).into());
        }
        let mut run_id = String::new();
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some(place) = line.to_ascii_lowercase().strip_prefix("location:") {
                run_id = place.trim().rsplit('/').next().unwrap_or_default().to_owned();
            }
        }
        Ok(Self { reader, run_id, name: String::new(), data: String::new() })
    }

    /// Reads up to an event with such a name, and its data.
    fn until(&mut self, begins: &str) -> Result<(), Failure> {
        let mut line = String::new();
        let mut is_it = false;
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(format!("the stream broke off before {begins}").into());
            }
            if let Some(name) = line.trim_end().strip_prefix("event: ") {
                is_it = line.starts_with(begins);
                name.clone_into(&mut self.name);
            } else if let (true, Some(data)) = (is_it, line.trim_end().strip_prefix("data: ")) {
                data.clone_into(&mut self.data);
                return Ok(());
            }
        }
    }
}
