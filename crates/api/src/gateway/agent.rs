//! Registered agents: what they are called, and which versions of them there are.

use super::routes::Area;

/// Routes about agents.
pub const AREA: Area =
    Area { name: "agents", says: "Registered agents and their versions.", routes: &[] };
