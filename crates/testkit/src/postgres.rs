//! Throwaway PostgreSQL: a server shared by all tests of a test run, with a database for each test;
//! or a separate server for a test that restarts or kills it.
//!
//! The first test that needs the shared server starts it, together with a small shell process,
//! which stops and removes the server after a time without users: tests run in separate processes,
//! and none of them knows that it is the last.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::BuildHasher as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// Folder in which Debian installs the programs of a server.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Settings for tests, which may lose data in a crash of the machine.
const FAST: &str = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off";

/// Settings of every server.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
     -c shared_buffers=64MB -c max_connections=300 -c logging_collector=off";

/// Script that stops and removes a server after some seconds without users. `$1` is its folder,
/// `$2` the command that stops it.
///
/// The script checks again under the lock: a test that began to use the server meanwhile keeps it.
const GUARDIAN: &str = "idle=0; while [ -d \"$1\" ]; do sleep 4; \
     if flock -x -n \"$1/users\" true; then idle=$((idle+1)); else idle=0; fi; \
     [ $idle -ge 3 ] || continue; \
     exec 9>>\"$1.lock\"; flock -x 9; \
     if flock -x -n \"$1/users\" true; then sh -c \"$2\"; rm -rf \"$1\"; fi; \
     exec 9>&-; idle=0; done";

/// Range of ports for servers, outside of the system's ephemeral range: a restarted server finds
/// its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A server for one test. It is removed when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    settings: String,
}

/// Durability of a server's commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The default: for measurements, and for tests that kill the server.
    Full,
    /// No commit is synced.
    None,
}

impl PostgresServer {
    /// Starts a server with further settings (`-c max_connections=5`).
    pub fn start(durability: Durability, settings: &str) -> Self {
        let folder = TempDir::with_prefix("errand-pg-").expect("a folder for PostgreSQL");
        let fast = if durability == Durability::None { FAST } else { "" };
        let settings = format!("{SETTINGS} {fast} {settings}");
        make(folder.path());
        let port = start(folder.path(), &settings);
        Self { folder, port, settings }
    }

    /// Returns the URL of the first database.
    pub fn url(&self) -> String {
        url(self.port, "postgres")
    }

    /// Stops the server as an operator would (`fast`: sessions are ended) and starts it again.
    pub fn restart(&self) {
        self.stop("fast");
        self.resume();
    }

    /// Kills the server as a crash would (`immediate`: nothing is written any more).
    pub fn crash(&self) {
        self.stop("immediate");
    }

    /// Starts the server again after [`PostgresServer::crash`].
    pub fn resume(&self) {
        let port = format!("{} -c port={}", self.settings, self.port);
        let started = control(self.folder.path(), &["-o", &port, "start"]);
        assert!(started, "PostgreSQL does not start again: {}", log(self.folder.path()));
    }

    /// Executes SQL. Returns the output, unaligned.
    pub fn psql(&self, sql: &str) -> String {
        psql(&self.url(), sql)
    }

    fn stop(&self, mode: &str) {
        assert!(control(self.folder.path(), &["-m", mode, "stop"]), "PostgreSQL does not stop");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // The test may have stopped the server.
        control(self.folder.path(), &["-m", "immediate", "stop"]);
    }
}

/// A database for one test, on the shared server. It is removed when dropped.
#[derive(Debug)]
pub struct Database {
    name: String,
    port: u16,
    /// Lock that marks the server as used.
    _users: File,
}

impl Database {
    /// Creates an empty database.
    pub fn empty() -> Self {
        let (port, users) = shared();
        let name = new_name();
        psql(&url(port, "postgres"), &format!("CREATE DATABASE {name}"));
        Self { name, port, _users: users }
    }

