//! Throwaway S3 service: moto, with everything in memory.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::{self, wait_until};
use crate::{HttpRequest, Response};

/// Program of the service.
const PROGRAM: &str = "moto_server";
/// Bucket that exists.
pub const BUCKET: &str = "errand-tests";
/// Signature for a service that checks none.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=test-key-id/20260101/us-east-1/s3/aws4_request, \
     SignedHeaders=host, Signature=0";
/// Time for an interpreter to start on a busy machine.
const STARTS_IN: Duration = Duration::from_secs(120);

/// A service of its own for a test; it ends with this value, or with the test's thread.
#[derive(Debug)]
pub struct S3Server {
    child: Child,
    address: SocketAddr,
}

impl S3Server {
    /// Starts a service with the bucket [`BUCKET`]; `None`, with a line on stderr, on a machine that
    /// does not have it.
    #[must_use]
    pub fn start() -> Option<Self> {
        let server = Self::run(None)?;
        server.make_bucket(BUCKET);
        Some(server)
    }

    /// Starts a service as [`S3Server::start`] that refuses every key from then on.
    #[must_use]
    pub fn refusing_keys() -> Option<Self> {
        // One action is free: the bucket.
        let server = Self::run(Some("1"))?;
        server.make_bucket(BUCKET);
        Some(server)
    }

    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn run(free_actions: Option<&str>) -> Option<Self> {
        // The port is free a moment later too, unless another test takes it in between.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program())
            .args(["-H", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .envs(free_actions.map(|count| ("INITIAL_NO_AUTH_ACTION_COUNT", count)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: no S3 without setpriv: {error}");
                return None;
            }
        };
        let mut is_missing = false;
        wait_until("the S3 service answers", STARTS_IN.max(wait::LIMIT), || {
            is_missing = child.try_wait().expect("the state of the service").is_some();
            is_missing || TcpStream::connect(address).is_ok()
        });
        if is_missing {
            eprintln!("SKIPPED: no S3 without {PROGRAM}; `cargo xtask test` installs it");
            return None;
        }
        Some(Self { child, address })
    }

    /// Creates a bucket.
    pub fn make_bucket(&self, name: &str) {
        let made = self.send(&HttpRequest::put(&format!("/{name}"), ""));
        assert_eq!(made.status, 200, "the bucket {name} is not made: {made:?}");
    }

    /// Returns the address of the service.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the variables with which programs find the service.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 4] {
        variables_for(self.address)
    }

    /// Returns the keys in [`BUCKET`], in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let listed = self.send(&HttpRequest::new("GET", &format!("/{BUCKET}?list-type=2")));
        let keys = listed.body.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// Returns the text of an object of [`BUCKET`].
    #[must_use]
    pub fn object(&self, key: &str) -> String {
        let get = HttpRequest::new("GET", &format!("/{BUCKET}/{key}"));
        self.send(&get.header("Authorization", SIGNED)).expect(200).body
    }

    fn send(&self, request: &HttpRequest) -> Response {
        request.send(&self.address.to_string())
    }
}

/// Returns the service that `cargo xtask test` installed in cargo's folder for files of tests, or else
/// that of the search path.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let installed = test.ancestors().nth(3).map(|target| target.join("tmp/moto/bin").join(PROGRAM));
    installed.filter(|program| program.is_file()).unwrap_or_else(|| PROGRAM.into())
}

/// Returns the variables with which programs find an S3 service at this address.
#[must_use]
pub fn variables_for(address: SocketAddr) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test-key-id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test-secret-4711".to_owned()),
    ]
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
