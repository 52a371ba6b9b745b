//! Refusals of cross-site requests from browsers to an open server on this machine.

use axum::http::{HeaderMap, Method, Uri};
use errand_api::error_code::ErrorCode;
use errand_engine::cross_site::{CrossSite, SameSite};

use crate::refusal::Refusal;

/// Refuses requests that no program on this machine would send.
///
/// # Errors
///
/// `host_refused` or `origin_refused`.
pub(super) fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match (SameSite { hosts: &[], is_harmless }).check(uri, headers) {
        Ok(()) => Ok(()),
        Err(CrossSite::Host(host)) => {
            let detail = format!("the request is for {host:?}, and this server is open");
            Err(Refusal::new(ErrorCode::HostRefused, detail)
                .at("host")
                .hint("use http://127.0.0.1 or http://localhost, or make an API key"))
        }
        Err(CrossSite::Origin) => {
            let detail = "a web page of another origin asks, and this server is open";
            Err(Refusal::new(ErrorCode::OriginRefused, detail)
                .at("origin")
                .hint("make an API key: no page has it"))
        }
    }
}
