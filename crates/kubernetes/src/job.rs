//! Job and Secret of an attempt, as the API server takes them.

use std::net::SocketAddr;

use errand_agent::target::{LaunchSpec, SharedAccess};
use errand_api::agent_file::{KubernetesPlace, kept_capabilities};
use errand_model::{Digest, RunId};
use errand_shim::file;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

/// Name of the target.
pub(crate) const NAME: &str = "kubernetes";
/// Label with the id of the run.
pub(crate) const RUN_LABEL: &str = "dev.errand.run";
/// Label with the number of the attempt.
pub(crate) const ATTEMPT_LABEL: &str = "dev.errand.attempt";
/// Label with the mark of the registry.
pub(crate) const REGISTRY_LABEL: &str = "dev.errand.registry";
/// Annotation of a Job whose agent is frozen.
pub(crate) const FROZEN: &str = "dev.errand/frozen";
/// Name of the container in which the agent lives.
pub(crate) const CONTAINER: &str = "agent";
/// Hexadecimal digits of a registry's mark.
const MARK_DIGITS: usize = 40;
/// Seconds for which a Job lives on that errand did not remove after its end.
const KEEP_SECONDS: u64 = 3_600;
/// Seconds after the run's own time limit, or in all without one, after which the cluster ends a Job that
/// no errand ends any more: paused runs, and nights in which no errand looks, must fit.
const BACKSTOP_SECONDS: u64 = 7 * 24 * 3_600;
/// Seconds that processes of a Pod have to end when the cluster ends it.
const GRACE_SECONDS: u64 = 30;
/// Name of the volume for everything that an attempt writes.
const FILES: &str = "files";
/// Volume for `/tmp` where the image's files are read-only.
const SCRATCH: &str = "scratch";

/// Order for the Job of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobOrder<'a> {
    pub(crate) spec: &'a LaunchSpec,
    pub(crate) place: &'a KubernetesPlace,
    pub(crate) registry: &'a str,
    pub(crate) shim_image: &'a str,
}

/// Returns the mark of a registry: its folder on its machine, as a label may have it.
pub(crate) fn registry_mark(machine: &str, folder: &str) -> String {
    let digest = Digest::of(format!("{machine}:{folder}").as_bytes()).to_string();
    digest.rsplit(':').next().unwrap_or_default().chars().take(MARK_DIGITS).collect()
}

/// Returns the name of the Job and of the Secret of an attempt.
pub(crate) fn name(run_id: &RunId, attempt: u32) -> String {
    format!("errand-{run_id}-{attempt}").to_ascii_lowercase()
}

/// Returns the selector of everything of a run, or of one attempt.
pub(crate) fn selector(registry: &str, run_id: &RunId, attempt: Option<u32>) -> String {
    let run_id = run_id.as_str().to_ascii_lowercase();
    let of_run = format!("{REGISTRY_LABEL}={registry},{RUN_LABEL}={run_id}");
    match attempt {
        Some(attempt) => format!("{of_run},{ATTEMPT_LABEL}={attempt}"),
        None => of_run,
    }
}

