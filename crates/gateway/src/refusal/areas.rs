//! Refusals for errors of the engine's areas, which read like the same error of the whole engine.

use super::Refusal;

errand_engine::from_area_errors!(Refusal);
