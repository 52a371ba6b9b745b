#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use errand_agent::parcel::{self, Content, Error, Parcel};
use errand_api::error_code::ErrorCode;
use errand_model::Digest;
use tempfile::TempDir;

const AGENT_YAML: &str = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: a, version: 1.0.0 }\nspec: { command: [./run.sh] }\n";

/// A folder with an agent, and a folder for parcels.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        place.write("agent.yaml", AGENT_YAML);
        place.write("run.sh", "#!/bin/sh\necho hello\n");
        place.mode("run.sh", 0o755);
        place
    }

    fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    fn parcels(&self) -> PathBuf {
        self.root.path().join("registry/parcels")
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let full = self.source().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, text).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.source().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        symlink(target, self.source().join(path)).unwrap();
    }

    fn build(&self) -> Result<Parcel, Error> {
        parcel::build(&self.source(), &self.parcels())
    }

    fn good(&self) -> Parcel {
        self.build().unwrap()
    }

    /// Builds a folder that must be refused without leaving anything, and returns the error's text.
    fn refused(&self, code: ErrorCode) -> String {
        let error = self.build().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!self.parcels().exists(), "something was created");
        error.to_string()
    }

    fn paths(&self) -> Vec<String> {
        self.good().files.into_iter().map(|file| file.path).collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_parcel_is_a_read_only_copy_named_by_its_digest() {
    let place = Place::new();
    place.write("lib/deep/data.txt", "data");
    let built = place.good();
    assert_eq!(built.path, place.parcels().join(built.digest.hex()));
    assert_eq!(built.agent.name, "a");
    assert_eq!(names(&built.path), ["definition.json", "files", "manifest.json"]);
    assert_eq!(fs::read(built.files_path().join("lib/deep/data.txt")).unwrap(), b"data");
    let mode = |path: &str| {
        fs::metadata(built.files_path().join(path)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!(
        [mode("run.sh"), mode("agent.yaml"), mode("lib/deep/data.txt")],
        [0o500, 0o400, 0o400]
    );
    assert_eq!(names(&place.parcels()), [".lock", built.digest.hex()]);
    assert_eq!(parcel::open(&place.parcels(), &built.digest).unwrap(), built);
    assert_eq!(parcel::verify(&place.parcels(), &built.digest).unwrap(), built);
}

#[test]
fn the_digest_is_the_same_on_every_machine() {
    let place = Place::new();
    place.write("b/z", "1");
    place.write("b.txt", "2");
    place.write("Ünï code", "3");
    place.link("b/z", "link");
    let digest = place.good().digest;
    // As long as this digest stays, this version finds parcels that an older errand built.
    assert_eq!(
        digest.as_str(),
        "sha256:c64e76e5cf1a3d12a5484b3528420b04427e6954ffaa6d4d5cbd1bc1bc20a23f"
    );
    // Other modes, other times, another order of creation, another folder.
    let other = Place::new();
    other.link("b/z", "link");
    other.write("Ünï code", "3");
    other.write("b.txt", "2");
    other.write("b/z", "1");
    other.mode("b.txt", 0o600);
    other.mode("run.sh", 0o700);
    assert_eq!(other.good().digest, digest);
    assert_eq!(
        parcel::build(&other.source().join("agent.yaml"), &other.parcels()).unwrap().digest,
        digest
    );
}

#[test]
fn content_mode_path_and_link_change_the_digest() {
    let place = Place::new();
    place.write("data", "one");
    place.link("data", "link");
    let mut digests = vec![place.good().digest];
    place.write("data", "two");
    digests.push(place.good().digest);
    place.mode("data", 0o755);
    digests.push(place.good().digest);
    fs::rename(place.source().join("data"), place.source().join("date")).unwrap();
    digests.push(place.good().digest);
    fs::remove_file(place.source().join("link")).unwrap();
    place.link("date", "link");
    digests.push(place.good().digest);
    place.write("agent.yaml", AGENT_YAML.replace("1.0.0", "1.0.1"));
    digests.push(place.good().digest);
    place.write("empty", "");
    digests.push(place.good().digest);
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "change {index} changed nothing");
        parcel::verify(&place.parcels(), digest).unwrap();
    }
}

#[test]
fn files_are_listed_by_the_bytes_of_their_paths() {
    let place = Place::new();
    for path in ["b/a", "b.c", "b-c", "B", "a/b/c"] {
        place.write(path, path);
    }
    assert_eq!(place.paths(), ["B", "a/b/c", "agent.yaml", "b-c", "b.c", "b/a", "run.sh"]);
}

#[test]
fn errandignore_is_honoured_and_wins_over_gitignore() {
    let place = Place::new();
    place.write(".errandignore", "*.log\n/build/\n!keep.log\n!run.sh\n!kept/\n# a comment\n");
    place.write("sub/.errandignore", "secret\n");
    for path in [
        "a.log",
        "keep.log",
        "build/x",
        "sub/build/x",
        "sub/secret",
        "sub/b.log",
        ".git/HEAD",
        ".errand/registry.db",
        "sub/.git/HEAD",
        "lib/__pycache__/x.pyc",
        ".hidden",
        "kept/x",
        "sub/of/git",
    ] {
        place.write(path, "x");
    }
    place.write(".gitignore", "run.sh\nkept/\n");
    place.write("sub/.gitignore", "of/*\n");
    fs::write(place.root.path().join(".errandignore"), "run.sh\n").unwrap();
    assert_eq!(
        place.paths(),
        [
            ".errandignore",
            ".gitignore",
            ".hidden",
            "agent.yaml",
            "keep.log",
            "kept/x",
            "run.sh",
            "sub/.errandignore",
            "sub/.gitignore",
            "sub/build/x",
        ]
    );
}

#[test]
fn gitignore_files_above_the_folder_count_up_to_the_top_of_the_repository() {
    let place = Place::new();
    for path in ["a.log", "b.tmp", "c.bak", "keep.log"] {
        place.write(path, "x");
    }
    let above = place.root.path();
    fs::write(above.join(".gitignore"), "*.log\n!keep.log\n/source/b.tmp\n").unwrap();
    // Without a repository, the ignore file above has nothing to do with this folder.
    assert_eq!(place.paths(), ["a.log", "agent.yaml", "b.tmp", "c.bak", "keep.log", "run.sh"]);
    fs::create_dir(above.join(".git")).unwrap();
    assert_eq!(place.paths(), ["agent.yaml", "c.bak", "keep.log", "run.sh"]);
    // The `.gitignore` of a registry keeps the registry out of git, but not the agents that are run
    // from its folder.
    fs::write(above.join("registry.db"), "").unwrap();
    fs::write(above.join(".gitignore"), "*\n").unwrap();
    assert_eq!(place.paths().len(), 6);
}

#[test]
fn folders_made_for_one_machine_are_left_out_unless_they_are_named() {
    let place = Place::new();
    for path in ["node_modules/x/index.js", ".venv/bin/python", "env3/pyvenv.cfg", "env3/lib/x"] {
        place.write(path, "x");
    }
    assert_eq!(place.paths(), ["agent.yaml", "run.sh"]);
    let plan = parcel::plan(&place.source()).unwrap();
    assert_eq!(plan.left_out(), [".venv/", "env3/", "node_modules/"]);
    place.write(".errandignore", "!node_modules/\n");
    assert_eq!(place.paths(), [".errandignore", "agent.yaml", "node_modules/x/index.js", "run.sh"]);
}

#[test]
fn files_that_look_like_credentials_are_refused_unless_they_are_named() {
    let place = Place::new();
    place.write(".env", "SECRET=abc\n");
    place.write("deep/key.pem", "-----BEGIN PRIVATE KEY-----\nabc\n");
    place.write(".env.example", "SECRET=\n");
    let said = place.refused(ErrorCode::ParcelCredentials);
    assert_eq!(said, ".env, deep/key.pem look like credentials and would leave this machine");
    place.write(".gitignore", ".env\n");
    let said = place.refused(ErrorCode::ParcelCredentials);
    assert_eq!(said, "deep/key.pem looks like credentials and would leave this machine");
    let hint = place.build().unwrap_err().hint().unwrap();
    assert!(hint.contains("!/deep/key.pem"), "{hint}");
    place.write(".errandignore", "!/deep/key.pem\n");
    let packed =
        [".env.example", ".errandignore", ".gitignore", "agent.yaml", "deep/key.pem", "run.sh"];
    assert_eq!(place.paths(), packed);
    place.write(".errandignore", "!/deep/\n!.env\n");
    assert!(place.paths().contains(&".env".to_owned()));
}

#[test]
fn an_agent_whose_own_files_are_left_out_is_refused() {
    let place = Place::new();
    for (line, path) in [("run.sh", "run.sh"), ("agent.yaml", "agent.yaml"), ("*", "agent.yaml")] {
        place.write(".gitignore", line);
        let said = place.refused(ErrorCode::ParcelIncomplete);
        assert!(said.contains(path) && said.contains(".gitignore"), "{said}");
    }
    fs::remove_file(place.source().join(".gitignore")).unwrap();
    place.write("agent.yaml", AGENT_YAML.replace("run.sh", ".venv/bin/python"));
    place.write(".venv/bin/python", "");
    place.mode(".venv/bin/python", 0o755);
    place.refused(ErrorCode::ParcelIncomplete);
    let hint = place.build().unwrap_err().hint().unwrap();
    assert!(hint.contains("uv, run, --script"), "{hint}");
}

#[test]
fn a_broken_ignore_file_is_refused() {
    let place = Place::new();
    place.write(".errandignore", "ok\na[z-a]\n");
    let said = place.refused(ErrorCode::ParcelInvalid);
    assert!(said.contains(".errandignore") && said.contains("line 2"), "{said}");
}

#[test]
fn links_inside_of_the_folder_stay_links() {
    let place = Place::new();
    place.write("lib/data", "x");
    place.link("../run.sh", "lib/run");
    place.link("lib", "folder");
    place.link("nowhere", "dangling");
    place.link("loop", "loop");
    let built = place.good();
    let link = |target: &str| Content::Link { target: target.to_owned() };
    let content = |path: &str| {
        built.files.iter().find(|file| file.path == path).map(|file| file.content.clone()).unwrap()
    };
    assert_eq!(content("lib/run"), link("../run.sh"));
    assert_eq!(content("folder"), link("lib"));
    assert_eq!(fs::read_link(built.files_path().join("folder")).unwrap(), Path::new("lib"));
    assert_eq!(fs::read(built.files_path().join("folder/data")).unwrap(), b"x");
    parcel::verify(&place.parcels(), &built.digest).unwrap();
}

#[test]
fn links_that_leave_the_folder_are_refused_by_name() {
    for (target, path) in [
        ("/etc/passwd", "absolute"),
        ("..", "parent"),
        ("../../x", "sub/far"),
        ("sub/../../x", "detour"),
    ] {
        let place = Place::new();
        place.write("sub/x", "x");
        place.link(target, path);
        let said = place.refused(ErrorCode::ParcelSymlinkEscapes);
        assert!(said.contains(path) && said.contains(target), "{said}");
    }
    // Each of the two links is valid by its text; together they lead outside.
    let place = Place::new();
    fs::write(place.root.path().join("outside"), "x").unwrap();
    place.write("x/y/z/file", "x");
    place.link("../../..", "x/y/z/up");
    place.link("up/../outside", "x/y/z/out");
    let said = place.refused(ErrorCode::ParcelSymlinkEscapes);
    assert!(said.contains("x/y/z/out"), "{said}");
}

#[test]
fn a_fifo_or_a_socket_is_refused() {
    let place = Place::new();
    let fifo = place.source().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let said = place.refused(ErrorCode::ParcelFileUnsupported);
    assert_eq!(said, "pipe is a named pipe, not a file");
    fs::remove_file(fifo).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.source().join("socket")).unwrap();
    let said = place.refused(ErrorCode::ParcelFileUnsupported);
    assert_eq!(said, "socket is a socket, not a file");
    place.write(".errandignore", "socket\n");
    place.good();
}

