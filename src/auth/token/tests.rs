use super::super::fixture::{KeyPair, SECRET, Scratch, base64url, good_claims, hs256, now, settings, sign};
use super::*;
use jsonwebtoken::Header as JwtHeader;
use proptest::prelude::*;
use serde_json::{Value, json};

fn hs256_verifier() -> Verifier {
    Verifier::new(&hs256(), Path::new("/nowhere")).unwrap()
}

/// What the HS256 verifier says of a token with these claims, signed as it should be.
fn verdict(claims: &Value) -> Result<String, TokenError> {
    let token = sign(&JwtHeader::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes()));
    hs256_verifier().subject(&token, now())
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[claim] = value;
    claims
}

fn without(claim: &str) -> Value {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

/// A verifier of one public key, given as PEM.
fn public_key_verifier(algorithm: Algorithm, pem: &str) -> Verifier {
    let scratch = Scratch::new();
    let settings = AuthSettings {
        public_key_file: Some(scratch.file("public.pem", pem)),
        ..settings(algorithm)
    };
    Verifier::new(&settings, scratch.path()).unwrap()
}

fn key_set_settings(algorithm: Algorithm, scratch: &Scratch, keys: &[Value]) -> AuthSettings {
    AuthSettings {
        jwks_file: Some(scratch.file("jwks.json", &json!({ "keys": keys }).to_string())),
        ..settings(algorithm)
    }
}

fn header(algorithm: Algorithm, kid: Option<&str>) -> JwtHeader {
    JwtHeader {
        kid: kid.map(str::to_owned),
        ..JwtHeader::new(algorithm.into())
    }
}

#[test]
fn an_issued_token_proves_its_subject_until_it_expires() {
    let issuer = TokenIssuer::new(&hs256(), Path::new("/nowhere")).unwrap();
    let token = issuer.issue("casino:PB-01", now(), Duration::from_mins(10)).unwrap();
    let verifier = hs256_verifier();
    let at = |seconds| verifier.subject(&token, now() + TimeDelta::seconds(seconds));
    assert_eq!(at(0), Ok("casino:PB-01".to_owned()));
    assert_eq!(at(629), Ok("casino:PB-01".to_owned()), "within the leeway");
    assert_eq!(at(630), Err(TokenError::Expired));
    assert_eq!(at(1_000_000), Err(TokenError::Expired));
}

#[test]
fn a_token_counts_from_its_nbf_on() {
    assert!(verdict(&with("nbf", json!(now().timestamp() + 30))).is_ok(), "within the leeway");
    assert_eq!(verdict(&with("nbf", json!(now().timestamp() + 31))), Err(TokenError::NotYetValid));
}

#[test]
fn exp_aud_and_sub_are_required() {
    for claim in ["exp", "aud", "sub"] {
        assert_eq!(verdict(&without(claim)), Err(TokenError::MissingClaim(claim)));
        assert_eq!(verdict(&with(claim, Value::Null)), Err(TokenError::MissingClaim(claim)));
    }
}

#[test]
fn claims_of_another_shape_are_malformed() {
    let malformed = Err(TokenError::Malformed("payload"));
    for exp in [json!("1767229200"), json!(-5), json!(1e300), json!(true), json!([1_767_229_200])] {
        assert_eq!(verdict(&with("exp", exp)), malformed);
    }
    assert_eq!(verdict(&with("sub", json!(42))), malformed);
    assert_eq!(verdict(&with("aud", json!({"rundown": true}))), malformed);
    assert_eq!(verdict(&json!([1, 2, 3])), malformed);
    assert!(verdict(&with("exp", json!(1_767_229_200.5))).is_ok(), "RFC 7519 allows fractions");
}

#[test]
fn a_claim_said_twice_is_malformed() {
    let header = base64url(r#"{"alg":"HS256"}"#);
    let payload = base64url(format!(
        r#"{{"sub":"a","sub":"b","aud":"rundown","exp":{}}}"#,
        now().timestamp() + 60
    ));
    let message = format!("{header}.{payload}");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    assert_eq!(
        hs256_verifier().subject(&format!("{message}.{signature}"), now()),
        Err(TokenError::Malformed("payload"))
    );
}

#[test]
fn the_audience_must_be_ours() {
    assert_eq!(verdict(&with("aud", json!("payroll"))), Err(TokenError::Audience));
    assert_eq!(verdict(&with("aud", json!([]))), Err(TokenError::Audience));
    assert_eq!(verdict(&with("aud", json!(["payroll", "Rundown"]))), Err(TokenError::Audience));
    assert!(verdict(&with("aud", json!(["payroll", "rundown"]))).is_ok());
}

#[test]
fn a_subject_is_a_short_printable_text() {
    for subject in [String::new(), "a".repeat(256), "casino:\u{0}".to_owned(), "a\nb".to_owned()] {
        assert_eq!(verdict(&with("sub", json!(subject))), Err(TokenError::Subject));
        let issuer = TokenIssuer::new(&hs256(), Path::new("/nowhere")).unwrap();
        assert!(issuer.issue(&subject, now(), Duration::from_mins(1)).is_err());
    }
    assert!(verdict(&with("sub", json!("é".repeat(255)))).is_ok());
}

#[test]
fn alg_none_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", ""] {
        let header = base64url(json!({"alg": alg, "typ": "JWT"}).to_string());
        let unsigned = format!("{header}.{}.", base64url(good_claims().to_string()));
        assert_eq!(hs256_verifier().subject(&unsigned, now()), Err(TokenError::Algorithm));
    }
}

