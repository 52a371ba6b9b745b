//! Agents that name other agents by path, and are packed with them.

use std::fs;
use std::path::{Path, PathBuf};

use errand_agent::parcel::{self, Error};
use errand_api::agent_file::{FileReference, ProblemKind, Unknown};
use errand_api::error_code::ErrorCode;
use errand_model::Digest;
use tempfile::TempDir;

struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join("agents").join(name)
    }

    fn parcels(&self) -> PathBuf {
        self.root.path().join("parcels")
    }

    fn worker(&self, name: &str, script: &str) {
        self.agent(name, "command: [sh, run.sh]");
        fs::write(self.folder(name).join("run.sh"), script).unwrap();
    }

    fn agent(&self, name: &str, spec: &str) {
        fs::create_dir_all(self.folder(name)).unwrap();
        let last = name.rsplit('/').next().unwrap();
        let yaml = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {last} }}\nspec:\n  {spec}\n"
        );
        fs::write(self.folder(name).join("agent.yaml"), yaml).unwrap();
    }

    /// Returns the problem of an agent, without the names of folders.
    fn refused(&self, name: &str) -> String {
        let error = parcel::plan(&self.folder(name)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::AgentFileInvalid, "{error}");
        assert!(!self.parcels().exists(), "something was created");
        self.shortened(&error.to_string())
    }

    fn shortened(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root.path().join("agents").display()), "")
    }
}

/// Names and digests of an agent and of the agents that it names.
fn digests(plan: &parcel::ParcelPlan) -> Vec<(String, Digest)> {
    let members = plan.members().iter().chain([plan]);
    members.map(|member| (member.agent().name.clone(), member.digest().clone())).collect()
}

#[test]
fn agents_named_by_path_are_packed_first_and_pinned() {
    let place = Place::new();
    place.worker("a", "echo a");
    place.worker("b", "echo b");
    place.agent("pair", "coordinator: { type: chain, agents: [../a, ../b] }");
    place.agent(
        "top",
        "coordinator: { type: chain, agents: [../pair, ../b, c, { agent: ../b, name: d }] }",
    );
    let plan = parcel::plan(&place.folder("top")).unwrap();
    let names: Vec<&str> = plan.members().iter().map(|plan| plan.agent().name.as_str()).collect();
    assert_eq!(names, ["b", "a", "pair"]);
    let digests = digests(&plan);

    let top = plan.publish(&place.parcels()).unwrap();
    for (name, digest) in digests {
        assert_eq!(parcel::verify(&place.parcels(), &digest).unwrap().agent.name, name);
    }
    let opened = parcel::open(&place.parcels(), &top.digest).unwrap();
    let named: Vec<(&str, Option<String>)> = opened
        .agent
        .named_agents()
        .map(|member| {
            let digest = member.digest.as_ref();
            let open = |digest| parcel::open(&place.parcels(), digest).unwrap().agent.name;
            (member.agent.as_str(), digest.map(open))
        })
        .collect();
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(
        named,
        [("../b", some("b")), ("c", None), ("../b", some("b")), ("../pair", some("pair"))]
    );
}

#[test]
fn the_digest_covers_agents_named_by_path_at_every_depth() {
    let place = Place::new();
    place.worker("a", "echo a");
    place.agent("pair", "coordinator: { type: fan_out, agents: [../a] }");
    place.agent("top", "command: [sh]\n  handoffs: [../pair]");
    let digest = || parcel::plan(&place.folder("top")).unwrap().digest().clone();
    let before = digest();
    assert_eq!(digest(), before);
    place.worker("a", "echo other");
    assert_ne!(digest(), before);
    place.worker("a", "echo a");
    assert_eq!(digest(), before);
}

