//! Parameters of a URL's query.

use errand_api::agent_protocol::path;

use super::Refusal;

/// Decodes the parameters, in order.
pub(super) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = path::decode(name).zip(path::decode(value));
            decoded
                .ok_or_else(|| Refusal::request(format!("the parameter {pair:?} is not encoded")))
        })
        .collect()
}

/// Refuses a parameter that a call does not have.
pub(super) fn unknown(name: &str, known: &str) -> Refusal {
    Refusal::request(format!("there is no parameter {name:?} here, but {known}"))
}
