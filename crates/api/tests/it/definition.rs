//! Digests of normalised definitions: parcels are addressed by them, so no change of the reader may
//! change one.

use std::path::Path;

use errand_api::agent_file::parse;
use errand_model::Digest;

use crate::agent_file::FULL;
use crate::schema::{GOOD, GOOD_COORDINATORS, collect, with_coordinator};

fn digest(source_name: &str, text: &str) -> String {
    let agent = parse(source_name, text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    Digest::of(serde_json::to_string(&agent).unwrap().as_bytes()).to_string()
}

#[test]
fn definitions_of_existing_agent_files_keep_their_digests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.retain(|file| file.ends_with("agent.yaml"));
    files.sort();
    let examples = files.iter().map(|file| {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let text = std::fs::read_to_string(file).unwrap();
        format!("{name}: {}", digest(&name, &text))
    });
    let specs = GOOD.iter().map(|spec| (*spec, crate::agent_file::with_spec(spec)));
    let coordinators = GOOD_COORDINATORS.iter().map(|text| (*text, with_coordinator(text)));
    let specs = specs.chain(coordinators).chain([("full", FULL.to_owned())]);
    let specs =
        specs.map(|(spec, text)| format!("{}: {}", spec.trim(), digest("agent.yaml", &text)));
    insta::assert_snapshot!(examples.chain(specs).collect::<Vec<_>>().join("\n"));
}
