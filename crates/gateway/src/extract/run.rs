//! Extractor of the run in a path.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use errand_model::RunId;
use errand_store::Stored;

use super::Params;
use crate::Gateway;
use crate::auth::Caller;
use crate::refusal::Refusal;

/// The stored run of `{run_id}` in the path, in the caller's namespace.
#[derive(Debug)]
pub(crate) struct OneRun(pub(crate) Box<Stored>);

impl FromRequestParts<Gateway> for OneRun {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, gateway).await?;
        let params = Params::from_request_parts(parts, gateway).await?;
        let text = params.get("run_id")?;
        let run_id: RunId = text
            .parse()
            .map_err(|_| Refusal::parameter("run_id", format!("{text:?} is no run's id")))?;
        let stored = gateway.engine().store().load(&run_id).await?;
        let own = stored.filter(|stored| stored.run.spec.namespace == caller.namespace);
        own.map(|stored| Self(Box::new(stored))).ok_or_else(|| Refusal::no_run(text))
    }
}
