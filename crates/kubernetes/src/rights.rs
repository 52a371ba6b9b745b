//! Rights that errand needs in a namespace, and the question which of them it lacks.

use errand_agent::target::TargetStartError;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use crate::cluster::{Cluster, ClusterAddress, refusal};

/// API group, resource and verbs of each right; the last is only for a better message.
const RIGHTS: [(&str, &str, &[&str]); 4] = [
    ("batch", "jobs", &["create", "get", "list", "watch", "patch", "delete"]),
    ("", "pods", &["get", "list", "watch", "delete"]),
    ("", "secrets", &["create", "patch", "delete"]),
    ("", "events", &["list"]),
];

/// A right that errand's account lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// Namespace that was asked about.
    pub namespace: String,
    /// Resource, such as `jobs.batch`.
    pub resource: String,
    /// Verb, such as `create`.
    pub verb: String,
    /// False for a right that only makes messages better.
    pub is_needed: bool,
}

/// Asks the cluster which rights errand lacks in a namespace; in that of the configuration if none is
/// given. Returns the namespace that was asked about, too.
///
/// # Errors
///
/// If the cluster cannot be asked.
pub async fn missing_rights(
    address: &ClusterAddress,
    namespace: Option<&str>,
) -> Result<(String, Vec<MissingRight>), TargetStartError> {
    let cluster = Cluster::open(address).await?;
    let namespace = namespace.unwrap_or(&cluster.namespace).to_owned();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let mut missing = Vec::new();
    for (group, resource, verbs) in RIGHTS {
        for verb in verbs {
            let attributes = ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                namespace: Some(namespace.clone()),
                verb: Some((*verb).to_owned()),
                ..ResourceAttributes::default()
            };
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let answered = reviews.create(&PostParams::default(), &review).await;
            let answered =
                answered.map_err(|error| refusal("tell errand's rights", &namespace, &error))?;
            if !answered.status.is_some_and(|status| status.allowed) {
                let point = if group.is_empty() { "" } else { "." };
                missing.push(MissingRight {
                    namespace: namespace.clone(),
                    resource: format!("{resource}{point}{group}"),
                    verb: (*verb).to_owned(),
                    is_needed: resource != "events",
                });
            }
        }
    }
    Ok((namespace, missing))
}
