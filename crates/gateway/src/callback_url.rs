//! URLs to which reports of runs may go.

use errand_engine::outbox::{self, CallbackUrl};

use crate::Gateway;
use crate::refusal::Refusal;

/// Parses a URL to which reports may go, as far as that can be known before a request.
pub(crate) async fn allowed(gateway: &Gateway, url: &str) -> Result<CallbackUrl, Refusal> {
    let refuse =
        |reason| Refusal::from(errand_engine::Error::from(outbox::CallbackProblem::from(reason)));
    let url = CallbackUrl::parse(url).map_err(refuse)?;
    url.check(&gateway.callback_addresses().await?).map_err(refuse)?;
    Ok(url)
}
