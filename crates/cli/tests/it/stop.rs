//! Stopping runs: no process is alive afterwards.

use errand_testkit::{LIMIT, TestAgent, processes_of_run, wait_until};

use crate::support::{
    assert_over, finish, log, ready, record, sandbox, sleeper, start, start_ready,
};

#[test]
fn stop_ends_the_helper_and_every_process_of_the_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let helper = record(&sandbox, &run_id)["pid"].as_u64().unwrap();
    drop(sandbox.errand(["stop", &run_id]).run().ok());

    assert_over(&sandbox, &run_id);
    let stopped = record(&sandbox, &run_id);
    assert_eq!(stopped["status"], "cancelled");
    assert_eq!(stopped["process_status"], "stopped");
    let helper = u32::try_from(helper).unwrap();
    wait_until("the helper is gone", LIMIT, || !errand_testkit::is_alive(helper));
    assert_ne!(sandbox.errand(["wait", &run_id]).run().code, Some(0));
}

#[test]
fn a_descendant_that_ran_away_and_ignores_term_is_ended_too() {
    let sandbox = sandbox();
    let script =
        "(setsid sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' &)\nsleep 600\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["stop", "--grace-period-ms", "200", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
}

#[test]
fn an_agent_may_use_its_grace_period() {
    let sandbox = sandbox();
    let script = "trap 'echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.01; done\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["stop", &run_id]).run().ok());
    assert!(log(&sandbox, &run_id).contains("saved"));
    assert_eq!(record(&sandbox, &run_id)["status"], "cancelled");
}

#[test]
fn a_forced_stop_sends_no_sigterm() {
    let sandbox = sandbox();
    let script = "trap 'echo saved' TERM\necho ready\nwhile :; do sleep 0.01; done\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
    assert!(!log(&sandbox, &run_id).contains("saved"));
}

#[test]
fn a_stop_in_the_first_milliseconds_wins() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    for _ in 0..10 {
        let run_id = start(&sandbox, &agent, &[]);
        drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
        assert_over(&sandbox, &run_id);
        assert_eq!(record(&sandbox, &run_id)["status"], "cancelled");
    }
}

#[test]
fn a_run_that_is_over_can_be_stopped_without_harm() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let run_id = start(&sandbox, &agent, &[]);
    finish(&sandbox, &run_id);
    drop(sandbox.errand(["stop", &run_id]).run());
    assert_eq!(record(&sandbox, &run_id)["status"], "completed", "terminal is final");
}

#[test]
fn interrupting_a_foreground_run_cancels_it() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let running = sandbox.errand(["run".as_ref(), agent.as_os_str()]).spawn();
    running.wait_for_stdout("ready");
    running.interrupt();
    drop(running.wait().exits(130));
    let runs = crate::support::all(&sandbox);
    assert_eq!(runs[0]["status"], "cancelled");
    assert_eq!(processes_of_run(runs[0]["run_id"].as_str().unwrap()), []);
}

#[test]
fn a_run_that_takes_too_long_fails_with_124() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper().spec("timeouts: { run: 3s }"));
    let output = sandbox.errand(["run".as_ref(), agent.as_os_str()]).run().exits(124);
    assert!(output.stdout().contains("ready"));
    let run = &crate::support::all(&sandbox)[0];
    assert_eq!(run["status"], "failed");
    assert_eq!(run["last_error"]["code"], "timeout_run");
    assert_over(&sandbox, run["run_id"].as_str().unwrap());
}

