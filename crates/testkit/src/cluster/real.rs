//! A real API server with its controllers, from programs that `cargo xtask test --kubernetes` builds.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::wait_until;

/// Variable with the folder of the programs.
const PROGRAMS: &str = "ERRAND_TEST_KUBERNETES";
/// Token of the cluster's administrator.
const TOKEN: &str = "test-token";
/// Time limit for a start: an idle machine needs six seconds.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A real control plane without nodes.
#[derive(Debug)]
pub struct RealCluster {
    folder: TempDir,
    port: u16,
    etcd: Child,
    api: Option<Child>,
    controllers: Child,
    programs: PathBuf,
    etcd_port: u16,
}

impl RealCluster {
    /// Starts a control plane; `None`, with a line on stderr, without its programs.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(programs) = std::env::var_os(PROGRAMS).map(PathBuf::from) else {
            eprintln!("SKIPPED: no real API server; `cargo xtask test --kubernetes` builds one");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder for the control plane");
        let (etcd_port, peer_port, port) = (free_port(), free_port(), free_port());
        let path = |name: &str| folder.path().join(name);
        let openssl = |arguments: &[&str]| {
            let made = Command::new("openssl").args(arguments).current_dir(folder.path()).output();
            assert!(made.expect("openssl").status.success(), "openssl {arguments:?}");
        };
        openssl(&["genrsa", "-out", "sa.key", "2048"]);
        openssl(&["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"]);
        fs::write(path("tokens.csv"), format!("{TOKEN},admin,1,\"system:masters\"\n"))
            .expect("a file of tokens");
        let config = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}', \
             insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: u, user: {{token: {TOKEN}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             current-context: c\n"
        );
        fs::write(path("kubeconfig"), config).expect("a kubeconfig");
        let clients = format!("http://127.0.0.1:{etcd_port}");
        let peers = format!("http://127.0.0.1:{peer_port}");
        let etcd = program(Path::new("etcd"), folder.path(), "etcd")
            .args(["--data-dir", "etcd", "--unsafe-no-fsync"])
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers])
            .spawn()
            .expect("etcd");
        let api = api_server(&programs, folder.path(), (etcd_port, port));
        wait_until("the API server listens", START_LIMIT, || is_ready(port));
        let controllers = program(&programs.join("kube-controller-manager"), folder.path(), "kcm")
            .args(["--kubeconfig", "kubeconfig", "--leader-elect=false", "--port=0"])
            .args(["--secure-port=0", "--controllers=job,garbagecollector,namespace,podgc"])
            .spawn()
            .expect("kube-controller-manager");
        let api = Some(api);
        Some(Self { folder, port, etcd, api, controllers, programs, etcd_port })
    }

    /// Returns the path of a kubeconfig of the administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Kills the API server, and starts it again.
    pub fn restart(&mut self) {
        if let Some(mut api) = self.api.take() {
            end(&mut api);
        }
        let ports = (self.etcd_port, self.port);
        self.api = Some(api_server(&self.programs, self.folder.path(), ports));
        wait_until("the API server listens", START_LIMIT, || is_ready(self.port));
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        for child in [&mut self.controllers, &mut self.etcd].into_iter().chain(&mut self.api) {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended.
    drop(child.kill());
    drop(child.wait());
}

fn free_port() -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    socket.local_addr().expect("an address").port()
}

fn program(path: &Path, folder: &Path, name: &str) -> Command {
    let log = fs::File::create(folder.join(format!("{name}.log"))).expect("a log");
    let errors = log.try_clone().expect("a log");
    let mut command = Command::new(path);
    command.current_dir(folder).stdin(Stdio::null()).stdout(log).stderr(errors);
    command
}

fn api_server(programs: &Path, folder: &Path, (etcd_port, port): (u16, u16)) -> Child {
    program(&programs.join("kube-apiserver"), folder, "api")
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
        .arg(format!("--secure-port={port}"))
        .args(["--bind-address=127.0.0.1", "--cert-dir=certs", "--endpoint-reconciler-type=none"])
        .args(["--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key"])
        .args(["--service-account-issuer=https://localhost", "--api-audiences=api"])
        .args(["--authorization-mode=RBAC", "--token-auth-file=tokens.csv"])
        .args(["--service-cluster-ip-range=10.0.0.0/24"])
        .args(["--disable-admission-plugins=ServiceAccount"])
        .spawn()
        .expect("kube-apiserver")
}

fn is_ready(port: u16) -> bool {
    let url = format!("https://127.0.0.1:{port}/readyz");
    let token = format!("Authorization: Bearer {TOKEN}");
    let asked = Command::new("curl").args(["-skf", "-H", &token, &url]).output();
    asked.is_ok_and(|asked| asked.status.success())
}
