//! Promises of the container target, in addition to those of all targets.

use std::io::{Read as _, Seek as _};
use std::time::Duration;

use errand_agent::log::marker;
use errand_agent::target::{
    AgentOutput, Exit, LaunchSpec, Live, OrphanedAgent, Stdout, TargetStartError,
};
use errand_api::agent_file::{ContainerPlace, PullPolicy, TargetKind};
use errand_model::error_code::ErrorCode;
use errand_testkit::conformance::{Program, TestAttempt};
use errand_testkit::{LIMIT, wait_until};
use tokio::time::timeout;

use crate::support::{World, place, spec};

async fn started(world: &World, attempt: &TestAttempt, spec: &LaunchSpec) -> Box<dyn Live> {
    let start = world.target.start(spec, attempt.output());
    timeout(LIMIT, start).await.unwrap().unwrap()
}

async fn exit(live: &dyn Live) -> Exit {
    timeout(LIMIT, live.wait()).await.unwrap().unwrap()
}

async fn refused(world: &World, spec: &LaunchSpec, attempt: &TestAttempt) -> TargetStartError {
    timeout(LIMIT, world.target.start(spec, attempt.output())).await.unwrap().unwrap_err()
}

fn shell(attempt: &TestAttempt, script: &str) -> LaunchSpec {
    let argv = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    LaunchSpec { argv, ..spec(attempt, Program::Prints) }
}

#[tokio::test]
async fn an_agent_sees_its_folder_and_nothing_of_it_is_in_the_configuration_of_its_container() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let mut spec = shell(&attempt, "cat given; echo \"$SECRET\" > made; id -u; sleep 1000");
    std::fs::write(spec.cwd.join("given"), "from errand\n").unwrap();
    spec.env.push(("SECRET".into(), "hidden-value".into()));
    let (output, mut printed) = attempt.teed_output();
    let live = timeout(LIMIT, world.target.start(&spec, output)).await.unwrap().unwrap();
    let chunk = timeout(LIMIT, printed.recv()).await.unwrap().unwrap();
    assert!(chunk.bytes.starts_with(b"from errand\n"));
    let locator = live.locator();
    let id = locator.fields["id"].as_str().unwrap();
    let inspected = world.podman.run(&["inspect", id]);
    assert!(inspected.contains(attempt.run_id.as_str()), "{inspected}");
    assert!(!inspected.contains("hidden-value"), "{inspected}");
    assert!(locator.fields["image_digest"].as_str().unwrap().contains("sha256:"));
    live.stop(Duration::ZERO);
    drop(printed);
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert_eq!(std::fs::read_to_string(spec.cwd.join("made")).unwrap(), "hidden-value\n");
}

#[tokio::test]
async fn nothing_of_an_attempt_is_left_when_it_is_over() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let script = "sleep 1000 & trap '' TERM; (trap '' TERM; sleep 1000) & exit 4";
    let live = started(&world, &attempt, &shell(&attempt, script)).await;
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.stragglers >= 2), (Some(4), true), "{exit:?}");
    let label = format!("dev.errand.run={}", attempt.run_id);
    assert_eq!(world.podman.with_label(&label), Vec::<String>::new());
    let left = std::fs::read_dir(attempt.spec(Program::Prints).folder).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["run.log"]);
}

#[tokio::test]
async fn a_container_that_uses_more_memory_than_it_may_is_out_of_memory() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let mut spec = shell(&attempt, "exec tail -c 1000000000 /dev/zero");
    spec.memory_limit_bytes = Some(32 * 1024 * 1024);
    let live = started(&world, &attempt, &spec).await;
    let exit = exit(live.as_ref()).await;
    assert!(exit.oom_kills > 0, "{exit:?}");
}

#[tokio::test]
async fn a_user_other_than_root_may_use_the_folder_of_its_attempt() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let mut spec = shell(&attempt, "id -u; echo done > made");
    let user = Some("1234:1234".to_owned());
    spec.place = TargetKind::Container(ContainerPlace { user, ..place() });
    let live = started(&world, &attempt, &spec).await;
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.stdout.in_memory()), (Some(0), b"1234\n".as_slice()), "{exit:?}");
}

