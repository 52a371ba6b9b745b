//! Controller of Jobs: makes their Pods, follows them, and lets what a Job owns go with it.

use serde_json::{Value, json};

use super::objects::Objects;

/// Follows all changes until nothing is left to do.
pub(super) fn reconcile(objects: &mut Objects, quota: Option<&str>) {
    loop {
        let before = objects.version();
        for job in objects.all("jobs") {
            follow(objects, &job, quota);
        }
        for resource in ["pods", "secrets"] {
            for owned in objects.all(resource) {
                remove_orphan(objects, resource, &owned);
            }
        }
        if objects.version() == before {
            return;
        }
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn is_owned(object: &Value, uid: &str) -> bool {
    object["metadata"]["ownerReferences"][0]["uid"].as_str() == Some(uid)
}

fn follow(objects: &mut Objects, job: &Value, quota: Option<&str>) {
    let (name, namespace, uid) = (text(job, "name"), text(job, "namespace"), text(job, "uid"));
    let pods = objects.all("pods").into_iter().filter(|pod| is_owned(pod, uid));
    let pods: Vec<Value> = pods.collect();
    let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
    let is_over = !job["status"]["conditions"].is_null();
    if pods.is_empty() && !is_over && job["spec"]["suspend"] != true && job["status"].is_null() {
        if let Some(message) = quota {
            refuse(objects, (name, namespace), message);
            return;
        }
        let mut pod = job["spec"]["template"].clone();
        pod["metadata"]["generateName"] = json!(format!("{name}-"));
        pod["metadata"]["labels"]["job-name"] = json!(name);
        pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!(name);
        pod["metadata"]["ownerReferences"] = json!([{ "kind": "Job", "name": name, "uid": uid }]);
        pod["status"] = json!({ "phase": "Pending" });
        let _made = objects.create("pods", namespace, pod);
        let status = json!({ "status": { "active": 1 } });
        let _merged = objects.merge(("jobs", namespace, name), &status);
        return;
    }
    if is_over || job["status"].is_null() {
        return;
    }
    let condition = |kind: &str, reason: &str| {
        json!({ "status": {
            "active": 0,
            "conditions": [{ "type": kind, "status": "True", "reason": reason }],
            (if kind == "Complete" { "succeeded" } else { "failed" }): 1,
        } })
    };
    let change = if pods.iter().any(|pod| phase(pod) == "Succeeded") {
        condition("Complete", "Completed")
    } else if pods.iter().all(|pod| phase(pod) == "Failed") {
        condition("Failed", "BackoffLimitExceeded")
    } else {
        return;
    };
    let _merged = objects.merge(("jobs", namespace, name), &change);
}

fn refuse(objects: &mut Objects, (job, namespace): (&str, &str), message: &str) {
    let name = format!("{job}.failed");
    if objects.get("events", namespace, &name).is_none() {
        let event = json!({
            "metadata": { "name": name },
            "involvedObject": { "kind": "Job", "name": job },
            "type": "Warning", "reason": "FailedCreate", "message": message,
        });
        let _made = objects.create("events", namespace, event);
    }
}

fn remove_orphan(objects: &mut Objects, resource: &str, owned: &Value) {
    let Some(owner) = owned["metadata"]["ownerReferences"][0]["uid"].as_str() else { return };
    if objects.all("jobs").iter().any(|job| text(job, "uid") == owner) {
        return;
    }
    let (namespace, name) = (text(owned, "namespace"), text(owned, "name"));
    delete(objects, (resource, namespace, name), 30);
}

/// Deletes an object. A Pod of a node is only marked: its node ends it, and then deletes it for good.
pub(super) fn delete(
    objects: &mut Objects,
    key: (&str, &str, &str),
    grace_seconds: u64,
) -> Option<Value> {
    let (resource, namespace, name) = key;
    let found = objects.get(resource, namespace, name)?;
    let phase = found["status"]["phase"].as_str().unwrap_or_default();
    let lives = resource == "pods"
        && !found["spec"]["nodeName"].is_null()
        && !["Succeeded", "Failed"].contains(&phase);
    if !lives || grace_seconds == 0 {
        return objects.remove(key);
    }
    let known = found["metadata"]["deletionGracePeriodSeconds"].as_u64();
    if known.is_some_and(|known| known <= grace_seconds) {
        return Some(found.clone());
    }
    let mark = json!({ "metadata": {
        "deletionTimestamp": "2099-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": grace_seconds,
    } });
    objects.merge(key, &mark)
}
