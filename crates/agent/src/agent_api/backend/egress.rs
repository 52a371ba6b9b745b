//! Backend of the connections that an agent makes through the proxy of its sandbox.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::agent_api::Refusal;

/// Answers the proxy of an agent whose sandbox has a network with errand alone.
#[async_trait]
pub trait EgressBackend {
    /// Asks the policies about a connection, and waits while a person is asked.
    ///
    /// # Errors
    ///
    /// The refusal of the connection.
    async fn permit_connection(&self, to: &EgressTarget) -> Result<EgressPermit, Refusal>;

    /// Records a connection that has ended, or that was refused.
    ///
    /// # Errors
    ///
    /// If nothing was recorded.
    async fn connection_ended(&self, ended: EndedConnection) -> Result<(), Refusal>;
}

/// Host that an agent wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressTarget {
    /// Name in lower case without a final dot, or an address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Way in which the bytes pass.
    pub kind: EgressKind,
}

/// Way in which the bytes of a connection pass the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressKind {
    /// A tunnel (`CONNECT`), of which errand sees no content.
    Tunnel,
    /// A request in clear.
    Request,
}

impl EgressKind {
    /// Returns the word of journals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Request => "request",
        }
    }
}

/// Permission for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPermit {
    /// Addresses that may be reached although they are not public: rules name each of them.
    pub named: Vec<IpAddr>,
}

/// Reason for which there is no connection, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionFailure {
    /// The host may not be reached.
    Denied(String),
    /// The host may be reached, and does not answer.
    Unreachable(String),
}

/// A connection that has ended, or that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedConnection {
    /// Host.
    pub to: EgressTarget,
    /// Address that was connected to, if one was.
    pub address: Option<IpAddr>,
    /// Reason for which there was no connection, if there was none.
    pub failure: Option<ConnectionFailure>,
    /// Bytes from the agent to the host.
    pub sent_bytes: u64,
    /// Bytes from the host to the agent.
    pub received_bytes: u64,
    /// Time from the request of the agent to the end.
    pub took: Duration,
}
