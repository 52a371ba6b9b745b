//! Export of a run from one registry, and import into another.

use std::path::{Path, PathBuf};

use errand_testkit::{Sandbox, TestAgent, wait_until};

use crate::support::{finish, nobody_left, record, sandbox, start};

/// Records a finished run with everything that an export can contain.
fn recorded(sandbox: &Sandbox) -> String {
    let script = "errand agent step one -- echo 1\n\
                  errand agent step long -- sh -c 'seq 1 20000'\n\
                  errand agent checkpoint '{\"page\": 7}'\n\
                  echo report > report.md\n\
                  errand agent artifact report.md\n\
                  echo said; echo complained >&2\n\
                  errand agent output '{\"n\": 1}'\n";
    let deep = format!("{}/a.txt", "a-folder-of-some-length/".repeat(7));
    let agent = sandbox
        .agent(&TestAgent::shell(script).file("docs/guide.md", "how\n").file(&deep, "deep\n"));
    std::os::unix::fs::symlink("docs/guide.md", agent.join("link.md")).unwrap();
    let run_id = start(sandbox, &agent, &["--idempotency-key", "one"]);
    assert_eq!(finish(sandbox, &run_id)["status"], "completed");
    nobody_left(sandbox);
    run_id
}

fn export(sandbox: &Sandbox, run_id: &str, name: &str) -> PathBuf {
    let file = sandbox.path(name);
    drop(sandbox.errand(["export", run_id, "-o"]).arg(&file).run().ok());
    file
}

/// Returns the output of commands about a run, without what differs between machines.
fn seen(sandbox: &Sandbox, run_id: &str) -> Vec<String> {
    let mut record = record(sandbox, run_id);
    for name in ["log_path", "session_file"] {
        record[name] = serde_json::Value::Null;
    }
    let mut seen = vec![record.to_string()];
    let commands: [&[&str]; 7] = [
        &["logs", "--system", "-t", run_id],
        &["events", run_id, "--json"],
        &["artifacts", run_id, "--json"],
        &["artifacts", run_id, "report.md"],
        &["ps", "-a", "-q"],
        &["wait", run_id],
        &["verify", run_id],
    ];
    for words in commands {
        let output = sandbox.errand(words).run().ok();
        seen.push(output.stdout() + &output.stderr());
    }
    seen
}

#[test]
fn an_imported_run_is_the_run_that_was_exported_and_is_exported_again_byte_for_byte() {
    let (here, there) = (sandbox(), sandbox());
    let run_id = recorded(&here);
    let file = export(&here, &run_id, "run.tar");
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(export(&here, &run_id, "b")).unwrap());
    drop(there.errand(["verify"]).arg(&file).run().ok());
    let imported = there.errand(["import"]).arg(&file).run().ok();
    assert_eq!(imported.stdout_line(), run_id);
    assert_eq!(seen(&there, &run_id), seen(&here, &run_id));
    let again = export(&there, &run_id, "again.tar");
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&file).unwrap());
    // The imported run can be run again, rebuilt and removed like any other.
    let restarted = there.errand(["restart", &run_id]).run().ok().stdout_line();
    assert_eq!(finish(&there, &restarted)["status"], "completed");
    drop(there.errand(["rm", &restarted]).run().ok());
    nobody_left(&there);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(there.registry().join(name)));
    }
    drop(there.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(seen(&there, &run_id), seen(&here, &run_id));
    drop(there.errand(["registry", "check"]).run().ok());
    drop(there.errand(["rm", &run_id]).run().ok());
    drop(there.errand(["import"]).arg(&file).run().ok());
    assert_eq!(seen(&there, &run_id), seen(&here, &run_id));
}

