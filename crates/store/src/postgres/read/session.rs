//! Sessions.

use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{
    ResultLookup, Session, SessionMessage, SessionPage, SessionResult, SessionState, Turn,
};
use errand_model::{RunId, Timestamp};

pub(in crate::postgres) async fn turn(_: &Db, _: &RunId) -> Result<Turn, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn sessions(
    _: &Db,
    _: &SessionPage,
) -> Result<Vec<Session>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session_summary(
    _: &Db,
    _: &str,
) -> Result<Option<Session>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session(_: &Db, _: &str) -> Result<Option<SessionState>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session_length(_: &Db, _: &str) -> Result<u64, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session_messages(
    _: &Db,
    _: &str,
    _: Option<u64>,
    _: u32,
) -> Result<Vec<SessionMessage>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session_result(
    _: &Db,
    _: &ResultLookup,
    _: Timestamp,
) -> Result<Option<SessionResult>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session_results(
    _: &Db,
    _: &str,
    _: Timestamp,
) -> Result<Vec<SessionResult>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}

pub(in crate::postgres) async fn session_rollbacks(_: &Db, _: &str) -> Result<Vec<RunId>, Failure> {
    Err(Failure::Refused(crate::Error::WriterGone))
}