#[test]
fn file_names_that_are_not_utf_8_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"bad\xff");
    fs::write(place.source().join(name), "x").unwrap();
    let said = place.refused(ErrorCode::ParcelInvalid);
    assert!(said.contains("bad\u{fffd}"), "{said}");
}

#[test]
fn file_names_with_special_characters_are_kept() {
    let place = Place::new();
    for name in ["with space", "new\nline", "quote\"'", "back\\slash", "-dash", "*", "~"] {
        place.write(name, name);
    }
    let built = place.good();
    assert_eq!(built.files.len(), 9);
    parcel::verify(&place.parcels(), &built.digest).unwrap();
}

#[test]
fn size_limits_are_checked_before_anything_is_copied() {
    let place = Place::new();
    let sparse = |path: &str, size: u64| {
        place.write(path, "");
        fs::File::options()
            .write(true)
            .open(place.source().join(path))
            .unwrap()
            .set_len(size)
            .unwrap();
    };
    sparse("big", parcel::MAX_FILE_BYTES + 1);
    let said = place.refused(ErrorCode::ParcelTooLarge);
    assert!(said.starts_with("big is 268435457 bytes long"), "{said}");
    for index in 0..5 {
        sparse(&format!("part{index}"), parcel::MAX_FILE_BYTES);
    }
    fs::remove_file(place.source().join("big")).unwrap();
    place.refused(ErrorCode::ParcelTooLarge);
    place.write(".errandignore", "part*\n");
    place.good();
}

