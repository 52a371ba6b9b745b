//! Connections with the settings that correctness needs.

use std::future::poll_fn;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Connection, NoTls, Notification};

use super::Address;
use super::db::Db;
use super::driver::Handle;
use super::failure::Failure;

/// Settings of every connection.
///
/// An acknowledged commit is on the disk, whatever the server's default is. A process that stops in
/// the middle of a transaction (it may be suspended for minutes) loses the transaction and its
/// locks.
const SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local'); \
     SET client_min_messages = warning; SET jit = off; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '5s'; SET default_transaction_isolation = \
     'read committed'; SET timezone = 'UTC'";

/// Settings for statements that find a few rows by their keys, however old the statistics are: one
/// plan a statement, through the indexes.
const BY_KEY: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Changes of a few rows found by key.
    Write,
    /// Queries of any kind.
    Read,
}

/// Opens a connection.
pub(super) async fn connect(
    address: &Address,
    driver: &Handle,
    purpose: Purpose,
) -> Result<Db, Failure> {
    connect_listening(address, driver, purpose, None).await
}

/// Opens a connection whose notifications are sent to `notified`.
pub(super) async fn connect_listening(
    address: &Address,
    driver: &Handle,
    purpose: Purpose,
    notified: Option<mpsc::Sender<Notification>>,
) -> Result<Db, Failure> {
    let mut config = address.config().clone();
    if config.get_application_name().is_none() {
        config.application_name("errand");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_FOR);
    }
    let client = if config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = config.connect(NoTls).await?;
        driver.keep(carry(connection, notified)).await?;
        client
    } else {
        let (client, connection) = config.connect(address.tls().connector()?).await?;
        driver.keep(carry(connection, notified)).await?;
        client
    };
    let db = Db::new(client);
    match purpose {
        Purpose::Read => db.batch(SETTINGS).await?,
        // One round trip to the server: after an outage every caller waits for this.
        Purpose::Write => db.batch(&format!("{SETTINGS}; {BY_KEY}")).await?,
    }
    Ok(db)
}

/// Drives a connection until it ends, which its next user notices.
async fn carry<S, T>(mut connection: Connection<S, T>, notified: Option<mpsc::Sender<Notification>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let (AsyncMessage::Notification(notification), Some(notified)) = (message, &notified) {
            // A notification without room is lost: that is only a delay.
            drop(notified.try_send(notification));
        }
    }
}

/// Time limit of opening a connection.
const CONNECT_FOR: std::time::Duration = std::time::Duration::from_secs(10);
