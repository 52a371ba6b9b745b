//! Throwaway Redis server, with everything in memory.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::wait::{LIMIT, wait_until};

/// Program of the server.
const PROGRAM: &str = "redis-server";

/// A server of its own for a test; it ends with this value, or with the test's thread.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
    options: Vec<String>,
}

/// Answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAnswer {
    /// A text, an error or a number, as text.
    Text(String),
    /// Nothing.
    Nil,
    /// Several answers.
    List(Vec<Self>),
}

impl RedisServer {
    /// Starts a server; `None`, with a line on stderr, on a machine that does not have it.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// Starts a server with more options.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub fn with(options: &[&str]) -> Option<Self> {
        // The port is free a moment later too, unless another test takes it in between.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let folder = tempfile::tempdir().expect("a folder for the server");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let Ok(child) = spawn(address, &folder, &options) else {
            eprintln!("SKIPPED: no bus without setpriv");
            return None;
        };
        let mut server = Self { child, address, folder, options };
        if server.is_ready() {
            return Some(server);
        }
        eprintln!("SKIPPED: no bus without {PROGRAM}; `cargo xtask test` installs it");
        None
    }

    /// Waits until the server answers. False: it is not there.
    fn is_ready(&mut self) -> bool {
        let mut is_missing = false;
        wait_until("the Redis server answers", LIMIT, || {
            is_missing = self.child.try_wait().expect("the state of the server").is_some();
            is_missing || TcpStream::connect(self.address).is_ok()
        });
        !is_missing
    }

    /// Kills the server; everything in it is lost.
    pub fn kill(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Starts the killed server again at its address, empty.
    pub fn start_again(&mut self) {
        self.child = spawn(self.address, &self.folder, &self.options).expect("the server starts");
        assert!(self.is_ready(), "the server starts again");
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Returns the address of the server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the answer to a command.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> RedisAnswer {
        let mut connection =
            TcpStream::connect(self.address).expect("the server takes connections");
        connection.set_read_timeout(Some(LIMIT)).expect("a time limit");
        let words: Vec<String> =
            words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        let request = format!("*{}\r\n{}", words.len(), words.concat());
        connection.write_all(request.as_bytes()).expect("a request is sent");
        answer(&mut BufReader::new(connection))
    }

    /// Returns the number that a command answers.
    #[must_use]
    pub fn number(&self, words: &[&str]) -> u64 {
        match self.ask(words) {
            RedisAnswer::Text(text) => text.parse().unwrap_or(u64::MAX),
            RedisAnswer::Nil | RedisAnswer::List(_) => u64::MAX,
        }
    }
}

impl RedisAnswer {
    /// Returns all texts in the answer.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::Nil => Vec::new(),
            Self::List(parts) => parts.iter().flat_map(Self::texts).collect(),
        }
    }
}

fn spawn(
    address: SocketAddr,
    folder: &tempfile::TempDir,
    options: &[String],
) -> std::io::Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", PROGRAM, "--bind", "127.0.0.1", "--port"])
        .arg(address.port().to_string())
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Reads an answer in the protocol of Redis.
fn answer(from: &mut BufReader<TcpStream>) -> RedisAnswer {
    let mut line = String::new();
    let _length = from.read_line(&mut line).expect("an answer");
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).expect("a kind of answer");
    let length: usize = rest.parse().unwrap_or_default();
    match kind {
        "$" | "*" if rest == "-1" => RedisAnswer::Nil,
        "$" => {
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes).expect("a whole text");
            bytes.truncate(length);
            RedisAnswer::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => RedisAnswer::List((0..length).map(|_| answer(from)).collect()),
        _ => RedisAnswer::Text(rest.to_owned()),
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