#[test]
fn too_many_files_are_refused() {
    let place = Place::new();
    fs::create_dir_all(place.source().join("many")).unwrap();
    for index in 0..=parcel::MAX_FILES {
        fs::write(place.source().join(format!("many/{index}")), "").unwrap();
    }
    let said = place.refused(ErrorCode::ParcelTooLarge);
    assert!(said.ends_with("holds more than 10000 files"), "{said}");
}

#[test]
fn without_an_agent_file_nothing_is_built() {
    let place = Place::new();
    for path in ["nowhere", "source/run.sh/agent.yaml", "nowhere/agent.yaml"] {
        let error = parcel::build(&place.root.path().join(path), &place.parcels()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::AgentFileMissing, "{path}: {error}");
    }
    // A device that can be read forever is not read.
    let error = parcel::build(Path::new("/dev/zero"), &place.parcels()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AgentFileMissing, "{error}");
    fs::remove_file(place.source().join("agent.yaml")).unwrap();
    place.refused(ErrorCode::AgentFileMissing);
    place.write("agent.yaml", "kind: Agent\n");
    let said = place.refused(ErrorCode::AgentFileInvalid);
    assert!(said.contains("agent.yaml:1:1: \"apiVersion\" is missing"), "{said}");
}

#[test]
fn an_agent_file_may_have_another_name() {
    let place = Place::new();
    let file = place.source().join("review.yaml");
    place.write("review.yaml", AGENT_YAML.replace("name: a", "name: b"));
    let built = parcel::build(&file, &place.parcels()).unwrap();
    assert_eq!(built.agent.name, "b");
    assert_ne!(built.digest, place.good().digest);
}

