//! TLS: the certificate and its key, which are read again when their files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_api::config::Tls;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time limit of a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Interval of checks for changed files, made when connections come in.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Error: the certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM.
    #[error("{path} cannot be used: {reason}", path = path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },
    /// Certificate and key do not match.
    #[error("the certificate and the private key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// Checks that certificate and key can be read and match.
///
/// # Errors
///
/// [`TlsError`].
pub fn check_tls(files: &Tls) -> Result<(), TlsError> {
    read(files).map(drop)
}

/// TLS acceptor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
}

struct Shared {
    files: Tls,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    stamp: Stamp,
    looked_at: Instant,
}

/// Modification times of both files, if known.
type Stamp = (Option<std::time::SystemTime>, Option<std::time::SystemTime>);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("files", &self.shared.files).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub(crate) fn new(files: Tls) -> Result<Self, TlsError> {
        let stamp = stamp(&files);
        let acceptor = read(&files)?;
        let state = Mutex::new(State { acceptor, stamp, looked_at: Instant::now() });
        Ok(Self { shared: Arc::new(Shared { files, state }) })
    }

    /// Performs the handshake with a client; `None` if it fails.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = self.current();
        match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Returns the acceptor for the present files, or the previous one while they cannot be used.
    fn current(&self) -> TlsAcceptor {
        let files = &self.shared.files;
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= LOOK_EVERY {
            state.looked_at = Instant::now();
            let stamp = stamp(files);
            if stamp != state.stamp {
                match read(files) {
                    Ok(acceptor) => {
                        (state.acceptor, state.stamp) = (acceptor, stamp);
                        tracing::info!("the certificate was read again");
                    }
                    Err(error) => tracing::error!("the old certificate stays: {error}"),
                }
            }
        }
        state.acceptor.clone()
    }
}

fn stamp(files: &Tls) -> Stamp {
    let of = |path: &Path| std::fs::metadata(path).and_then(|it| it.modified()).ok();
    (of(&files.cert), of(&files.key))
}

fn read(files: &Tls) -> Result<TlsAcceptor, TlsError> {
    let refused = |path: &Path, reason: String| TlsError::File { path: path.to_owned(), reason };
    let bytes = |path: &Path| -> Result<Vec<u8>, TlsError> {
        std::fs::read(path).map_err(|error: io::Error| refused(path, error.to_string()))
    };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&bytes(&files.cert)?)
            .collect::<Result<_, _>>()
            .map_err(|error| refused(&files.cert, error.to_string()))?;
    if certificates.is_empty() {
        return Err(refused(&files.cert, "there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?)
        .map_err(|error| refused(&files.key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
