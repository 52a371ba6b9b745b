//! Queue in a stream of a Redis server, read by a consumer group.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, cmd};
use tokio::sync::Mutex;

use crate::error::{BusError, BusFault};
use crate::location::BusCredentials;
use crate::message::BusMessage;
use crate::queue::{MessageQueue, Received, Settled};

/// Group of the dispatchers.
const GROUP: &str = "errand";
/// Field of an entry with the text of its message.
const FIELD: &[u8] = b"m";
/// Time for which a read waits for messages. A consumer that is to end waits for it, too.
const READ_WAITS: Duration = Duration::from_secs(1);
/// Time for a server to answer, beyond the time for which it is asked to wait.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Time for a connection to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Deliveries of a message; its consumers died during all of them.
const DELIVERIES: u64 = 8;
/// Most entries of the stream of dead messages.
const DEAD_ENTRIES: u32 = 10_000;

/// Entry of a stream: its id and its fields, which are gone if it was trimmed.
type Entry = (String, Option<HashMap<Vec<u8>, Vec<u8>>>);

/// Stream of a Redis server.
pub(crate) struct RedisStream {
    /// Name of the bus for errors.
    name: String,
    url: String,
    stream: String,
    credentials: BusCredentials,
    /// Name in the group; empty for a sender.
    consumer: String,
    /// Time of silence after which messages of another consumer are taken over.
    silent_after: Duration,
    /// Connection that waits for messages.
    reader: Mutex<Option<MultiplexedConnection>>,
    /// Connection for everything else.
    writer: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for RedisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RedisStream {
    pub(crate) fn new(
        name: String,
        (url, stream): (&str, &str),
        credentials: BusCredentials,
        (consumer, silent_after): (String, Duration),
    ) -> Self {
        Self {
            name,
            url: url.to_owned(),
            stream: stream.to_owned(),
            credentials,
            consumer,
            silent_after,
            reader: Mutex::default(),
            writer: Mutex::default(),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        use redis::IntoConnectionInfo as _;
        // Fails if a provider is installed already, which is the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let info = self.url.as_str().into_connection_info()?;
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &self.credentials.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.credentials.password {
            settings = settings.set_password(password);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(READ_WAITS + ANSWERS_WITHIN));
        let client = redis::Client::open(info.set_redis_settings(settings))?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Asks over a connection, which is made first if there is none, and given up after an error of
    /// the connection.
    async fn ask<T: FromRedisValue>(
        &self,
        connection: &Mutex<Option<MultiplexedConnection>>,
        request: &Request<'_>,
    ) -> Result<T, RedisError> {
        let known = connection.lock().await.clone();
        let mut live = match known {
            Some(live) => live,
            None => {
                let live = self.connect().await?;
                connection.lock().await.insert(live).clone()
            }
        };
        let answered = match request {
            Request::One(command) => command.query_async(&mut live).await,
            Request::Several(pipeline) => pipeline.query_async(&mut live).await,
        };
        if let Err(error) = &answered
            && (error.is_io_error() || error.is_unrecoverable_error() || error.is_timeout())
        {
            *connection.lock().await = None;
        }
        answered
    }

    async fn write<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.ask(&self.writer, &Request::One(command)).await
    }

    /// Returns the error of a bus for one of its server.
    fn error(&self, error: &RedisError) -> BusError {
        let fault = match error.code() {
            Some("NOPERM" | "NOAUTH" | "WRONGPASS") => BusFault::Denied,
            Some("WRONGTYPE" | "NOGROUP") => BusFault::QueueMissing,
            Some(_) | None if error.kind() == redis::ErrorKind::AuthenticationFailed => {
                BusFault::Denied
            }
            Some(_) | None => BusFault::Unreachable,
        };
        BusError::new(&self.name, fault, &error.to_string())
    }

    /// Makes the group, and with it the stream, unless they exist. A new group reads the stream from
    /// its beginning: nothing in it was taken.
    async fn make_group(&self) -> Result<(), BusError> {
        let mut make = cmd("XGROUP");
        make.arg("CREATE").arg(&self.stream).arg(GROUP).arg("0").arg("MKSTREAM");
        match self.write::<()>(&make).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            made => made.map_err(|error| self.error(&error)),
        }
    }

    /// Reads with the group: new messages with `>`, those that this consumer has already from `0` on.
    async fn read(&self, from: &str, most: usize) -> Result<Vec<Received>, BusError> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(most);
        if from == ">" {
            read.arg("BLOCK").arg(u64::try_from(READ_WAITS.as_millis()).unwrap_or(u64::MAX));
        }
        read.arg("STREAMS").arg(&self.stream).arg(from);
        let request = Request::One(&read);
        match self.ask::<Option<Vec<(String, Vec<Entry>)>>>(&self.reader, &request).await {
            Ok(found) => {
                let entries = found.into_iter().flatten().flat_map(|(_, entries)| entries);
                Ok(entries.map(received).collect())
            }
            // The stream was removed, or the server has forgotten everything.
            Err(error) if error.code() == Some("NOGROUP") => {
                self.make_group().await.map(|()| Vec::new())
            }
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Takes over messages of silent consumers.
    async fn claim(&self, most: usize) -> Result<Vec<Received>, BusError> {
        let mut claim = cmd("XAUTOCLAIM");
        let idle = u64::try_from(self.silent_after.as_millis()).unwrap_or(u64::MAX);
        claim.arg(&self.stream).arg(GROUP).arg(&self.consumer).arg(idle).arg("0-0");
        claim.arg("COUNT").arg(most);
        match self.write::<(String, Vec<Entry>, Vec<String>)>(&claim).await {
            Ok((_, entries, _)) => self.without_dead(entries.into_iter().map(received)).await,
            Err(error) if error.code() == Some("NOGROUP") => {
                self.make_group().await.map(|()| Vec::new())
            }
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Removes messages that were delivered too often.
    async fn without_dead(
        &self,
        found: impl Iterator<Item = Received> + Send,
    ) -> Result<Vec<Received>, BusError> {
        let found: Vec<Received> = found.collect();
        let mut counts = redis::pipe();
        for one in &found {
            let at = &one.receipt;
            counts.cmd("XPENDING").arg(&self.stream).arg(GROUP).arg(at).arg(at).arg(1);
        }
        if found.is_empty() {
            return Ok(found);
        }
        let counts: Vec<Vec<(String, String, u64, u64)>> = self
            .ask(&self.writer, &Request::Several(&counts))
            .await
            .map_err(|error| self.error(&error))?;
        let mut live = Vec::with_capacity(found.len());
        let mut dead = Vec::new();
        for (received, count) in found.into_iter().zip(counts) {
            let deliveries = count.first().map_or(0, |(_, _, _, deliveries)| *deliveries);
            if deliveries > DELIVERIES {
                let Received { receipt, text, .. } = received;
                let reason = format!("its consumers died: it was delivered {deliveries} times");
                dead.push(Settled::Dead { receipt, text, reason });
            } else {
                live.push(received);
            }
        }
        self.settle(&dead).await.map(|()| live)
    }

    /// Removes entries that every group of the stream has read and acknowledged.
    async fn trim(&self) -> Result<(), BusError> {
        let groups: Result<Vec<HashMap<String, redis::Value>>, _> =
            self.write(cmd("XINFO").arg("GROUPS").arg(&self.stream)).await;
        let groups = match groups {
            // The stream does not exist.
            Err(error) if error.code() == Some("ERR") => return Ok(()),
            groups => groups.map_err(|error| self.error(&error))?,
        };
        let mut keep_from: Option<StreamPosition> = None;
        for group in &groups {
            let text = |name: &str| {
                group.get(name).and_then(|it| String::from_redis_value(it.clone()).ok())
            };
            let (Some(name), Some(last)) = (text("name"), text("last-delivered-id")) else {
                return Ok(());
            };
            let mut pending = cmd("XPENDING");
            pending.arg(&self.stream).arg(name);
            let pending: (u64, Option<String>, Option<String>, redis::Value) =
                self.write(&pending).await.map_err(|error| self.error(&error))?;
            let Some(position) = StreamPosition::parse(&pending.1.unwrap_or(last)) else {
                return Ok(());
            };
            keep_from = Some(keep_from.map_or(position, |known| known.min(position)));
        }
        let Some(StreamPosition(ms, number)) = keep_from else { return Ok(()) };
        let mut trim = cmd("XTRIM");
        trim.arg(&self.stream).arg("MINID").arg("~").arg(format!("{ms}-{number}"));
        self.write::<u64>(&trim).await.map(drop).map_err(|error| self.error(&error))
    }
}

/// Request to a server.
enum Request<'a> {
    One(&'a Cmd),
    Several(&'a Pipeline),
}

/// Position in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StreamPosition(u64, u64);

impl StreamPosition {
    fn parse(text: &str) -> Option<Self> {
        let (ms, number) = text.split_once('-')?;
        Some(Self(ms.parse().ok()?, number.parse().ok()?))
    }
}

fn received((receipt, fields): Entry) -> Received {
    let text = fields.as_ref().and_then(|fields| fields.get(FIELD));
    let text = text.map(|text| String::from_utf8_lossy(text).into_owned());
    let message = match &text {
        Some(text) => BusMessage::parse(text),
        None => Err("it has no field m".to_owned()),
    };
    Received { receipt, message, text: text.unwrap_or_default() }
}

#[async_trait]
impl MessageQueue for RedisStream {
    async fn publish(&self, message: &BusMessage) -> Result<(), BusError> {
        let mut add = cmd("XADD");
        add.arg(&self.stream).arg("*").arg(FIELD).arg(message.to_text());
        self.write::<String>(&add).await.map(drop).map_err(|error| self.error(&error))
    }

    async fn begin(&self) -> Result<Vec<Received>, BusError> {
        self.make_group().await?;
        let mut found = self.read("0", usize::from(u16::MAX)).await?;
        // A trimmed entry is none of a message any more.
        found.retain(|received| !received.text.is_empty() || received.message.is_ok());
        self.without_dead(found.into_iter()).await
    }

    async fn receive(&self, most: usize) -> Result<Vec<Received>, BusError> {
        self.read(">", most).await
    }

    async fn maintain(&self, most: usize) -> Result<Vec<Received>, BusError> {
        let claimed = self.claim(most).await?;
        self.trim().await?;
        Ok(claimed)
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), BusError> {
        let mut claim = cmd("XCLAIM");
        claim.arg(&self.stream).arg(GROUP).arg(&self.consumer).arg(0).arg(receipts).arg("JUSTID");
        self.write::<Vec<String>>(&claim).await.map(drop).map_err(|error| self.error(&error))
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), BusError> {
        if settled.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for one in settled {
            if let Settled::Dead { text, reason, .. } = one {
                let stream = format!("{}:dead", self.stream);
                let add = pipeline.cmd("XADD").arg(stream).arg("MAXLEN").arg("~").arg(DEAD_ENTRIES);
                add.arg("*").arg(FIELD).arg(text).arg("why").arg(reason).ignore();
            }
        }
        let ack = pipeline.cmd("XACK").arg(&self.stream).arg(GROUP);
        for one in settled {
            let (Settled::Done { receipt } | Settled::Dead { receipt, .. }) = one;
            ack.arg(receipt);
        }
        ack.ignore();
        let done: Result<(), RedisError> =
            self.ask(&self.writer, &Request::Several(&pipeline)).await;
        done.map_err(|error| self.error(&error))
    }
}
