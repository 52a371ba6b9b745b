//! A part of an agent's day is promised, or taken back.

use async_trait::async_trait;

use super::Operation;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{DayReservation, DayReserved};
use errand_model::RunId;

/// [`crate::Store::reserve`].
pub(in crate::postgres) struct Reserve(pub(in crate::postgres) DayReservation);

#[async_trait]
impl Operation for Reserve {
    type Output = DayReserved;

    const DOING: &'static str = "reserves a part of a day";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}

/// [`crate::Store::release`].
pub(in crate::postgres) struct Release {
    pub(in crate::postgres) run_id: RunId,
    pub(in crate::postgres) ids: Vec<String>,
}

#[async_trait]
impl Operation for Release {
    type Output = ();

    const DOING: &'static str = "takes promises back";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}
