//! Manifests: what is read, what is refused and where, and that what is printed can be read again.

use std::collections::{BTreeMap, BTreeSet};

use errand_api::catalog::{
    CatalogKind, CatalogManifest, ManifestFile, SkillFile, duplicates, names_outside, schema,
    unknown_names,
};
use serde_json::json;

const ALL: &str = r#"
apiVersion: errand.dev/v1
kind: Skill
metadata: { name: code-review, labels: { team: platform } }
spec:
  description: Reviews a change
  instructions: |
    Read the diff first.
  files: { scripts/lint.sh: { text: "true\n", executable: true }, logo: { base64: AAEC }, a.md: text }
---
apiVersion: errand.dev/v1
kind: Config
metadata: { name: style-guide }
spec: { content: Write short sentences., content_type: text/markdown }
---
apiVersion: errand.dev/v1
kind: Service
metadata: { name: redis }
spec:
  url: redis://redis:6379
  health: { tcp: "redis:6379", interval: 10s, timeout: 500ms }
  env: { REDIS_URL: redis://redis:6379, REDIS_TOKEN: { secret: REDIS_TOKEN }, PORT: 6379 }
  ports: [{ container_port: 6080 }, { container_port: 53, protocol: udp }]
---
apiVersion: errand.dev/v1
kind: Tier
metadata: { name: terminal }
spec: { services: [redis], resources: { cpu: 0.5, memory: 2Gi, gpu: 1 }, secrets: [KEY], tools: [git] }
---
apiVersion: errand.dev/v1
kind: Dispatcher
metadata: { name: near }
spec:
  url: https://dispatcher.example
  mode: bus
  bus: { redis: "redis://redis:6379", stream: "errand:tasks" }
  key: DISPATCHER_KEY
  targets: [container, kubernetes]
  labels: { zone: a }
---
apiVersion: errand.dev/v1
kind: PriceTable
metadata: { name: contract }
spec:
  prices:
    - { provider: openai, model: "gpt-*", input: 0.8, output: 3.2, date: 2026-01-01, source: contract 7 }
---
apiVersion: errand.dev/v1
kind: Policy
metadata: { name: no-mail }
spec:
  description: No mail outside.
  mode: shadow
  tools:
    allow: ["*"]
    deny: [rm, { name: send_mail, when: { arguments.to: "*@elsewhere", urgent: [true] }, reason: no }]
  rego: |
    package errand
    decision := "allow"
---
apiVersion: errand.dev/v1
kind: ModelRoute
metadata: { name: cheap }
spec:
  routes:
    - match: gpt-*
      to: { provider: openai, model: gpt-4o-mini }
      fallback: [{ provider: openai, model: llama, base_url: "http://llama:8000/v1", key: LLAMA_KEY }]
      fallback_on: [rate_limit, server_error, timeout, unreachable]
      timeout: 30s
"#;

fn parse(text: &str) -> ManifestFile {
    ManifestFile::parse("m.yaml", text.as_bytes().to_vec()).unwrap()
}

fn refused(text: &str) -> String {
    ManifestFile::parse("m.yaml", text.as_bytes().to_vec()).unwrap_err().to_string()
}

fn of(kind: &str, spec: &str) -> String {
    format!("apiVersion: errand.dev/v1\nkind: {kind}\nmetadata: {{ name: x }}\nspec: {spec}\n")
}

#[test]
fn a_manifest_of_each_kind_is_read_again_from_its_json() {
    let file = parse(ALL);
    let kinds: Vec<_> = file.manifests.iter().map(|placed| placed.manifest.kind()).collect();
    assert_eq!(kinds, CatalogKind::ALL);
    for placed in &file.manifests {
        let written = placed.manifest.to_json();
        let again = CatalogManifest::parse_json("again", &written).unwrap();
        assert_eq!(again, placed.manifest);
        assert_eq!(again.digest(), placed.manifest.digest());
        let stored: CatalogManifest = serde_json::from_str(&placed.manifest.canonical()).unwrap();
        assert_eq!(stored, placed.manifest);
        let schema = schema(placed.manifest.kind());
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let complaints: Vec<_> = validator.iter_errors(&written).map(|it| it.to_string()).collect();
        assert_eq!(complaints, Vec::<String>::new(), "{written}");
    }
}

#[test]
fn every_problem_of_all_documents_is_reported_at_its_place() {
    let text = "apiVersion: errand.dev/v1\nkind: Config\nmetadata: { name: Style }\nname: x\n\
                spec: { contents: a }\n---\napiVersion: errand.dev/v2\nkind: Tier\n\
                metadata: { name: t }\nspec: { services: [a, a], secrets: [low] }\n---\nkind: Skil\n---\n\
                kind: Agent\n---\n5\n";
    insta::assert_snapshot!(refused(text), @r#"
    m.yaml:3:19: metadata.name: "Style" cannot be the name of a definition
      hint: write style: lower-case letters, digits, '-', '_' and '.', a letter or digit first, at most 128
    m.yaml:4:1: name: unknown field "name"
      hint: it belongs under metadata
    m.yaml:5:7: spec: "content" is missing
      hint: write content: Write short sentences.
    m.yaml:5:9: spec.contents: unknown field "contents"
      hint: did you mean "content"?
    m.yaml:7:13: apiVersion: expected errand.dev/v1, found the text "errand.dev/v2"
      hint: this version of errand reads errand.dev/v1 only
    m.yaml:10:23: spec.services[1]: "a" is listed twice
    m.yaml:10:37: spec.secrets[0]: "low" cannot be the name of a secret
      hint: upper-case letters, digits and '_', no digit first, such as GITHUB_TOKEN
    m.yaml:12:7: kind: "Skil" is no kind of definition
      hint: did you mean Skill? One of: Skill, Config, Service, Tier, Dispatcher, PriceTable, Policy, ModelRoute
    m.yaml:14:7: kind: "Agent" is no kind of definition
      hint: `errand push` registers an agent with a server; `errand run` runs its folder
    m.yaml:16:1: expected a mapping, found the number 5
    "#);
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let cases = [
        ("Service", "{ url: redis }", "is not a URL"),
        ("Service", "{ url: \"redis://me:secret@host\" }", "no user and password"),
        ("Service", "{ url: \"tcp://h\", health: {} }", "one of http, tcp and command"),
        ("Service", "{ url: \"tcp://h\", health: { http: /x } }", "an HTTP address"),
        (
            "Service",
            "{ url: \"tcp://h\", env: { ERRAND_X: a } }",
            "cannot be the name of a variable",
        ),
        ("Service", "{ url: \"tcp://h\", env: { X: { secrets: A } } }", "unknown field"),
        ("Service", "{ url: \"tcp://h\", ports: [{ container_port: 0 }] }", "from 1 to 65535"),
        ("Tier", "{ resources: { memory: 2GB } }", "is not an amount of memory"),
        ("Skill", "{ description: a, instructions: \"\" }", "the text is empty"),
        ("Skill", "{ description: a, instructions: b, files: { ../x: a } }", "cannot be the path"),
        ("Skill", "{ description: a, instructions: b, files: { x: { base64: \"?\" } } }", "base64"),
        ("Config", "{ content: a, content_type: text }", "is not a media type"),
        ("Dispatcher", "{ url: \"http://d\", mode: bus }", "needs the address of a bus"),
        ("Dispatcher", "{ url: \"http://d\", bus: { redis: \"redis://r\" } }", "for the mode bus"),
        ("Dispatcher", "{ url: \"http://d\", mode: bus, bus: {} }", "one of redis and sqs"),
    ];
    for (kind, spec, complaint) in cases {
        let said = refused(&of(kind, spec));
        assert!(said.contains(complaint), "{spec}: {said}");
    }
    assert!(refused("").contains("the file is empty"));
    assert!(refused("---\n---\n").contains("the file is empty"));
    let long = of("Config", &format!("{{ content: \"{}\" }}", "x".repeat(1024 * 1024)));
    assert!(refused(&long).contains("longer than 1048576 bytes"), "{}", refused(&long));
    let binary = ManifestFile::parse("m.yaml", vec![0xff, 0xfe, 0]).unwrap_err().to_string();
    assert!(binary.contains("not UTF-8"), "{binary}");
}

#[test]
fn a_skill_file_is_a_skill_with_its_whole_text() {
    let text =
        "---\nname: code-review\ndescription: Reviews a change\nlicense: MIT\n---\n# Review\n";
    let files = BTreeMap::from([("x".to_owned(), SkillFile::of(b"a".to_vec(), false))]);
    let file = ManifestFile::of_skill("SKILL.md", text.as_bytes().to_vec(), &files).unwrap();
    let written = file.manifests[0].manifest.to_json();
    assert_eq!(written["metadata"]["name"], "code-review");
    let expected = json!({
        "description": "Reviews a change", "instructions": text, "files": { "x": "a" },
    });
    assert_eq!(written["spec"], expected);
    let cases = [
        ("", "1:1: the file is empty"),
        ("# Review\n", "1:1: the file has no front matter"),
        ("---\nname: a\n", "1:1: the front matter has no end"),
        ("---\ndescription: b\n---\n", "2:1: \"name\" is missing in the front matter"),
        ("---\nname: Code Review\ndescription: b\n---\n", "2:7: metadata.name: \"Code Review\""),
        ("---\nname: [\n---\n", "this is not YAML"),
    ];
    for (text, complaint) in cases {
        let refused = ManifestFile::of_skill("SKILL.md", text.into(), &BTreeMap::new());
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(complaint), "{text:?}: {said}");
    }
}

#[test]
fn names_are_checked_over_all_files() {
    let tier = of("Tier", "{ services: [redis, postgres] }");
    let service = of("Service", "{ url: \"redis://r\" }").replace("name: x", "name: redis");
    let files = [parse(&tier), parse(&service), parse(&service)];
    let said: Vec<_> = duplicates(&files).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("m.yaml:3:19: metadata.name: the service \"redis\" is given twice"));
    let outside = names_outside(&files);
    assert_eq!(outside, BTreeSet::from([(CatalogKind::Service, "postgres".to_owned())]));
    let known = BTreeSet::from([(CatalogKind::Service, "postgresql".to_owned())]);
    let said: Vec<_> =
        unknown_names(&files, &outside, &known).iter().map(ToString::to_string).collect();
    let expected = "m.yaml:4:27: spec.services[1]: there is no service \"postgres\"\n  \
                    hint: did you mean \"postgresql\"?";
    assert_eq!(said, [expected]);
}

#[test]
fn kinds_are_read_as_people_type_them() {
    for text in ["skill", "Skill", "skills", "SKILLS"] {
        assert_eq!(text.parse(), Ok(CatalogKind::Skill), "{text}");
    }
    assert!("agent".parse::<CatalogKind>().is_err());
}
