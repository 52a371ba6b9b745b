//! Queries, repeated while the database is unreachable.

/// Runs a query in the method that it stands in, and returns the method's result.
macro_rules! ask {
    ($self:ident, $doing:literal, |$db:ident| $question:expr) => {{
        let mut patience = $crate::postgres::patience::Patience::new();
        loop {
            let failure = match $self.shared.reading().await {
                Ok(reading) => {
                    let $db: &$crate::postgres::db::Db = &reading;
                    match $question.await {
                        Ok(found) => return Ok(found),
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            if let Err(failure) = patience.after(failure, &$self.shared.driver).await {
                return Err(failure.explain(&$self.shared.address, $doing));
            }
        }
    }};
}
pub(super) use ask;
