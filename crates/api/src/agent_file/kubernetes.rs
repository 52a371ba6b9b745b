//! The target `kubernetes`: an image and what its Pod is given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::at::At;
use super::capability::CapabilityName;
use super::names;
use super::reader::Reader;
use super::scalar::{ImageReference, Labels, scalars};
use super::shape::ReadNamed;

/// A Pod of a Kubernetes cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct KubernetesPlace {
    /// The image, by tag or digest.
    #[schemars(with = "ImageReference")]
    pub image: String,
    /// Namespace of the Pod: that of errand's own configuration of the cluster if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KubernetesName")]
    pub namespace: Option<String>,
    /// Service account of the Pod, whose token the Pod does not get: the namespace's default if left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KubernetesName")]
    pub service_account: Option<String>,
    /// Runtime class of the Pod, such as `gvisor`: the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KubernetesName")]
    pub runtime_class: Option<String>,
    /// Labels that the node of the Pod has to have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Labels")]
    pub node_selector: BTreeMap<String, String>,
    /// Secrets of the namespace with credentials of registries, for the pull of the images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<KubernetesName>", length(max = 16))]
    pub image_pull_secrets: Vec<String>,
    /// Makes the image's files read-only; `/tmp` stays writable: `false` if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root: bool,
    /// Capabilities of Linux that root has in the Pod; all others are dropped. If left out: `CHOWN`,
    /// `DAC_OVERRIDE`, `FOWNER`, `KILL`, `SETGID` and `SETUID`, for files and processes of all users of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<CapabilityName>", length(max = 64))]
    pub capabilities: Option<Vec<String>>,
}

scalars! {
    /// The name of an object of Kubernetes.
    KubernetesName as "KubernetesName" = {
        "type": "string",
        "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "examples": ["agents"]
    }, kubernetes_name;
}

fn kubernetes_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "lower-case letters, digits and '-', at most 63 characters, a letter or digit first \
                and last";
    reader.text_that(at, names::is_kubernetes_name, "cannot be a name in Kubernetes", hint)
}
