//! HTTP/1.1 client that keeps its connection, over a unix socket or TCP.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::Failure;

/// A connection for consecutive requests.
pub(crate) struct Client {
    reader: BufReader<Box<dyn std::io::Read + Send>>,
    writer: Box<dyn Write + Send>,
    /// Header lines of every request, each ended by CR LF.
    headers: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the agent API of an attempt (`unix:///…`).
    pub(crate) fn unix(api: &str, token: &str) -> Result<Self, Failure> {
        let path = api.strip_prefix("unix://").ok_or("the agent API is no unix socket")?;
        let stream = UnixStream::connect(path)?;
        let reader = stream.try_clone()?;
        let headers = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
        Ok(Self { reader: BufReader::new(Box::new(reader)), writer: Box::new(stream), headers })
    }

    /// Connects to an address such as `127.0.0.1:8080`.
    pub(crate) fn tcp(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        let headers = format!("Host: {address}\r\n");
        Ok(Self { reader: BufReader::new(Box::new(reader)), writer: Box::new(stream), headers })
    }

    /// Sends a POST with a JSON body. Returns status and body of the response.
    pub(crate) fn post(&mut self, target: &str, body: &str) -> Result<(u16, String), Failure> {
        self.send("POST", target, body)
    }

    /// Sends a PUT with a JSON body. Returns status and body of the response.
    pub(crate) fn put(&mut self, target: &str, body: &str) -> Result<(u16, String), Failure> {
        self.send("PUT", target, body)
    }

    fn send(&mut self, method: &str, target: &str, body: &str) -> Result<(u16, String), Failure> {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.headers
        );
        self.writer.write_all(request.as_bytes())?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> Result<(u16, String), Failure> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| format!("no answer but {line:?}"))?;
        let mut length = 0_usize;
        let mut is_chunked = false;
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            is_chunked |= header == "transfer-encoding: chunked";
        }
        if is_chunked {
            return Err("an answer in chunks, which this client does not read".into());
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }
}
