//! A listener bound to its address, before it serves.

use std::io;
use std::net::SocketAddr;

use errand_api::error_code::ErrorCode;
use errand_model::event::ListenerSpec;
use thiserror::Error;
use tokio::net::TcpListener;

use super::check::Rules;

/// Error: a listener cannot be bound.
#[derive(Debug, Error)]
pub enum Error {
    /// The address cannot be parsed.
    #[error("{listen_addr:?} is not an address to listen on, such as 127.0.0.1:8080")]
    Address {
        /// Address that was given.
        listen_addr: String,
    },
    /// Other machines can reach the address, and no secret protects the service.
    #[error("{listen_addr} can be reached from other machines, and no secret is set")]
    Unsafe {
        /// Address that was given.
        listen_addr: String,
    },
    /// The hash of the secret is malformed.
    #[error("the secret's hash is not 64 hex digits")]
    Secret,
    /// The system refuses the address.
    #[error("cannot listen on {listen_addr}")]
    Bind {
        /// Address that was given.
        listen_addr: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Address { .. } => ErrorCode::ListenAddressInvalid,
            Self::Unsafe { .. } => ErrorCode::ListenUnsafe,
            Self::Secret => ErrorCode::Internal,
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                ErrorCode::ListenAddressInUse
            }
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                ErrorCode::ListenAddressInvalid
            }
            Self::Bind { .. } => ErrorCode::IoFailed,
        }
    }
}

/// A listener bound to its address. Clients may connect already; [`Listener::serve`] serves them.
#[derive(Debug)]
pub struct Listener {
    listen_addr: String,
    pub(super) bound_addr: SocketAddr,
    pub(super) socket: TcpListener,
    pub(super) rules: Rules,
    pub(super) max_parallel: usize,
}

impl Listener {
    /// Checks the specification and binds the address. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// [`enum@Error`]; nothing is bound then.
    pub async fn bind(spec: &ListenerSpec) -> Result<Self, Error> {
        let listen_addr = spec.listen_addr.clone();
        let Ok(address) = listen_addr.parse::<SocketAddr>() else {
            return Err(Error::Address { listen_addr });
        };
        let rules = Rules::new(spec)?;
        if !address.ip().to_canonical().is_loopback() && spec.secret_sha256.is_none() {
            return Err(Error::Unsafe { listen_addr });
        }
        let bound = match TcpListener::bind(address).await {
            Ok(socket) => socket.local_addr().map(|bound_addr| (socket, bound_addr)),
            Err(error) => Err(error),
        };
        match bound {
            Ok((socket, bound_addr)) => {
                let max_parallel = usize::try_from(spec.max_parallel.max(1)).unwrap_or(usize::MAX);
                Ok(Self { listen_addr, bound_addr, socket, rules, max_parallel })
            }
            Err(source) => Err(Error::Bind { listen_addr, source }),
        }
    }

    /// Returns the address that was asked for.
    pub fn listen_addr(&self) -> &str {
        &self.listen_addr
    }

    /// Returns the bound address, with the port that the system chose.
    pub const fn bound_addr(&self) -> SocketAddr {
        self.bound_addr
    }
}
