//! Address of a bus, as people write it.

use std::fmt;

use errand_api::catalog::BusAddress;

use crate::error::{BusError, BusFault};

/// Stream of tasks, unless another one is named.
const STREAM: &str = "errand:tasks";

/// Place of a queue of messages.
#[derive(Clone, PartialEq, Eq)]
pub enum BusLocation {
    /// A stream of a Redis server.
    Redis {
        /// Address of the server, without query; may have credentials.
        url: String,
        /// Name of the stream.
        stream: String,
    },
}

/// User and password of a bus. `Debug` does not show the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BusCredentials {
    /// Name of the user; `None`: the default one.
    pub user: Option<String>,
    /// Password of the user; `None`: that of the address, if it has one.
    pub password: Option<String>,
}

impl fmt::Debug for BusCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusCredentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl BusLocation {
    /// Parses `redis://[user:password@]host[:port][/database][?stream=NAME]`, or `rediss://` for TLS.
    ///
    /// # Errors
    ///
    /// [`BusFault::AddressInvalid`].
    pub fn parse(text: &str) -> Result<Self, BusError> {
        let refuse = |reason: &str| {
            Err(BusError::new(without_credentials(text), BusFault::AddressInvalid, reason))
        };
        if !text.starts_with("redis://") && !text.starts_with("rediss://") {
            return refuse("an address begins with redis:// or rediss://");
        }
        let (url, query) = text.split_once('?').unwrap_or((text, ""));
        let stream = match query.split_once('=') {
            None if query.is_empty() => STREAM,
            Some(("stream", name)) if !name.is_empty() && !name.contains(['&', '%']) => name,
            Some(_) | None => return refuse("the only query is ?stream=NAME"),
        };
        let location = Self::Redis { url: url.to_owned(), stream: stream.to_owned() };
        location.check().map(|()| location)
    }

    /// Returns the bus of a dispatcher's definition.
    ///
    /// # Errors
    ///
    /// [`BusFault::AddressInvalid`].
    pub fn of(address: &BusAddress) -> Result<Self, BusError> {
        match (&address.redis, &address.sqs) {
            (Some(url), None) => {
                let stream = address.stream.clone().unwrap_or_else(|| STREAM.to_owned());
                let location = Self::Redis { url: url.clone(), stream };
                location.check().map(|()| location)
            }
            (None, Some(queue)) => {
                let reason = "queues of SQS are not supported yet";
                Err(BusError::new(queue.clone(), BusFault::AddressInvalid, reason))
            }
            (None, None) | (Some(_), Some(_)) => {
                let reason = "a bus has one of redis and sqs";
                Err(BusError::new("without address", BusFault::AddressInvalid, reason))
            }
        }
    }

    /// Checks that the client of the bus can read the address.
    fn check(&self) -> Result<(), BusError> {
        match self {
            Self::Redis { url, .. } => match redis::Client::open(url.as_str()) {
                Ok(_) => Ok(()),
                Err(error) => {
                    let reason = error.to_string();
                    Err(BusError::new(self.to_string(), BusFault::AddressInvalid, &reason))
                }
            },
        }
    }
}

impl fmt::Display for BusLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis { url, stream } if stream == STREAM => {
                f.write_str(&without_credentials(url))
            }
            Self::Redis { url, stream } => {
                write!(f, "{}?stream={stream}", without_credentials(url))
            }
        }
    }
}

impl fmt::Debug for BusLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusLocation({self})")
    }
}

/// Returns an address without the part before an `@`.
fn without_credentials(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (_, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        BusLocation::parse(text).map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_has_a_server_and_a_stream_and_never_shows_its_password() {
        let shown = |text: &str| Ok(text.to_owned());
        assert_eq!(parsed("redis://host"), shown("redis://host"));
        assert_eq!(parsed("redis://me:secret@host:1/2"), shown("redis://host:1/2"));
        assert_eq!(parsed("rediss://host?stream=a:b"), shown("rediss://host?stream=a:b"));
        let debug = format!("{:?}", BusLocation::parse("redis://me:secret@host:1/2").unwrap());
        assert!(!debug.contains("secret"), "{debug}");
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for text in ["", "host", "kafka://host", "redis://", "redis://h?db=1", "redis://h:x"] {
            let said = parsed(text).unwrap_err();
            assert!(said.starts_with("the bus "), "{text}: {said}");
        }
        let said = parsed("kafka://me:secret@host").unwrap_err();
        assert!(!said.contains("secret"), "{said}");
    }
}
