#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use errand_agent::secret::{Error, FoundSecret, Init, MalformedSecret, SecretValue, Vault};
use errand_api::error_code::ErrorCode;
use tempfile::TempDir;

struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn ready() -> Self {
        let place = Self::new();
        assert_eq!(place.vault().init().unwrap(), Init::NewIdentity);
        place
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("repo/.errand/secrets")
    }

    fn identity(&self) -> PathBuf {
        self.root.path().join("home/.config/errand/identity.txt")
    }

    fn vault(&self) -> Vault {
        Vault::at(self.folder(), self.identity())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.age"))
    }
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.as_bytes().to_vec()).unwrap()
}

fn resolve(vault: &Vault, names: &[&str], env: &[(&str, &str)]) -> Result<Vec<FoundSecret>, Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let env = |name: &str| {
        env.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text))
    };
    vault.resolve(&names, &env)
}

fn texts(secrets: &[FoundSecret]) -> Vec<(&str, &str)> {
    secrets
        .iter()
        .map(|secret| (secret.name.as_str(), std::str::from_utf8(secret.value.expose()).unwrap()))
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_secret_is_read_back_and_stored_nowhere_in_clear() {
    let place = Place::ready();
    let vault = place.vault();
    vault.set("TOKEN", &value("first value")).unwrap();
    vault.set("TOKEN", &value("hunter2hunter2")).unwrap();
    vault.set("OTHER_1", &value("päss wörd\n\"quoted\"")).unwrap();
    assert_eq!(vault.list().unwrap(), ["OTHER_1", "TOKEN"]);
    let found = resolve(&vault, &["TOKEN", "OTHER_1"], &[]).unwrap();
    assert_eq!(texts(&found), [("TOKEN", "hunter2hunter2"), ("OTHER_1", "päss wörd\n\"quoted\"")]);
    let stored = fs::read(place.file("TOKEN")).unwrap();
    assert!(stored.starts_with(b"age-encryption.org/v1\n"));
    assert!(!stored.windows(7).any(|part| part == b"hunter2"));
    assert_eq!(fs::read_dir(place.folder()).unwrap().count(), 2);
}

#[test]
fn files_and_folders_of_secrets_are_accessible_to_the_user_only() {
    let place = Place::ready();
    place.vault().set("TOKEN", &value("value")).unwrap();
    assert_eq!(mode(&place.identity()), 0o600);
    assert_eq!(mode(&place.file("TOKEN")), 0o600);
    assert_eq!(mode(place.identity().parent().unwrap()), 0o700);
    assert_eq!(mode(&place.folder()), 0o700);
}

#[test]
fn a_second_init_keeps_identity_and_secrets() {
    let place = Place::ready();
    place.vault().set("TOKEN", &value("value")).unwrap();
    let before = fs::read(place.identity()).unwrap();
    assert_eq!(place.vault().init().unwrap(), Init::ExistingIdentity);
    assert_eq!(fs::read(place.identity()).unwrap(), before);
    // Another repository of the same user shares the identity.
    let other = Vault::at(place.root.path().join("other/secrets"), place.identity());
    assert_eq!(other.init().unwrap(), Init::ExistingIdentity);
    assert_eq!(texts(&resolve(&place.vault(), &["TOKEN"], &[]).unwrap()), [("TOKEN", "value")]);
}

#[test]
fn twenty_inits_at_once_make_one_identity() {
    let place = Place::new();
    let made = std::thread::scope(|scope| {
        let init = || place.vault().init().unwrap();
        let inits: Vec<_> = (0..20).map(|_| scope.spawn(init)).collect();
        inits
            .into_iter()
            .map(|init| init.join().unwrap())
            .filter(|i| *i == Init::NewIdentity)
            .count()
    });
    assert_eq!(made, 1);
    assert_eq!(fs::read_dir(place.identity().parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn the_environment_comes_first_and_an_empty_variable_is_none() {
    let place = Place::ready();
    let vault = place.vault();
    vault.set("A", &value("stored a")).unwrap();
    vault.set("B", &value("stored b")).unwrap();
    let found = resolve(&vault, &["A", "B"], &[("A", "from outside"), ("B", "")]).unwrap();
    assert_eq!(texts(&found), [("A", "from outside"), ("B", "stored b")]);
}

#[test]
fn without_a_store_the_environment_is_enough() {
    let place = Place::new();
    let found = resolve(&place.vault(), &["A"], &[("A", "from outside")]).unwrap();
    assert_eq!(texts(&found), [("A", "from outside")]);
    assert!(resolve(&place.vault(), &[], &[]).unwrap().is_empty());
    assert!(!place.folder().exists() && !place.identity().exists());
}

#[test]
fn all_missing_secrets_are_reported_at_once() {
    let place = Place::ready();
    let error = resolve(&place.vault(), &["A", "B", "C"], &[("B", "here")]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SecretMissing);
    assert_eq!(error.to_string(), "secrets are not set: A, C");
    assert_eq!(error.hint().unwrap(), "errand secret set A, or set A in the environment");
}

#[test]
fn a_removed_secret_is_missing() {
    let place = Place::ready();
    let vault = place.vault();
    vault.set("A", &value("value")).unwrap();
    vault.remove("A").unwrap();
    assert!(vault.list().unwrap().is_empty());
    assert_eq!(vault.remove("A").unwrap_err().code(), ErrorCode::SecretMissing);
}

#[test]
fn values_that_cannot_be_masked_or_put_in_the_environment_are_refused() {
    let new = |bytes: &[u8]| SecretValue::new(bytes.to_vec()).err();
    assert_eq!(new(b""), Some(MalformedSecret::TooShort));
    assert_eq!(new(b"abc"), Some(MalformedSecret::TooShort));
    assert_eq!(new(b"abcd"), None);
    assert_eq!(new(b"abc\0d"), Some(MalformedSecret::Nul));
    assert_eq!(new(&vec![b'x'; 65_536]), None);
    assert_eq!(new(&vec![b'x'; 65_537]), Some(MalformedSecret::TooLong));
    assert_eq!(new(b"\xff\xfe\xfd\xfc"), None);
    assert_eq!(SecretValue::from_line(b"abcd\r\n".to_vec()).unwrap().expose(), b"abcd");
    assert_eq!(SecretValue::from_line(b"abcd\n\n".to_vec()).unwrap().expose(), b"abcd\n");
    assert_eq!(SecretValue::from_line(b"abc\n".to_vec()).err(), Some(MalformedSecret::TooShort));
    let place = Place::new();
    let error = resolve(&place.vault(), &["PIN"], &[("PIN", "123")]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SecretValueInvalid);
    assert!(!error.to_string().contains("123") && !format!("{error:?}").contains("123"));
}

#[test]
fn invalid_secret_names_are_refused() {
    let place = Place::ready();
    for name in
        ["", "a", "A-B", "1A", "A.B", "../A", "A/B", "A\0", "ERRAND_TOKEN", &"A".repeat(129)]
    {
        let code = place.vault().set(name, &value("value")).unwrap_err().code();
        assert_eq!(code, ErrorCode::SecretNameInvalid, "{name:?}");
        assert_eq!(place.vault().remove(name).unwrap_err().code(), code, "{name:?}");
        assert_eq!(resolve(&place.vault(), &[name], &[]).unwrap_err().code(), code, "{name:?}");
    }
    place.vault().set("_A1", &value("value")).unwrap();
}

#[test]
fn each_fault_of_the_store_and_the_identity_has_its_error() {
    let code = |vault: &Vault| vault.check().unwrap_err().code();
    let place = Place::new();
    assert_eq!(code(&place.vault()), ErrorCode::SecretStoreMissing);
    assert_eq!(place.vault().list().unwrap_err().code(), ErrorCode::SecretStoreMissing);
    assert_eq!(
        place.vault().set("A", &value("value")).unwrap_err().code(),
        ErrorCode::SecretStoreMissing
    );
    let place = Place::ready();
    place.vault().check().unwrap();
    fs::set_permissions(place.identity(), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(code(&place.vault()), ErrorCode::SecretIdentityInvalid);
    let error = place.vault().check().unwrap_err().to_string();
    assert!(error.ends_with("identity.txt (mode 644)"), "{error}");
    fs::set_permissions(place.identity(), fs::Permissions::from_mode(0o600)).unwrap();
    for text in ["", "hello\n", "AGE-SECRET-KEY-1XXXX\n", "# only a comment\n"] {
        fs::write(place.identity(), text).unwrap();
        assert_eq!(code(&place.vault()), ErrorCode::SecretIdentityInvalid, "{text}");
    }
    fs::write(place.identity(), [0xff, 0xfe]).unwrap();
    assert_eq!(code(&place.vault()), ErrorCode::SecretIdentityInvalid);
    fs::remove_file(place.identity()).unwrap();
    fs::write(place.file("A"), "encrypted once").unwrap();
    assert_eq!(code(&place.vault()), ErrorCode::SecretIdentityMissing);
    // An empty folder without an identity is not a store that lost its key.
    fs::remove_file(place.file("A")).unwrap();
    assert_eq!(code(&place.vault()), ErrorCode::SecretStoreMissing);
}

#[test]
fn another_identity_cannot_decrypt_the_secrets() {
    let place = Place::ready();
    place.vault().set("A", &value("value")).unwrap();
    fs::remove_file(place.identity()).unwrap();
    assert_eq!(place.vault().init().unwrap(), Init::NewIdentity);
    let error = resolve(&place.vault(), &["A"], &[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SecretIdentityMismatch);
    assert_eq!(error.hint().unwrap(), "set it again: errand secret set A");
}

#[test]
fn a_damaged_file_is_reported_and_the_others_work() {
    let place = Place::ready();
    let vault = place.vault();
    vault.set("GOOD", &value("value")).unwrap();
    vault.set("BAD", &value("value")).unwrap();
    let whole = fs::read(place.file("BAD")).unwrap();
    let mut cases: Vec<Vec<u8>> =
        (0..whole.len()).step_by(7).map(|end| whole[..end].to_vec()).collect();
    for at in (0..whole.len()).step_by(11) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        cases.push(flipped);
    }
    cases.push(vec![0; 200_000]);
    for case in cases {
        fs::write(place.file("BAD"), &case).unwrap();
        let code = resolve(&vault, &["BAD"], &[]).unwrap_err().code();
        // A file with a changed recipient line cannot be told from a file for another key.
        assert!(
            matches!(code, ErrorCode::SecretDamaged | ErrorCode::SecretIdentityMismatch),
            "{code}"
        );
    }
    fs::remove_file(place.file("BAD")).unwrap();
    fs::create_dir(place.file("BAD")).unwrap();
    assert_eq!(resolve(&vault, &["BAD"], &[]).unwrap_err().code(), ErrorCode::SecretDamaged);
    assert_eq!(texts(&resolve(&vault, &["GOOD"], &[]).unwrap()), [("GOOD", "value")]);
}

#[test]
fn foreign_files_in_the_store_are_left_alone() {
    let place = Place::ready();
    for name in ["README", "a.age", "A.txt", ".tmp-1", "A B.age"] {
        fs::write(place.folder().join(name), "x").unwrap();
    }
    place.vault().set("A", &value("value")).unwrap();
    assert_eq!(place.vault().list().unwrap(), ["A"]);
}

#[test]
fn debug_output_does_not_contain_the_value() {
    let secret = FoundSecret { name: "A".to_owned(), value: value("hunter2hunter2") };
    let shown = format!("{secret:?} {:#?} {:?}", secret.clone(), secret.value);
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn a_full_disk_keeps_the_previous_value() {
    let Some(disk) = errand_testkit::Tmpfs::mount(256 * 1024) else { return };
    let place = Place::new();
    let vault = Vault::at(disk.path().join("secrets"), place.identity());
    vault.init().unwrap();
    vault.set("A", &value("before")).unwrap();
    let filler = disk.fill(4 * 1024);
    let error = vault.set("A", &SecretValue::new(vec![b'x'; 60_000]).unwrap()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DiskFull, "{error}");
    assert_eq!(texts(&resolve(&vault, &["A"], &[]).unwrap()), [("A", "before")]);
    assert_eq!(fs::read_dir(vault.folder()).unwrap().count(), 1);
    fs::remove_file(filler).unwrap();
    vault.set("A", &value("after")).unwrap();
    assert_eq!(texts(&resolve(&vault, &["A"], &[]).unwrap()), [("A", "after")]);
}
