//! Settings of the doors of a process.

/// Settings of all doors of a process.
#[derive(Clone, Debug, Default)]
pub struct DoorSettings {
    /// Proxies on the way to providers.
    pub proxies: ProxySettings,
}

/// Proxies on the way to providers, as `curl` and SDKs read them from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Proxy for `http://` (`http_proxy`).
    pub http: Option<String>,
    /// Proxy for `https://` (`HTTPS_PROXY`).
    pub https: Option<String>,
    /// Hosts that are reached without a proxy (`NO_PROXY`).
    pub none: Option<String>,
}