    /// Creates a copy of a database that `prepare` made: it is called with the URL of an empty one,
    /// once a test run for each `key`.
    pub fn prepared(key: &str, prepare: impl FnOnce(&str)) -> Self {
        let (port, users) = shared();
        let admin = url(port, "postgres");
        let template = template(key);
        {
            let _guard = lock(&folder().with_extension("lock"));
            let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{template}'");
            if psql(&admin, &exists).is_empty() {
                let half_done = format!("{template}_new");
                psql(&admin, &format!("DROP DATABASE IF EXISTS {half_done} WITH (FORCE)"));
                psql(&admin, &format!("CREATE DATABASE {half_done}"));
                prepare(&url(port, &half_done));
                psql(&admin, &format!("ALTER DATABASE {half_done} RENAME TO {template}"));
            }
        }
        let name = new_name();
        psql(&admin, &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self { name, port, _users: users }
    }

    /// Returns the URL.
    pub fn url(&self) -> String {
        url(self.port, &self.name)
    }

    /// Executes SQL. Returns the output, unaligned.
    pub fn psql(&self, sql: &str) -> String {
        psql(&self.url(), sql)
    }

    /// Returns PostgreSQL's error message for SQL that it must refuse.
    pub fn psql_refuses(&self, sql: &str) -> String {
        let output = run_psql(&self.url(), sql);
        assert!(!output.status.success(), "PostgreSQL does it: {sql}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // On a failure the database is removed with its server.
        drop(run_psql(&url(self.port, "postgres"), &drop_it));
    }
}

fn new_name() -> String {
    format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the name of the template for `key`: its FNV-1a hash, to keep it short.
fn template(key: &str) -> String {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("template_{:016x}", key.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}")
}

/// Returns the folder of the shared server: the same for all tests of one user, whatever their
/// `TMPDIR` is.
fn folder() -> PathBuf {
    PathBuf::from(format!("/tmp/errand-postgres-{}", rustix::process::getuid().as_raw()))
}

/// Returns the port of the shared server, and the lock that marks it as used. Starts it if
/// necessary.
fn shared() -> (u16, File) {
    let folder = folder();
    let _guard = lock(&folder.with_extension("lock"));
    let port = folder.join("port");
    if let Some(running) = running(&folder) {
        return (running, use_it(&folder));
    }
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).expect("a folder for PostgreSQL");
    make(&folder);
    let number = start(&folder, &format!("{SETTINGS} {FAST}"));
    fs::write(&port, number.to_string()).expect("the port of PostgreSQL");
    let users = use_it(&folder);
    guard(&folder);
    (number, users)
}

fn running(folder: &Path) -> Option<u16> {
    let port = fs::read_to_string(folder.join("port")).ok()?.parse().ok()?;
    control(folder, &["status"]).then_some(port)
}

fn use_it(folder: &Path) -> File {
    let users = open(&folder.join("users"));
    flock(&users, FlockOperation::LockShared).expect("the server's list of users");
    users
}

fn lock(path: &Path) -> File {
    let file = open(path);
    flock(&file, FlockOperation::LockExclusive).expect("the lock of PostgreSQL");
    file
}

fn open(path: &Path) -> File {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}

#[expect(clippy::zombie_processes, reason = "it is meant to outlive this process")]
fn guard(folder: &Path) {
    let data = folder.join("data");
    let stop = format!(
        "cd / && {} -D {} -m immediate -w stop",
        as_user(&program("pg_ctl")).join(" "),
        data.display()
    );
    let path = folder.display().to_string();
    // Its environment does not name the folder of this test run, which it outlives by some seconds.
    let guardian = Command::new("setsid")
        .args(["sh", "-c", GUARDIAN, "sh", &path, &stop])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    guardian.expect("setsid, which comes with Debian");
}

/// Creates a cluster in a folder.
fn make(folder: &Path) {
    let is_root = rustix::process::getuid().is_root();
    if is_root {
        let mut chown = Command::new("chown");
        chown.arg("postgres").arg(folder);
        assert!(quietly(&mut chown), "there is no user `postgres`: install postgresql");
    }
    let data = folder.join("data").display().to_string();
    let made = run_as(
        "initdb",
        &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
    );
    assert!(made, "initdb failed in {}", folder.display());
}

/// Returns a random free port of [`PORTS`].
fn free_port() -> u16 {
    let count = u64::from(PORTS.end - PORTS.start);
    let any = || PORTS.start + u16::try_from(RandomState::new().hash_one(0) % count).unwrap_or(0);
    let free =
        (0..1_000).map(|_| any()).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("a free port")
}

/// Starts a cluster on a free port.
fn start(folder: &Path, settings: &str) -> u16 {
    for _ in 0..5 {
        let port = free_port();
        if control(folder, &["-o", &format!("{settings} -c port={port}"), "start"]) {
            return port;
        }
    }
    panic!("PostgreSQL does not start: {}", log(folder));
}

fn control(folder: &Path, args: &[&str]) -> bool {
    let data = folder.join("data").display().to_string();
    let log = folder.join("data/log").display().to_string();
    let mut all = vec!["-D", data.as_str(), "-l", log.as_str(), "-w", "-t", "60"];
    all.extend(args);
    run_as("pg_ctl", &all)
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("data/log")).unwrap_or_default()
}

fn run_as(name: &str, args: &[&str]) -> bool {
    let words = as_user(&program(name));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(args);
    quietly(&mut command)
}

/// Returns the command that runs a program as a user other than root, which a server requires.
fn as_user(program: &str) -> Vec<String> {
    let mut words = Vec::new();
    if rustix::process::getuid().is_root() {
        words.extend(["runuser", "-u", "postgres", "--"].map(str::to_owned));
    }
    words.push(program.to_owned());
    words
}

fn quietly(command: &mut Command) -> bool {
    let status = command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Returns a program of the newest installed version.
fn program(name: &str) -> String {
    let versions = fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .max();
    match newest {
        Some(path) => path.display().to_string(),
        None => panic!("there is no {name} in {PROGRAMS}: `apt-get install postgresql`"),
    }
}

/// Executes SQL in the database at that URL. Returns the output, unaligned.
pub fn psql(url: &str, sql: &str) -> String {
    let output = run_psql(url, sql);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "psql failed: {errors}\n{sql}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn run_psql(url: &str, sql: &str) -> std::process::Output {
    let output = Command::new(program("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url])
        .stdin(Stdio::null())
        .output();
    output.expect("psql")
}