#[test]
fn a_run_is_imported_once_and_never_over_another_journal() {
    let (here, there) = (sandbox(), sandbox());
    let run_id = recorded(&here);
    let file = export(&here, &run_id, "run.tar");
    drop(there.errand(["import"]).arg(&file).run().ok());
    let again = there.errand(["import"]).arg(&file).run().ok();
    assert_eq!(again.stdout_line(), run_id);
    assert!(again.stderr().contains("is here already"), "{}", again.describe());
    // As after an import that was killed before it had written the files beside the registry.
    let files =
        [".events.jsonl", ".json"].map(|end| there.path(format!(".errand/runs/{run_id}{end}")));
    let whole = files.each_ref().map(|path| std::fs::read_to_string(path).unwrap());
    for path in &files {
        std::fs::remove_file(path).unwrap();
    }
    drop(there.errand(["import"]).arg(&file).run().ok());
    assert_eq!(files.each_ref().map(|path| std::fs::read_to_string(path).unwrap()), whole);
    crate::damage::tamper(&there, "db.execute(\"update runs set head_hash = zeroblob(32)\")");
    let refused = there.errand(["import"]).arg(&file).run().exits(125);
    assert!(refused.stderr().contains("error[run_conflict]"), "{}", refused.describe());
}

#[test]
fn a_live_run_is_exported_only_with_live_and_cannot_be_imported() {
    let (here, there) = (sandbox(), sandbox());
    let agent = here.agent(&crate::support::sleeper());
    let run_id = crate::support::start_ready(&here, &agent);
    let file = here.path("live.tar");
    let refused = here.errand(["export", &run_id, "-o"]).arg(&file).run().exits(125);
    assert!(refused.stderr().contains("error[run_live]"), "{}", refused.describe());
    assert!(!file.exists());
    drop(here.errand(["export", "--live", &run_id, "-o"]).arg(&file).run().ok());
    let verified = here.errand(["verify"]).arg(&file).run().ok();
    assert!(verified.stdout().contains("not over yet"), "{}", verified.describe());
    let refused = there.errand(["import"]).arg(&file).run().exits(125);
    assert!(refused.stderr().contains("error[run_live]"), "{}", refused.describe());
    drop(here.errand(["stop", "--force", &run_id]).run().ok());
}

/// Changes to an export, in Python: `variant(name, bytes)`. The forger writes a manifest that fits
/// again.
const FORGE: &str = r#"
import hashlib, json, os, sys, tarfile
source, target = sys.argv[1:3]
os.makedirs(target)
whole = open(source, "rb").read()
count = 0

def variant(kind, data):
    global count
    with open(os.path.join(target, f"{count:04} {kind}"), "wb") as file: file.write(data)
    count += 1

class Info:
    """An entry as errand writes it: what stands before its bytes, and what that says."""
    def __init__(self, name, raw, regular=True):
        self.name, self.raw, self.regular = name, raw, regular
    def isfile(self): return self.regular
    def header(self, size):
        block = bytearray(self.raw[-512:])
        block[124:136] = b"%011o\0" % size
        block[148:156] = b" " * 8
        block[148:156] = b"%07o\0" % sum(block)
        return self.raw[:-512] + bytes(block)

def entries():
    with tarfile.open(source) as tar:
        return [(Info(info.name, whole[info.offset:info.offset_data], info.isfile()),
                 tar.extractfile(info).read() if info.isfile() else b"") for info in tar]

def forged(kind, edit, manifest=lambda manifest: None, refit=True):
    all = entries()
    edit(all)
    if refit:
        info, data = next(it for it in all if it[0].name == "manifest.json")
        document = json.loads(data)
        for other, content in all:
            if other.name in document["entries"] and other.isfile():
                entry = document["entries"][other.name]
                entry["digest"] = "sha256:" + hashlib.sha256(content).hexdigest()
                entry["size_bytes"] = len(content)
        manifest(document)
        all[[it[0].name for it in all].index("manifest.json")] = (info, json.dumps(document).encode())
    out = b""
    for info, data in all:
        out += info.header(len(data)) + data + b"\0" * (-len(data) % 512)
    variant(kind, out + b"\0" * 1024)

