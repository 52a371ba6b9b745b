//! Agents in a sandbox that attack this machine, and agents that only do their work.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use errand_agent::process::ProcessTarget;
use errand_agent::target::{LaunchSpec, SharedAccess, SharedPath, Target as _, TargetStartError};
use errand_api::agent_file::{
    ProcessPlace, SandboxFilesystem, SandboxNetwork, SandboxRules, TargetKind,
};
use errand_model::error_code::ErrorCode;
use errand_testkit::can_sandbox;

use crate::support::Place;

/// Place with a workspace, a home with a secret, and a registry with the files of another run.
struct Machine {
    place: Place,
    /// Socket of another run.
    other: UnixListener,
}

impl Machine {
    fn new() -> Self {
        let place = Place::new();
        for folder in ["work", "own", "home/.ssh", "registry/runs/other", "data"] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        fs::write(place.path("home/.ssh/id"), "private\n").unwrap();
        fs::write(place.path("registry/runs/other/journal"), "other\n").unwrap();
        fs::write(place.path("data/known"), "data\n").unwrap();
        let other = UnixListener::bind(place.path("registry/runs/other/sock")).unwrap();
        Self { place, other }
    }

    /// Returns the order to start a Python program in a sandbox.
    fn spec(&self, sandbox: SandboxRules, program: &str) -> LaunchSpec {
        let place = &self.place;
        let mut spec = place.spec(&[&python(), "-u", "-c", program]);
        spec.place = TargetKind::Process(ProcessPlace { sandbox: Some(sandbox) });
        let own = |name: &str| SharedPath { path: place.path(name), access: SharedAccess::Own };
        spec.shared = vec![own("work"), own("own")];
        spec.hidden = vec![place.path("registry")];
        spec.cwd = place.path("work");
        spec.folder = place.path("own");
        let variables = [("HOME", place.path("home")), ("PLACE", place.path("."))];
        spec.env.extend(variables.map(|(name, path)| (name.into(), path.into_os_string())));
        spec.env.push(("TESTS".into(), std::process::id().to_string().into()));
        spec
    }

    /// Runs a Python program in a sandbox; returns what it printed.
    async fn prints(&self, sandbox: SandboxRules, program: &str) -> Vec<String> {
        self.runs(&self.spec(sandbox, program)).await
    }

    async fn runs(&self, spec: &LaunchSpec) -> Vec<String> {
        let running = self.place.start(spec).unwrap();
        let exit = running.wait().await.unwrap();
        let log = self.place.log();
        assert_eq!(exit.code, Some(0), "{log:#?}");
        let printed = log.iter().filter_map(|line| line.strip_prefix("stdout F "));
        printed.map(str::to_owned).collect()
    }
}

/// Returns the program that `python3` stands for, which may be a link or a script.
fn python() -> String {
    let mut asked = std::process::Command::new("python3");
    asked.args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"]);
    String::from_utf8(asked.output().unwrap().stdout).unwrap().trim().to_owned()
}

fn files(filesystem: SandboxFilesystem) -> SandboxRules {
    SandboxRules { filesystem, ..SandboxRules::default() }
}

/// Beginning of a program that tries things, and prints the name of each with what came of it.
const TRY: &str = r#"
import ctypes, os, socket, sys
place, home = os.environ["PLACE"], os.environ["HOME"]
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result < 0: raise OSError(ctypes.get_errno(), "refused")
def attempt(name, what):
    try:
        found = what()
        print(name, "done" if found is None else found)
    except OSError as error:
        print(name, "refused")
def read(path): return repr(open(path).read())
def write(path): open(path, "w").write("x")
def unix(address):
    s = socket.socket(socket.AF_UNIX)
    s.connect(address)
"#;

