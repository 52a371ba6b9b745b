//! Secret of a Pod: where errand is reached, and the key of the connection.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use errand_shim::file;
use errand_shim::link::{
    ANSWER_BYTES, Greeting, LinkKey, Purpose, RANDOM_BYTES, RecordOpener, RecordSealer, read_answer,
};
use rustix::net::sockopt;

/// Time limit for a connection and for its answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time without traffic after which the other side is asked whether it is there; and between two
/// such questions, of which three may stay without an answer.
const SILENCE: Duration = Duration::from_secs(15);
/// Questions that stay without an answer before a connection counts as lost.
const QUESTIONS: u32 = 3;

/// Secret of a Pod. The address is read for each connection: errand changes it when another process
/// adopts the attempt.
#[derive(Debug)]
pub(super) struct PodSecret {
    name: String,
    pod_uid: String,
    key: LinkKey,
}

/// A connection to errand.
#[derive(Debug)]
pub(super) struct SealedStream {
    pub(super) stream: TcpStream,
    pub(super) sealer: RecordSealer,
    pub(super) opener: RecordOpener,
}

impl PodSecret {
    pub(super) fn read() -> io::Result<Self> {
        let pod_uid = std::env::var_os(file::POD_UID).and_then(|uid| uid.into_string().ok());
        let pod_uid =
            pod_uid.ok_or_else(|| io::Error::other(format!("{} is not set", file::POD_UID)))?;
        let key = LinkKey::parse(&text(file::KEY)?).map_err(io::Error::other)?;
        Ok(Self { name: text(file::NAME)?, pod_uid, key })
    }

    /// Connects to errand.
    pub(super) fn connect(&self, purpose: Purpose) -> io::Result<SealedStream> {
        let address: SocketAddr = text(file::ADDRESS)?.parse().map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, SILENCE)?;
        sockopt::set_tcp_keepintvl(&stream, SILENCE)?;
        sockopt::set_tcp_keepcnt(&stream, QUESTIONS)?;
        let mut random = [0; RANDOM_BYTES];
        fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let (name, pod_uid) = (self.name.clone(), self.pod_uid.clone());
        let greeting = Greeting { name, pod_uid, purpose, random };
        stream.set_read_timeout(Some(CONNECT_LIMIT))?;
        stream.write_all(&greeting.encode())?;
        let mut answer = [0; ANSWER_BYTES];
        stream.read_exact(&mut answer)?;
        let answer = read_answer(&answer).map_err(io::Error::other)?;
        stream.set_read_timeout(None)?;
        let (sealer, opener) = self.key.of_pod(&greeting, &answer);
        Ok(SealedStream { stream, sealer, opener })
    }
}

/// Reads the next record of a connection; `None` at its end.
pub(super) fn read_record(
    stream: &mut TcpStream,
    opener: &mut RecordOpener,
) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut record = vec![0; RecordOpener::length(length).map_err(io::Error::other)?];
    stream.read_exact(&mut record)?;
    opener.open(&mut record).map_err(io::Error::other)?;
    Ok(record)
}

fn text(name: &str) -> io::Result<String> {
    let path = Path::new(file::SECRET).join(name);
    Ok(fs::read_to_string(path)?.trim().to_owned())
}
