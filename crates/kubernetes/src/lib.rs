//! The target `kubernetes`: agents in Pods of a cluster.
//!
//! An attempt is a Job with one Pod, and a Secret that belongs to the Job. The first process of the Pod is
//! `errand-shim`, which connects to errand ([`errand_shim::link`]): orders, files, output and calls of
//! the agent API go through that connection, never through the API server. The cluster is asked to
//! create, watch and delete; it is first connected to when an agent needs it.
//!
//! Deliberately absent: rights beyond Jobs, Pods and Secrets of one namespace, finalizers, and
//! definitions of resources of our own.

mod address;
mod adopt;
mod channel;
mod cluster;
mod job;
mod kept;
mod launch;
mod link;
mod links;
mod live;
mod pod;
mod programs;
mod returned;
mod rights;
mod start;
mod target;
mod watch;

pub use cluster::ClusterAddress;
pub use programs::copy_programs;
pub use rights::{MissingRight, missing_rights};
pub use target::{KubernetesSettings, KubernetesTarget};