#[test]
fn another_algorithm_of_the_same_family_is_refused() {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for alg in [jsonwebtoken::Algorithm::HS384, jsonwebtoken::Algorithm::HS512] {
        let token = sign(&JwtHeader::new(alg), &good_claims(), &key);
        assert_eq!(hs256_verifier().subject(&token, now()), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_public_key_does_not_serve_as_an_hmac_secret() {
    let pair = KeyPair::new(Algorithm::ES256);
    let verifier = public_key_verifier(Algorithm::ES256, &pair.public_pem);
    for secret in [pair.public_pem.as_bytes(), pair.public_pem.trim().as_bytes(), &pair.public_bytes] {
        let mut token = sign(&JwtHeader::default(), &good_claims(), &EncodingKey::from_secret(secret));
        assert_eq!(verifier.subject(&token, now()), Err(TokenError::Algorithm));
        // The same forgery under a header that lies about its algorithm.
        let payload_and_signature = token.split_off(token.find('.').unwrap());
        let lying = format!("{}{payload_and_signature}", base64url(r#"{"alg":"ES256"}"#));
        assert_eq!(verifier.subject(&lying, now()), Err(TokenError::Signature));
    }
}

#[test]
fn a_forged_signature_is_refused() {
    let foreign = sign(&JwtHeader::default(), &good_claims(), &EncodingKey::from_secret(&[7; 32]));
    assert_eq!(hs256_verifier().subject(&foreign, now()), Err(TokenError::Signature));
    let (message, _) = foreign.rsplit_once('.').unwrap();
    for signature in ["", "AAAA", "not base64!"] {
        assert_eq!(
            hs256_verifier().subject(&format!("{message}.{signature}"), now()),
            Err(TokenError::Signature)
        );
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    for text in ["", "abc", "..", "a.b", "a.b.c", "Bearer x", "{}.{}.{}"] {
        assert!(
            matches!(hs256_verifier().subject(text, now()), Err(TokenError::Malformed(_))),
            "{text}"
        );
    }
    let genuine = sign(&JwtHeader::default(), &good_claims(), &EncodingKey::from_secret(SECRET.as_bytes()));
    assert!(hs256_verifier().subject(&format!("{genuine}.x"), now()).is_err());
}

#[test]
fn an_oversize_token_is_refused_though_genuine() {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let of_length = |filling: usize| sign(&JwtHeader::default(), &with("filling", json!("x".repeat(filling))), &key);
    assert!(hs256_verifier().subject(&of_length(5_000), now()).is_ok());
    assert_eq!(hs256_verifier().subject(&of_length(8_192), now()), Err(TokenError::TooLong));
}

#[test]
fn an_unknown_critical_extension_refuses_the_token() {
    let header = JwtHeader {
        crit: Some(vec!["b64".to_owned()]),
        ..JwtHeader::default()
    };
    let token = sign(&header, &good_claims(), &EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(hs256_verifier().subject(&token, now()), Err(TokenError::CriticalExtension));
}

#[test]
fn es256_and_eddsa_tokens_hold_against_their_own_key_alone() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let (ours, foreign) = (KeyPair::new(algorithm), KeyPair::new(algorithm));
        let verifier = public_key_verifier(algorithm, &ours.public_pem);
        let token = sign(&header(algorithm, None), &good_claims(), &ours.private);
        assert_eq!(verifier.subject(&token, now()), Ok("casino:PB-01".to_owned()));
        let forged = sign(&header(algorithm, None), &good_claims(), &foreign.private);
        assert_eq!(verifier.subject(&forged, now()), Err(TokenError::Signature));
    }
}

#[test]
fn an_rs256_token_holds_against_its_public_key() {
    // Signed with `openssl dgst -sha256 -sign`; the private key was thrown away. Expires one hour after the tests' present.
    let token = include_str!("../fixture/rs256.jwt").trim();
    let verifier = public_key_verifier(Algorithm::RS256, include_str!("../fixture/rs256.pem"));
    assert_eq!(verifier.subject(token, now()), Ok("casino:E-0042".to_owned()));
    assert_eq!(verifier.subject(token, now() + TimeDelta::hours(2)), Err(TokenError::Expired));
    assert_eq!(verifier.subject(&token.replace("bi1D", "bi1E"), now()), Err(TokenError::Signature));
}

#[test]
fn the_kid_chooses_in_a_key_set() {
    let algorithm = Algorithm::ES256;
    let (old, new) = (KeyPair::new(algorithm), KeyPair::new(algorithm));
    let scratch = Scratch::new();
    let settings = key_set_settings(
        algorithm,
        &scratch,
        &[old.jwk("2025"), new.jwk("2026"), KeyPair::new(Algorithm::EdDSA).jwk("ed")],
    );
    let verifier = Verifier::new(&settings, scratch.path()).unwrap();
    let verdict = |pair: &KeyPair, kid| verifier.subject(&sign(&header(algorithm, kid), &good_claims(), &pair.private), now());
    assert!(verdict(&old, Some("2025")).is_ok());
    assert!(verdict(&new, Some("2026")).is_ok());
    assert_eq!(verdict(&old, Some("2026")), Err(TokenError::Signature));
    assert_eq!(verdict(&new, Some("2027")), Err(TokenError::UnknownKey));
    assert_eq!(
        verdict(&new, Some("ed")),
        Err(TokenError::UnknownKey),
        "a key of another kind is not in our set"
    );
    assert_eq!(verdict(&new, None), Err(TokenError::UnknownKey));
}

#[test]
fn a_key_pair_issues_and_verifies_and_a_mismatched_one_refuses_to_start() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let (ours, foreign) = (KeyPair::new(algorithm), KeyPair::new(algorithm));
        let scratch = Scratch::new();
        let with_public = |pem: &str| AuthSettings {
            public_key_file: Some(scratch.file("public.pem", pem)),
            private_key_file: Some(scratch.file("private.pem", &ours.private_pem)),
            ..settings(algorithm)
        };
        let matching = with_public(&ours.public_pem);
        let token = TokenIssuer::new(&matching, scratch.path())
            .unwrap()
            .issue("x", now(), Duration::from_mins(1))
            .unwrap();
        assert_eq!(
            Verifier::new(&matching, scratch.path()).unwrap().subject(&token, now()),
            Ok("x".to_owned())
        );
        assert!(TokenIssuer::new(&with_public(&foreign.public_pem), scratch.path()).is_err());
    }
}

#[test]
fn an_issuer_names_its_key_in_the_set_and_refuses_to_sign_outside_it() {
    let algorithm = Algorithm::EdDSA;
    let (ours, foreign) = (KeyPair::new(algorithm), KeyPair::new(algorithm));
    let scratch = Scratch::new();
    let mut settings = key_set_settings(algorithm, &scratch, &[foreign.jwk("theirs"), ours.jwk("ours")]);
    assert!(TokenIssuer::new(&settings, scratch.path()).is_err(), "no private key");
    settings.private_key_file = Some(scratch.file("private.pem", &ours.private_pem));
    let token = TokenIssuer::new(&settings, scratch.path())
        .unwrap()
        .issue("x", now(), Duration::from_mins(1))
        .unwrap();
    assert_eq!(jsonwebtoken::decode_header(&token).unwrap().kid.as_deref(), Some("ours"));
    assert!(Verifier::new(&settings, scratch.path()).unwrap().subject(&token, now()).is_ok());
    settings.private_key_file = Some(scratch.file("private.pem", &KeyPair::new(algorithm).private_pem));
    assert!(TokenIssuer::new(&settings, scratch.path()).is_err(), "a key outside the set");
}

#[test]
fn without_configured_keys_two_processes_of_one_data_directory_agree() {
    let scratch = Scratch::new();
    let settings = settings(Algorithm::HS256);
    let token = TokenIssuer::new(&settings, scratch.path())
        .unwrap()
        .issue("x", now(), Duration::from_mins(1))
        .unwrap();
    assert_eq!(
        Verifier::new(&settings, scratch.path()).unwrap().subject(&token, now()),
        Ok("x".to_owned())
    );
    let elsewhere = Scratch::new();
    assert_eq!(
        Verifier::new(&settings, elsewhere.path()).unwrap().subject(&token, now()),
        Err(TokenError::Signature)
    );
}

#[test]
fn an_empty_audience_and_an_endless_leeway_are_refused() {
    assert!(
        Verifier::new(
            &AuthSettings {
                audience: String::new(),
                ..hs256()
            },
            Path::new("/nowhere")
        )
        .is_err()
    );
    assert!(
        Verifier::new(
            &AuthSettings {
                leeway_seconds: 301,
                ..hs256()
            },
            Path::new("/nowhere")
        )
        .is_err()
    );
}

#[test]
fn neither_keys_nor_tokens_are_printed() {
    let issuer = TokenIssuer::new(&hs256(), Path::new("/nowhere")).unwrap();
    for text in [format!("{:?}", hs256()), format!("{:?}", hs256_verifier()), format!("{issuer:?}")] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_token_by_accident(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,80}") {
        prop_assert!(hs256_verifier().subject(&text, now()).is_err());
    }

    #[test]
    fn a_token_changed_anywhere_proves_nothing(place: prop::sample::Index, letter in "[A-Za-z0-9_.-]") {
        let genuine = sign(&JwtHeader::default(), &good_claims(), &EncodingKey::from_secret(SECRET.as_bytes()));
        let index = place.index(genuine.len());
        let mut changed = genuine.clone();
        changed.replace_range(index..=index, &letter);
        prop_assume!(changed != genuine);
        prop_assert!(hs256_verifier().subject(&changed, now()).is_err());
    }
}
