//! A listener bound to its address, before it serves.

use std::net::SocketAddr;

use errand_model::event::ListenerSpec;
use tokio::net::TcpListener;

use super::check::Rules;
use super::error::Error;

/// A listener bound to its address. Clients may connect already; [`BoundListener::serve`] serves
/// them.
#[derive(Debug)]
pub struct BoundListener {
    listen_addr: String,
    pub(super) bound_addr: SocketAddr,
    pub(super) socket: TcpListener,
    pub(super) rules: Rules,
    pub(super) max_parallel: usize,
}

impl BoundListener {
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
