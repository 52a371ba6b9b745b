//! What wakes a service.

use errand_model::event::{Missed, Overlap, Respond};
use schemars::JsonSchema;
use serde_json::Value;

/// A cron line that wakes the agent.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Schedule {
    /// Five fields, six (seconds first) or seven (and the year last), `@yearly`, `@monthly`,
    /// `@weekly`, `@daily`, `@hourly`, or `@every <duration>`.
    #[schemars(
        length(min = 1, max = 256),
        extend("examples" = ["0 */5 * * * *", "*/5 * * * *", "@hourly", "@every 30s"])
    )]
    pub cron: String,
    /// The IANA time zone that it is read in: `UTC` if left out.
    #[schemars(extend("examples" = ["UTC", "Europe/Berlin"]))]
    pub timezone: Option<String>,
    /// The payload of the wake.
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
    /// What happens to slots that passed while nothing could fire them: `fire_once` if left out.
    pub missed: Option<Missed>,
    /// What happens to a slot while the wake before it still runs: `skip` if left out.
    pub overlap: Option<Overlap>,
}

/// What listens for a service.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Listeners {
    /// One listener.
    One(Listen),
    /// Several, each with an address of its own.
    Many(Vec<Listen>),
}

/// The HTTP listener that wakes the agent.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Listen {
    /// An IP address or `localhost`, and a port; `127.0.0.1:0` (a free port) if left out. One that
    /// other machines reach needs a `secret`.
    #[schemars(
        regex(pattern = r"^.+:[0-9]{1,5}$"),
        extend("examples" = ["127.0.0.1:8080", "127.0.0.1:0"])
    )]
    pub address: Option<String>,
    /// The only path that is served; any if left out.
    #[schemars(regex(pattern = r"^/[!-~]*$"))]
    pub path: Option<String>,
    /// The only methods that are served, in upper case; any if left out.
    #[schemars(inner(regex(pattern = "^[A-Z-]{1,32}$")), extend("uniqueItems" = true))]
    pub methods: Option<Vec<String>>,
    /// The name of the secret that callers must know; one of `secrets`.
    #[schemars(regex(pattern = "^[A-Z_][A-Z0-9_]*$"))]
    pub secret: Option<String>,
    /// A longer body is answered with 413: 1 MiB if left out.
    #[schemars(range(max = 67_108_864))]
    pub max_body_bytes: Option<u64>,
    /// Longer request headers are answered with 431: 16 KiB if left out.
    #[schemars(range(min = 256, max = 1_048_576))]
    pub max_header_bytes: Option<u64>,
    /// When a request is answered: `at_end` if left out.
    pub respond: Option<Respond>,
    /// Names of hosts for which requests are taken without a secret, beside `localhost` and loopback
    /// addresses: what a proxy in front of it passes on in `Host`.
    #[schemars(inner(regex(pattern = "^[A-Za-z0-9.-]{1,253}$")), extend("uniqueItems" = true))]
    pub hosts: Option<Vec<String>>,
}
