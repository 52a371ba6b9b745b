//! Refusals for errors of the engine's areas, which read like the same error of the whole engine.

use errand_engine::{
    Error as EngineError, admit, again, ask, audit, bom, error, evidence, garbage, launch, log,
    logs, outbox, payload, people, prices, reconcile, record_file, remove, replay, sessions,
    submission, submit, values, workers,
};

use super::Refusal;

macro_rules! shown_as_engine_error {
    ($($error:ty),+ $(,)?) => {
        $(
            impl From<$error> for Refusal {
                fn from(error: $error) -> Self {
                    EngineError::from(error).into()
                }
            }
        )+
    };
}

shown_as_engine_error!(
    admit::Error,
    again::Error,
    ask::Error,
    audit::Error,
    bom::Error,
    error::IoFailure,
    error::NoRandomness,
    error::PayloadRefused,
    evidence::Error,
    garbage::Error,
    launch::Error,
    log::Error,
    logs::Error,
    outbox::Error,
    payload::Error,
    people::Error,
    prices::Error,
    reconcile::Error,
    record_file::Error,
    remove::Error,
    replay::Error,
    sessions::Error,
    submission::Error,
    submit::Error,
    values::Error,
    workers::Error,
);
