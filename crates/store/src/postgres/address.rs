//! Addresses of PostgreSQL registries, parsed from URLs.
//!
//! The password is never shown again: the printed form has user, host, port and database.

use std::fmt;
use std::str::FromStr as _;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::Error;

/// Schemes of a registry's URL.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Address and credentials of a registry.
#[derive(Clone)]
pub struct Address {
    config: Config,
    shown: String,
    tls: super::tls::Tls,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Parses `postgres://user:password@host:5432/database?sslmode=require`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`].
    pub fn parse(url: &str) -> Result<Self, Error> {
        if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            let reason = "it does not begin with postgres://".to_owned();
            return Err(Error::Address { reason });
        }
        let (url, tls) = super::tls::Tls::split_off(url)?;
        let config = Config::from_str(&url).map_err(|error| {
            // The parser's message names the wrong part, not its value.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Error::Address { reason: cause.unwrap_or_else(|| error.to_string()) }
        })?;
        if config.get_hosts().is_empty() {
            return Err(Error::Address { reason: "it names no host".to_owned() });
        }
        Ok(Self { shown: shown(&config), config, tls })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls(&self) -> &super::tls::Tls {
        &self.tls
    }
}

fn shown(config: &Config) -> String {
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let ports = config.get_ports();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let port = ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            }
        })
        .collect();
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
    format!("postgres://{user}{}/{database}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("postgres://ann:hush@db.example:6432/runs").unwrap();
        assert_eq!(address.to_string(), "postgres://ann@db.example:6432/runs");
        assert_eq!(format!("{address:?}"), "postgres://ann@db.example:6432/runs");
        for url in ["postgres://ann:hush@host:port/runs", "postgres://ann:hush@h/r?speed=hush"] {
            let refused = Address::parse(url).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hush"), "{refused}");
        }
    }

    #[test]
    fn invalid_urls_are_refused_with_a_reason() {
        let refused = Address::parse("host=here").unwrap_err().to_string();
        assert_eq!(refused, "the database's URL is wrong: it does not begin with postgres://");
    }
}
