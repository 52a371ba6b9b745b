//! Refusals of a cluster: each has a code, says what to do, and leaves nothing behind.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::target::{Target as _, TargetStartError};
use errand_api::agent_file::TargetKind;
use errand_kubernetes::{KubernetesSettings, KubernetesTarget, missing_rights};
use errand_model::error_code::ErrorCode;
use errand_testkit::LIMIT;
use errand_testkit::cluster::ScriptedRefusal;
use errand_testkit::conformance::{Program, TestAttempt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{World, place, settings, spec};

fn code_of(error: TargetStartError) -> (ErrorCode, String) {
    let TargetStartError::Refused { code, message } = error else { panic!("{error:?}") };
    (code, message)
}

async fn refused(world: &World) -> (ErrorCode, String) {
    let attempt = TestAttempt::default();
    let spec = spec(&attempt, Program::Sleeps);
    let start = world.target.start(&spec, attempt.output());
    code_of(timeout(LIMIT, start).await.unwrap().unwrap_err())
}

async fn checked(settings: KubernetesSettings) -> Result<(), (ErrorCode, String)> {
    let target = KubernetesTarget::new(settings);
    let place = TargetKind::Kubernetes(place());
    timeout(LIMIT, target.check(&place)).await.unwrap().map_err(code_of)
}

#[tokio::test]
async fn what_the_cluster_refuses_is_refused_before_the_run() {
    let world = World::without_node();
    let given = || settings(&world.cluster, world.folder.path());
    assert_eq!(checked(given()).await, Ok(()));
    let check = async |settings: KubernetesSettings, code: ErrorCode| {
        let (found, message) = checked(settings).await.unwrap_err();
        assert_eq!(found, code, "{message}");
    };
    check(KubernetesSettings { agent_api: None, ..given() }, ErrorCode::ClusterUnconfigured).await;
    let agent_api = Some("http://a".to_owned());
    check(KubernetesSettings { agent_api, ..given() }, ErrorCode::ClusterUnconfigured).await;
    check(KubernetesSettings { shim_image: None, ..given() }, ErrorCode::ClusterUnconfigured).await;
    let mut elsewhere = given();
    elsewhere.cluster.context = Some("none".to_owned());
    check(elsewhere, ErrorCode::ClusterUnreachable).await;
    let mut nowhere = given();
    nowhere.cluster.kubeconfig = vec!["/nonexistent".into()];
    check(nowhere, ErrorCode::ClusterUnreachable).await;
    let scripted = [
        (401, "Unauthorized", "Unauthorized", ErrorCode::ClusterUnauthorized),
        (403, "Forbidden", "jobs.batch is forbidden", ErrorCode::ClusterForbidden),
        (404, "NotFound", "namespaces \"agents\" not found", ErrorCode::ClusterForbidden),
        (403, "Forbidden", "exceeded quota: jobs", ErrorCode::ClusterRefused),
        (422, "Invalid", "spec is invalid", ErrorCode::ClusterRefused),
        (500, "InternalError", "etcd is away", ErrorCode::ClusterUnreachable),
    ];
    for (code, reason, message, expect) in scripted {
        let (method, resource) = ("POST", "jobs");
        world.cluster.refuse(ScriptedRefusal { method, resource, code, reason, message });
        check(given(), expect).await;
        world.cluster.accept();
    }
    assert_eq!(world.cluster.all("jobs"), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_start_that_is_refused_leaves_nothing() {
    let world = World::without_node();
    let (resource, code) = ("secrets", 403);
    let (method, reason, message) = ("POST", "Forbidden", "secrets is forbidden");
    world.cluster.refuse(ScriptedRefusal { method, resource, code, reason, message });
    assert_eq!(refused(&world).await.0, ErrorCode::ClusterForbidden);
    assert_eq!(world.cluster.all("jobs"), Vec::<serde_json::Value>::new());
    assert_eq!(world.target.kept(), []);
}

#[tokio::test]
async fn a_name_that_a_foreigner_has_is_refused_and_the_foreigner_stays() {
    let world = World::without_node();
    let attempt = TestAttempt::default();
    let name = format!("errand-{}-1", attempt.run_id);
    let job = json!({ "metadata": { "name": name }, "spec": { "suspend": true } });
    world.cluster.put("jobs", "agents", job);
    let spec = spec(&attempt, Program::Sleeps);
    let start = world.target.start(&spec, attempt.output());
    let (code, message) = code_of(timeout(LIMIT, start).await.unwrap().unwrap_err());
    assert_eq!(code, ErrorCode::JobNameTaken, "{message}");
    timeout(LIMIT, world.target.forget(&attempt.run_id, 1)).await.unwrap().unwrap();
    assert_eq!(world.cluster.all("jobs").len(), 1);
}

/// Waits until the log of an attempt has a text while its Pod waits, and checks that the supervisor hears
/// the same.
async fn waits(world: &World, status: serde_json::Value, expect: &str) {
    let attempt = TestAttempt::default();
    let target = Arc::clone(&world.target);
    let (spec, output) = (spec(&attempt, Program::Sleeps), attempt.output());
    let mut heard = output.waits.heard();
    let mut starting = JoinSet::new();
    starting.spawn(async move { target.start(&spec, output).await.map(drop) });
    let shown = async {
        while !attempt.log().contains(expect) {
            for pod in world.cluster.all("pods") {
                let name = pod["metadata"]["name"].as_str().unwrap();
                world.cluster.merge("pods", name, &json!({ "status": status }));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, shown).await.unwrap_or_else(|_| panic!("{expect}: {}", attempt.log()));
    let told = timeout(LIMIT, heard.next()).await.unwrap();
    assert_eq!(format!("the Pod waits: {}: {}", told.reason, told.message), expect);
    starting.shutdown().await;
    timeout(LIMIT, world.target.forget(&attempt.run_id, 1)).await.unwrap().unwrap();
    assert_eq!(world.cluster.all("jobs"), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn log_and_supervisor_are_told_for_what_a_pod_waits() {
    let world = World::without_node();
    let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/3 nodes are available" }] });
    waits(&world, unscheduled, "the Pod waits: Unschedulable: 0/3 nodes are available").await;
    let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "back-off" } });
    let container = json!([{ "name": "agent", "image": "agent:1", "imageID": "", "ready": false,
        "restartCount": 0, "state": waiting }]);
    let pulling = json!({ "containerStatuses": container });
    waits(&world, pulling, "the Pod waits: ImagePullBackOff: back-off (agent:1)").await;
    world.cluster.exceed_quota("exceeded quota: pods");
    waits(&world, json!({}), "the Pod waits: FailedCreate: exceeded quota: pods").await;
}

#[tokio::test]
async fn an_image_name_that_is_none_fails_at_once() {
    let world = World::without_node();
    let waiting = json!({ "waiting": { "reason": "InvalidImageName", "message": "no" } });
    let container = json!([{ "name": "agent", "image": "x", "imageID": "", "ready": false,
        "restartCount": 0, "state": waiting }]);
    let change = json!({ "status": { "containerStatuses": container } });
    let marked = async {
        loop {
            for pod in world.cluster.all("pods") {
                world.cluster.merge("pods", pod["metadata"]["name"].as_str().unwrap(), &change);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        (code, message) = refused(&world) => {
            assert_eq!(code, ErrorCode::ImageNotFound, "{message}");
        }
        () = marked => {}
    }
    assert_eq!(world.cluster.all("jobs"), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn missing_rights_are_listed() {
    let world = World::without_node();
    let address = settings(&world.cluster, world.folder.path()).cluster;
    let (namespace, missing) = missing_rights(&address, None).await.unwrap();
    assert_eq!((namespace.as_str(), missing.len()), ("agents", 0));
    world.cluster.deny("patch", "jobs");
    world.cluster.deny("list", "events");
    let (_, missing) = missing_rights(&address, Some("other")).await.unwrap();
    let shown: Vec<_> =
        missing.iter().map(|it| (it.verb.as_str(), it.resource.as_str(), it.is_needed)).collect();
    assert_eq!(shown, [("patch", "jobs.batch", true), ("list", "events", false)]);
}