#[tokio::test]
async fn a_container_has_few_rights_and_those_that_its_agent_file_names() {
    let Some(world) = World::new() else { return };
    let script = "sed -n 's/^CapEff:\\t//p; s/^NoNewPrivs:\\t//p' /proc/self/status; \
                  touch /in-image && echo image; touch /tmp/scratch && echo scratch; echo kept > made && cat made";
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    for (capabilities, read_only_root, expect) in [
        (None, false, "00000000000000eb\n1\nimage\nscratch\nkept\n"),
        (names(&[]), false, "0000000000000000\n1\nscratch\nkept\n"),
        (names(&["NET_BIND_SERVICE"]), true, "0000000000000400\n1\nscratch\nkept\n"),
    ] {
        let attempt = TestAttempt::default();
        let mut spec = shell(&attempt, script);
        spec.place =
            TargetKind::Container(ContainerPlace { capabilities, read_only_root, ..place() });
        let live = started(&world, &attempt, &spec).await;
        let exit = exit(live.as_ref()).await;
        let printed = String::from_utf8_lossy(exit.stdout.in_memory()).into_owned();
        assert_eq!(printed, expect, "{exit:?}");
    }
    let attempt = TestAttempt::default();
    let script = "i=0; while [ $i -lt 64 ]; do sleep 10 & i=$((i+1)); done; echo many";
    let mut spec = shell(&attempt, script);
    spec.pids = Some(32);
    let live = started(&world, &attempt, &spec).await;
    let exit = exit(live.as_ref()).await;
    assert_ne!(exit.code, Some(0), "{exit:?}");
    assert!(!String::from_utf8_lossy(exit.stdout.in_memory()).contains("many"), "{exit:?}");
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_and_leaves_nothing() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let code = |error: &TargetStartError| {
        if let TargetStartError::Refused { code, .. } = error { Some(*code) } else { None }
    };
    let mut missing = spec(&attempt, Program::Prints);
    missing.argv = vec!["no-such-program".into()];
    let error = refused(&world, &missing, &attempt).await;
    assert!(matches!(error, TargetStartError::NotFound { .. }), "{error:?}");
    let of = |place: ContainerPlace| LaunchSpec {
        place: TargetKind::Container(place),
        ..spec(&attempt, Program::Prints)
    };
    let image = "localhost/none:1".to_owned();
    let error = refused(&world, &of(ContainerPlace { image, ..place() }), &attempt).await;
    assert_eq!(code(&error), Some(ErrorCode::ImageNotFound), "{error:?}");
    let (image, pull) = ("localhost/none:1".to_owned(), PullPolicy::Never);
    let error = refused(&world, &of(ContainerPlace { image, pull, ..place() }), &attempt).await;
    assert_eq!(code(&error), Some(ErrorCode::ImageNotFound), "{error:?}");
    let runtime = Some("no-such-runtime".to_owned());
    let error = refused(&world, &of(ContainerPlace { runtime, ..place() }), &attempt).await;
    assert_eq!(code(&error), Some(ErrorCode::ContainerRefused), "{error:?}");
    let label = format!("dev.errand.run={}", attempt.run_id);
    assert_eq!(world.podman.with_label(&label), Vec::<String>::new());
}

/// Output of an attempt whose log says that the attempt began.
fn logged_output(attempt: &TestAttempt) -> AgentOutput {
    let output = attempt.output();
    output.log.system(&marker::began(attempt.spec(Program::Prints).attempt, "initial"));
    output
}

fn orphan(attempt: &TestAttempt, live: &dyn Live) -> OrphanedAgent {
    OrphanedAgent {
        run_id: attempt.run_id.clone(),
        attempt: attempt.spec(Program::Prints).attempt,
        locator: live.locator(),
        has_memory_limit: false,
    }
}

async fn adopted(world: &World, attempt: &TestAttempt, agent: &OrphanedAgent) -> Box<dyn Live> {
    assert!(world.target.can_adopt(agent));
    timeout(LIMIT, world.target.adopt(agent, attempt.output())).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_agent_is_adopted_with_all_of_its_output() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let script = "n=0; while [ ! -e go-on ]; do n=$((n+1)); printf \"$n \"; echo e$n >&2; \
                  sleep 0.001; done; printf last; exit 3";
    let spec = shell(&attempt, script);
    let start = world.target.start(&spec, logged_output(&attempt));
    let mut live = timeout(LIMIT, start).await.unwrap().unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let agent = orphan(&attempt, live.as_ref());
        drop(live);
        // The tasks of the supervisor that is gone have to end: they hold the pipe.
        tokio::task::yield_now().await;
        live = adopted(&world, &attempt, &agent).await;
    }
    std::fs::write(spec.cwd.join("go-on"), "").unwrap();
    let exit = exit(live.as_ref()).await;
    assert_eq!(exit.code, Some(3), "{exit:?}");
    let log = attempt.log();
    let errors: Vec<u32> =
        log.lines().filter_map(|line| line.split_once(" stderr F e")?.1.parse().ok()).collect();
    let total = u32::try_from(errors.len()).unwrap();
    assert_eq!(errors, (1..=total).collect::<Vec<_>>());
    let expect: String = (1..=total).map(|n| format!("{n} ")).chain(["last".to_owned()]).collect();
    let printed = match &exit.stdout {
        Stdout::Memory(bytes) => bytes.clone(),
        Stdout::File { file, .. } => {
            let (mut file, mut bytes) = (file.as_ref(), Vec::new());
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        }
        Stdout::TooLong | Stdout::Unwritten(_) => panic!("{exit:?}"),
    };
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(printed, expect);
    live.settled().await;
    assert_eq!(world.target.kept(), []);
}