def replace(name, change):
    def edit(all):
        n = [it[0].name for it in all].index(name)
        all[n] = (all[n][0], change(all[n][1]))
    return edit

def lines(change):
    def edit(data):
        all = data.splitlines(keepends=True)
        change(all)
        return b"".join(all)
    return replace("events.jsonl", edit)

forged("untouched", lambda all: None)
length = len([line for info, data in entries() if info.name == "events.jsonl" for line in data.splitlines()])
def swap(n):
    def change(all): all[n], all[n + 1] = all[n + 1], all[n]
    return change
def put(n, old, new):
    def change(all):
        assert old in all[n], all[n]
        all[n] = all[n].replace(old, new, 1)
    return change
for n in range(length):
    seq = n + 1
    forged(f"event {seq} changed", lines(put(n, b'"attempt":', b'"attempt":1')))
    forged(f"event {seq} changed", lines(put(n, b'"hash":"', b'"hash":"0')))
    forged(f"event {seq} removed", lines(lambda all, n=n: all.pop(n)))
    forged(f"event {seq} removed", lines(lambda all, n=n: all.__delitem__(slice(n, None))))
    forged(f"event {seq} added", lines(lambda all, n=n: all.insert(n, all[n].replace(b'"attempt":', b'"attempt":1'))))
    if seq < length: forged(f"event {seq} reordered", lines(swap(n)))
forged(f"event {length + 1} added", lines(lambda all: all.append(all[-1].replace(b'"seq":%d' % length, b'"seq":%d' % (length + 1)))))
names = [info.name for info, data in entries()]
for n, name in enumerate(names):
    forged("removed " + name.replace("/", "|"), lambda all, n=n: all.pop(n), refit=False)
    forged("twice " + name.replace("/", "|"), lambda all, n=n: all.insert(n, all[n]), refit=False)
    info = entries()[n][0]
    if info.isfile() and name != "manifest.json":
        forged("changed " + name.replace("/", "|"), lambda all, n=n: replace(all[n][0].name, lambda data: data + b"@")(all), refit=False)
    if name.startswith(("blobs/", "parcel/")):
        forged("forged " + name.replace("/", "|"), lambda all, n=n: replace(all[n][0].name, lambda data: data + b"@")(all) if all[n][0].isfile() else setattr(all[n][0], "raw", all[n][0].raw.replace(b"guide", b"evils")))
    if n: forged("moved " + name.replace("/", "|"), lambda all, n=n: all.insert(n - 1, all.pop(n)), refit=False)
template = next(it[0].raw for it in entries() if it[0].name == "record.json")
def added(name, kind=b"0", link=""):
    def edit(all):
        raw = bytearray(template)
        raw[0:100] = name.encode().ljust(100, b"\0")
        raw[156:157], raw[157:257] = kind, link.encode().ljust(100, b"\0")
        if kind == b"2": raw[100:108] = b"0000777\0"
        all.append((Info(name, bytes(raw), not link), b""))
        last = [n for n, it in enumerate(all) if it[0].name == "manifest.json"][0]
        all.append(all.pop(last))
        all[:-1] = sorted(all[:-1], key=lambda it: it[0].name)
    def manifest(document):
        content = link.encode()
        document["entries"][name] = {"kind": "link" if link else "file", "size_bytes": 0,
            "digest": "sha256:" + hashlib.sha256(content).hexdigest()}
    return edit, manifest
for name in ["../evil", "/tmp/evil", "evil", "parcel/../../evil", "parcel/files/evil", "log.0", "log.x", "blobs/evil",
             "blobs/" + "0" * 64, "parcel//evil", "record.json/x"]:
    edit, manifest = added(name)
    forged("added " + name.replace("/", "|"), edit, manifest)
