//! URLs to which reports of runs may go.

use errand_engine::outbox::{self, CallbackUrl};

use crate::Gateway;
use crate::refusal::Refusal;

/// Parses a URL to which reports may go, as far as that can be known before a request.
pub(crate) async fn allowed(gateway: &Gateway, url: &str) -> Result<CallbackUrl, Refusal> {
    let refused =
        |refused| Refusal::from(errand_engine::Error::from(outbox::CallbackProblem::from(refused)));
    let url = CallbackUrl::parse(url).map_err(refused)?;
    url.check(&gateway.callback_addresses().await?).map_err(refused)?;
    Ok(url)
}
