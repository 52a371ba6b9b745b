//! The target `kubernetes` passes the conformance suite of targets, but for conversations, which it refuses.

use std::sync::Arc;

use errand_api::agent_file::TargetKind;
use errand_testkit::conformance::TargetSubject;

use crate::support::{World, place};

/// Returns the subject; `None` on a machine without Pods.
fn subject() -> Option<TargetSubject> {
    let world = World::new()?;
    let (target, place) = (Arc::clone(&world.target), TargetKind::Kubernetes(place()));
    Some(TargetSubject { target, place, owner: Some(Arc::new(world)) })
}

errand_testkit::target_conformance_without_conversation!(
    kubernetes_target,
    match subject() {
        Some(subject) => subject,
        None => return,
    }
);
