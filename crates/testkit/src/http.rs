//! Plain HTTP/1.1 client that sends exactly the given bytes, valid or not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::LIMIT;

/// A request to be sent.
#[derive(Clone, Debug)]
#[must_use = "a request is nothing before it is sent"]
pub struct HttpRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    limit: Duration,
}

impl HttpRequest {
    /// Creates a request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            limit: LIMIT,
        }
    }

    /// Creates a POST with this body.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }
    }

    /// Creates a PUT with this body.
    pub fn put(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("PUT", target) }
    }

    /// Changes the method.
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header. `Host`, `Content-Length` and `Connection` are added when it is sent.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the method.
    #[must_use]
    pub fn verb(&self) -> &str {
        &self.method
    }

    /// Returns the path and the query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the headers that were added.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the body.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Sends the request to `address` (`127.0.0.1:8080`) and reads the whole response.
    #[must_use = "look at the answer"]
    pub fn send(&self, address: &str) -> Response {
        Response::read(address, &self.bytes(address), self.limit)
    }

    /// Sends the request to an address that may have no listener.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn try_send(&self, address: &str) -> std::io::Result<Response> {
        Response::try_read(address, &self.bytes(address), self.limit)
    }

    /// Returns the bytes of the request.
    pub(crate) fn bytes(&self, address: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head = head + name + ": " + value + "\r\n";
        }
        let length = self.body.len().to_string();
        head = head + "Content-Length: " + &length + "\r\nConnection: close\r\n\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends these bytes to `address` unchanged, and reads the whole response.
    #[must_use = "look at the answer"]
    pub fn send_raw(address: &str, bytes: &[u8]) -> Response {
        Response::read(address, bytes, LIMIT)
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code; 0 if the peer closed without a response.
    pub status: u16,
    /// Headers as received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as received.
    pub body: String,
}

impl Response {
    fn read(address: &str, request: &[u8], limit: Duration) -> Self {
        Self::try_read(address, request, limit)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    fn try_read(address: &str, request: &[u8], limit: Duration) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(limit)).expect("a time limit for reading");
        stream.set_write_timeout(Some(limit)).expect("a time limit for writing");
        // A server may respond and close before it has read everything: the response counts.
        drop(stream.write_all(request));
        let mut bytes = Vec::new();
        // Likewise, a reset after the response loses nothing that was read.
        drop(stream.read_to_end(&mut bytes));
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = match end {
            Some(end) => (&bytes[..end], &bytes[end + 4..]),
            None => (bytes, &[][..]),
        };
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let is_chunked = headers.iter().any(|(name, value)| {
            name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked")
        });
        let body = if is_chunked { unchunked(body) } else { body.to_vec() };
        Self { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// Returns the value of a header, whose name is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {:?}", self.status, self.body))
    }

    /// Panics unless the status is this one. Returns the response.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// Decodes a chunked body, as far as it was received.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|window| window == b"\r\n") else {
            return content;
        };
        let size = String::from_utf8_lossy(&body[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16);
        let rest = &body[end + 2..];
        match size {
            Ok(size @ 1..) if rest.len() >= size => {
                content.extend_from_slice(&rest[..size]);
                body = rest.get(size + 2..).unwrap_or_default();
            }
            Ok(_) | Err(_) => return content,
        }
    }
}
