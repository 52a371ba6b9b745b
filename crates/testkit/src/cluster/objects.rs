//! Objects of the API server, with their versions and the history for watches.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Resource, namespace and name.
type ObjectKey = (String, String, String);

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) resource: String,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) what: &'static str,
    pub(super) object: Value,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    version: u64,
    by_key: BTreeMap<ObjectKey, Value>,
    history: Vec<Change>,
    /// Versions before this one are forgotten.
    forgotten: u64,
}

impl Objects {
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Forgets the history.
    pub(super) fn forget(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.history.clear();
    }

    /// Returns the changes after a version; `None` if they are forgotten.
    pub(super) fn since(&self, version: u64) -> Option<Vec<Change>> {
        if version < self.forgotten {
            return None;
        }
        let at = self.history.partition_point(|change| change.version <= version);
        Some(self.history[at..].to_vec())
    }

    pub(super) fn all(&self, resource: &str) -> Vec<Value> {
        let of_resource = self.by_key.iter().filter(|((of, _, _), _)| of == resource);
        of_resource.map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.by_key.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// Creates an object; `None` if the name is taken.
    pub(super) fn create(
        &mut self,
        resource: &str,
        namespace: &str,
        mut object: Value,
    ) -> Option<Value> {
        self.version += 1;
        let version = self.version;
        let metadata = &mut object["metadata"];
        if metadata["name"].is_null() {
            let prefix = metadata["generateName"].as_str().unwrap_or("object-").to_owned();
            metadata["name"] = json!(format!("{prefix}{version}"));
        }
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        metadata["namespace"] = json!(namespace);
        metadata["uid"] = json!(format!("uid-{version}"));
        metadata["resourceVersion"] = json!(version.to_string());
        metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        encode_text(&mut object);
        let key = (resource.to_owned(), namespace.to_owned(), name);
        if self.by_key.contains_key(&key) {
            return None;
        }
        self.by_key.insert(key, object.clone());
        self.note(resource, "ADDED", object.clone());
        Some(object)
    }

    /// Merges a change into an object; `None` if there is none.
    pub(super) fn merge(
        &mut self,
        (resource, namespace, name): (&str, &str, &str),
        change: &Value,
    ) -> Option<Value> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let object = self.by_key.get_mut(&key)?;
        let before = object.clone();
        merge_into(object, change);
        encode_text(object);
        if *object == before {
            return Some(before);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = object.clone();
        self.note(resource, "MODIFIED", object.clone());
        Some(object)
    }

    pub(super) fn merge_any(&mut self, resource: &str, name: &str, change: &Value) {
        let keys = self.keys_of(resource, name);
        for (_, namespace, name) in keys {
            let _merged = self.merge((resource, &namespace, &name), change);
        }
    }

    pub(super) fn remove(
        &mut self,
        (resource, namespace, name): (&str, &str, &str),
    ) -> Option<Value> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = self.by_key.remove(&key)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.note(resource, "DELETED", object.clone());
        Some(object)
    }

    pub(super) fn remove_any(&mut self, resource: &str, name: &str) {
        for (_, namespace, name) in self.keys_of(resource, name) {
            let _removed = self.remove((resource, &namespace, &name));
        }
    }

    fn keys_of(&self, resource: &str, name: &str) -> Vec<ObjectKey> {
        let keys = self.by_key.keys().filter(|(of, _, called)| of == resource && called == name);
        keys.cloned().collect()
    }

    fn note(&mut self, resource: &str, what: &'static str, object: Value) {
        let (version, resource) = (self.version, resource.to_owned());
        self.history.push(Change { version, resource, what, object });
    }
}

/// Returns true if an object has the labels of a selector.
pub(super) fn is_selected(object: &Value, selector: &str) -> bool {
    let wanted = selector.split(',').filter(|pair| !pair.is_empty());
    wanted
        .filter_map(|pair| pair.split_once('='))
        .all(|(label, value)| object["metadata"]["labels"][label].as_str() == Some(value))
}

/// Turns the text of a Secret into its data, as the API server does.
fn encode_text(object: &mut Value) {
    let Some(Value::Object(text)) = object.as_object_mut().and_then(|it| it.remove("stringData"))
    else {
        return;
    };
    for (name, value) in text {
        let text = value.as_str().unwrap_or_default();
        object["data"][name] = json!(STANDARD.encode(text));
    }
}

fn merge_into(object: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        change.clone_into(object);
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (name, value) in change {
        if value.is_null() {
            if let Some(fields) = object.as_object_mut() {
                let _removed = fields.remove(name);
            }
        } else {
            merge_into(&mut object[name], value);
        }
    }
}
