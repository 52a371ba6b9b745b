//! Refusals for errors of the engine's areas, which read like the same error of the whole engine.

use errand_engine::{
    Error as EngineError, audit, error, evidence, garbage, launch, logs, payload, prices,
    record_file, submission, values, workers,
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
    audit::Error,
    error::IoFailure,
    error::NoRandomness,
    error::PayloadRefused,
    evidence::Error,
    garbage::Error,
    launch::Error,
    logs::Error,
    payload::Error,
    prices::Error,
    record_file::Error,
    submission::Error,
    values::Error,
    workers::Error,
);
