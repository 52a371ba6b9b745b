//! Images of container agents: what a run is made from, whatever happens to tags and engines meanwhile.

use std::path::Path;

use errand_testkit::podman::Podman;
use errand_testkit::{LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::Value;

use crate::containers::{COUNTER, assert_counted, contained, containers, world};
use crate::support::{finish, log, prints, record, sandbox, start, wait_for_record};

/// Agent in a container of an image with a name of its own.
fn in_image(image: &str, script: &str) -> TestAgent {
    let target =
        format!("target: {{ type: container, image: '{image}', network: none, pull: never }}");
    TestAgent::shell(script).spec(&target)
}

/// Lets a name stand for an image whose file `/which` has a word. Returns the id of the image.
fn move_tag(podman: &Podman, name: &str, word: &str) -> String {
    podman.changed_image(name, &format!("echo {word} > /which"));
    format!("sha256:{}", podman.run(&["image", "inspect", "--format", "{{.Id}}", name]))
}

fn park(sandbox: &Sandbox, podman: &Podman, agent: &Path) -> String {
    let run_id = start(sandbox, agent, &[]);
    let parked = wait_for_record(sandbox, &run_id, "the run is parked", |record| {
        record["status"] == "paused" && record["pid"].is_null()
    });
    assert_eq!(parked["attempts"][0]["status"], "stopped", "{parked:#}");
    assert_eq!(containers(podman, &run_id), Vec::<String>::new(), "no container waits");
    run_id
}

const PARKING: &str = "errand agent step before -- sh -c 'echo before >> steps'\n\
     errand agent approve --action deploy --target production --park\n\
     errand agent step after -- sh -c 'echo after >> steps'\n\
     cat /which steps\n";

#[test]
fn a_parked_run_goes_on_in_a_new_container_of_the_image_that_its_tag_had() {
    let Some((sandbox, podman)) = world() else { return };
    let name = "localhost/parked:1";
    let first = move_tag(&podman, name, "first");
    let agent = sandbox.agent(&in_image(name, PARKING));
    let run_id = park(&sandbox, &podman, &agent);
    let second = move_tag(&podman, name, "second");
    assert_ne!(first, second);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    let ended = finish(&sandbox, &run_id);
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let shown = log(&sandbox, &run_id);
    assert!(shown.contains("first\nbefore\nafter\n") && !shown.contains("second"), "{shown}");
    let image = &ended["bom"]["image"];
    assert_eq!((&image["reference"], &image["id"]), (&name.into(), &first.as_str().into()));
    let used = |attempt: usize| &ended["attempts"][attempt]["container"]["image_digest"];
    assert_eq!((used(0), used(1)), (&image["digest"], &image["digest"]), "{ended:#}");
    let bom = sandbox.errand(["bom", &run_id]).run().ok().json();
    let listed = bom["components"].as_array().unwrap();
    let listed = listed.iter().find(|it| it["type"] == "container").unwrap();
    let digest = image["digest"].as_str().unwrap().rsplit_once('@').unwrap().1;
    assert_eq!((&listed["name"], &listed["version"]), (&name.into(), &digest.into()), "{listed}");
    let compared = sandbox.errand(["bom", "--diff", "--json", &run_id]);
    let compared = compared.arg(&agent).run();
    assert!(!compared.stdout().contains("image:"), "{}", compared.describe());
}

#[test]
fn an_attempt_whose_image_is_gone_fails_and_says_which_image() {
    let Some((sandbox, podman)) = world() else { return };
    let name = "localhost/gone:1";
    let first = move_tag(&podman, name, "first");
    let agent = sandbox.agent(&in_image(name, PARKING));
    let run_id = park(&sandbox, &podman, &agent);
    let digest = record(&sandbox, &run_id)["bom"]["image"]["digest"].clone();
    let _second = move_tag(&podman, name, "second");
    let _removed = podman.run(&["rmi", &first]);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    let ended = finish(&sandbox, &run_id);
    let error = &ended["last_error"];
    assert_eq!((&ended["status"], &error["code"]), (&"failed".into(), &"image_not_found".into()));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(name) && message.contains(digest.as_str().unwrap()), "{message}");
}

