//! Identities of processes: liveness, signals, and detached helpers.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use errand_agent::os::{self, Liveness, Signal, SignalDelivery};
use errand_model::ProcessIdentity;

use crate::support::{Place, eventually, is_alive};

#[test]
fn the_own_process_is_alive_and_has_its_identity() {
    let own = os::own_identity().unwrap();
    assert_eq!(own.pid, std::process::id());
    assert_eq!(os::identity_of(own.pid).unwrap(), Some(own.clone()));
    assert_eq!(os::liveness(&own), Liveness::Alive);
}

#[test]
fn another_start_time_or_boot_is_another_process() {
    let own = os::own_identity().unwrap();
    let other_start = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() };
    let other_boot = ProcessIdentity { boot_id: "another".to_owned(), ..own };
    for forged in [other_start, other_boot] {
        assert_eq!(os::liveness(&forged), Liveness::Dead);
        assert_eq!(os::signal(&forged, Signal::Kill).unwrap(), SignalDelivery::Gone);
    }
}

#[test]
fn init_and_the_own_process_group_are_never_signalled() {
    let own = os::own_identity().unwrap();
    for pid in [0, 1, u32::MAX] {
        let forged = ProcessIdentity { pid, ..own.clone() };
        assert_eq!(os::liveness(&forged), Liveness::Dead);
        assert!(os::signal(&forged, Signal::Continue).is_err(), "{pid}");
    }
    let init = os::identity_of(1).unwrap().unwrap();
    assert!(os::signal(&init, Signal::Continue).is_err());
}

#[test]
fn a_zombie_is_dead() {
    let mut child = Command::new("/bin/true").spawn().unwrap();
    let pid = child.id();
    eventually(|| os::identity_of(pid).unwrap().is_none().then_some(()));
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "not reaped yet");
    child.wait().unwrap();
}

#[test]
fn a_signal_reaches_the_process_with_the_identity() {
    let mut child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let identity = os::identity_of(child.id()).unwrap().unwrap();
    assert_eq!(os::signal(&identity, Signal::Terminate).unwrap(), SignalDelivery::Delivered);
    eventually(|| (!is_alive(&identity)).then_some(()));
    assert_eq!(os::signal(&identity, Signal::Terminate).unwrap(), SignalDelivery::Gone);
    child.wait().unwrap();
    assert_eq!(os::signal(&identity, Signal::Terminate).unwrap(), SignalDelivery::Gone);
}

#[test]
fn processes_of_a_nested_helper_do_not_belong_to_the_outer_run() {
    let (outer, inner) = (Place::new(), Place::new());
    let script = format!(
        "ERRAND_HELPER={0} sh -c 'ERRAND_RUN_ID={0} env -u ERRAND_HELPER sleep 1000 & wait' & wait",
        inner.run_id
    );
    let mut leader = Command::new("/bin/sh")
        .args(["-c", &script])
        .env("ERRAND_RUN_ID", outer.run_id.as_str())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually(|| (inner.living().len() == 1).then_some(()));
    let found = outer.living();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].pid, leader.id());
    let supervised = os::descendants_of_run(&outer.run_id, Some(leader.id()));
    assert_eq!(supervised, []);
    let [inner_agent] = &inner.living()[..] else { panic!("one agent") };
    os::signal(inner_agent, Signal::Kill).unwrap();
    leader.wait().unwrap();
}

#[test]
fn a_detached_helper_has_a_session_of_its_own_and_inherits_no_file() {
    let file = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let (pipe, stdout) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut spawned = os::Helper {
        program: Path::new("/bin/ls"),
        args: vec!["/proc/self/fd".into()],
        env: vec![("A".into(), "b".into())],
        cwd: Path::new("/"),
        stdout: stdout.as_fd(),
    };
    let list = spawned.spawn().unwrap();
    spawned.program = Path::new("/usr/bin/cut");
    spawned.args = ["-d ", "-f1,6", "/proc/self/stat"].map(Into::into).to_vec();
    assert!(list.wait().unwrap().success());
    let cut = spawned.spawn().unwrap();
    let pid = cut.pid();
    assert!(cut.wait().unwrap().success());
    spawned.program = Path::new("/usr/bin/env");
    spawned.args = Vec::new();
    assert!(spawned.spawn().unwrap().wait().unwrap().success());
    spawned.program = Path::new("/no/such/program");
    assert_eq!(spawned.spawn().unwrap_err().kind(), std::io::ErrorKind::NotFound);
    drop(stdout);
    let mut text = String::new();
    std::fs::File::from(pipe).read_to_string(&mut text).unwrap();
    // Descriptor 3 is the folder that `ls` lists.
    assert_eq!(text, format!("0\n1\n2\n3\n{pid} {pid}\nA=b\n"));

    let mut command = Command::new("/bin/ls");
    command.arg("/proc/self/fd");
    os::detach(&mut command);
    assert_eq!(command.output().unwrap().stdout, b"0\n1\n2\n3\n");
}
