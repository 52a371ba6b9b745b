//! How attempts end, and that nothing of them stays.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use errand_agent::os::{self, Signal};
use tokio::time::timeout;

use crate::support::{LIMIT, Place, eventually, is_alive};

/// What a test of an end must not take: everything in it takes a second at most.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn stop_asks_first_and_the_attempt_may_clean_up() {
    let place = Place::new();
    let mut running = place.shell(
        "trap 'echo cleaned; exit 3' TERM; echo ready > ready; while :; do sleep 0.01; done",
    );
    place.wait_for("ready");
    let exit = timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.signal), (Some(3), None));
    assert_eq!(exit.stdout.in_memory(), b"cleaned\n");
}

#[tokio::test]
async fn stop_kills_after_the_grace_period_what_ignores_it() {
    let place = Place::new();
    let mut running = place.shell("trap '' TERM; echo ready > ready; while :; do sleep 0.01; done");
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
    let mut running = place.shell("echo ready > ready; exec sleep 100");
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
async fn what_is_frozen_executes_nothing_until_it_is_thawed() {
    let place = Place::new();
    // A leader, a child, a grandchild with a session of its own, and one that forks all the time:
    // all of them busy.
    let mut running = place.shell(
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
    // Long enough for a tick of whoever runs: this test uses that time itself.
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

/// Forks twice, with a session of its own, ignores SIGTERM and tells its pid.
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
    let mut running = place.python(&format!("{DOUBLE_FORK}\ntime.sleep(1000)"));
    let grandchild = place.wait_for_pid("grandchild");
    assert!(is_alive(&grandchild));
    timeout(SOON, running.stop(Duration::from_millis(100))).await.unwrap().unwrap();
    assert!(!is_alive(&grandchild));
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn an_orphan_that_hides_its_mark_is_ended_by_stop() {
    let place = Place::new();
    let mut running = place.python(
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
async fn what_is_left_behind_ends_soon_after_the_leader() {
    let place = Place::new();
    let mut running = place.python(&format!(
        "{DOUBLE_FORK}\nwhile not os.path.exists('grandchild'): time.sleep(0.001)\nprint('bye')"
    ));
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.stragglers), (Some(0), 1));
    assert_eq!(exit.stdout.in_memory(), b"bye\n");
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn a_leak_that_ends_by_itself_is_waited_for_and_its_output_kept() {
    let place = Place::new();
    // The pipe ends when the leader does.
    let mut running =
        place.shell("mkfifo gate; (read nothing < gate; echo late) & exec 9> gate; echo early");
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!((exit.code, exit.stragglers), (Some(0), 0));
    assert_eq!(exit.stdout.in_memory(), b"early\nlate\n");
}

#[tokio::test]
async fn pipes_held_open_by_a_descendant_do_not_hang_a_run() {
    let place = Place::new();
    let mut running =
        place.shell("setsid sh -c 'while :; do echo more; sleep 0.01; done' & exit 4");
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!(exit.code, Some(4));
    assert!(exit.stragglers >= 1);
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn pipes_held_open_by_someone_else_do_not_hang_a_run() {
    let place = Place::new();
    let other = Place::new();
    // The helper of a nested run that kept its caller's stdout: not ours to end.
    let script = format!(
        "ERRAND_HELPER={0} ERRAND_RUN_ID={0} setsid sleep 1000 & echo $! > nested; echo said",
        other.run_id
    );
    let mut running = place.shell(&script);
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
        let mut running = place.shell("sleep 1000 & sleep 1000");
        let exit = timeout(SOON, running.stop(LIMIT)).await.unwrap().unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(15)));
        assert_eq!(place.living(), []);
    }
}

#[tokio::test]
async fn a_second_stop_with_less_patience_counts() {
    let place = Place::new();
    let mut running = place.shell("trap '' TERM; echo ready > ready; while :; do sleep 0.01; done");
    place.wait_for("ready");
    assert!(timeout(Duration::from_millis(50), running.stop(LIMIT)).await.is_err());
    let exit = timeout(SOON, running.stop(Duration::ZERO)).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(9));
}

#[tokio::test]
async fn kill_ends_at_once_and_wait_tells_how() {
    let place = Place::new();
    let mut running =
        place.shell("trap '' TERM; echo ready > ready; setsid sleep 1000 & sleep 1000");
    place.wait_for("ready");
    assert!(timeout(Duration::from_millis(10), running.wait()).await.is_err());
    running.kill();
    let exit = timeout(SOON, running.wait()).await.unwrap().unwrap();
    assert_eq!(exit.signal, Some(9));
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn a_process_that_forks_without_end_is_ended() {
    let place = Place::new();
    let mut running = place.python(
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
async fn ending_one_of_two_attempts_touches_neither_the_other_nor_a_helper_of_ours() {
    let (first, second) = (Place::new(), Place::new());
    // An orphan of each, which hides its mark, and one that carries it.
    let script = "
        (setsid env -u ERRAND_RUN_ID sh -c 'echo $$ > hidden; exec sleep 1000' &)
        (setsid sh -c 'echo $$ > marked; exec sleep 1000' &)
        exec sleep 1000";
    let (mut one, mut two) = (first.shell(script), second.shell(script));
    let mut helper = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let ours = os::identity_of(helper.id()).unwrap().unwrap();
    let [hidden_one, marked_one] = ["hidden", "marked"].map(|name| first.wait_for_pid(name));
    let [hidden_two, marked_two] = ["hidden", "marked"].map(|name| second.wait_for_pid(name));
    timeout(SOON, one.stop(LIMIT)).await.unwrap().unwrap();
    assert!(!is_alive(&marked_one));
    for process in [two.identity(), &hidden_two, &marked_two, &ours] {
        assert!(is_alive(process), "{process:?}");
    }
    // What hides can be of either as long as there are two, and is ended with the last.
    timeout(SOON, two.stop(LIMIT)).await.unwrap().unwrap();
    for process in [&hidden_one, &hidden_two, &marked_two] {
        assert!(!is_alive(process), "{process:?}");
    }
    assert!(is_alive(&ours));
    helper.kill().unwrap();
    helper.wait().unwrap();
}

#[test]
fn what_a_dead_helper_left_behind_is_found_and_ended() {
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

/// In the environment of a second process of this test binary, which is then a supervisor.
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
