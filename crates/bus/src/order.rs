//! Orders of tasks, sealed for the place that sender and dispatcher share.
//!
//! `XChaCha20-Poly1305` under a key that both sides have already: the sender has the dispatcher's API
//! key, the dispatcher the SHA-256 of its secret part. Task and number of the order are authenticated
//! with it, so that an order does not open under the message of another one.

use std::fmt;

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{Key, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use errand_api::access::KeyText;
use errand_api::gateway::task::TaskRequest;
use errand_model::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::message::BusMessage;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a nonce, which is random.
const NONCE_BYTES: usize = 24;
/// Bytes of the mark that proves an order.
const TAG_BYTES: usize = 16;
/// First byte of a sealed order: its form.
const FORM: u8 = 1;
/// Separation of this use of an API key from all others.
const LABEL: &[u8] = b"errand order on a bus, form 1";

/// Order for a dispatcher, as it is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct TaskOrder {
    /// The API key, as the dispatcher's own routes ask for it.
    pub api_key: String,
    /// Brief of the task, which is stored under the key that the task names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<String>,
    /// The task, as it would be sent to `POST /tasks`.
    pub task: TaskRequest,
}

impl fmt::Debug for TaskOrder {
    /// Leaves out everything that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskOrder").field("task_id", &self.task.task_id).finish_non_exhaustive()
    }
}

/// Key of the orders that are sealed with an API key.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderKey([u8; KEY_BYTES]);

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderKey")
    }
}

/// Sealed order with the message that announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedOrder {
    /// Bytes for the place that both sides share.
    pub bytes: Vec<u8>,
    /// Message for the bus.
    pub message: BusMessage,
}

/// Error: an order cannot be sealed or opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UnsealableOrder {
    /// The bytes are not those of the message, or of another form or key.
    #[error("the order is not the one that was sealed for this message")]
    Broken,
    /// The dispatcher's key is no API key of errand.
    #[error("the key of the dispatcher is not written like an API key")]
    KeyMalformed,
    /// The system has no randomness to give.
    #[error("there is no randomness")]
    NoRandomness,
}

impl OrderKey {
    /// Returns the key for the SHA-256 of an API key's secret part, in hex digits.
    pub fn of_hash(secret_sha256: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(secret_sha256.as_bytes());
        Self(hash.finalize().into())
    }

    /// Returns the key for an API key.
    pub fn of_api_key(key: &KeyText) -> Self {
        Self::of_hash(&errand_model::hex(&Sha256::digest(key.secret())))
    }

    /// Opens the order of a message.
    ///
    /// # Errors
    ///
    /// [`UnsealableOrder::Broken`].
    pub fn open(&self, message: &BusMessage, bytes: &[u8]) -> Result<TaskOrder, UnsealableOrder> {
        let broken = UnsealableOrder::Broken;
        if Digest::of(bytes) != message.digest {
            return Err(broken);
        }
        let rest = bytes.strip_prefix(&[FORM]).ok_or(broken)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_BYTES).ok_or(broken)?;
        let length = rest.len().checked_sub(TAG_BYTES).ok_or(broken)?;
        let (sealed, tag) = rest.split_at(length);
        let mut text = sealed.to_vec();
        let (nonce, tag) = (XNonce::from_slice(nonce), Tag::from_slice(tag));
        let said = said(&message.task_id, message.order, &message.key);
        let opened = self.cipher().decrypt_in_place_detached(nonce, &said, &mut text, tag);
        opened.map_err(|_| broken)?;
        let order: TaskOrder = serde_json::from_slice(&text).map_err(|_| broken)?;
        if order.task.task_id == message.task_id { Ok(order) } else { Err(broken) }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(&self.0))
    }
}

impl TaskOrder {
    /// Seals the order with its API key, as order `number` for its task.
    ///
    /// # Errors
    ///
    /// [`UnsealableOrder`].
    pub fn seal(&self, number: u32) -> Result<SealedOrder, UnsealableOrder> {
        let key: KeyText = self.api_key.parse().map_err(|_| UnsealableOrder::KeyMalformed)?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| UnsealableOrder::NoRandomness)?;
        let mut text = serde_json::to_vec(self).map_err(|_| UnsealableOrder::Broken)?;
        let task_id = &self.task.task_id;
        let said = said(task_id, number, key.public());
        let cipher = OrderKey::of_api_key(&key).cipher();
        let tag = cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), &said, &mut text);
        let tag = tag.map_err(|_| UnsealableOrder::Broken)?;
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + text.len() + TAG_BYTES);
        bytes.push(FORM);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(&tag);
        let digest = Digest::of(&bytes);
        let message = BusMessage::new(task_id.clone(), number, key.public().to_owned(), digest);
        Ok(SealedOrder { bytes, message })
    }
}

/// Returns what is authenticated with an order.
fn said(task_id: &str, number: u32, key: &str) -> Vec<u8> {
    format!("{task_id}\n{number}\n{key}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> TaskOrder {
        let key = KeyText::new([1; 8], [2; 32]);
        let task = serde_json::json!({
            "task_id": "t-1", "agent_image": "busybox", "callback_token": "not-for-the-bus",
            "callback_url": "http://127.0.0.1:1/",
        });
        let task = serde_json::from_value(task).unwrap();
        TaskOrder { api_key: key.reveal(), brief: Some("{}".to_owned()), task }
    }

    #[test]
    fn an_order_opens_with_the_hash_of_its_key_and_under_its_own_message_only() {
        let sealed = order().seal(3).unwrap();
        let hash = errand_model::hex(&Sha256::digest(KeyText::new([1; 8], [2; 32]).secret()));
        let key = OrderKey::of_hash(&hash);
        let opened = key.open(&sealed.message, &sealed.bytes).unwrap();
        assert_eq!(serde_json::to_value(&opened).unwrap(), serde_json::to_value(order()).unwrap());
        let other = |change: fn(&mut BusMessage)| {
            let mut message = sealed.message.clone();
            change(&mut message);
            key.open(&message, &sealed.bytes).map(|_| ())
        };
        let broken = Err(UnsealableOrder::Broken);
        assert_eq!(other(|it| it.order = 4), broken);
        assert_eq!(other(|it| it.task_id = "t-2".to_owned()), broken);
        assert_eq!(other(|it| it.digest = Digest::of(b"x")), broken);
        let wrong = OrderKey::of_hash("00").open(&sealed.message, &sealed.bytes);
        assert_eq!(wrong.map(|_| ()), broken);
        for length in 0..sealed.bytes.len().min(60) {
            let cut = &sealed.bytes[..length];
            let digest = Digest::of(cut);
            let message = BusMessage { digest, ..sealed.message.clone() };
            assert_eq!(key.open(&message, cut).map(|_| ()), broken);
        }
    }

    #[test]
    fn neither_message_nor_sealed_order_show_a_secret() {
        let sealed = order().seal(1).unwrap();
        let message = sealed.message.to_text();
        assert!(!message.contains("not-for-the-bus") && !message.contains("busybox"), "{message}");
        let text = String::from_utf8_lossy(&sealed.bytes);
        assert!(!text.contains("not-for-the-bus") && !text.contains("errand_"), "{text}");
        assert_ne!(order().seal(1).unwrap().bytes, sealed.bytes, "each nonce is new");
    }
}
