//! Standard Webhooks: what is signed, with what, and how it is written (<https://www.standardwebhooks.com>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// `webhook-signature`: one signature a secret, parted by spaces. A receiver that knows any of the secrets finds its own, so a secret is
/// exchanged without a moment at which requests do not verify. None where no secret is one.
pub(super) fn signatures(secrets: &[SecretString], id: &str, timestamp: i64, body: &str) -> Option<String> {
    let signed: Option<Vec<String>> = secrets.iter().map(|secret| signature(secret, id, timestamp, body)).collect();
    signed.filter(|signed| !signed.is_empty()).map(|signed| signed.join(" "))
}

/// HMAC-SHA256 over id, timestamp and body, parted by full stops: the id ties it to one event, the timestamp to one moment.
fn signature(secret: &SecretString, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.expose_secret()).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example, so that the test does not repeat the code.
    #[test]
    fn it_signs_as_the_specification_does() {
        let secret = SecretString::from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_exchanged_both_sign() {
        let [new, old] = ["bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3", "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk"].map(SecretString::from);
        let both = signatures(&[new.clone(), old.clone()], "id", 7, "{}").unwrap();
        let alone = |secret| signatures(&[secret], "id", 7, "{}").unwrap();
        assert_eq!(both, format!("{} {}", alone(new), alone(old)));
        assert_eq!(signatures(&[], "id", 7, "{}"), None, "nothing is sent unsigned");
    }
}
