//! Verification of request signatures, in constant time, over the body as received.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use errand_api::gateway::hook::HookScheme;
use hyper::header::HeaderMap;
use subtle::ConstantTimeEq as _;

use super::hook::Signature;
use crate::outbox::{Signing, hmac_sha256, mac};

/// Largest difference between a request's timestamp and now, in seconds.
const TOLERANCE_SECONDS: i64 = 5 * 60;
/// Signatures tried per header: a sender that rotates its secret sends two.
const SIGNATURES_LIMIT: usize = 8;

/// Refuses a request that is not signed with the secret; the reason must not help a forger.
pub(super) fn verify(
    signature: &Signature,
    secret: &str,
    headers: &HeaderMap,
    body: &[u8],
    now_seconds: i64,
) -> Result<(), &'static str> {
    match signature.scheme {
        HookScheme::HmacSha256 => {
            let header = signature.header.as_deref().unwrap_or("x-signature");
            let given = one(headers, header)?;
            let given = given.strip_prefix(signature.prefix.as_deref().unwrap_or_default());
            hmac_of_body(secret, given.ok_or("it lacks the prefix")?, body)
        }
        HookScheme::Github => {
            let given = one(headers, "x-hub-signature-256")?;
            let given = given.strip_prefix("sha256=").ok_or("it lacks the prefix sha256=")?;
            hmac_of_body(secret, given, body)
        }
        HookScheme::StandardWebhooks => standard(secret, headers, body, now_seconds),
        HookScheme::Token => {
            let header = signature.header.as_deref().unwrap_or("authorization");
            let given = one(headers, header)?;
            let is_default = signature.header.is_none() && signature.prefix.is_none();
            let prefix = if is_default { "Bearer " } else { "" };
            let prefix = signature.prefix.as_deref().unwrap_or(prefix);
            let given = given.strip_prefix(prefix).ok_or("the token lacks its prefix")?;
            // Digests have one length: comparing them does not reveal the secret's length.
            same(&hmac_sha256(b"", &[given.as_bytes()]), &hmac_sha256(b"", &[secret.as_bytes()]))
        }
    }
}

fn hmac_of_body(secret: &str, given: &str, body: &[u8]) -> Result<(), &'static str> {
    let expected = hmac_sha256(secret.as_bytes(), &[body]);
    let given = from_hex(given)
        .or_else(|| BASE64_STANDARD.decode(given).ok())
        .ok_or("it is neither hex nor base64")?;
    same(&given, &expected)
}

fn standard(
    secret: &str,
    headers: &HeaderMap,
    body: &[u8],
    now_seconds: i64,
) -> Result<(), &'static str> {
    let id = one(headers, "webhook-id")?;
    let timestamp: i64 = one(headers, "webhook-timestamp")?
        .parse()
        .map_err(|_| "webhook-timestamp is no number of seconds")?;
    let given = one(headers, "webhook-signature")?;
    let key = secret.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
    let expected = mac(&key, Signing { id, timestamp, body });
    let is_one = given
        .split(' ')
        .take(SIGNATURES_LIMIT)
        .filter_map(|one| BASE64_STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .fold(false, |is_one, given| is_one | same(&given, &expected).is_ok());
    if !is_one {
        return Err("none of it is one");
    }
    // Only after the signature: an unsigned timestamp proves nothing.
    if timestamp.abs_diff(now_seconds) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err("its timestamp is more than five minutes from now");
    }
    Ok(())
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, &'static str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(only), None) => only.to_str().map_err(|_| "it is no text"),
        (Some(_), Some(_)) => Err("it is there more than once"),
        (None, _) => Err("it is not there"),
    }
}

fn same(given: &[u8], expected: &[u8]) -> Result<(), &'static str> {
    if bool::from(given.ct_eq(expected)) { Ok(()) } else { Err("it is another one") }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let is_hex = bytes.len().is_multiple_of(2) && bytes.iter().all(u8::is_ascii_hexdigit);
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if is_hex { bytes.chunks(2).map(pair).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: i64 = 1_614_265_330;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn signature(scheme: HookScheme) -> Signature {
        Signature { scheme, header: None, prefix: None }
    }

    #[test]
    fn the_github_example_signature_is_valid_and_variants_of_it_are_not() {
        let (scheme, secret) = (signature(HookScheme::Github), "It's a Secret to Everybody");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let check = |given: &str, body: &[u8]| {
            verify(&scheme, secret, &headers(&[("x-hub-signature-256", given)]), body, NOW)
        };
        assert_eq!(check(right, b"Hello, World!"), Ok(()));
        assert!(check(right, b"Hello, World").is_err());
        assert!(check(&right[..70], b"Hello, World!").is_err());
        assert!(check(&right.replace("sha256=", "sha1="), b"Hello, World!").is_err());
        assert!(check("sha256=", b"Hello, World!").is_err());
        assert!(verify(&scheme, secret, &HeaderMap::new(), b"Hello, World!", NOW).is_err());
    }

    #[test]
    fn a_standard_webhook_is_valid_within_five_minutes_with_any_of_several_signatures() {
        let scheme = signature(HookScheme::StandardWebhooks);
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let check = |given: &str, now: i64| {
            let headers = headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", given),
            ]);
            verify(&scheme, secret, &headers, br#"{"test": 2432232314}"#, now)
        };
        assert_eq!(check(right, NOW), Ok(()));
        assert_eq!(check(&format!("v1,AAAA v1a,x {right}"), NOW + 299), Ok(()));
        assert!(check(right, NOW + 301).is_err() && check(right, NOW - 301).is_err());
        assert!(check("v1,AAAA", NOW).is_err() && check("", NOW).is_err());
    }

    #[test]
    fn token_and_hmac_schemes_read_their_configured_header_and_prefix() {
        let token = signature(HookScheme::Token);
        let check = |given: &str| {
            verify(&token, "s3cret-token", &headers(&[("authorization", given)]), b"", NOW)
        };
        assert_eq!(check("Bearer s3cret-token"), Ok(()));
        assert!(check("s3cret-token").is_err() && check("Bearer s3cret-toke").is_err());
        let own = Signature {
            scheme: HookScheme::HmacSha256,
            header: Some("x-sig".to_owned()),
            prefix: Some("v0=".to_owned()),
        };
        let mac = hmac_sha256(b"key", &[b"body"]);
        for text in [errand_model::hex(&mac), BASE64_STANDARD.encode(mac)] {
            let headers = headers(&[("x-sig", &format!("v0={text}"))]);
            assert_eq!(verify(&own, "key", &headers, b"body", NOW), Ok(()));
            assert!(verify(&own, "kez", &headers, b"body", NOW).is_err());
        }
    }
}
