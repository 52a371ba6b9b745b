//! Ends of attempts, and of all processes that they started.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use errand_agent::os::{self, Signal};
use tokio::time::timeout;

use crate::support::{LIMIT, Place, eventually, is_alive};

/// Time limit for an end; each end in these tests takes one second at most.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn stop_sends_sigterm_first_and_the_attempt_may_clean_up() {
    let place = Place::new();
    let running = place.shell(
        "trap 'echo cleaned; exit 3' TERM; echo ready > ready; while :; do sleep 0.01; done",
    );
    place.wait_for("ready");
    let exit = timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.signal), (Some(3), None));
    assert_eq!(exit.stdout.in_memory(), b"cleaned\n");
}

#[tokio::test]
async fn stop_kills_a_process_that_ignores_sigterm_after_the_grace_period() {
    let place = Place::new();
    let running = place.shell("trap '' TERM; echo ready > ready; while :; do sleep 0.01; done");
    place.wait_for("ready");
    let before = Instant::now();
    let exit = timeout(SOON, running.stop(Duration::from_millis(100))).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(9));
    assert!(before.elapsed() >= Duration::from_millis(100));
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn a_stopped_attempt_is_ended_too() {
    let place = Place::new();
    let running = place.shell("echo ready > ready; exec sleep 100");
    place.wait_for("ready");
    running.freeze().unwrap();
    let exit = timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(15));
}

/// User and system time of a process, in ticks.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn a_frozen_attempt_executes_nothing_until_it_is_thawed() {
    let place = Place::new();
    // A leader, a child, a grandchild with its own session, and a process that forks without end:
    // all are busy.
    let running = place.shell(
        "(while :; do :; done) & (setsid sh -c 'echo $$ > far; while :; do :; done' &)\n\
         (while :; do /bin/true; done) & echo ready > ready; while :; do :; done",
    );
    place.wait_for("ready");
    let far = place.wait_for_pid("far");
    running.freeze().unwrap();
    let frozen = place.living();
    assert!(frozen.len() >= 4, "{frozen:?}");
    let used = || frozen.iter().map(|it| cpu_ticks(it.pid)).collect::<Vec<_>>();
    let before = used();
    // Long enough for a clock tick of any process that executes: this test itself uses that time.
    let own = cpu_ticks(std::process::id());
    eventually(|| (cpu_ticks(std::process::id()) >= own + 5).then_some(()));
    assert_eq!(used(), before);
    assert_eq!(place.living(), frozen, "nothing is forked either");
    running.thaw();
    let after = cpu_ticks(far.pid);
    eventually(|| (cpu_ticks(far.pid) > after).then_some(()));
    running.freeze().unwrap();
    let exit = timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(15));
    assert_eq!(place.living(), []);
}

/// A program that forks twice, starts its own session, ignores SIGTERM and writes its pid.
const DOUBLE_FORK: &str = "
import os, signal, time, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open('grandchild.tmp', 'w') as f: f.write(f'{os.getpid()}\\n')
        os.rename('grandchild.tmp', 'grandchild')
        time.sleep(1000)
    os._exit(0)
";

#[tokio::test]
async fn a_double_forked_grandchild_that_ignores_sigterm_is_ended_by_stop() {
    let place = Place::new();
    let running = place.python(&format!("{DOUBLE_FORK}\ntime.sleep(1000)"));
    let grandchild = place.wait_for_pid("grandchild");
    assert!(is_alive(&grandchild));
    timeout(SOON, running.stop(Duration::from_millis(100))).await.unwrap().unwrap();
    assert!(!is_alive(&grandchild));
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn an_orphan_that_hides_its_mark_is_ended_by_stop() {
    let place = Place::new();
    let running = place.python(
        "
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve('/bin/sh', ['sh', '-c', 'echo $$ > hidden; exec sleep 1000'], {'PATH': '/bin:/usr/bin'})
    os._exit(0)
os.wait()
time.sleep(1000)
",
    );
    let hidden = place.wait_for_pid("hidden");
    timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
    assert!(!is_alive(&hidden));
}

#[tokio::test]
async fn descendants_end_soon_after_the_leader() {
    let place = Place::new();
    let running = place.python(&format!(
        "{DOUBLE_FORK}\nwhile not os.path.exists('grandchild'): time.sleep(0.001)\nprint('bye')"
    ));
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.stragglers), (Some(0), 1));
    assert_eq!(exit.stdout.in_memory(), b"bye\n");
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn a_short_lived_descendant_is_awaited_and_its_output_kept() {
    let place = Place::new();
    // The pipe ends when the leader does.
    let running =
        place.shell("mkfifo gate; (read nothing < gate; echo late) & exec 9> gate; echo early");
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.stragglers), (Some(0), 0));
    assert_eq!(exit.stdout.in_memory(), b"early\nlate\n");
}

#[tokio::test]
async fn pipes_held_open_by_a_descendant_do_not_hang_a_run() {
    let place = Place::new();
    let running = place.shell("setsid sh -c 'while :; do echo more; sleep 0.01; done' & exit 4");
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!(exit.code, Some(4));
    assert!(exit.stragglers >= 1);
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn pipes_held_open_by_someone_else_do_not_hang_a_run() {
    let place = Place::new();
    let other = Place::new();
    // The helper of a nested run keeps its caller's stdout open. It does not belong to this run.
    let script = format!(
        "ERRAND_HELPER={0} ERRAND_RUN_ID={0} setsid sleep 1000 & echo $! > nested; echo said",
        other.run_id
    );
    let running = place.shell(&script);
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.stragglers), (Some(0), 0));
    assert_eq!(exit.stdout.in_memory(), b"said\n");
    let nested = place.wait_for_pid("nested");
    assert!(is_alive(&nested));
    assert_eq!(os::descendants_of_run(&place.run_id, Some(std::process::id())), []);
    os::signal(&nested, Signal::Kill).unwrap();
}