#[test]
fn a_parcel_outlives_its_source() {
    let place = Place::new();
    let built = place.good();
    fs::remove_dir_all(place.source()).unwrap();
    assert_eq!(parcel::verify(&place.parcels(), &built.digest).unwrap(), built);
}

#[test]
fn a_plan_writes_nothing_and_is_valid_only_while_the_source_is_unchanged() {
    let place = Place::new();
    place.write("data", "one");
    let plan = parcel::plan(&place.source()).unwrap();
    assert_eq!(plan.agent().name, "a");
    assert!(!place.parcels().exists());
    let digest = plan.digest().clone();
    assert_eq!(plan.publish(&place.parcels()).unwrap().digest, digest);
    // A parcel that is already there does not need its source any more.
    let plan = parcel::plan(&place.source()).unwrap();
    place.write("data", "two");
    assert_eq!(plan.publish(&place.parcels()).unwrap().digest, digest);
    let plan = parcel::plan(&place.source()).unwrap();
    place.write("data", "six");
    let error = plan.publish(&place.parcels()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ParcelSourceChanged, "{error}");
    assert_eq!(names(&place.parcels()), [".lock", digest.hex()]);
}

#[test]
fn a_second_build_writes_nothing() {
    let place = Place::new();
    let built = place.good();
    let manifest = built.path.join("manifest.json");
    let before = fs::metadata(&manifest).unwrap().modified().unwrap();
    assert_eq!(place.good(), built);
    assert_eq!(fs::metadata(&manifest).unwrap().modified().unwrap(), before);
    assert_eq!(names(&place.parcels()), [".lock", built.digest.hex()]);
}

