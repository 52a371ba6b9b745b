//! Address of the agent API.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Parsed value of `ERRAND_API`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `unix:///path`
    Unix(PathBuf),
    /// `http://host:port`
    Tcp(String),
}

impl Endpoint {
    pub(super) fn parse(api: &str) -> Option<Self> {
        if let Some(path) = api.strip_prefix("unix://") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let authority = api.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let fits = !host.is_empty() && !authority.contains(['/', '@', '?', '#']);
        (fits && port.parse::<u16>().is_ok()).then(|| Self::Tcp(format!("{host}:{port}")))
    }

    /// Returns the value of the header `Host`.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "errand",
            Self::Tcp(authority) => authority,
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
            Self::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// A connection over a unix socket or TCP.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unix_sockets_and_plain_http_are_addresses() {
        assert_eq!(Endpoint::parse("unix:///a/b"), Some(Endpoint::Unix("/a/b".into())));
        assert_eq!(Endpoint::parse("http://h:1/"), Some(Endpoint::Tcp("h:1".into())));
        assert_eq!(Endpoint::parse("http://h"), Some(Endpoint::Tcp("h:80".into())));
        for text in ["", "unix://a", "https://h", "http://", "http://h:x", "http://h:1/p", "/a/b"] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
