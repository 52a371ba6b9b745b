//! From an address to a connection that may be trusted.

use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use super::Address;
use super::db::Db;
use super::driver::Handle;
use super::failure::Failure;

/// What holds on every connection.
///
/// An acknowledged commit is on the disk, whatever the server's default is. Whoever stops in the
/// middle of a transaction (a process can be stopped for minutes) loses it and the locks with it.
const SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local'); \
     SET client_min_messages = warning; SET jit = off; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '5s'; SET default_transaction_isolation = \
     'read committed'; SET timezone = 'UTC'";

/// What holds where a few rows are found by their keys, however old the statistics are: one plan a
/// statement, by way of the indexes.
const BY_KEY: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_hashjoin = off; SET enable_mergejoin = off";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Changes: a few rows by their keys.
    Write,
    /// Questions of any kind.
    Read,
}

/// Connects.
pub(super) async fn connect(
    address: &Address,
    driver: &Handle,
    purpose: Purpose,
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
        // Its end is noticed by whoever uses it next.
        driver.keep(async move { drop(connection.await) }).await?;
        client
    } else {
        let (client, connection) = config.connect(address.tls().connector()?).await?;
        // As above.
        driver.keep(async move { drop(connection.await) }).await?;
        client
    };
    let db = Db::new(client);
    db.batch(SETTINGS).await?;
    if purpose == Purpose::Write {
        db.batch(BY_KEY).await?;
    }
    Ok(db)
}

/// How long a connection may take to come about.
const CONNECT_FOR: std::time::Duration = std::time::Duration::from_secs(10);