#[tokio::test]
async fn stop_within_the_first_millisecond_wins() {
    for _ in 0..20 {
        let place = Place::new();
        let running = place.shell("sleep 1000 & sleep 1000");
        let exit = timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(15)));
        assert_eq!(place.living(), []);
    }
}

#[tokio::test]
async fn a_second_stop_with_a_shorter_grace_period_counts() {
    let place = Place::new();
    let running = place.shell("trap '' TERM; echo ready > ready; while :; do sleep 0.01; done");
    place.wait_for("ready");
    assert!(timeout(Duration::from_millis(50), running.stop(LIMIT)).await.is_err());
    let exit = timeout(SOON, running.stop(Duration::ZERO)).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(9));
}

#[tokio::test]
async fn kill_ends_an_attempt_at_once_and_wait_reports_the_signal() {
    let place = Place::new();
    let running = place.shell("trap '' TERM; echo ready > ready; setsid sleep 1000 & sleep 1000");
    place.wait_for("ready");
    assert!(timeout(Duration::from_millis(10), running.wait()).await.is_err());
    running.begin_stop(Duration::ZERO);
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(9));
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn a_process_that_forks_without_end_is_ended() {
    let place = Place::new();
    let running = place.python(
        "
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open('ready', 'w').write('y\\n')
end = time.time() + 20
while time.time() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
",
    );
    place.wait_for("ready");
    let exit = timeout(SOON, running.stop(Duration::from_millis(20))).await.unwrap();
    exit.unwrap();
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn a_running_attempt_that_is_dropped_is_killed() {
    let place = Place::new();
    let running = place.shell("echo ready > ready; setsid sleep 1000 & sleep 1000");
    place.wait_for("ready");
    let leader = running.identity().clone();
    drop(running);
    eventually(|| (!is_alive(&leader) && place.living().is_empty()).then_some(()));
    eventually(|| {
        os::reap_orphans();
        os::identity_of(leader.pid).unwrap().is_none().then_some(())
    });
}

#[tokio::test]
async fn the_end_of_one_attempt_touches_neither_another_attempt_nor_other_children() {
    let (first, second) = (Place::new(), Place::new());
    // Each run has an orphan that hides its mark, and one that carries it.
    let script = "
        (setsid env -u ERRAND_RUN_ID sh -c 'echo $$ > hidden; exec sleep 1000' &)
        (setsid sh -c 'echo $$ > marked; exec sleep 1000' &)
        exec sleep 1000";
    let (one, two) = (first.shell(script), second.shell(script));
    let mut helper = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let ours = os::identity_of(helper.id()).unwrap().unwrap();
    let [hidden_one, marked_one] = ["hidden", "marked"].map(|name| first.wait_for_pid(name));
    let [hidden_two, marked_two] = ["hidden", "marked"].map(|name| second.wait_for_pid(name));
    timeout(SOON, one.stop(LIMIT)).await.unwrap().unwrap();
    assert!(!is_alive(&marked_one));
    for process in [two.identity(), &hidden_two, &marked_two, &ours] {
        assert!(is_alive(process), "{process:?}");
    }
    // An orphan without a mark can belong to either run as long as there are two. It is ended with
    // the last.
    timeout(SOON, two.stop(LIMIT)).await.unwrap().unwrap();
    for process in [&hidden_one, &hidden_two, &marked_two] {
        assert!(!is_alive(process), "{process:?}");
    }
    assert!(is_alive(&ours));
    helper.kill().unwrap();
    helper.wait().unwrap();
}

#[test]
fn processes_that_a_dead_helper_left_are_found_and_ended() {
    let place = Place::new();
    assert_eq!(os::end_run_processes(&place.run_id, &[], LIMIT).unwrap(), 0);
    let mut left = Command::new("/bin/sh")
        .args(["-c", "trap '' TERM; setsid sleep 1000 & echo $$; while :; do sleep 0.01; done"])
        .env("ERRAND_RUN_ID", place.run_id.as_str())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    BufReader::new(left.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let leader = os::identity_of(pid.trim().parse().unwrap()).unwrap().unwrap();
    eventually(|| (place.living().len() >= 2).then_some(()));
    let known = [leader];
    let ended = os::end_run_processes(&place.run_id, &known, Duration::from_millis(100)).unwrap();
    assert!(ended >= 2, "{ended}");
    assert_eq!(place.living(), []);
    assert_eq!(os::end_run_processes(&place.run_id, &known, LIMIT).unwrap(), 0);
    left.wait().unwrap();
}

/// Environment variable of a second process of this test binary, which then acts as a supervisor.
const SUPERVISE: &str = "ERRAND_TEST_SUPERVISE";

#[test]
fn an_attempt_dies_when_its_supervisor_is_killed() {
    let place = Place::new();
    let mut supervisor = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "endings::a_supervisor_for_another_test", "--nocapture"])
        .env(SUPERVISE, place.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let leader = place.wait_for_pid("leader");
    assert!(is_alive(&leader));
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    eventually(|| (!is_alive(&leader)).then_some(()));
}

#[tokio::test]
async fn a_supervisor_for_another_test() {
    let Some(dir) = std::env::var_os(SUPERVISE) else {
        return;
    };
    let place = Place::new();
    let mut spec = place.spec(&[
        "/bin/sh",
        "-c",
        "echo $$ > leader.tmp; mv leader.tmp leader; exec sleep 1000",
    ]);
    spec.cwd = dir.into();
    let exit = place.start(&spec).unwrap().wait().await.unwrap();
    assert_eq!(exit.signal, Some(9));
}
