//! Credentials of registries on their way to an engine, which is scripted here.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use errand_agent::target::TargetStartError;
use errand_api::agent_file::{ContainerPlace, TargetKind};
use errand_container::CredentialFiles;
use serde_json::{Value, json};

use crate::support::{place, target};

/// Starts an engine that has no image and can pull none. Tells the credentials of each pull.
fn engine(socket: &Path) -> Receiver<Option<String>> {
    let listener = UnixListener::bind(socket).unwrap();
    let (told, pulls) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let told = told.clone();
            thread::spawn(move || serve(&connection, &told));
        }
    });
    pulls
}

fn serve(connection: &UnixStream, told: &Sender<Option<String>>) -> Option<()> {
    let mut lines = BufReader::new(connection).lines();
    let request = lines.next()?.ok()?;
    let mut credentials = None;
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("x-registry-auth") {
            credentials = Some(value.to_owned());
        }
    }
    let (status, body) = if request.contains("/_ping") {
        ("200 OK", "OK".to_owned())
    } else if request.contains("/images/create") {
        told.send(credentials).ok()?;
        ("500 Internal Server Error", json!({ "message": "unauthorized" }).to_string())
    } else {
        ("404 Not Found", json!({ "message": "no such image" }).to_string())
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    let mut connection = connection;
    connection.write_all(format!("{head}{body}").as_bytes()).ok()
}

#[tokio::test]
async fn a_pull_has_the_credentials_that_a_login_left() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let pulls = engine(&socket);
    let path = folder.path().join("auth.json");
    // "ada:secret" in base64.
    let auths = json!({ "auths": { "r.example": { "auth": "YWRhOnNlY3JldA==" } } });
    fs::write(&path, auths.to_string()).unwrap();
    let credentials = CredentialFiles { paths: vec![path.clone()], search_path: None };
    let address = format!("unix://{}", socket.display());
    let target = target(&folder, address, credentials);
    let pull = async |image: &str| {
        let place = ContainerPlace { image: image.to_owned(), ..place() };
        match target.check(&TargetKind::Container(place)).await {
            Err(TargetStartError::Refused { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    };
    assert!(pull("r.example/team/x:1").await.contains("unauthorized"));
    let sent = pulls.recv().unwrap().unwrap();
    let sent = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, sent).unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!((&sent["username"], &sent["password"]), (&"ada".into(), &"secret".into()));
    assert_eq!(sent["serveraddress"], "r.example");

    assert!(!pull("other.example/x:1").await.contains("credentials"));
    assert_eq!(pulls.recv().unwrap(), None);
    fs::write(&path, "{").unwrap();
    let message = pull("r.example/x:1").await;
    assert!(message.contains("without credentials") && message.contains("auth.json"), "{message}");
}
