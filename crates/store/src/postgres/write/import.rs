//! A run that was kept elsewhere is taken in.

use async_trait::async_trait;

use super::Operation;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::{Admission, Admitted};

/// [`crate::Store::import`].
pub(in crate::postgres) struct Import(pub(in crate::postgres) Admission);

#[async_trait]
impl Operation for Import {
    type Output = Admitted;

    const DOING: &'static str = "takes a run in";

    fn locks(&self) -> Vec<String> {
        Vec::new()
    }

    async fn run(&self, _: &Db) -> Result<Self::Output, Failure> {
        Err(Failure::Refused(crate::Error::WriterGone))
    }
}
