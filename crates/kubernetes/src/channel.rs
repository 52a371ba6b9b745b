//! Sealed streams: errand's end of the connections of Pods.

use std::io;

use errand_shim::link::{Greeting, RANDOM_BYTES, RecordOpener, RecordSealer, answer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Length of the beginning of a greeting, with its length.
const BEGINNING: usize = 16;

/// Reads the greeting of a connection.
///
/// # Errors
///
/// If it is none.
pub(crate) async fn greeting(stream: &mut TcpStream) -> io::Result<Greeting> {
    let mut bytes = vec![0; BEGINNING];
    stream.read_exact(&mut bytes).await?;
    let beginning = bytes.first_chunk().copied().unwrap_or_default();
    let length = Greeting::length(beginning).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[BEGINNING..]).await?;
    Greeting::decode(&bytes).map_err(io::Error::other)
}

/// Answers a greeting; returns the random bytes of the answer.
///
/// # Errors
///
/// If the connection is lost, or the machine has no random bytes.
pub(crate) async fn answered(stream: &mut TcpStream) -> io::Result<[u8; RANDOM_BYTES]> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    stream.write_all(&answer(&random)).await?;
    Ok(random)
}

/// Reading end of a sealed stream.
#[derive(Debug)]
pub(crate) struct SealedReader {
    pub(crate) stream: OwnedReadHalf,
    pub(crate) opener: RecordOpener,
}

impl SealedReader {
    /// Reads the next record. Not to be cancelled.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or the record is not from the Pod.
    pub(crate) async fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        let length = RecordOpener::length(length).map_err(io::Error::other)?;
        let mut record = vec![0; length];
        self.stream.read_exact(&mut record).await?;
        self.opener.open(&mut record).map_err(io::Error::other)?;
        Ok(record)
    }
}

/// Writing end of a sealed stream.
#[derive(Debug)]
pub(crate) struct SealedWriter {
    pub(crate) stream: OwnedWriteHalf,
    pub(crate) sealer: RecordSealer,
}

impl SealedWriter {
    /// Writes a record.
    ///
    /// # Errors
    ///
    /// If the connection is lost.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let record = self.sealer.seal(bytes).map_err(io::Error::other)?;
        self.stream.write_all(&record).await
    }
}