#[test]
fn a_retry_uses_the_image_of_the_first_attempt_and_the_next_run_that_of_the_tag() {
    let Some((sandbox, podman)) = world() else { return };
    let name = "localhost/retried:1";
    let _first = move_tag(&podman, name, "first");
    let script = "cat /which; echo line 1; until [ -e go-on ]; do sleep 0.1; done\n\
                  [ \"$ERRAND_ATTEMPT\" = 2 ] || exit 1\n";
    let policy = "retry_policy: { max_retries: 1, backoff: none }";
    let agent = sandbox.agent(&in_image(name, script).spec(policy));
    let run_id = start(&sandbox, &agent, &[]);
    prints(&sandbox, &run_id, 1);
    let _second = move_tag(&podman, name, "second");
    let workspace = record(&sandbox, &run_id)["attempts"][0]["workspace"]["path"].clone();
    let flag = Path::new(workspace.as_str().unwrap()).join("go-on");
    std::fs::write(flag, "").unwrap();
    let ended = finish(&sandbox, &run_id);
    assert_eq!(
        (&ended["status"], &ended["attempt"]),
        (&"completed".into(), &2.into()),
        "{ended:#}"
    );
    let shown = log(&sandbox, &run_id);
    assert_eq!(
        (shown.matches("first").count(), shown.matches("second").count()),
        (2, 0),
        "{shown}"
    );
    let script = "cat /which\n";
    let next = in_image(name, script).named("next").write_below(&sandbox.repo());
    assert!(sandbox.errand(["run"]).arg(&next).run().ok().stdout().contains("second"));
}

#[test]
fn a_strict_replay_is_made_from_the_image_of_its_run() {
    let Some((sandbox, podman)) = world() else { return };
    let name = "localhost/replayed:1";
    let _first = move_tag(&podman, name, "first");
    let script = "errand agent step dice -- sh -c 'head -c 4 /dev/urandom | od -An -tx1'\n\
                  cat /which > report.txt; errand agent artifact report.txt; cat /which\n\
                  errand agent output \"$(cat /which)\"\n";
    let agent = sandbox.agent(&in_image(name, script));
    let recorded = sandbox.errand(["run", "--json"]).arg(&agent).run().ok().json();
    let run_id = recorded["run_id"].as_str().unwrap();
    let _second = move_tag(&podman, name, "second");
    let words = ["replay", run_id, "--policy", "strict", "--json"];
    let replay = sandbox.errand(words).run().ok().json();
    assert_eq!(replay["identical"], true, "{replay:#}");
    let replay_id = replay["replay_run_id"].as_str().unwrap();
    assert_eq!(record(&sandbox, replay_id)["bom"]["image"], recorded["bom"]["image"]);
    assert_eq!(record(&sandbox, replay_id)["output"], "first");
}

/// Returns how many lines an agent has printed.
fn printed(sandbox: &Sandbox, run_id: &str) -> usize {
    let shown = sandbox.errand(["logs", run_id]).run().ok().stdout();
    shown.lines().filter(|line| line.starts_with("line ")).count()
}

#[test]
fn an_agent_outlives_the_service_of_its_engine() {
    let Some(podman) = Podman::of_test("outlived") else { return };
    let mut sandbox = sandbox();
    sandbox.set_env("DOCKER_HOST", podman.address());
    let run_id = start(&sandbox, &sandbox.agent(&contained(COUNTER, "")), &[]);
    prints(&sandbox, &run_id, 5);
    podman.kill_service();
    let without = printed(&sandbox, &run_id);
    prints(&sandbox, &run_id, without + 10);
    let living = record(&sandbox, &run_id);
    assert_eq!(living["status"], "running", "its agent lives: {living:#}");
    podman.start_service();
    let again = printed(&sandbox, &run_id);
    prints(&sandbox, &run_id, again + 5);
    assert_counted(&sandbox, &run_id, 0);
    wait_until("the engine removed it", LIMIT, || containers(&podman, &run_id).is_empty());
}

