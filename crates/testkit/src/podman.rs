//! Throwaway container engine: Podman with its own storage and configuration, shared by all tests of a
//! test run.
//!
//! The first test that needs it starts it, together with a small shell process, which stops and
//! removes it after a time without users. It has one image, `localhost/bb:1`: a shell and the usual
//! small programs, all of them static.

use std::fs::{self, File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, getrlimit};

use crate::wait::{self, wait_until};

/// Image of every engine.
pub const IMAGE: &str = "localhost/bb:1";

/// Programs that the engine needs.
const PROGRAMS: [&str; 3] = ["/usr/bin/podman", "/usr/sbin/runc", "/bin/busybox"];

/// Search path of the engine, its runtime and its monitors.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Highest limit on files and processes of a container.
const LIMIT: u64 = 4_096;

/// Script that stops and removes an engine after some seconds without users. `$1` is its folder.
///
/// The script checks again under the lock: a test that began to use the engine meanwhile keeps it.
const GUARDIAN: &str = "idle=0; while [ -d \"$1\" ]; do sleep 4; \
     if flock -x -n \"$1/users\" true; then idle=$((idle+1)); else idle=0; fi; \
     [ $idle -ge 3 ] || continue; \
     exec 9>>\"$1.lock\"; flock -x 9; \
     if flock -x -n \"$1/users\" true; then \
       podman --root \"$1/storage\" --runroot \"$1/run\" --storage-driver overlay rm -fa -t 0; \
       kill \"$(cat \"$1/pid\")\"; umount \"$1/storage/overlay\"; rm -rf \"$1\"; fi; \
     exec 9>&-; idle=0; done";

/// A container engine of the tests, kept for as long as this lives.
#[derive(Debug)]
pub struct Podman {
    folder: PathBuf,
    /// Lock that marks the engine as used.
    _users: File,
}

impl Podman {
    /// Returns the shared engine, started if necessary; `None`, with a line on stderr, on a machine
    /// that cannot have one.
    pub fn shared() -> Option<Self> {
        Self::at(PathBuf::from("/tmp/errand-podman"))
    }

    /// Returns the engine of one test, which may kill its service; `None` as [`shared`](Self::shared).
    pub fn of_test(name: &str) -> Option<Self> {
        Self::at(PathBuf::from(format!("/tmp/errand-podman-{name}")))
    }

    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn at(folder: PathBuf) -> Option<Self> {
        let missing: Vec<&str> =
            PROGRAMS.into_iter().filter(|program| !Path::new(program).exists()).collect();
        if !missing.is_empty() || !rustix::process::getuid().is_root() {
            eprintln!("SKIPPED: no containers without root and {}", PROGRAMS.join(", "));
            return None;
        }
        let guard = open(&folder.with_extension("lock"));
        flock(&guard, FlockOperation::LockExclusive).expect("the lock of the engine");
        if !answers(&folder) {
            drop(fs::remove_dir_all(&folder));
            start(&folder);
        }
        let users = open(&folder.join("users"));
        flock(&users, FlockOperation::LockShared).expect("the engine's list of users");
        Some(Self { folder, _users: users })
    }

