//! Help, version, schema and manual of the program.

use crate::support::sandbox;

#[test]
fn the_help_of_every_command() {
    let sandbox = sandbox();
    let reference = sandbox.errand(["internal", "reference"]).run().ok().stdout();
    insta::assert_snapshot!("reference", reference);
}

#[test]
fn version_schema_manual_and_completions_are_printed_anywhere() {
    let sandbox = sandbox();
    assert!(sandbox.errand(["--version"]).run().ok().stdout_line().starts_with("errand "));
    let schema = sandbox.errand(["schema"]).run().ok().json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(sandbox.errand(["man"]).run().ok().stdout().contains(".TH errand"));
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.errand(["completions", shell]).run().ok().stdout();
        assert!(script.contains("inspect-run"), "{shell}");
    }
    assert!(sandbox.errand(["explain", "helper_died"]).run().ok().stdout().len() > 80);
    assert!(sandbox.errand(["explain", "HELPER_DIED"]).run().ok().stdout().len() > 80);
    assert!(!sandbox.registry().exists());
}

#[test]
fn every_command_works_without_a_home() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&errand_testkit::TestAgent::shell("true"));
    let words = ["run".as_ref(), agent.as_os_str()];
    let bare = sandbox.errand(words).env_remove("HOME").env_remove("XDG_CONFIG_HOME");
    drop(bare.env_remove("XDG_RUNTIME_DIR").env_remove("PATH").env_remove("LANG").run().ok());
    drop(sandbox.errand(["ps", "-a"]).env_remove("HOME").run().ok());
}
