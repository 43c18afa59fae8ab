//! Tokens, case by case: genuine ones of a second implementation, forged ones, and those that say the wrong things.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::tokens::{OPENSSL, SECRET, assemble, config, encode, forge, public_key, sign, sign_with, table, verifier};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::LazyLock;
use throng::auth::jwk::{JwkSet, KEYS_MAX};
use throng::auth::sign::sign as sign_token;
use throng::auth::{Claims, KeyError, TokenError, Verifier};
use throng::config::{Config, TokenAlgorithm};

/// A time at which the tokens of [`claims`] are valid.
const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    json!({ "sub": "42", "iat": NOW, "exp": NOW + 60 })
}

fn header(algorithm: &str) -> Value {
    json!({ "alg": algorithm, "typ": "JWT" })
}

/// Returns a token of HS256 with changed claims; null removes one.
fn with(mut changes: Value) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().append(changes.as_object_mut().unwrap());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    forge(&header("HS256"), &claims, |message| sign(TokenAlgorithm::Hs256, message))
}

fn hs256() -> &'static Verifier {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| verifier(&table(TokenAlgorithm::Hs256, None)));
    &VERIFIER
}

fn verify(token: &str) -> Result<Claims, TokenError> {
    hs256().verify(&[], token, NOW)
}

/// Each algorithm against each key: a token of openssl is valid with its own key, and refused by every other one,
/// because the key fixes the algorithm. docs/threats.md, row 20.
#[test]
fn tokens_of_another_implementation_are_valid_with_their_own_key_only() {
    let keys: Vec<_> = TokenAlgorithm::ALL.map(|algorithm| (algorithm, verifier(&table(algorithm, None)))).into();
    let mut valid = 0;
    for (name, token) in OPENSSL.lines().map(|line| line.split_once(' ').unwrap()) {
        for (algorithm, key) in &keys {
            match key.verify(&[], token, NOW) {
                Ok(claims) => {
                    assert_eq!(algorithm.name(), name);
                    assert_eq!(claims.user.unwrap().as_str(), "42");
                    assert_eq!((claims.expires, claims.connection_expires), (Some(4_000_000_000), Some(4_000_000_000)));
                    valid += 1;
                }
                Err(error) => {
                    assert_eq!(error, TokenError::Algorithm, "{name} with a key for {}", algorithm.name());
                    assert_ne!(algorithm.name(), name);
                }
            }
        }
    }
    assert_eq!(valid, TokenAlgorithm::ALL.len());
}

/// The truth table of forged tokens: every name in the header, every way to sign, every key. Only the right name,
/// signed in the right way, is valid; a public key as the secret of an HMAC is never right. docs/threats.md, row 20.
#[test]
fn algorithm_of_the_header_never_replaces_that_of_the_key() {
    for key in TokenAlgorithm::ALL {
        let verifier = verifier(&table(key, None));
        let mut ways: Vec<(String, Vec<u8>)> = Vec::new();
        for named in TokenAlgorithm::ALL {
            let message = format!("{}.{}", encode(header(named.name()).to_string()), encode(claims().to_string()));
            for signer in TokenAlgorithm::ALL {
                let signature = sign(signer, message.as_bytes());
                let result = verifier.verify(&[], &format!("{message}.{}", encode(signature)), NOW);
                let expected = match (named == key, signer == key) {
                    (true, true) => Ok(()),
                    (true, false) => Err(TokenError::Signature),
                    (false, _) => Err(TokenError::Algorithm),
                };
                assert_eq!(result.map(drop), expected, "key {key:?}, header {named:?}, signed with {signer:?}");
            }
            // CVE-2015-9235 and its like: everyone knows the public key.
            for secret in public_key(key).into_iter().flat_map(|pem| [pem, pem.trim()]) {
                for hash in [TokenAlgorithm::Hs256, TokenAlgorithm::Hs384, TokenAlgorithm::Hs512] {
                    ways.push((message.clone(), sign_with(hash, secret.as_bytes(), message.as_bytes())));
                }
            }
            ways.push((message, Vec::new()));
        }
        for name in ["none", "None", "NONE", "nOnE", "", "HS257", "hs256", "RS256 "] {
            let message = format!("{}.{}", encode(header(name).to_string()), encode(claims().to_string()));
            ways.extend([(message.clone(), Vec::new()), (message.clone(), sign(key, message.as_bytes()))]);
        }
        for (message, signature) in ways {
            let result = verifier.verify(&[], &format!("{message}.{}", encode(signature)), NOW);
            assert!(
                matches!(result, Err(TokenError::Algorithm | TokenError::Signature | TokenError::Unsigned)),
                "{key:?}: {message}: {result:?}"
            );
        }
    }
}