#[test]
fn an_agent_that_ends_while_the_service_of_its_engine_is_gone_has_its_end() {
    let Some(podman) = Podman::of_test("ended") else { return };
    let mut sandbox = sandbox();
    sandbox.set_env("DOCKER_HOST", podman.address());
    let script = "echo line 1; until [ -e go-on ]; do sleep 0.1; done; echo last; exit 3\n";
    let run_id = start(&sandbox, &sandbox.agent(&contained(script, "")), &[]);
    prints(&sandbox, &run_id, 1);
    podman.kill_service();
    let workspace = record(&sandbox, &run_id)["attempts"][0]["workspace"]["path"].clone();
    let flag = Path::new(workspace.as_str().unwrap()).join("go-on");
    std::fs::write(flag, "").unwrap();
    wait_until("its last line is there", LIMIT, || log(&sandbox, &run_id).contains("last"));
    podman.start_service();
    let ended = finish(&sandbox, &run_id);
    let exit: &Value = &ended["attempts"][0]["exit_code"];
    assert_eq!((&ended["status"], exit), (&"failed".into(), &3.into()), "{ended:#}");
    assert_eq!(containers(&podman, &run_id).len(), 1, "no engine was there to remove it");
    let _listed = sandbox.errand(["ps"]).run().ok();
    wait_until("the engine removed it", LIMIT, || containers(&podman, &run_id).is_empty());
}

#[test]
fn a_glibc_image_without_root_and_with_a_read_only_root_has_steps_and_artifacts() {
    let Some((sandbox, podman)) = world() else { return };
    // The shell, its loader and its libraries as Debian has them.
    let script = "mkdir -p fs/bin fs/tmp && for it in /bin/sh /bin/cat /bin/sleep; do \
         cp -L $it fs/bin/; for lib in $(ldd $it | grep -o '/[^ ]*'); do \
         mkdir -p fs/$(dirname $lib) && cp -L $lib fs/$lib; done; done && \
         tar -C fs -cf image.tar .";
    drop(sandbox.tool("sh", ["-c", script]).run().ok());
    let archive = sandbox.path("image.tar").display().to_string();
    let _imported =
        podman.run(&["import", "--change", "USER 1234:1234", &archive, "localhost/glibc:1"]);
    let target = "target: { type: container, image: 'localhost/glibc:1', network: none, \
                  read_only_root: true, capabilities: [] }";
    let skill =
        "---\nname: code-review\ndescription: Reviews a change\n---\nRead the diff first.\n";
    sandbox.write("defs/code-review/SKILL.md", skill);
    sandbox.write("defs/code-review/scripts/lint.sh", "echo linted\n");
    drop(sandbox.errand(["apply", "-f", "defs"]).run().ok());
    let script = "errand agent step one -- cat /proc/self/status > status.txt\n\
                  sh \"$ERRAND_SKILLS_DIR\"/code-review/scripts/lint.sh\n\
                  errand agent artifact status.txt\n\
                  echo x 2>/dev/null > /made && echo writable\n\
                  errand agent output done\n";
    let agent = sandbox.agent(&TestAgent::shell(script).spec(target).spec("skills: [code-review]"));
    let ended = sandbox.errand(["run", "--json"]).arg(&agent).run().ok().json();
    assert_eq!((&ended["status"], &ended["output"]), (&"completed".into(), &"done".into()));
    let run_id = ended["run_id"].as_str().unwrap();
    let shown = log(&sandbox, run_id);
    assert!(shown.contains("linted") && !shown.contains("writable"), "{shown}");
    let kept = ended["artifacts"][0]["name"].as_str().unwrap();
    assert_eq!(kept, "status.txt", "{ended:#}");
}
