//! Client of server-sent events that reads one event at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;

use crate::{HttpRequest, LIMIT};

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Id, if it has one.
    pub id: Option<String>,
    /// Name; empty for a comment.
    pub event: String,
    /// Data, or the text of a comment.
    pub data: String,
    /// Delay before a reconnect, as the server asks for it.
    pub retry: Option<u64>,
}

impl SseEvent {
    /// Returns the data as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the id as a number.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        self.id.as_ref().map(|id| id.parse().unwrap_or_else(|_| panic!("no number: {self:?}")))
    }
}

/// An open stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct Sse {
    reader: BufReader<TcpStream>,
    /// The status code.
    pub status: u16,
    /// Headers as received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Received text of the body that is not parsed yet.
    text: String,
    is_over: bool,
}

impl Sse {
    /// Sends a request to `address` and reads the head of the response.
    #[must_use]
    pub fn open(request: &HttpRequest, address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::over(stream, request, address)
    }

    /// Opens the stream at a target with a receive buffer of some 64 KiB in the kernel: further data
    /// for a slow reader waits in the server.
    ///
    /// The buffer has its size before the connection exists: the kernel drops what comes within a
    /// window that it announced before, and the sender waits ever longer to repeat it.
    #[must_use]
    pub fn get_little(address: &str, target: &str) -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let socket = socket.expect("a socket");
        set_socket_recv_buffer_size(&socket, 32 * 1_024).expect("a size of the buffer");
        let there: SocketAddr = address.parse().expect("an address of this machine");
        rustix::net::connect(&socket, &there)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        let request = HttpRequest::new("GET", target).header("Accept", "text/event-stream");
        let stream = Self::over(socket.into(), &request, address);
        assert_eq!(stream.status, 200, "{:?}", stream.headers);
        stream
    }

    /// Sends a request over a connection and reads the head of the response.
    fn over(mut stream: TcpStream, request: &HttpRequest, address: &str) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit for reading");
        stream.write_all(&request.bytes(address)).expect("the request is sent");
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line of the head");
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let headers = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()))
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_lowercase(), value.trim().to_owned()))
            })
            .collect();
        Self { reader, status, headers, text: String::new(), is_over: false }
    }

    /// Opens the stream at a target; `last` is the last event that the client has.
    #[must_use]
    pub fn get(address: &str, target: &str, last: Option<&str>) -> Self {
        let mut request = HttpRequest::new("GET", target).header("Accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let stream = Self::open(&request, address);
        assert_eq!(stream.status, 200, "{:?}", stream.headers);
        stream
    }

    /// Returns a header of the response.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets the time limit for an event.
    pub fn set_limit(&self, limit: Duration) {
        self.reader.get_ref().set_read_timeout(Some(limit)).expect("a time limit for reading");
    }

    /// Returns the next event or comment; `None` at the end.
    pub fn next_or_comment(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                return Some(parse(&block));
            }
            if self.is_over || !self.chunk() {
                assert!(self.text.is_empty(), "the stream ends within something: {:?}", self.text);
                return None;
            }
        }
    }

    /// Returns all events up to the end of the stream.
    #[must_use]
    pub fn rest(self) -> Vec<SseEvent> {
        self.collect()
    }

    /// Reads the next chunk of the body (RFC 9112, section 7.1). Returns false at the end.
    fn chunk(&mut self) -> bool {
        let mut size = String::new();
        match self.reader.read_line(&mut size) {
            Ok(0) => panic!("the connection broke off in the middle of the stream"),
            Ok(_) => {}
            Err(error) => panic!("nothing came: {error}; before it: {:?}", self.text),
        }
        let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).expect("a whole chunk");
        bytes.truncate(size);
        self.text.push_str(&String::from_utf8(bytes).expect("text"));
        self.is_over = size == 0;
        size > 0
    }
}

/// Events up to the end of the stream, without comments.
impl Iterator for Sse {
    type Item = SseEvent;

    fn next(&mut self) -> Option<SseEvent> {
        loop {
            let told = self.next_or_comment()?;
            if !told.event.is_empty() {
                return Some(told);
            }
        }
    }
}

fn parse(block: &str) -> SseEvent {
    let mut told = SseEvent::default();
    for line in block.lines() {
        if let Some(comment) = line.strip_prefix(':') {
            comment.trim().clone_into(&mut told.data);
        } else if let Some((name, value)) = line.split_once(": ") {
            match name {
                "id" => told.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut told.event),
                "data" => value.clone_into(&mut told.data),
                "retry" => told.retry = value.parse().ok(),
                _ => panic!("{line:?} is no field of a stream"),
            }
        }
    }
    told
}