#[test]
fn fifty_builders_of_one_parcel_agree() {
    let place = Place::new();
    for index in 0..40 {
        place.write(&format!("file{index}"), "x".repeat(10_000));
    }
    let barrier = Barrier::new(50);
    let digests: Vec<Digest> = std::thread::scope(|scope| {
        let build = || {
            barrier.wait();
            let built = place.good();
            // Every builder sees a whole parcel, whether it published it or not.
            parcel::verify(&place.parcels(), &built.digest).unwrap().digest
        };
        let builders: Vec<_> = (0..50).map(|_| scope.spawn(build)).collect();
        builders.into_iter().map(|builder| builder.join().unwrap()).collect()
    });
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(names(&place.parcels()), [".lock", digests[0].hex()]);
}

#[test]
fn builders_of_different_parcels_do_not_disturb_each_other() {
    let places: Vec<Place> = (0..8).map(|_| Place::new()).collect();
    let parcels = places[0].parcels();
    std::thread::scope(|scope| {
        for (index, place) in places.iter().enumerate() {
            let parcels = &parcels;
            scope.spawn(move || {
                for round in 0..10 {
                    place.write("data", format!("{index} {round}"));
                    let built = parcel::build(&place.source(), parcels).unwrap();
                    parcel::verify(parcels, &built.digest).unwrap();
                    parcel::remove(parcels, &built.digest).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&parcels), [".lock"]);
}

#[test]
fn the_next_build_removes_what_a_dead_builder_left() {
    let place = Place::new();
    let left = place.parcels().join(".tmp-0123456789abcdef");
    fs::create_dir_all(left.join("files")).unwrap();
    fs::write(left.join("files/half"), "x").unwrap();
    let built = place.good();
    assert_eq!(names(&place.parcels()), [".lock", built.digest.hex()]);
}

#[test]
fn a_source_that_is_rewritten_meanwhile_gives_a_whole_parcel_or_an_error() {
    let place = Place::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0_usize;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                turn += 1;
                place.write("data", "y".repeat(turn * 7919 % 300_000));
            }
        });
        for _ in 0..30 {
            match place.build() {
                Ok(built) => {
                    parcel::verify(&place.parcels(), &built.digest).unwrap();
                }
                Err(error) => assert_eq!(error.code(), ErrorCode::ParcelSourceChanged, "{error}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Returns the error of `verify` after `change` was done to a parcel.
fn damaged(change: impl Fn(&Path)) -> String {
    let place = Place::new();
    place.link("run.sh", "link");
    let built = place.good();
    change(&built.path);
    let error = parcel::verify(&place.parcels(), &built.digest).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ParcelDamaged, "{error}");
    error.to_string().replace(built.digest.as_str(), "D")
}

#[test]
fn verify_finds_every_change_to_a_parcel() {
    let rewrite = |path: &Path, text: &str| {
        fs::remove_file(path).unwrap();
        fs::write(path, text).unwrap();
    };
    let said = [
        damaged(|parcel| rewrite(&parcel.join("manifest.json"), "{}")),
        damaged(|parcel| rewrite(&parcel.join("definition.json"), "{}")),
        damaged(|parcel| fs::remove_file(parcel.join("definition.json")).unwrap()),
        damaged(|parcel| rewrite(&parcel.join("files/run.sh"), "#!/bin/sh\necho HELLO\n")),
        damaged(|parcel| rewrite(&parcel.join("files/agent.yaml"), "longer".repeat(99).as_str())),
        damaged(|parcel| fs::remove_file(parcel.join("files/run.sh")).unwrap()),
        damaged(|parcel| fs::write(parcel.join("files/more"), "x").unwrap()),
        damaged(|parcel| {
            fs::set_permissions(parcel.join("files/run.sh"), fs::Permissions::from_mode(0o444))
                .unwrap();
        }),
        damaged(|parcel| {
            fs::remove_file(parcel.join("files/link")).unwrap();
            symlink("/etc/passwd", parcel.join("files/link")).unwrap();
        }),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    the parcel D is damaged: manifest.json was changed
    the parcel D is damaged: definition.json was changed
    the parcel D is damaged: definition.json is missing
    the parcel D is damaged: run.sh was changed
    the parcel D is damaged: agent.yaml was changed
    the parcel D is damaged: run.sh is missing
    the parcel D is damaged: more is not part of it
    the parcel D is damaged: run.sh was changed
    the parcel D is damaged: link was changed
    ");
}

#[test]
fn caches_of_an_interpreter_in_a_parcel_are_not_damage() {
    let place = Place::new();
    let built = place.good();
    fs::create_dir(built.files_path().join("__pycache__")).unwrap();
    fs::write(built.files_path().join("__pycache__/x.pyc"), "x").unwrap();
    parcel::verify(&place.parcels(), &built.digest).unwrap();
}

#[test]
fn a_missing_parcel_is_reported_as_not_found() {
    let place = Place::new();
    let digest = Digest::of(b"nothing");
    let error = parcel::open(&place.parcels(), &digest).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ParcelNotFound);
    parcel::remove(&place.parcels(), &digest).unwrap();
    let built = place.good();
    parcel::remove(&place.parcels(), &built.digest).unwrap();
    assert_eq!(parcel::open(&place.parcels(), &built.digest).unwrap_err().code(), error.code());
    assert_eq!(place.good(), built);
}

#[test]
fn a_build_on_a_full_disk_leaves_no_partial_parcel() {
    let Some(disk) = errand_testkit::Tmpfs::mount(2 * 1024 * 1024) else { return };
    let place = Place::new();
    place.write("data", vec![7; 1024 * 1024]);
    let parcels = disk.path().join("parcels");
    let filler = disk.fill(300 * 1024);
    let error = parcel::build(&place.source(), &parcels).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DiskFull, "{error}");
    assert_eq!(names(&parcels), [".lock"]);
    fs::remove_file(filler).unwrap();
    let built = parcel::build(&place.source(), &parcels).unwrap();
    parcel::verify(&parcels, &built.digest).unwrap();
}

#[test]
fn a_read_only_registry_still_gives_the_parcels_it_has() {
    let Some(disk) = errand_testkit::Tmpfs::mount(2 * 1024 * 1024) else { return };
    let place = Place::new();
    let parcels = disk.path().join("parcels");
    let built = parcel::build(&place.source(), &parcels).unwrap();
    let remount = |mode: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.arg("-o").arg(format!("remount,{mode}")).arg(disk.path());
        assert!(mount.status().unwrap().success());
    };
    remount("ro");
    assert_eq!(parcel::build(&place.source(), &parcels).unwrap(), built);
    place.write("more", "x");
    let error = parcel::build(&place.source(), &parcels).unwrap_err();
    remount("rw");
    assert_eq!(error.code(), ErrorCode::RegistryReadOnly, "{error}");
}

#[test]
fn building_again_replaces_a_damaged_parcel() {
    let place = Place::new();
    let first = parcel::build(&place.source(), &place.parcels()).unwrap();
    let definition = first.path.join("definition.json");
    fs::remove_file(&definition).unwrap();
    fs::write(&definition, "{}").unwrap();
    let second = parcel::build(&place.source(), &place.parcels()).unwrap();
    assert_eq!(first.digest, second.digest);
    parcel::verify(&place.parcels(), &first.digest).unwrap();
}