edit, manifest = added("parcel/files/evil", b"2", "/etc/passwd")
forged("added link", edit, manifest)
edit, manifest = added("log.1", b"6")
forged("added pipe", edit, manifest)
forged("newer form", lambda all: None, lambda document: document.__setitem__("schema", 3))
forged("form of a family", lambda all: None, lambda document: document.__setitem__("schema", 2))
forged("another run", lambda all: None, lambda document: document.__setitem__("run_id", "0" * 20))
forged("other artifacts", lambda all: None, lambda document: document.__setitem__("artifacts", {}))
for at in sorted({1, 100, 511, 512, 513, *range(0, len(whole), max(len(whole) // 40, 1)), len(whole) - 1024, len(whole) - 1}):
    variant("cut off", whole[:at])
variant("longer", whole + b"\0")
variant("longer", whole + b"\0" * 512)
variant("longer", whole + whole)
for at in range(7, len(whole) - 1024, max(len(whole) // 120, 1)):
    variant("a byte changed", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
"#;

#[test]
fn every_change_of_an_export_is_found_and_nothing_of_it_is_imported() {
    let sandbox = sandbox();
    let run_id = recorded(&sandbox);
    let file = export(&sandbox, &run_id, "run.tar");
    let target = sandbox.root().join("variants");
    drop(sandbox.tool("python3", ["-S", "-c", FORGE]).arg(&file).arg(&target).run().ok());
    let mut variants: Vec<PathBuf> =
        std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().path()).collect();
    variants.sort();
    assert!(variants.len() > 250, "{}", variants.len());
    let untouched = variants.remove(0);
    drop(sandbox.errand(["verify"]).arg(&untouched).run().ok());
    std::thread::scope(|scope| {
        for part in variants.chunks(variants.len().div_ceil(4)) {
            let sandbox = &sandbox;
            scope.spawn(move || part.iter().for_each(|file| refused(sandbox, file)));
        }
    });
}

fn refused(sandbox: &Sandbox, file: &Path) {
    let name = file.file_name().unwrap().to_str().unwrap()[5..].to_owned();
    let verified = sandbox.errand(["verify"]).arg(file).run();
    let told = verified.stderr();
    // Meaningless bytes of a header are the archive's own, and its checksum covers them.
    assert_eq!(verified.code, Some(125), "{name}: {}", verified.describe());
    let code = ["journal_broken", "archive_damaged", "archive_invalid", "archive_newer"];
    assert!(code.iter().any(|code| told.contains(code)), "{name}: {told}");
    if let Some(event) = name.strip_prefix("event ") {
        let (seq, what) = event.split_once(' ').unwrap();
        let found = match what {
            "changed" => format!("event {seq} was changed"),
            "removed" => format!("event {seq} was removed"),
            "added" => format!("an event was added in the place of event {seq}"),
            _ => format!("event {seq} is not in its place"),
        };
        assert!(told.contains(&found) && told.contains("events.jsonl"), "{name}: {told}");
    }
    if name == "newer form" {
        assert!(told.contains("archive_newer"), "{told}");
    }
    let root = file.with_extension("registry");
    let imported = sandbox.errand(["--root"]).arg(&root).arg("import").arg(file).run();
    assert_eq!(imported.code, Some(125), "{name}: {}", imported.describe());
    assert!(!root.exists(), "{name}: nothing is created");
}

#[test]
fn a_killed_import_leaves_no_incomplete_run() {
    let (here, there) = (sandbox(), sandbox());
    let run_id = recorded(&here);
    let file = export(&here, &run_id, "run.tar");
    for _ in 0..10 {
        let import = there.errand(["import"]).arg(&file).spawn();
        wait_until("it has begun", errand_testkit::LIMIT, || there.registry().exists());
        import.kill();
        drop(import.wait());
        let imported = there.errand(["import"]).arg(&file).run().ok();
        assert_eq!(imported.stdout_line(), run_id);
        drop(there.errand(["verify", &run_id]).run());
        assert_eq!(seen(&there, &run_id).len(), 8);
        std::fs::remove_dir_all(there.registry()).unwrap();
    }
}
