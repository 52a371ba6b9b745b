//! Address of a bus, as people write it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use errand_api::catalog::BusAddress;
use errand_blobs::is_variable_of_s3;

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
    /// A queue of SQS.
    Sqs {
        /// Host of the service.
        host: String,
        /// Account and name of the queue: `123456789012/tasks`.
        queue: String,
    },
}

/// User and password of a bus. `Debug` does not show the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BusCredentials {
    /// Name of the user; `None`: the default one.
    pub user: Option<String>,
    /// Password of the user; `None`: that of the address, if it has one.
    pub password: Option<String>,
    /// Variables of AWS, for queues of SQS.
    pub aws: BTreeMap<String, String>,
}

impl BusCredentials {
    /// Returns credentials without user and password, with the variables of AWS of an environment.
    pub fn of(environment: &BTreeMap<OsString, OsString>) -> Self {
        let of_aws = |(name, value): (&OsString, &OsString)| {
            let (name, value) = (name.to_str()?, value.to_str()?);
            let is_wanted = is_variable_of_s3(name) && !value.is_empty();
            is_wanted.then(|| (name.to_owned(), value.to_owned()))
        };
        let aws = environment.iter().filter_map(of_aws).collect();
        Self { user: None, password: None, aws }
    }
}

impl fmt::Debug for BusCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusCredentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl BusLocation {
    /// Parses `redis://[user:password@]host[:port][/database][?stream=NAME]`, `rediss://` for TLS,
    /// `sqs://host/account/queue`, or the URL of a queue of SQS.
    ///
    /// # Errors
    ///
    /// [`BusFault::AddressInvalid`].
    pub fn parse(text: &str) -> Result<Self, BusError> {
        let refuse = |reason: &str| {
            Err(BusError::new(without_credentials(text), BusFault::AddressInvalid, reason))
        };
        let queue = text.strip_prefix("sqs://").or_else(|| text.strip_prefix("https://"));
        if let Some(queue) = queue {
            let is_good = |part: &str| !part.is_empty() && !part.contains(['?', '#', '@']);
            return match queue.split_once('/') {
                Some((host, queue)) if is_good(host) && is_queue(queue) => {
                    Ok(Self::Sqs { host: host.to_owned(), queue: queue.to_owned() })
                }
                Some(_) | None => refuse("a queue of SQS is written sqs://host/account/queue"),
            };
        }
        if !text.starts_with("redis://") && !text.starts_with("rediss://") {
            return refuse("an address begins with redis://, rediss:// or sqs://");
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
            (None, Some(queue)) => Self::parse(queue),
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
            Self::Sqs { .. } => Ok(()),
        }
    }
}

/// Returns true for account and name of a queue.
fn is_queue(text: &str) -> bool {
    let is_name = |part: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && part.bytes().all(is_letter)
    };
    text.split_once('/').is_some_and(|(account, name)| is_name(account) && is_name(name))
}

impl fmt::Display for BusLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqs { host, queue } => write!(f, "sqs://{host}/{queue}"),
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
        assert_eq!(parsed("sqs://sqs.h/12/tasks"), shown("sqs://sqs.h/12/tasks"));
        assert_eq!(parsed("https://sqs.h/12/t.fifo"), shown("sqs://sqs.h/12/t.fifo"));
        let debug = format!("{:?}", BusLocation::parse("redis://me:secret@host:1/2").unwrap());
        assert!(!debug.contains("secret"), "{debug}");
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for text in [
            "",
            "host",
            "kafka://host",
            "redis://",
            "redis://h?db=1",
            "redis://h:x",
            "sqs://h",
            "sqs://h/1/a b",
            "sqs:///1/q",
            "https://h/a/b/c",
        ] {
            let said = parsed(text).unwrap_err();
            assert!(said.starts_with("the bus "), "{text}: {said}");
        }
        let said = parsed("kafka://me:secret@host").unwrap_err();
        assert!(!said.contains("secret"), "{said}");
    }
}