#[tokio::test]
async fn an_agent_that_attacks_gets_nothing_outside_of_its_workspace() {
    if !can_sandbox() {
        return;
    }
    let machine = Machine::new();
    let name = format!("errand-test-{}", std::process::id());
    let _abstract =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let attacks = format!(
        r#"{TRY}
attempt("home", lambda: read(home + "/.ssh/id"))
attempt("list of home", lambda: os.listdir(home))
attempt("journal of another run", lambda: read(place + "/registry/runs/other/journal"))
attempt("socket of another run", lambda: unix(place + "/registry/runs/other/sock"))
attempt("abstract socket", lambda: unix("\0{name}"))
attempt("data", lambda: read(place + "/data/known"))
for path in ["/etc/x", "/usr/x", "/x", "/proc/sys/kernel/hostname", "/sys/x"]:
    attempt("write " + path, lambda: write(path))
attempt("write beside the workspace", lambda: write(place + "/x"))
attempt("memory of the tests", lambda: open("/proc/%s/mem" % os.environ["TESTS"], "rb").close())
attempt("variables of the tests", lambda: open("/proc/%s/environ" % os.environ["TESTS"], "rb").read(1))
attempt("root of the tests", lambda: os.listdir("/proc/%s/root" % os.environ["TESTS"]))
attempt("trace", lambda: call(libc.ptrace(16, int(os.environ["TESTS"]), 0, 0)))
attempt("signal", lambda: os.kill(int(os.environ["TESTS"]), 0))
attempt("mount", lambda: call(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)))
attempt("unmount", lambda: call(libc.umount2(b"/tmp", 2)))
attempt("user namespace", lambda: call(libc.unshare(0x10000000)))
attempt("network of the tests", lambda: call(libc.setns(os.open("/proc/1/ns/net", os.O_RDONLY), 0)))
attempt("chroot", lambda: os.chroot("/"))
try: print("shadow", open("/etc/shadow").read() or "hidden")
except OSError: print("shadow hidden")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print("capabilities", status["CapEff"].strip(), status["CapBnd"].strip())
print("privileges", status["NoNewPrivs"].strip(), status["Seccomp"].strip())
"#
    );
    let printed = machine.prints(files(SandboxFilesystem::Workspace), &attacks).await;
    insta::assert_snapshot!(printed.join("\n"), @r"
    home refused
    list of home []
    journal of another run refused
    socket of another run refused
    abstract socket refused
    data refused
    write /etc/x refused
    write /usr/x refused
    write /x refused
    write /proc/sys/kernel/hostname refused
    write /sys/x refused
    write beside the workspace done
    memory of the tests refused
    variables of the tests refused
    root of the tests refused
    trace refused
    signal refused
    mount refused
    unmount refused
    user namespace refused
    network of the tests refused
    chroot refused
    shadow hidden
    capabilities 0000000000000000 0000000000000000
    privileges 1 2
    ");
    assert!(!machine.place.path("x").exists(), "what lies there is in the agent's own /tmp");
    machine.other.set_nonblocking(true).unwrap();
    assert!(machine.other.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn an_agent_in_a_sandbox_does_its_work() {
    if !can_sandbox() {
        return;
    }
    let machine = Machine::new();
    let program = format!(
        r#"{TRY}
import json, multiprocessing, subprocess, tempfile, pty
write("result"); os.rename("result", "renamed"); os.mkdir("below"); os.symlink("x", "below/link")
write(os.path.expanduser("~/cache"))
with tempfile.NamedTemporaryFile() as file: print(os.path.dirname(file.name))
print(subprocess.check_output("echo shell | tr a-z A-Z; echo gone > /dev/null", shell=True, text=True).strip())
multiprocessing.Lock()
master, slave = pty.openpty(); print(os.ttyname(slave))
print(os.getuid() == {uid}, os.getcwd() == os.path.realpath(place) + "/work", "boot" in os.listdir("/"))
print(read(place + "/data/known"))
attempt("write", lambda: write(place + "/data/known"))
"#,
        uid = rustix::process::getuid().as_raw(),
    );
    let sandbox = SandboxRules {
        read: vec![machine.place.path("data").display().to_string()],
        ..files(SandboxFilesystem::Workspace)
    };
    let printed = machine.prints(sandbox, &program).await;
    insta::assert_snapshot!(printed.join("\n"), @r"
    /tmp
    SHELL
    /dev/pts/0
    True True False
    'data\n'
    write refused
    ");
    assert_eq!(fs::read_to_string(machine.place.path("work/renamed")).unwrap(), "x");
    assert!(!machine.place.path("home/cache").exists(), "its home is its own");
}

#[tokio::test]
async fn a_machine_that_may_only_be_read_hides_other_runs_and_services() {
    if !can_sandbox() {
        return;
    }
    let machine = Machine::new();
    let program = format!(
        r#"{TRY}
attempt("home", lambda: read(home + "/.ssh/id"))
attempt("write home", lambda: write(home + "/new"))
attempt("write data", lambda: write(place + "/data/known"))
attempt("journal of another run", lambda: read(place + "/registry/runs/other/journal"))
attempt("socket of another run", lambda: unix(place + "/registry/runs/other/sock"))
attempt("work", lambda: write("result"))
attempt("temporary file", lambda: write("/tmp/new"))
names = {{"systemd", "resolvconf", "NetworkManager"}}  # with the addresses of name servers
print("services", [name for name in os.listdir("/run") if name not in names])
"#
    );
    // The home of the tests is below `/tmp`, which is private, so that it has to be listed.
    let shown = ["home", "data"].map(|name| machine.place.path(name).display().to_string());
    let sandbox = SandboxRules { read: shown.to_vec(), ..files(SandboxFilesystem::ReadOnly) };
    let printed = machine.prints(sandbox, &program).await;
    insta::assert_snapshot!(printed.join("\n"), @r"
    home 'private\n'
    write home refused
    write data refused
    journal of another run refused
    socket of another run refused
    work done
    temporary file done
    services []
    ");
    assert!(!Path::new("/tmp/new").exists());
}

#[tokio::test]
async fn an_agent_without_a_network_reaches_its_door_only() {
    if !can_sandbox() {
        return;
    }
    let machine = Machine::new();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = UnixListener::bind(machine.place.path("own/door")).unwrap();
    let served = std::thread::spawn(move || {
        let (mut agent, _) = door.accept().unwrap();
        let mut asked = [0; 5];
        agent.read_exact(&mut asked).unwrap();
        agent.write_all(b"answer").unwrap();
        asked
    });
    let program = format!(
        r#"{TRY}
attempt("outside", lambda: socket.create_connection(("127.0.0.1", {port}), 5))
attempt("another machine", lambda: socket.create_connection(("192.0.2.1", 80), 5))
print([name for _, name in socket.if_nameindex()])
s = socket.create_connection(("127.0.0.1", 4141)); s.sendall(b"hello"); print(s.recv(6).decode())
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()); print("its own server")
print(read(place + "/data/known"))
"#,
        port = outside.local_addr().unwrap().port()
    );
    let sandbox = SandboxRules { network: SandboxNetwork::None, ..SandboxRules::default() };
    let mut spec = machine.spec(sandbox, &program);
    spec.env.push(("ERRAND_MODEL_SOCKET".into(), machine.place.path("own/door").into()));
    let printed = machine.runs(&spec).await;
    insta::assert_snapshot!(printed.join("\n"), @r"
    outside refused
    another machine refused
    ['lo']
    answer
    its own server
    'data\n'
    ");
    assert_eq!(&served.join().unwrap(), b"hello");
    outside.set_nonblocking(true).unwrap();
    assert!(outside.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn processes_that_an_agent_leaves_in_its_sandbox_are_ended() {
    if !can_sandbox() {
        return;
    }
    let machine = Machine::new();
    let program = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
                   time.sleep(600)\n    os._exit(0)\nprint('left')\n";
    let sandbox =
        SandboxRules { network: SandboxNetwork::None, ..files(SandboxFilesystem::Workspace) };
    assert_eq!(machine.prints(sandbox, program).await, ["left"]);
    assert_eq!(machine.place.living(), []);
}

#[tokio::test]
async fn what_a_sandbox_cannot_show_is_refused_by_name() {
    if !can_sandbox() {
        return;
    }
    let missing =
        SandboxRules { read: vec!["/no/such".into()], ..files(SandboxFilesystem::Workspace) };
    let machine = Machine::new();
    let error = machine.place.start(&machine.spec(missing.clone(), "print()")).unwrap_err();
    let TargetStartError::Refused { code, message } = error else { panic!("{error:?}") };
    assert_eq!(code, ErrorCode::SandboxUnavailable);
    assert!(message.contains("lists /no/such"), "{message}");
    let place = |sandbox| TargetKind::Process(ProcessPlace { sandbox: Some(sandbox) });
    let target = ProcessTarget::default();
    let error = target.check(&place(missing)).await.unwrap_err();
    assert!(error.to_string().contains("lists /no/such"), "{error}");
    let whole =
        SandboxRules { network: SandboxNetwork::None, ..files(SandboxFilesystem::Workspace) };
    target.check(&place(whole)).await.unwrap();
    target.check(&TargetKind::default()).await.unwrap();
}

#[tokio::test]
async fn a_program_outside_of_its_sandbox_is_not_found() {
    if !can_sandbox() {
        return;
    }
    let machine = Machine::new();
    let script = machine.place.script("tool", "#!/bin/sh\necho ran\n");
    let mut spec = machine.spec(files(SandboxFilesystem::Workspace), "");
    spec.argv = vec!["sh".into(), "-c".into(), format!("{} || echo none", script.display()).into()];
    assert_eq!(machine.runs(&spec).await, ["none"]);
}