#[test]
fn a_missing_agent_is_reported_at_the_line_that_names_it() {
    let place = Place::new();
    place.agent(
        "top",
        "coordinator:\n    type: workflow\n    graph:\n      a: { agent: ../nobody, outputs_to: [b] }\n      \
         b: { agent: ./neither.yaml }",
    );
    insta::assert_snapshot!(place.refused("top"), @r#"
    the agent file has problems
    top/agent.yaml:8:7: spec.coordinator.graph: no path leads from the start to __end__
      hint: write outputs_to: [__end__] on the node whose output is the result
    top/agent.yaml:8:19: spec.coordinator.graph.a.agent: there is no agent file at nobody
      hint: name a folder with an agent.yaml, or the file itself
    top/agent.yaml:9:19: spec.coordinator.graph.b.agent: there is no agent file at top/neither.yaml
      hint: name a folder with an agent.yaml, or the file itself
    "#);
}

#[test]
fn an_agent_that_contains_itself_is_refused() {
    let place = Place::new();
    place.agent("a", "coordinator: { type: chain, agents: [../b] }");
    place.agent("b", "coordinator: { type: chain, agents: [../c, { agent: ., name: me }] }");
    place.agent("c", "command: [sh]\n  handoffs: [../a]");
    insta::assert_snapshot!(place.refused("a"), @r"
    the agent file has problems
    b/agent.yaml:5:55: spec.coordinator.agents[1].agent: the agent contains itself: b -> b
      hint: a parcel cannot hold its own digest: name the agent by its registered name
    c/agent.yaml:6:14: spec.handoffs[0]: the agent contains itself: a -> b -> c -> a
      hint: a parcel cannot hold its own digest: name the agent by its registered name
    ");
    place.agent("b", "coordinator: { type: chain, agents: [../c] }");
    insta::assert_snapshot!(place.refused("a"), @r#"
    the agent file has problems
    c/agent.yaml:6:14: spec.handoffs[0]: the agent contains itself: a -> b -> c -> a
      hint: a parcel cannot hold its own digest: name the agent by its registered name
    "#);
}

#[test]
fn agents_that_lie_too_deep_are_refused() {
    let place = Place::new();
    for depth in 0..9 {
        let next = format!("coordinator: {{ type: chain, agents: [../a{}] }}", depth + 1);
        place.agent(&format!("a{depth}"), &next);
    }
    place.worker("a9", "true");
    insta::assert_snapshot!(place.refused("a0"), @r#"
    the agent file has problems
    a8/agent.yaml:5:40: spec.coordinator.agents[0]: agents name each other by path more than 8 levels deep
      hint: name this one by its registered name
    "#);
    let plan = parcel::plan(&place.folder("a1")).unwrap();
    assert_eq!(plan.members().len(), 8);
}

#[test]
fn a_problem_in_a_members_folder_names_the_member() {
    let place = Place::new();
    place.worker("a", "true");
    std::os::unix::fs::symlink("/etc/passwd", place.folder("a").join("link")).unwrap();
    place.agent("top", "coordinator: { type: chain, agents: [../a] }");
    let error = parcel::plan(&place.folder("top")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ParcelSymlinkEscapes);
    assert_eq!(error.to_string(), "the agent ../a, which this one names");
    assert!(error.hint().is_some());
}

#[test]
fn all_files_are_checked_at_once() {
    let place = Place::new();
    place.agent("a", "command: 5");
    place.agent("b", "coordinator: { type: chain, agents: [c, ../nobody] }");
    place.agent("top", "coordinator: { type: chain, agents: [../a, ../b, d], max_messages: 0 }");
    let mut known = |reference: &FileReference| {
        let FileReference::Agent(agent) = reference else { return Ok(()) };
        if agent == "d" {
            return Ok(());
        }
        let message = format!("no {agent}");
        Err(Unknown { message, hint: None, kind: ProblemKind::Invalid })
    };
    let problems = parcel::check(&place.folder("top"), &mut known).unwrap().unwrap_err();
    let said: Vec<String> = problems.iter().map(|it| place.shortened(&it.to_string())).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    top/agent.yaml:5:70: spec.coordinator.max_messages: expected a whole number from 1 to 100000, found 0
    a/agent.yaml:5:12: spec.command: expected a list, found the number 5
    b/agent.yaml:5:40: spec.coordinator.agents[0]: no c
    b/agent.yaml:5:43: spec.coordinator.agents[1]: there is no agent file at nobody
      hint: name a folder with an agent.yaml, or the file itself
    "#);

    place.agent("a", "command: [sh]");
    place.agent("b", "coordinator: { type: chain, agents: [d, ../a] }");
    place.agent("top", "coordinator: { type: chain, agents: [../a, ../b, d] }");
    let agent = parcel::check(&place.folder("top"), &mut known).unwrap().unwrap();
    assert_eq!(agent.name, "top");
}

#[test]
fn files_that_an_agent_file_names_have_to_be_in_the_folder() {
    let place = Place::new();
    place.agent("a", "command: [python3, summarise.py]\n  skills: [a, b, long]\n  configs: [c, d]");
    fs::create_dir_all(place.folder("a").join("skills/b")).unwrap();
    fs::create_dir_all(place.folder("a").join("configs")).unwrap();
    fs::write(place.folder("a").join("skills/b/SKILL.md"), "do").unwrap();
    fs::write(place.folder("a").join("skills/long.md"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    fs::write(place.folder("a").join("configs/d.toml"), "").unwrap();
    place.agent("b", "command: [./run.sh]");
    place.agent("top", "coordinator: { type: chain, agents: [../a, ../b] }");
    let said = place.refused("top");
    insta::assert_snapshot!(said, @r#"
    the agent file has problems
    a/agent.yaml:5:22: spec.command[1]: there is no summarise.py in the agent's folder, nor in an empty workspace
      hint: create summarise.py beside this file, or name it as it is there
    a/agent.yaml:6:18: spec.skills[2]: the skill is longer than 1048576 bytes: skills/long.md
      hint: shorten it: the brief holds all of it
    b/agent.yaml:5:13: spec.command[0]: there is no file ./run.sh in the agent's folder
      hint: a program with a relative path is looked up beside this file
    "#);
    // Skills and configs that are not in the folder are looked up elsewhere.
    let mut elsewhere = Vec::new();
    let mut note = |reference: &FileReference| {
        elsewhere.push(reference.clone());
        Ok(())
    };
    // `validate` reports the same problems.
    let files = parcel::check(&place.folder("top"), &mut note).unwrap().unwrap_err();
    let (skill, config) = ("a".to_owned(), "c".to_owned());
    assert_eq!(elsewhere, [FileReference::Skill(skill), FileReference::Config(config)]);
    let files: Vec<String> = files.iter().map(|it| place.shortened(&it.to_string())).collect();
    assert_eq!(said, format!("the agent file has problems\n{}", files.join("\n")));

    let code = |name: &str| parcel::plan(&place.folder(name)).unwrap_err().code();
    assert_eq!(code("b"), ErrorCode::CommandNotFound);
    fs::write(place.folder("b").join("run.sh"), "").unwrap();
    assert_eq!(code("b"), ErrorCode::CommandNotExecutable);
}

/// Lays out a folder as a server unpacks it.
fn send(plan: &parcel::ParcelPlan, to: &Path) {
    let copy = |plan: &parcel::ParcelPlan, to: &Path| {
        for file in plan.files() {
            let place = to.join(&file.path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(plan.source().folder.join(&file.path), place).unwrap();
        }
    };
    copy(plan, to);
    for (index, member) in plan.members().iter().enumerate() {
        copy(member, &to.join(parcel::sent_folder(index)));
    }
    if let Some(list) = parcel::sent_list(plan).unwrap() {
        fs::write(to.join(parcel::SENT_LIST), list).unwrap();
    }
}

#[test]
fn a_sent_folder_is_packed_to_the_same_digests() {
    let place = Place::new();
    place.worker("a", "echo a");
    place.agent("pair", "coordinator: { type: chain, agents: [../a, x] }");
    place.agent("top", "coordinator: { type: chain, agents: [../pair, ../a] }");
    let plan = parcel::plan(&place.folder("top")).unwrap();
    let there = place.root.path().join("there");
    send(&plan, &there);
    let sent = parcel::plan_sent(&there).unwrap();
    assert_eq!(digests(&sent), digests(&plan));

    // The list of members is not trusted: the files are checked.
    fs::write(there.join(parcel::sent_folder(0)).join("run.sh"), "echo other").unwrap();
    let error = parcel::plan_sent(&there).unwrap_err();
    assert!(matches!(&error, Error::AgentFileInvalid { .. }), "{error}");
    assert!(error.to_string().contains("the agent ../a did not come with this one"), "{error}");
    fs::write(there.join(parcel::SENT_LIST), "{}").unwrap();
    assert_eq!(parcel::plan_sent(&there).unwrap_err().code(), ErrorCode::ParcelInvalid);
}

#[test]
fn an_agent_without_members_is_sent_without_a_list() {
    let place = Place::new();
    place.worker("a", "echo a");
    let plan = parcel::plan(&place.folder("a")).unwrap();
    assert_eq!(parcel::sent_list(&plan).unwrap(), None);
    let there = place.root.path().join("there");
    send(&plan, &there);
    assert_eq!(parcel::plan_sent(&there).unwrap().digest(), plan.digest());
}
