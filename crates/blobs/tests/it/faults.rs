//! Faults of a place, each with what a caller is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Cursor, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use errand_blobs::PlacedBlobs;
use errand_model::Digest;
use errand_store::{BlobPlaceFault, BlobPlaceRecord, Error, SharedBlobs as _};
use errand_testkit::s3::{BUCKET, S3Server, variables_for};

/// Bytes of an upload after which the connection is cut.
const CUT_AFTER_BYTES: usize = 200_000;

fn blobs(place: &str, variables: &[(&str, String)]) -> PlacedBlobs {
    let environment: BTreeMap<OsString, OsString> =
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let record = BlobPlaceRecord { place: place.to_owned(), folder: "r1".to_owned() };
    PlacedBlobs::new(&record, &environment).unwrap()
}

fn bucket(name: &str) -> String {
    format!("s3://{name}/prefix")
}

/// Returns the fault, and the text, which must not have the secret key.
#[track_caller]
fn fault(failed: Result<(), Error>) -> (BlobPlaceFault, String) {
    let error = failed.unwrap_err();
    let text = error.to_string();
    assert!(!text.contains("test-secret"), "{text}");
    let Error::BlobPlace { fault, .. } = error else { panic!("{text}") };
    (fault, text)
}

/// Answers every request in this way.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 65_536];
            if stream.read(&mut request).is_ok_and(|read| read > 0) {
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    address
}

/// Passes connections on to a service, and cuts those that send too much.
fn cutting(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut client, mut service) = (stream.unwrap(), TcpStream::connect(to).unwrap());
            let (mut answers, mut answered) =
                (service.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut answers, &mut answered)));
            std::thread::spawn(move || {
                let (mut piece, mut passed) = ([0; 16_384], 0);
                while let Ok(read @ 1..) = client.read(&mut piece) {
                    passed += read;
                    if passed > CUT_AFTER_BYTES || service.write_all(&piece[..read]).is_err() {
                        break;
                    }
                }
                drop(client.shutdown(Shutdown::Both));
                drop(service.shutdown(Shutdown::Both));
            });
        }
    });
    address
}

#[test]
fn a_bucket_that_does_not_exist_is_told() {
    let Some(server) = S3Server::start() else { return };
    let (fault, text) = fault(blobs(&bucket("missing-bucket"), &server.variables()).claim("{}"));
    assert_eq!(fault, BlobPlaceFault::BucketMissing, "{text}");
    assert!(text.contains("s3://missing-bucket/prefix") && text.contains("NoSuchBucket"), "{text}");
}

#[test]
fn a_key_that_the_service_does_not_know_is_told() {
    let Some(server) = S3Server::refusing_keys() else { return };
    let (fault, text) = fault(blobs(&bucket(BUCKET), &server.variables()).claim("{}"));
    assert_eq!(fault, BlobPlaceFault::KeyInvalid, "{text}");
}

#[test]
fn half_a_key_is_told_without_asking_the_service() {
    let variables = [("AWS_ACCESS_KEY_ID", "only-the-id".to_owned())];
    let (fault, text) = fault(blobs(&bucket(BUCKET), &variables).check());
    assert_eq!(fault, BlobPlaceFault::KeyInvalid, "{text}");
}

#[test]
fn a_key_without_permission_is_told() {
    let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let address = answering(answer.leak());
    let (fault, text) = fault(blobs(&bucket(BUCKET), &variables_for(address)).claim("{}"));
    assert_eq!(fault, BlobPlaceFault::AccessDenied, "{text}");
    assert!(text.ends_with("AccessDenied: Access Denied"), "{text}");
}

#[test]
fn a_service_that_does_not_answer_is_told_and_may_be_back() {
    // The port was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let blobs = blobs(&bucket(BUCKET), &variables_for(address));
    let error = blobs.check().unwrap_err();
    assert!(error.may_pass(), "{error}");
    assert_eq!(fault(blobs.claim("{}")).0, BlobPlaceFault::Unreachable);
}

#[test]
fn a_service_with_errors_of_its_own_may_be_back() {
    let address = answering(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    let (fault, text) = fault(blobs(&bucket(BUCKET), &variables_for(address)).claim("{}"));
    assert_eq!(fault, BlobPlaceFault::Unreachable, "{text}");
}

#[test]
fn an_upload_that_is_cut_leaves_no_blob_and_may_be_made_again() {
    let Some(server) = S3Server::start() else { return };
    blobs(&bucket(BUCKET), &server.variables()).claim("{}").unwrap();
    let through = blobs(&bucket(BUCKET), &variables_for(cutting(server.address())));
    let bytes = vec![7; 2 * CUT_AFTER_BYTES];
    let digest = Digest::of(&bytes);
    let cut = through.put(&digest, &mut Cursor::new(&bytes));
    let (fault, text) = fault(cut);
    assert_eq!(fault, BlobPlaceFault::UploadCut, "{text}");
    assert!(!through.contains(&digest).unwrap());
    let direct = blobs(&bucket(BUCKET), &server.variables());
    assert!(!direct.contains(&digest).unwrap());
    direct.put(&digest, &mut Cursor::new(&bytes)).unwrap();
    assert!(direct.contains(&digest).unwrap());
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such").display().to_string();
    let (fault_of_missing, text) = fault(blobs(&missing, &[]).claim("{}"));
    assert_eq!(fault_of_missing, BlobPlaceFault::AddressInvalid, "{text}");
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let file = folder.path().join("file").display().to_string();
    let (fault, text) = fault(blobs(&file, &[]).claim("{}"));
    assert_eq!(fault, BlobPlaceFault::AddressInvalid, "{text}");
}