impl JobOrder<'_> {
    fn labels(&self) -> Value {
        json!({
            RUN_LABEL: self.spec.run_id.as_str().to_ascii_lowercase(),
            ATTEMPT_LABEL: self.spec.attempt.to_string(),
            REGISTRY_LABEL: self.registry,
            "app.kubernetes.io/managed-by": "errand",
        })
    }

    pub(crate) fn name(&self) -> String {
        name(&self.spec.run_id, self.spec.attempt)
    }

    /// Returns the Job, suspended: its Pod needs the Secret, which belongs to the Job.
    ///
    /// # Errors
    ///
    /// If errand and the library differ about the form of a Job, which is a bug.
    pub(crate) fn job(&self) -> serde_json::Result<Job> {
        let labels = self.labels();
        serde_json::from_value(json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": self.name(), "labels": labels },
            "spec": {
                "suspend": true,
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 0,
                "activeDeadlineSeconds": self.deadline_seconds(),
                "ttlSecondsAfterFinished": KEEP_SECONDS,
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": { "rules": [
                    { "action": "FailJob", "onPodConditions": [
                        { "type": "DisruptionTarget", "status": "True" },
                    ] },
                ] },
                "template": { "metadata": { "labels": labels }, "spec": self.pod() },
            },
        }))
    }

    fn deadline_seconds(&self) -> u64 {
        let limit = self.spec.time_limit.unwrap_or_default().as_secs();
        limit.saturating_add(BACKSTOP_SECONDS)
    }

    fn pod(&self) -> Value {
        let place = self.place;
        let mut pod = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "initContainers": [self.programs()],
            "containers": [self.container()],
            "volumes": [
                { "name": "secret", "secret": { "secretName": self.name(), "defaultMode": 0o444 } },
                { "name": "programs", "emptyDir": {} },
                { "name": FILES, "emptyDir": {} },
            ],
        });
        if let Some(account) = &place.service_account {
            pod["serviceAccountName"] = json!(account);
        }
        if let Some(class) = &place.runtime_class {
            pod["runtimeClassName"] = json!(class);
        }
        if place.read_only_root
            && let Some(volumes) = pod["volumes"].as_array_mut()
        {
            volumes.push(json!({ "name": SCRATCH, "emptyDir": {} }));
        }
        if !place.image_pull_secrets.is_empty() {
            let named = |name: &String| json!({ "name": name });
            pod["imagePullSecrets"] = place.image_pull_secrets.iter().map(named).collect();
        }
        if !place.node_selector.is_empty() {
            pod["nodeSelector"] = json!(place.node_selector);
        }
        pod
    }

    /// Returns the container that brings errand's programs into the Pod.
    fn programs(&self) -> Value {
        json!({
            "name": "errand",
            "image": self.shim_image,
            "command": ["errand", "internal", "pod-programs", file::POD_PROGRAMS],
            "volumeMounts": [{ "name": "programs", "mountPath": file::POD_PROGRAMS }],
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
            },
        })
    }

    fn container(&self) -> Value {
        let mut limits = json!({});
        if let Some(millis) = self.spec.cpu_millis {
            limits["cpu"] = json!(format!("{millis}m"));
        }
        if let Some(bytes) = self.spec.memory_limit_bytes {
            limits["memory"] = json!(bytes.to_string());
        }
        json!({
            "name": CONTAINER,
            "image": self.place.image,
            "command": [file::SHIM, "pod"],
            "env": [{
                "name": file::POD_UID,
                "valueFrom": { "fieldRef": { "fieldPath": "metadata.uid" } },
            }],
            "resources": { "limits": limits },
            "terminationMessagePolicy": "File",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": self.place.read_only_root,
                "capabilities": {
                    "drop": ["ALL"],
                    "add": kept_capabilities(self.place.capabilities.as_deref()),
                },
            },
            "volumeMounts": self.mounts(),
        })
    }

    fn mounts(&self) -> Value {
        let programs = |path: &str, name: &str| json!({ "name": "programs", "mountPath": path, "subPath": name, "readOnly": true });
        let mut mounts = vec![
            json!({ "name": "secret", "mountPath": file::SECRET, "readOnly": true }),
            programs(file::SHIM, "shim"),
            programs(file::PROGRAMS, "bin"),
            programs("/.errand/whole", "whole"),
            programs(file::LIBRARIES, "lib"),
            json!({ "name": FILES, "mountPath": file::CONTROL, "subPath": "control" }),
        ];
        let mut seen = Vec::new();
        let shared = self.spec.shared.iter().map(|shared| (&shared.path, shared.access));
        let cwd = (&self.spec.cwd, SharedAccess::Write);
        for (number, (path, _)) in shared.chain([cwd]).enumerate() {
            if !seen.contains(&path) {
                let (path, part) = (path.display().to_string(), format!("shared-{number}"));
                mounts.push(json!({ "name": FILES, "mountPath": path, "subPath": part }));
            }
            seen.push(path);
        }
        if self.place.read_only_root {
            mounts.push(json!({ "name": SCRATCH, "mountPath": "/tmp" }));
        }
        json!(mounts)
    }

    /// Returns the Secret of a Job, with everything that its Pod has to know.
    ///
    /// # Errors
    ///
    /// As [`JobOrder::job`].
    pub(crate) fn secret(
        &self,
        job: &Job,
        (address, key): (SocketAddr, &str),
    ) -> serde_json::Result<Secret> {
        let name = self.name();
        serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "labels": self.labels(),
                "ownerReferences": [{
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": name,
                    "uid": job.metadata.uid.clone().unwrap_or_default(),
                }],
            },
            "type": "Opaque",
            "stringData": {
                file::ADDRESS: address.to_string(),
                file::KEY: key,
                file::NAME: name,
            },
        }))
    }
}

/// Returns true if a Job is that of an attempt of this registry.
pub(crate) fn is_of_attempt(job: &Job, registry: &str, run_id: &RunId, attempt: u32) -> bool {
    let labels = job.metadata.labels.clone().unwrap_or_default();
    let has = |label: &str, value: &str| labels.get(label).is_some_and(|found| found == value);
    has(RUN_LABEL, &run_id.as_str().to_ascii_lowercase())
        && has(ATTEMPT_LABEL, &attempt.to_string())
        && has(REGISTRY_LABEL, registry)
}
