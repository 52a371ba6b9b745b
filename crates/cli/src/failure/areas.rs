//! Failures of the engine's areas, which read like the same error of the whole engine.

use errand_engine::{
    Error as EngineError, agents, audit, error, evidence, garbage, launch, logs, payload, prices,
    record_file, submission, values, workers,
};

use super::Failure;

macro_rules! shown_as_engine_error {
    ($($error:ty),+ $(,)?) => {
        $(
            impl From<$error> for Failure {
                fn from(error: $error) -> Self {
                    EngineError::from(error).into()
                }
            }
        )+
    };
}

shown_as_engine_error!(
    agents::Error,
    audit::Error,
    error::IoFailure,
    error::MemberError,
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
