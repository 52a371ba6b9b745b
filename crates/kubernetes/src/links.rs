//! Connections of Pods: one socket of this process for all of its attempts.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use errand_agent::accept::{self, ServeBounds};
use errand_agent::target::TargetStartError;
use errand_shim::link::Purpose;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::address::AgentApiAddress;
use crate::channel::{self, SealedReader, SealedWriter};
use crate::link::PodLink;

/// Connections at once: of every Pod the one with its reports, and some calls of its agent.
const CONNECTIONS: usize = 8_192;
/// Time limit for the first bytes of a connection.
const GREETING_LIMIT: Duration = Duration::from_secs(10);

/// Links by the names of their Jobs.
type Known = Arc<Mutex<BTreeMap<String, Weak<PodLink>>>>;

/// Socket of this process for its Pods.
#[derive(Debug)]
pub(crate) struct PodLinks {
    /// Address that Pods connect to.
    pub(crate) address: SocketAddr,
    known: Known,
    _server: JoinSet<()>,
}

impl PodLinks {
    /// Listens.
    ///
    /// # Errors
    ///
    /// `cluster_unconfigured`.
    pub(crate) async fn listen(named: &AgentApiAddress) -> Result<Self, TargetStartError> {
        let (socket, address) = named.listen().await?;
        let known = Known::default();
        let mut server = JoinSet::new();
        let of_server = Arc::clone(&known);
        server.spawn(async move {
            let bounds = ServeBounds { connections: CONNECTIONS, drain: Duration::ZERO };
            let never = std::future::pending();
            accept::serve(socket, bounds, never, move |(stream, _)| {
                let known = Arc::clone(&of_server);
                async move {
                    // The Pod connects again.
                    drop(serve(stream, &known).await);
                }
            })
            .await;
        });
        Ok(Self { address, known, _server: server })
    }

    /// Admits connections of the Pod of an attempt, for as long as the link lives.
    pub(crate) fn admit(&self, name: &str, link: &Arc<PodLink>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, link| link.strong_count() > 0);
        known.insert(name.to_owned(), Arc::downgrade(link));
    }
}

/// Serves one connection of a Pod.
async fn serve(mut stream: TcpStream, known: &Known) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let greeting = tokio::time::timeout(GREETING_LIMIT, channel::greeting(&mut stream)).await??;
    let link = {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&greeting.name).and_then(Weak::upgrade)
    };
    // An attempt of another process, or one that is over.
    let Some(link) = link else { return Ok(()) };
    let random = channel::answered(&mut stream).await?;
    let (sealer, opener) = link.key.of_errand(&greeting, &random);
    let (read, write) = stream.into_split();
    let reader = SealedReader { stream: read, opener };
    let writer = SealedWriter { stream: write, sealer };
    match greeting.purpose {
        Purpose::Frames => link.converse(&greeting.pod_uid, reader, writer).await,
        Purpose::AgentApi => link.pass_on(&greeting.pod_uid, reader, writer).await,
    }
}
