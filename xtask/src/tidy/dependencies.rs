//! Allowed dependencies between crates, and forbidden ones of pure crates.

use serde_json::Value;

use super::Tree;

/// A crate of this workspace with the others that it may use outside its tests.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
}

const ALL: &[&str] = &[
    "errand-model",
    "errand-api",
    "errand-store",
    "errand-agent",
    "errand-policy",
    "errand-engine",
    "errand-gateway",
    "errand-container",
    "errand-dispatch",
    "errand-blobs",
    "errand-bus",
    "errand-doors",
    "errand-wire",
    "errand-kubernetes",
];

/// Dependencies of the benchmarks, which also start servers.
const ALL_AND_THE_TEST_KIT: &[&str] = &[
    "errand-model",
    "errand-api",
    "errand-store",
    "errand-agent",
    "errand-policy",
    "errand-engine",
    "errand-gateway",
    "errand-container",
    "errand-dispatch",
    "errand-blobs",
    "errand-bus",
    "errand-doors",
    "errand-wire",
    "errand-kubernetes",
    TEST_KIT,
];

/// The table of `ARCHITECTURE.md`. A crate that is not in it is refused.
const LAYERS: &[Layer] = &[
    Layer { name: "errand-model", may_use: &[] },
    Layer { name: "errand-api", may_use: &["errand-model"] },
    Layer { name: "errand-wire", may_use: &["errand-model"] },
    Layer { name: "errand-policy", may_use: &["errand-model", "errand-api"] },
    Layer { name: "errand-store", may_use: &["errand-model"] },
    Layer { name: "errand-agent", may_use: &["errand-model", "errand-api"] },
    Layer {
        name: "errand-engine",
        may_use: &[
            "errand-model",
            "errand-api",
            "errand-store",
            "errand-agent",
            "errand-policy",
            "errand-wire",
        ],
    },
    Layer {
        name: "errand-gateway",
        may_use: &["errand-model", "errand-api", "errand-store", "errand-engine"],
    },
    Layer { name: "errand-blobs", may_use: &["errand-model", "errand-store"] },
    Layer {
        name: "errand-bus",
        may_use: &["errand-model", "errand-api", "errand-store", "errand-blobs"],
    },
    Layer { name: "errand-shim", may_use: &[] },
    Layer {
        name: "errand-container",
        may_use: &["errand-model", "errand-api", "errand-agent", "errand-shim"],
    },
    Layer {
        name: "errand-dispatch",
        may_use: &[
            "errand-model",
            "errand-api",
            "errand-agent",
            "errand-store",
            "errand-blobs",
            "errand-bus",
        ],
    },
    Layer {
        name: "errand-doors",
        may_use: &["errand-model", "errand-api", "errand-wire", "errand-agent"],
    },
    Layer {
        name: "errand-kubernetes",
        may_use: &["errand-model", "errand-api", "errand-agent", "errand-shim", "errand-container"],
    },
    Layer { name: "errand", may_use: ALL },
    Layer { name: "errand-bench", may_use: ALL_AND_THE_TEST_KIT },
    Layer {
        name: "errand-testkit",
        may_use: &["errand-model", "errand-api", "errand-store", "errand-agent"],
    },
    Layer { name: "xtask", may_use: &[] },
];

/// The crate that only tests may use.
const TEST_KIT: &str = "errand-testkit";

/// Packages that would make a pure crate impure: an executor, a clock, a socket, a source of
/// randomness.
const IMPURE: &[&str] = &[
    "async-std",
    "async-trait",
    "axum",
    "futures",
    "futures-util",
    "getrandom",
    "hyper",
    "nix",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "tracing",
];

/// Crates that must stay pure.
const PURE: &[&str] = &["errand-model", "errand-wire"];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for package in tree.members() {
        check_edges(package, &mut broken);
    }
    for package in tree.packages() {
        let source = package["source"].as_str().unwrap_or_default();
        if source.starts_with("git+") {
            broken.push(format!("{} comes from git: {source}", text(package, "name")));
        }
    }
    check_purity(tree, &mut broken);
    broken
}

fn check_edges(package: &Value, broken: &mut Vec<String>) {
    let name = text(package, "name");
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        broken.push(format!("{name} is not in the table: add it to xtask and ARCHITECTURE.md"));
        return;
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let used = text(dependency, "name");
        let is_ours = LAYERS.iter().any(|other| other.name == used);
        let in_tests = dependency["kind"] == "dev";
        let for_tests = used == TEST_KIT || is_below(layer, used);
        let allowed = layer.may_use.contains(&used) || (in_tests && for_tests);
        if is_ours && !allowed {
            broken.push(format!("{name} must not depend on {used}"));
        }
    }
}

/// Returns true if a crate that the layer may use may use `used`: tests make its values.
fn is_below(layer: &Layer, used: &str) -> bool {
    let mut between = LAYERS.iter().filter(|other| layer.may_use.contains(&other.name));
    between.any(|other| other.may_use.contains(&used))
}

/// Follows the resolved graph from each pure crate, through normal dependencies only.
fn check_purity(tree: &Tree, broken: &mut Vec<String>) {
    let nodes: Vec<&Value> =
        tree.metadata["resolve"]["nodes"].as_array().into_iter().flatten().collect();
    let name_of = |id: &str| {
        tree.packages().find(|package| package["id"] == id).map_or("", |found| text(found, "name"))
    };
    for pure in PURE {
        let mut waiting: Vec<&str> = tree
            .members()
            .filter(|package| text(package, "name") == *pure)
            .map(|package| text(package, "id"))
            .collect();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(id) = waiting.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let name = name_of(id);
            if IMPURE.contains(&name) {
                broken.push(format!("{pure} is pure, and depends on {name} by some way"));
                continue;
            }
            let node = nodes.iter().find(|node| node["id"] == id);
            let edges = node.and_then(|node| node["deps"].as_array()).into_iter().flatten();
            waiting.extend(edges.filter(|edge| is_normal(edge)).map(|edge| text(edge, "pkg")));
        }
    }
}

fn is_normal(edge: &Value) -> bool {
    edge["dep_kinds"].as_array().into_iter().flatten().any(|kind| {
        // What a dependency needs in a browser is not built here.
        let is_here = !kind["target"].as_str().is_some_and(|target| target.contains("wasm"));
        kind["kind"].is_null() && is_here
    })
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
