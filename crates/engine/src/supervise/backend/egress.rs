//! Connections of an attempt's agent out of its sandbox.

use async_trait::async_trait;
use errand_agent::agent_api::{
    ConnectionFailure, EgressBackend, EgressPermit, EgressTarget, EndedConnection, Refusal,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::{EgressClosed, EventBody, PolicyDecided};
use errand_policy::{PolicyHook, PolicyVerdict};

use super::AttemptBackend;

/// Name of the policy that denies what no rule allows.
const CLOSED: &str = "egress";

#[async_trait]
impl EgressBackend for AttemptBackend {
    async fn permit_connection(&self, to: &EgressTarget) -> Result<EgressPermit, Refusal> {
        let policies = self.policies()?;
        if !policies.open(&to.host, to.port) {
            return Err(self.closed(to).await?);
        }
        loop {
            match self.permit_egress(to).await {
                // A client of a proxy does not ask again.
                Err(refusal) if refusal.code == ErrorCode::ApprovalPending => {}
                Err(refusal) => return Err(refusal),
                Ok(()) => return Ok(EgressPermit { named: policies.named_addresses(to.port) }),
            }
        }
    }

    async fn connection_ended(&self, ended: EndedConnection) -> Result<(), Refusal> {
        let (verdict, reason) = match ended.failure {
            Some(ConnectionFailure::Denied(reason)) => (PolicyVerdict::Deny, Some(reason)),
            Some(ConnectionFailure::Unreachable(reason)) => (PolicyVerdict::Allow, Some(reason)),
            None => (PolicyVerdict::Allow, None),
        };
        let closed = EgressClosed {
            host: self.masked_text(&ended.to.host),
            port: ended.to.port,
            kind: ended.to.kind.as_str().to_owned(),
            verdict: verdict.as_str().to_owned(),
            reason: reason.map(|reason| self.masked_text(&reason)),
            address: ended.address.map(|address| address.to_string()),
            sent_bytes: ended.sent_bytes,
            received_bytes: ended.received_bytes,
            duration_ms: u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
        };
        self.report_all(vec![EventBody::EgressClosed(closed)]).await
    }
}

impl AttemptBackend {
    /// Records that no rule allows a connection, and returns its refusal.
    async fn closed(&self, to: &EgressTarget) -> Result<Refusal, Refusal> {
        let subject = self.masked_text(&format!("{}:{}", to.host, to.port));
        let reason = format!("no rule of egress allows {subject}");
        let denied = PolicyVerdict::Deny.as_str().to_owned();
        let decided = PolicyDecided {
            hook: PolicyHook::OnEgress.as_str().to_owned(),
            policy: CLOSED.to_owned(),
            verdict: denied.clone(),
            enforced: denied,
            reason: Some(reason.clone()),
            by: None,
            subject: Some(subject),
            call: None,
            obligations: Vec::new(),
            labels: Vec::new(),
        };
        self.report_all(vec![EventBody::PolicyDecided(decided)]).await?;
        Ok(Refusal::new(403, ErrorCode::PolicyDenied, reason))
    }
}