#[test]
fn a_restart_while_the_run_lives_is_its_next_attempt() {
    let sandbox = sandbox();
    let script = "echo \"attempt $ERRAND_ATTEMPT\"\nerrand agent step once -- echo done-once\necho ready\nsleep 600\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["restart", &run_id]).run().ok());
    wait_until("the second attempt is ready", LIMIT, || {
        let log = log(&sandbox, &run_id);
        log.contains("attempt 2") && log.matches("ready").count() == 2
    });
    let record = record(&sandbox, &run_id);
    assert_eq!(record["attempt"], 2);
    assert_eq!(record["attempts"][1]["reason"], "restart");
    assert_eq!(record["counters"]["steps"], 1);
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_daemon_without_any_mark_of_its_run_is_ended_too() {
    let sandbox = sandbox();
    // Forked twice, in a session of its own, without environment and open files, ignoring SIGTERM.
    let script = "import os, signal, time\n\
                  if os.fork() == 0:\n\
                  \x20   os.setsid()\n\
                  \x20   if os.fork() == 0:\n\
                  \x20       open(os.environ['HOME'] + '/daemon', 'w').write(str(os.getpid()))\n\
                  \x20       signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                  \x20       os.closerange(0, 64)\n\
                  \x20       os.chdir('/')\n\
                  \x20       os.execve('/bin/sleep', ['sleep', '600'], {})\n\
                  \x20   os._exit(0)\n\
                  print('ready', flush=True)\n\
                  time.sleep(600)\n";
    let agent = sandbox.agent(&TestAgent::python(script));
    let run_id = start_ready(&sandbox, &agent);
    let file = sandbox.root().join("home/daemon");
    let daemon = errand_testkit::wait_for("the daemon runs", LIMIT, || {
        let pid = std::fs::read_to_string(&file).ok()?.parse::<u32>().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name == "sleep\n").then_some(pid)
    });
    drop(sandbox.errand(["stop", "--grace-period-ms", "200", &run_id]).run().ok());
    assert!(!errand_testkit::is_alive(daemon), "nothing of a stopped run lives");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_run_that_was_started_by_an_agent_is_a_run_of_its_own() {
    let sandbox = sandbox();
    let inner = sandbox.agent(&sleeper());
    let script = format!("errand run -d {}\necho ready\nsleep 600\n", inner.display());
    let outer = start_ready(&sandbox, &sandbox.agent(&TestAgent::shell(&script).named("outer")));
    let inner = log(&sandbox, &outer).lines().next().unwrap().to_owned();
    drop(sandbox.errand(["stop", "--force", &outer]).run().ok());
    assert_over(&sandbox, &outer);
    ready(&sandbox, &inner);
    assert_eq!(record(&sandbox, &inner)["status"], "running");
    drop(sandbox.errand(["stop", "--force", &inner]).run().ok());
    assert_over(&sandbox, &inner);
}

#[test]
fn a_descendant_that_holds_the_pipes_does_not_hang_its_run() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("(setsid sleep 600 &)\necho done\n"));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert!(log(&sandbox, &run_id).contains("done"));
    assert_over(&sandbox, &run_id);
}

#[test]
fn several_runs_are_stopped_with_one_command_and_their_ids_are_printed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let ids: Vec<String> = (0..3).map(|_| start(&sandbox, &agent, &[])).collect();
    let stopped = sandbox.errand(["stop"]).args(&ids).run().ok().stdout();
    assert_eq!(stopped.lines().collect::<Vec<_>>(), ids);
    for run_id in &ids {
        assert_over(&sandbox, run_id);
    }
}

#[test]
fn two_concurrent_stops_of_a_run_both_succeed() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let stoppers: Vec<_> = (0..4).map(|_| sandbox.errand(["stop", &run_id]).spawn()).collect();
    for stopper in stoppers {
        drop(stopper.wait().ok());
    }
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_frozen_helper_counts_as_alive_and_its_run_can_be_stopped() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    let helper = record(&sandbox, &run_id)["pid"].clone();
    crate::support::signal(&helper, rustix::process::Signal::STOP);
    assert_eq!(record(&sandbox, &run_id)["status"], "running", "frozen is not dead");
    crate::support::signal(&helper, rustix::process::Signal::CONT);
    drop(sandbox.errand(["stop", &run_id]).run().ok());
    assert_over(&sandbox, &run_id);
}
