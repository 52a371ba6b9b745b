//! Failures of the engine's areas, which read like the same error of the whole engine.

use super::Failure;

errand_engine::from_area_errors!(Failure);
errand_engine::from_area_errors!(
    Failure:
    errand_engine::agents::Error,
    errand_engine::error::MemberError,
);