    /// Returns the value of `DOCKER_HOST` for this engine.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix://{}", socket(&self.folder).display())
    }

    /// Runs `podman` with these arguments on the same containers. Returns its stdout.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {arguments:?} failed: {errors}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs `podman` with these arguments, whether they succeed or not.
    #[must_use]
    pub fn output(&self, arguments: &[&str]) -> Output {
        command(&self.folder).args(arguments).output().expect("podman")
    }

    /// Makes an image with the same programs whose command is the shell script in the variable
    /// `SCRIPT`. Returns its name.
    #[must_use]
    pub fn script_image(&self) -> String {
        let name = "localhost/script:1".to_owned();
        if !self.output(&["image", "exists", &name]).status.success() {
            let archive = self.folder.join("image.tar").display().to_string();
            let command = r#"CMD ["sh", "-c", "eval \"$SCRIPT\""]"#;
            let _imported = self.run(&["import", "--change", command, &archive, &name]);
        }
        name
    }

    /// Makes an image with the same programs whose files are those that a script leaves.
    pub fn changed_image(&self, name: &str, script: &str) {
        let made = self.run(&["run", "-d", "--network", "none", IMAGE, "sh", "-c", script]);
        assert_eq!(self.run(&["wait", &made]), "0", "{script}");
        let _image = self.run(&["commit", "--quiet", &made, name]);
        let _removed = self.run(&["rm", &made]);
    }

    /// Kills the service of the engine. Containers live on.
    pub fn kill_service(&self) {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("the engine's process id");
        let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
        wait_until("the engine is gone", wait::LIMIT, || !answers(&self.folder));
    }

    /// Starts the service of the engine anew.
    pub fn start_service(&self) {
        start_service(&self.folder);
    }

    /// Returns the ids of containers with a label, stopped ones included.
    #[must_use]
    pub fn with_label(&self, label: &str) -> Vec<String> {
        let filter = format!("label={label}");
        let ids = self.run(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        ids.lines().map(str::to_owned).collect()
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("podman.sock")
}

fn answers(folder: &Path) -> bool {
    UnixStream::connect(socket(folder)).is_ok()
}

fn open(path: &Path) -> File {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}

/// Returns a command of Podman with the engine's storage and configuration.
fn command(folder: &Path) -> Command {
    let mut podman = Command::new(PROGRAMS[0]);
    podman
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("CONTAINERS_CONF", folder.join("containers.conf"))
        .current_dir("/")
        .stdin(Stdio::null())
        .arg("--root")
        .arg(folder.join("storage"))
        .arg("--runroot")
        .arg(folder.join("run"))
        .args(["--storage-driver", "overlay"]);
    podman
}

fn start(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder for the engine");
    let limit = |resource| getrlimit(resource).maximum.unwrap_or(LIMIT).min(LIMIT);
    let (files, processes) = (limit(Resource::Nofile), limit(Resource::Nproc));
    let settings = format!(
        "[containers]\n\
         default_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
         log_driver = \"k8s-file\"\n\
         [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
    );
    fs::write(folder.join("containers.conf"), settings).expect("the engine's configuration");
    import_image(folder);
    start_service(folder);
    guard(folder);
}

#[expect(clippy::zombie_processes, reason = "the guardian stops it")]
fn start_service(folder: &Path) {
    let socket = socket(folder);
    // A killed service leaves its socket.
    drop(fs::remove_file(&socket));
    let service = command(folder)
        .args(["system", "service", "--time=0"])
        .arg(format!("unix://{}", socket.display()))
        .stdout(Stdio::null())
        .stderr(open(&folder.join("service.log")))
        .spawn();
    let service = service.expect("podman");
    fs::write(folder.join("pid"), service.id().to_string()).expect("the engine's process id");
    wait_until("the engine answers", wait::LIMIT, || answers(folder));
}

fn import_image(folder: &Path) {
    let script = "cd \"$1\" && mkdir -p fs/bin fs/etc fs/proc fs/sys fs/dev fs/tmp fs/root && \
         chmod 1777 fs/tmp && cp /bin/busybox fs/bin/busybox && \
         for name in $(/bin/busybox --list); do \
           [ $name = busybox ] || ln -sf busybox fs/bin/$name; done && \
         echo root:x:0:0:root:/root:/bin/sh > fs/etc/passwd && tar -C fs -cf image.tar .";
    let made = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .arg(folder)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .status();
    assert!(made.is_ok_and(|status| status.success()), "the image cannot be made");
    let imported = command(folder)
        .arg("import")
        .arg(folder.join("image.tar"))
        .arg(IMAGE)
        .output()
        .expect("podman");
    let errors = String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "the image cannot be imported: {errors}");
}

#[expect(clippy::zombie_processes, reason = "it is meant to outlive this process")]
fn guard(folder: &Path) {
    let guardian = Command::new("setsid")
        .args(["sh", "-c", GUARDIAN, "sh"])
        .arg(folder)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("CONTAINERS_CONF", folder.join("containers.conf"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    guardian.expect("setsid, which comes with Debian");
}