/// Each mistake has its own error, so that who makes tokens knows what to change.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_mistake_has_its_own_error() {
    let signed = |header: &str, claims: &str| assemble(header, claims, |message| sign(TokenAlgorithm::Hs256, message));
    let (hs256, body) = (header("HS256").to_string(), claims().to_string());
    let good = signed(&hs256, &body);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, claims_part) = message.split_once('.').unwrap();
    let (padded, not_utf8) = (format!("{good}="), encode(b"{\"alg\":\"\xff\"}"));
    for (name, token, expected) in [
        ("valid", good.clone(), None),
        ("empty", String::new(), Some(TokenError::Malformed)),
        ("one part", "abc".to_owned(), Some(TokenError::Malformed)),
        ("two parts", message.to_owned(), Some(TokenError::Malformed)),
        ("four parts", format!("{good}.{signature}"), Some(TokenError::Malformed)),
        ("five parts, as of an encrypted token", format!("{good}.a.b"), Some(TokenError::Malformed)),
        ("padding", padded, Some(TokenError::Malformed)),
        ("white space", format!(" {good}"), Some(TokenError::Malformed)),
        ("not base64url", good.replace('.', "+."), Some(TokenError::Malformed)),
        ("header is no JSON", signed("{", &body), Some(TokenError::Malformed)),
        ("header is a list", signed("[]", &body), Some(TokenError::Malformed)),
        ("claims are a text", signed(&hs256, "\"sub\""), Some(TokenError::Malformed)),
        ("something after the claims", signed(&hs256, &format!("{body} {{}}")), Some(TokenError::Malformed)),
        ("not UTF-8", format!("{not_utf8}.{claims_part}.{signature}"), Some(TokenError::Malformed)),
        ("deep", signed(&hs256, &format!("{{\"a\":{}", "[".repeat(400))), Some(TokenError::Malformed)),
        ("algorithm twice", signed(r#"{"alg":"none","alg":"HS256"}"#, &body), Some(TokenError::Duplicate)),
        ("user twice", signed(&hs256, r#"{"sub":"42","sub":"1","exp":1800000060}"#), Some(TokenError::Duplicate)),
        (
            "user twice, escaped",
            signed(&hs256, r#"{"sub":"42","\u0073ub":"1","exp":1800000060}"#),
            Some(TokenError::Duplicate),
        ),
        ("unknown claim twice", signed(&hs256, r#"{"x":1,"x":2,"exp":1800000060}"#), Some(TokenError::Duplicate)),
        ("extension", signed(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, &body), Some(TokenError::Critical)),
        ("unsigned", format!("{}.{claims_part}.", encode(header("none").to_string())), Some(TokenError::Unsigned)),
        ("no algorithm", signed("{}", &body), Some(TokenError::Algorithm)),
        ("algorithm is a number", signed(r#"{"alg":256}"#, &body), Some(TokenError::Algorithm)),
        ("another algorithm", signed(&header("RS256").to_string(), &body), Some(TokenError::Algorithm)),
        ("unknown key", signed(r#"{"alg":"HS256","kid":"other"}"#, &body), Some(TokenError::UnknownKey)),
        ("empty key ID", signed(r#"{"alg":"HS256","kid":""}"#, &body), Some(TokenError::UnknownKey)),
        ("key ID is a number", signed(r#"{"alg":"HS256","kid":7}"#, &body), Some(TokenError::Malformed)),
        ("no signature", format!("{message}."), Some(TokenError::Signature)),
        ("half a signature", format!("{message}.{}", &signature[..20]), Some(TokenError::Signature)),
        (
            "another secret",
            assemble(&hs256, &body, |message| sign_with(TokenAlgorithm::Hs256, b"another", message)),
            Some(TokenError::Signature),
        ),
        (
            "key of its own (jwk, jku, x5u)",
            assemble(
                &json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": encode("mine") }, "jku": "https://evil.test/" })
                    .to_string(),
                &body,
                |message| sign_with(TokenAlgorithm::Hs256, b"mine", message),
            ),
            Some(TokenError::Signature),
        ),
        ("no expiry", with(json!({ "exp": null })), Some(TokenError::Claim("exp"))),
        ("expiry is a text", with(json!({ "exp": "4000000000" })), Some(TokenError::Claim("exp"))),
        ("expiry is negative", with(json!({ "exp": -1 })), Some(TokenError::Claim("exp"))),
        ("expiry in milliseconds", with(json!({ "exp": 1_800_000_060_000_u64 })), Some(TokenError::Claim("exp"))),
        ("user is a number", with(json!({ "sub": 42 })), Some(TokenError::Claim("sub"))),
        ("nbf is a text", with(json!({ "nbf": "soon" })), Some(TokenError::Claim("nbf"))),
        ("iat is a list", with(json!({ "iat": [] })), Some(TokenError::Claim("iat"))),
        ("jti is a number", with(json!({ "jti": 1 })), Some(TokenError::Claim("jti"))),
        ("aud is a number", with(json!({ "aud": 1 })), Some(TokenError::Claim("aud"))),
        ("aud is a list of numbers", with(json!({ "aud": [1] })), Some(TokenError::Claim("aud"))),
        ("iss is a list", with(json!({ "iss": ["a"] })), Some(TokenError::Claim("iss"))),
        ("channels is a text", with(json!({ "channels": "a" })), Some(TokenError::Claim("channels"))),
        ("subs is a list", with(json!({ "subs": ["a"] })), Some(TokenError::Claim("subs"))),
        ("subs has no options", with(json!({ "subs": { "a": 1 } })), Some(TokenError::Claim("subs"))),
        ("meta is a text", with(json!({ "meta": "a" })), Some(TokenError::Claim("meta"))),
        ("b64info is no base64", with(json!({ "b64info": "*" })), Some(TokenError::Claim("b64info"))),
        ("expire_at is a text", with(json!({ "expire_at": "0" })), Some(TokenError::Claim("expire_at"))),
    ] {
        assert_eq!(verify(&token).err(), expected, "{name}: {token}");
    }
    let none = verifier("").verify(&[], &good, NOW);
    assert_eq!(none.err(), Some(TokenError::NoKeys));
}

/// 4,096 bytes are a token, one more is none, and nothing is decoded to find that out.
#[test]
fn longest_token_is_verified_and_a_longer_one_refused() {
    let of_len = |len: usize| {
        (0..len).map(|fill| with(json!({ "x": "x".repeat(fill) }))).find(|token| token.len() >= len).unwrap()
    };
    let longest = of_len(4096);
    assert_eq!(longest.len(), 4096, "a length that base64 can have");
    assert!(verify(&longest).is_ok());
    assert_eq!(verify(&format!("{longest}x")).err(), Some(TokenError::TooLong));
    assert_eq!(verify(&"x".repeat(1 << 20)).err(), Some(TokenError::TooLong));
}

/// Every time at its limit and one second past it.
#[test]
fn times_are_compared_to_the_second() {
    for (claims, expected) in [
        (json!({ "exp": NOW + 1 }), None),
        (json!({ "exp": NOW }), Some(TokenError::Expired)),
        (json!({ "exp": NOW - 100 }), Some(TokenError::Expired)),
        (json!({ "exp": NOW, "expire_at": 0 }), Some(TokenError::Expired)),
        (json!({ "exp": NOW as f64 + 1.9 }), None),
        (json!({ "exp": NOW as f64 + 0.9 }), Some(TokenError::Expired)),
        (json!({ "nbf": NOW + 60 }), None),
        (json!({ "nbf": NOW + 61 }), Some(TokenError::NotYetValid)),
        (json!({ "iat": NOW + 60 }), None),
        (json!({ "iat": NOW + 61 }), Some(TokenError::IssuedInFuture)),
        (json!({ "iat": 0 }), None),
        (json!({ "expire_at": NOW }), Some(TokenError::Expired)),
    ] {
        assert_eq!(verify(&with(claims.clone())).err(), expected, "{claims}");
    }
}

/// The claims of the Centrifuge protocol: when the connection ends, and where it begins.
#[test]
fn claims_say_who_the_client_is_until_when_and_where_it_begins() {
    let expires = |changes: Value| verify(&with(changes)).unwrap().connection_expires;
    assert_eq!(expires(json!({})), Some(NOW + 60), "with its token");
    assert_eq!(expires(json!({ "expire_at": NOW + 5 })), Some(NOW + 5));
    assert_eq!(expires(json!({ "expire_at": 0 })), None);
    for (changes, user) in [(json!({}), Some("42")), (json!({ "sub": "" }), None), (json!({ "sub": null }), None)] {
        let claims = verify(&with(changes)).unwrap();
        assert_eq!(claims.user.as_ref().map(|user| user.as_str()), user);
    }
    let all = json!({
        "jti": "1", "info": { "name": "A" }, "b64info": "e30=", "channels": ["news", "chat"], "meta": { "a": 1 },
        "subs": { "sport": { "data": 1, "override": { "presence": { "value": true } } } }, "unknown": [1],
    });
    assert_eq!(verify(&with(all)).unwrap().channels, ["news", "chat", "sport"], "of channels, then of subs");
}

#[test]
fn audience_and_issuer_are_checked_if_they_are_set() {
    let file = format!(
        "[token]\ntoken_audience = \"chat\"\ntoken_issuer = \"https://a.test/\"\n{}",
        table(TokenAlgorithm::Hs256, None)
    );
    let strict = verifier(&file);
    for (changes, expected) in [
        (json!({ "aud": "chat", "iss": "https://a.test/" }), None),
        (json!({ "aud": ["other", "chat"], "iss": "https://a.test/" }), None),
        (json!({ "aud": "Chat", "iss": "https://a.test/" }), Some(TokenError::Audience)),
        (json!({ "aud": "chat,other", "iss": "https://a.test/" }), Some(TokenError::Audience)),
        (json!({ "aud": [], "iss": "https://a.test/" }), Some(TokenError::Audience)),
        (json!({ "iss": "https://a.test/" }), Some(TokenError::Audience)),
        (json!({ "aud": "chat" }), Some(TokenError::Issuer)),
        (json!({ "aud": "chat", "iss": "https://a.test" }), Some(TokenError::Issuer)),
    ] {
        assert_eq!(strict.verify(&[], &with(changes.clone()), NOW).err(), expected, "{changes}");
    }
    assert!(verify(&with(json!({ "aud": "any", "iss": "any" }))).is_ok());
}

/// A secret is replaced without a moment in which good tokens are refused.
#[test]
fn several_keys_are_valid_side_by_side() {
    let other = "[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"the secret of yesterday, which is long enough\"\n";
    let kid = table(TokenAlgorithm::Hs384, Some("new"));
    let keys = verifier(&format!("{other}{}{kid}", table(TokenAlgorithm::Hs256, None)));
    let of = |secret: &[u8], algorithm: TokenAlgorithm, kid| sign_token(algorithm, kid, secret, &claims()).unwrap();
    for (secret, algorithm, kid, expected) in [
        (SECRET, TokenAlgorithm::Hs256, None, None),
        ("the secret of yesterday, which is long enough", TokenAlgorithm::Hs256, None, None),
        (SECRET, TokenAlgorithm::Hs384, Some("new"), None),
        (SECRET, TokenAlgorithm::Hs384, None, Some(TokenError::Algorithm)),
        (SECRET, TokenAlgorithm::Hs256, Some("new"), Some(TokenError::Algorithm)),
        ("the secret of tomorrow, which is long enough too", TokenAlgorithm::Hs256, None, Some(TokenError::Signature)),
    ] {
        let token = of(secret.as_bytes(), algorithm, kid);
        assert_eq!(keys.verify(&[], &token, NOW).err(), expected, "{secret} {algorithm:?} {kid:?}");
    }
}

/// The insecure switch leaves out the signature and nothing else.
#[test]
fn insecure_switch_checks_everything_but_the_signature() {
    let insecure = verifier("[token]\ntoken_insecure = true\n");
    let unsigned = |claims: &Value| forge(&header("none"), claims, |_| Vec::new());
    let claims = claims();
    assert_eq!(insecure.verify(&[], &unsigned(&claims), NOW).unwrap().user.unwrap().as_str(), "42");
    assert_eq!(insecure.verify(&[], &unsigned(&claims), NOW + 60).err(), Some(TokenError::Expired));
    assert_eq!(insecure.verify(&[], "x", NOW).err(), Some(TokenError::Malformed));
    assert_eq!(verify(&unsigned(&claims)).err(), Some(TokenError::Unsigned));
}

/// What issuers for other hubs leave out is left out here if the operator says so, and nothing else.
#[test]
fn lenient_switch_accepts_a_short_secret_and_a_token_that_never_expires() {
    let key = "[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"secret\"\n";
    let lenient = verifier(&format!("[token]\ntoken_strict = false\n{key}"));
    let of = |claims: &Value, secret: &str| sign_token(TokenAlgorithm::Hs256, None, secret.as_bytes(), claims).unwrap();
    let forever = lenient.verify(&[], &of(&json!({ "sub": "42" }), "secret"), NOW).unwrap();
    assert_eq!((forever.expires, forever.connection_expires), (None, None));
    assert_eq!(lenient.verify(&[], &of(&claims(), "secret"), NOW + 60).err(), Some(TokenError::Expired));
    assert_eq!(lenient.verify(&[], &of(&claims(), "Secret"), NOW).err(), Some(TokenError::Signature));
    assert!(Config::from_toml(key).is_err(), "the secret is too short otherwise");
    let empty = "[token]\ntoken_strict = false\n[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"\"\n";
    assert!(Config::from_toml(empty).is_err(), "no secret at all");
}

/// A key that would verify nothing, or that can be broken, is found when it is configured.
#[test]
fn public_keys_of_the_wrong_kind_are_refused() {
    let error = |algorithm: &str, key: &str| {
        let file = format!("[[token_key]]\nalgorithm = \"{algorithm}\"\npublic_key = \"\"\"\n{key}\"\"\"\n");
        let config = config(&file);
        match Verifier::new(&config.tokens, &config.token_keys) {
            Err(KeyError::Configured { number: 1, error }) => Some(*error),
            other => other.err(),
        }
    };
    let pem = |name: &str| std::fs::read_to_string(format!("tests/common/tokens/{name}.pem")).unwrap();
    assert_eq!(error("RS256", &pem("rsa.pub")), None);
    assert_eq!(error("ES256", &pem("p256.certificate")), None, "a certificate has a public key");
    assert!(matches!(error("RS256", &pem("p256.pub")), Some(KeyError::Kind { needed: "RSA", found: "P-256", .. })));
    assert!(matches!(error("ES384", &pem("p256.pub")), Some(KeyError::Kind { needed: "P-384", .. })));
    assert!(matches!(error("ES256", &pem("rsa.pub")), Some(KeyError::Kind { needed: "P-256", .. })));
    assert!(matches!(error("EdDSA", &pem("rsa.pub")), Some(KeyError::Kind { needed: "Ed25519", .. })));
    assert_eq!(error("ES256", &pem("p521.pub")), Some(KeyError::UnknownKind));
    assert_eq!(error("RS256", &pem("rsa1024.pub")), Some(KeyError::RsaSize(1024)));
    assert_eq!(error("RS256", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), Some(KeyError::NotPem));
    assert!(matches!(error("RS256", "/no/such/file.pem"), Some(KeyError::File(_))));
    let file = "[[token_key]]\nalgorithm = \"ES256\"\npublic_key = \"tests/common/tokens/p256.pem\"\n";
    let config = config(file);
    let refused = Verifier::new(&config.tokens, &config.token_keys).err().unwrap().to_string();
    assert!(refused.starts_with("[[token_key]] number 1: public_key: it is a private key"), "{refused}");
}

/// A key set is what an issuer serves: keys of other uses, kinds and algorithms are left out, and secrets too.
#[test]
fn key_set_gives_the_keys_that_can_verify() {
    let rsa = json!({ "kty": "RSA", "kid": "rsa", "n": encode([0xaf; 256]), "e": "AQAB" });
    let point = json!({ "kty": "EC", "kid": "ec", "crv": "P-256", "x": encode([1; 32]), "y": encode([2; 32]) });
    let with = |base: &Value, name: &str, value: Value| {
        let mut key = base.clone();
        key[name] = value;
        key
    };
    for (key, expected) in [
        (rsa.clone(), Some(TokenAlgorithm::Rs256)),
        (with(&rsa, "alg", "PS512".into()), Some(TokenAlgorithm::Ps512)),
        (with(&rsa, "use", "sig".into()), Some(TokenAlgorithm::Rs256)),
        (point.clone(), Some(TokenAlgorithm::Es256)),
        (json!({ "kty": "OKP", "crv": "Ed25519", "x": encode([3; 32]) }), Some(TokenAlgorithm::EdDSA)),
        (with(&rsa, "use", "enc".into()), None),
        (with(&rsa, "alg", "HS256".into()), None),
        (with(&rsa, "alg", "ES256".into()), None),
        (with(&rsa, "alg", "RSA-OAEP".into()), None),
        (with(&rsa, "n", encode([0xaf; 128]).into()), None),
        (with(&rsa, "n", 7.into()), None),
        (with(&point, "crv", "P-521".into()), None),
        (with(&point, "x", encode([1; 31]).into()), None),
        (json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": encode(SECRET) }), None),
        (json!("key"), None),
    ] {
        let set = JwkSet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        let found = set.keys.first().map(|key| key.algorithm());
        assert_eq!((found, set.skipped), (expected, usize::from(expected.is_none())), "{key}");
    }
    for text in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
        assert_eq!(JwkSet::parse(text.as_bytes()).err(), Some(KeyError::NotJwkSet), "{text}");
    }
    let many = JwkSet::parse(json!({ "keys": vec![point; KEYS_MAX + 3] }).to_string().as_bytes()).unwrap();
    assert_eq!((many.keys.len(), many.skipped), (KEYS_MAX, 3));
}

/// What ends up in logs and responses repeats nothing of a token or a key.
#[test]
fn no_error_and_no_debug_output_repeats_a_token_or_a_key() {
    let token = with(json!({ "exp": "SECRET", "sub": "SECRET" }));
    let error = verify(&token).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("SECRET"));
    assert!(!format!("{:?} {:?}", hs256(), config(&table(TokenAlgorithm::Hs256, None))).contains(SECRET));
    let texts: HashSet<_> = [
        TokenError::NoKeys,
        TokenError::TooLong,
        TokenError::Malformed,
        TokenError::Duplicate,
        TokenError::Critical,
        TokenError::Unsigned,
        TokenError::UnknownKey,
        TokenError::Algorithm,
        TokenError::Signature,
        TokenError::Claim("exp"),
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::IssuedInFuture,
        TokenError::Audience,
        TokenError::Issuer,
    ]
    .map(|error| error.to_string())
    .into();
    assert_eq!(texts.len(), 15, "each has a text of its own");
}

proptest! {
    /// Nobody can change a token: not one character of it.
    #[test]
    fn token_with_a_changed_character_is_refused(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.-]") {
        let token = with(json!({}));
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &other);
        prop_assume!(changed != token);
        prop_assert!(verify(&changed).is_err(), "{}", changed);
    }

    /// No text ends the process, and none that was not signed is valid.
    #[test]
    fn no_text_is_valid_or_panics(text in "[A-Za-z0-9_.{}\":,-]{0,200}|.{0,40}") {
        prop_assert!(verify(&text).is_err());
    }

    /// No claims end the process, even if they are signed.
    #[test]
    fn no_signed_claims_panic(
        header in ".{0,30}|\\{\"alg\":\"HS256\".{0,9}\\}",
        body in "[\\[\\]{}\":,a-z0-9.eE+-]{0,80}",
    ) {
        let token = assemble(&header, &body, |message| sign(TokenAlgorithm::Hs256, message));
        let _ = verify(&token);
        let _ = JwkSet::parse(body.as_bytes());
    }
}