#[tokio::test]
async fn the_end_of_an_agent_that_nobody_watched_is_found_by_its_adopter() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let spec =
        shell(&attempt, "echo one; while [ ! -e go-on ]; do sleep 0.01; done; echo two; exit 4");
    let start = world.target.start(&spec, logged_output(&attempt));
    let live = timeout(LIMIT, start).await.unwrap().unwrap();
    let agent = orphan(&attempt, live.as_ref());
    drop(live);
    std::fs::write(spec.cwd.join("go-on"), "").unwrap();
    let folder = agent.locator.fields["folder"].as_str().unwrap().to_owned();
    let ended = std::path::Path::new(&folder).join("control/ended");
    wait_until("it ends", LIMIT, || ended.exists());
    let live = adopted(&world, &attempt, &agent).await;
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.stdout.in_memory()), (Some(4), b"one\ntwo\n".as_slice()));
    // One that died before it recorded the end finds it again.
    let live = {
        drop(live);
        adopted(&world, &attempt, &agent).await
    };
    let again = timeout(LIMIT, live.wait()).await.unwrap().unwrap();
    assert_eq!((again.code, again.stdout.in_memory()), (Some(4), b"one\ntwo\n".as_slice()));
}

#[tokio::test]
async fn a_container_that_was_removed_meanwhile_was_killed() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let spec = shell(&attempt, "sleep 1000");
    let start = world.target.start(&spec, logged_output(&attempt));
    let live = timeout(LIMIT, start).await.unwrap().unwrap();
    let agent = orphan(&attempt, live.as_ref());
    drop(live);
    let id = agent.locator.fields["id"].as_str().unwrap();
    let _removed = world.podman.run(&["rm", "-f", "-t", "0", id]);
    let live = adopted(&world, &attempt, &agent).await;
    assert_eq!(exit(live.as_ref()).await.signal, Some(9));
}

#[tokio::test]
async fn what_is_left_of_an_attempt_is_forgotten_and_no_other_container() {
    let Some(world) = World::new() else { return };
    let (first, second) = (TestAttempt::default(), TestAttempt::default());
    for attempt in [&first, &second] {
        drop(started(&world, attempt, &shell(attempt, "sleep 1000")).await);
    }
    let of = |attempt: &TestAttempt| {
        world.podman.with_label(&format!("dev.errand.run={}", attempt.run_id)).len()
    };
    let kept = world.target.kept();
    assert_eq!(kept.len(), 2);
    let number = first.spec(Program::Prints).attempt;
    timeout(LIMIT, world.target.forget(&first.run_id, number)).await.unwrap().unwrap();
    assert_eq!((of(&first), of(&second)), (0, 1));
    timeout(LIMIT, world.target.forget(&second.run_id, number)).await.unwrap().unwrap();
    assert_eq!((of(&second), world.target.kept()), (0, Vec::new()));
}

#[tokio::test]
async fn an_attempt_is_forgotten_at_the_engine_that_has_its_container() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    drop(started(&world, &attempt, &shell(&attempt, "sleep 1000")).await);
    let number = attempt.spec(Program::Prints).attempt;
    let elsewhere = world.with_engine("unix:///no/such/engine.sock");
    timeout(LIMIT, elsewhere.forget(&attempt.run_id, number)).await.unwrap().unwrap();
    let label = format!("dev.errand.run={}", attempt.run_id);
    assert_eq!(world.podman.with_label(&label), Vec::<String>::new());
    assert_eq!(world.target.kept(), []);
}
