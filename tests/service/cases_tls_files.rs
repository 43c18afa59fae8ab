//! Certificates and keys as people have them: each mistake is named as what it is, with the command that cures it.

use crate::server::process::{Process, logged, throng};
use crate::server::{Client, tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use std::path::PathBuf;
use throng::net::tls::load;

/// A key on P-256, as `openssl ecparam -genkey` writes it.
const KEY: &str = "\
    -----BEGIN EC PRIVATE KEY-----\n\
    MHcCAQEEILtB7ub7QBz3wLoshvy3p+en3g37OYgM9i2Z0vB85ZgzoAoGCCqGSM49\n\
    AwEHoUQDQgAEXKxyThXsGwwqfcKcAO/PCGN7OemJ1xImcAgJzSQZV1ZM7sdUP+1f\n\
    W6ofcsGV4b4OZ0Jz4M4HnAxTwjH4PPfa+g==\n\
    -----END EC PRIVATE KEY-----\n";

/// Its certificate of version 1, as `openssl x509 -req -signkey` writes it.
const VERSION_1: &str = "\
    -----BEGIN CERTIFICATE-----\n\
    MIIBKDCBzwIUMPy6WaiXmhqtumR8JrXw1muE4V4wCgYIKoZIzj0EAwIwFjEUMBIG\n\
    A1UEAwwLdGhyb25nLnRlc3QwIBcNMjYxMTI4MDg1MDQ3WhgPMjEyNjExMDQwODUw\n\
    NDdaMBYxFDASBgNVBAMMC3Rocm9uZy50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D\n\
    AQcDQgAEXKxyThXsGwwqfcKcAO/PCGN7OemJ1xImcAgJzSQZV1ZM7sdUP+1fW6of\n\
    csGV4b4OZ0Jz4M4HnAxTwjH4PPfa+jAKBggqhkjOPQQDAgNIADBFAiAcpSCbYgYa\n\
    IkrVNibq94PzF+uqp8wWHWsmFTJZjXbPkAIhAPyyC36IxeZiNCGwIkPtJ57O34oR\n\
    IxXnrI01OIl90s/s\n\
    -----END CERTIFICATE-----\n";

/// The same key with a password: `openssl pkcs8 -topk8`.
const ENCRYPTED: &str = "\
    -----BEGIN ENCRYPTED PRIVATE KEY-----\n\
    MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiVLIGHlzBa+gICCAAw\n\
    DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJSJ8ZFFWFPAbWF1+NkJ97kEgZCt\n\
    uqhvsfHvOIp8PVgVHKNgdIIZc10L1XEe7kYfmv04wbKdZAmonKkA6aNAzkOjJLnN\n\
    NS6oFLuxEGXB4wSJs44o7kRkG03nlRdv9BBIPS7Xl2WYraiXzfBQmdArZvRaVuSQ\n\
    CD5ZTEKUNDt0SX9aWaJcxTwoGu34pYC763G2X+sSo4J29/+1dM1ca3aFmYSY/AQ=\n\
    -----END ENCRYPTED PRIVATE KEY-----\n";

/// The same key with a password: `openssl ec -aes256`.
const ENCRYPTED_SEC1: &str = "\
    -----BEGIN EC PRIVATE KEY-----\n\
    Proc-Type: 4,ENCRYPTED\n\
    DEK-Info: AES-256-CBC,DA153F6C8DD444DFC673C5D0DCFD22D5\n\
    \n\
    YvOwkW2j/uLcd5kpYGqQdAF2iC+D0XUYMySn8PmHKS8rmqG4JdjL24mml7GlJfsV\n\
    tEHgwfo8OEyF++8LufGPo+KTdv3AHcDp6BfTPeG+pNr/f+AvT/sg1CLIJJoLrxB0\n\
    Kgj5ccntJ9UWxAAVkv2jjRqAwVktj++QaJHRM+UwPIQ=\n\
    -----END EC PRIVATE KEY-----\n";

/// A key on P-521: `openssl ecparam -name secp521r1 -genkey`.
const P521: &str = "\
    -----BEGIN EC PRIVATE KEY-----\n\
    MIHcAgEBBEIAjr4Z6mI4Wef6sNqjFerlQIMOUnUvu89bhrVPC07sVpsbH9YeVlho\n\
    hZ1cK+XripSG0/yd5kPZ+OLQkWmsGL/oBD6gBwYFK4EEACOhgYkDgYYABAAMzem6\n\
    3RbSCBGSRprwzRdbBUJaa4FBsuWCbX7l87OO2eF/GZYFJIuG8TYO9bKvLMDncX4H\n\
    QNk9kE1M8R5sJCt25QHkvvosvgMu32mPewqNAsI0zc7Ew/Ut8c2oPajkhlGhwTZz\n\
    Jj3oH4ofZjdzg6gnDZ/zdx871WRnEc5vWr8B+l9tlQ==\n\
    -----END EC PRIVATE KEY-----\n";

/// Two files that are gone with the test.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("there is a place for it") }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("it is ours");
        path
    }

    /// Returns why a chain and a key cannot be used.
    fn refusal(&self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> String {
        let refused = load(&self.write("c.pem", chain), &self.write("k.pem", key));
        refused.expect_err("it cannot be used").to_string()
    }
}

/// A chain of three, and the key of the first.
struct Chain {
    own: String,
    intermediate: String,
    root: String,
    key: KeyPair,
}

impl Chain {
    fn new() -> Self {
        let authority = |name: &str| {
            let mut parameters = CertificateParams::new(Vec::new()).expect("no names are fine");
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(DnType::CommonName, name);
            parameters
        };
        let keys = [(); 3].map(|()| KeyPair::generate().expect("there is randomness"));
        let [root_key, intermediate_key, key] = keys;
        let (root, intermediate) = (authority("Root of Trust"), authority("Intermediate"));
        let root_pem = root.self_signed(&root_key).expect("it signs").pem();
        let root_issuer = Issuer::from_params(&root, &root_key);
        let intermediate_pem = intermediate.signed_by(&intermediate_key, &root_issuer).expect("it signs").pem();
        let intermediate_issuer = Issuer::from_params(&intermediate, &intermediate_key);
        let own = CertificateParams::new(vec![tls::NAME.to_owned()]).expect("it is a name");
        let own = own.signed_by(&key, &intermediate_issuer).expect("it signs").pem();
        Self { own, intermediate: intermediate_pem, root: root_pem, key }
    }
}

/// The TLS library says "no private key", "invalid character" or "does not fit" for all of these.
#[test]
fn each_wrong_key_is_named_as_what_it_is_with_the_command_that_cures_it() {
    let files = Files::new();
    let pair = KeyPair::generate().expect("there is randomness");
    let chain =
        CertificateParams::new(vec!["a.test".to_owned()]).and_then(|one| one.self_signed(&pair)).expect("it signs");
    let other = KeyPair::generate().expect("there is randomness");
    let der = pair.serialize_der();
    for (key, named, cure) in [
        (ENCRYPTED.as_bytes(), "the key is encrypted", "decrypt it: openssl pkey -in"),
        (ENCRYPTED_SEC1.as_bytes(), "the key is encrypted", "decrypt it: openssl pkey -in"),
        (P521.as_bytes(), "is on the curve P-521", "openssl genpkey -algorithm EC"),
        (other.serialize_pem().as_bytes(), "does not fit --tls-certificate", "openssl x509 -in"),
        (pair.public_key_pem().as_bytes(), "a public one", "give the private key"),
        (chain.pem().as_bytes(), "it contains no private key", "give PEM"),
        (&der, "it is DER and not PEM", "openssl pkey -inform DER"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "a key of OpenSSH", "give"),
        (b"\xff\xfe-\0-\0", "it is UTF-16", "iconv -f UTF-16"),
        (b"", "it contains no private key", "give PEM"),
    ] {
        let refusal = files.refusal(chain.pem(), key);
        assert!(refusal.contains(named) && refusal.contains(cure) && refusal.contains("k.pem"), "{named}: {refusal}");
    }
}

#[test]
fn each_wrong_chain_is_named_as_what_it_is_with_the_command_that_cures_it() {
    let (files, chain) = (Files::new(), Chain::new());
    let Chain { own, intermediate, root, key } = &chain;
    let key = key.serialize_pem();
    let der = pem_body(own);
    for (content, named, cure) in [
        (format!("{intermediate}{own}"), "is number 2 and has to be the first", "cat server.pem intermediate.pem"),
        (format!("{root}{intermediate}{own}"), "is number 3 and has to be the first", "cat server.pem"),
        (
            format!("{own}{root}{intermediate}"),
            "certificate number 2 did not issue the one before it",
            "cat server.pem",
        ),
        (intermediate.clone(), "the server's own certificate is missing: the first one is that of", "cat server.pem"),
        (format!("{intermediate}{root}"), "of the authority CN=Intermediate", "cat server.pem"),
        (String::new(), "it contains no certificate", "give the chain as PEM"),
        (key.clone(), "it contains no certificate", "give the chain as PEM"),
    ] {
        let refusal = files.refusal(&content, &key);
        assert!(refusal.contains(named) && refusal.contains(cure) && refusal.contains("c.pem"), "{named}: {refusal}");
    }
    let refusal = files.refusal(VERSION_1, KEY);
    assert!(refusal.contains("X.509 version 1") && refusal.contains("-addext subjectAltName"), "{refusal}");
    assert!(files.refusal(der, &key).contains("openssl x509 -inform DER"));
}

/// Decodes what stands between the lines of a PEM file.
fn pem_body(pem: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is PEM").to_vec()
}

/// What editors, `cat` and authorities leave in files changes nothing.
#[test]
fn byte_order_marks_line_ends_text_and_one_file_for_both_are_accepted() {
    let (files, chain) = (Files::new(), Chain::new());
    let Chain { own, intermediate, root, key } = &chain;
    let key = key.serialize_pem();
    for (chain, key) in [
        (format!("{own}{intermediate}"), key.clone()),
        (format!("{own}{intermediate}{root}"), key.clone()),
        (own.clone(), key.clone()),
        (format!("\u{feff}{own}\u{feff}{intermediate}"), format!("\u{feff}{key}")),
        (format!("{own}{intermediate}").replace('\n', "\r\n"), key.replace('\n', "\r\n")),
        (format!("subject=CN = a\n{own}\n\n# the next\n{intermediate}"), format!("\n{key}\n")),
        (format!("{key}{own}"), format!("{own}{key}")),
        (format!("{own}{own}{intermediate}"), key.clone()),
    ] {
        let loaded = load(&files.write("c.pem", &chain), &files.write("k.pem", &key));
        assert!(loaded.is_ok(), "{:?}: {chain}", loaded.err());
    }
}

/// Every client refuses a certificate that is not valid yet: check-config and a reload have to, and the start warns.
#[tokio::test]
async fn certificate_of_the_future_is_refused_by_check_and_reload_and_the_start_warns() {
    let identity = tls::Identity::new();
    let files = [identity.chain(), identity.key()].map(|path| path.to_str().expect("it is text").to_owned());
    let arguments = ["--addr", "tls+127.0.0.1:0", "--tls-certificate", &files[0], "--tls-key", &files[1]];
    let (process, mut log) = Process::spawn_logging(&mut throng(&arguments)).await;

    let key = KeyPair::generate().expect("there is randomness");
    let mut parameters = CertificateParams::new(vec![tls::NAME.to_owned()]).expect("it is a name");
    parameters.not_before = rcgen::date_time_ymd(4040, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(4041, 1, 1);
    std::fs::write(identity.chain(), parameters.self_signed(&key).expect("it signs").pem()).expect("it is ours");
    std::fs::write(identity.key(), key.serialize_pem()).expect("it is ours");

    let checked = throng(&[&["check-config"], &arguments[..]].concat()).output().await.expect("the binary runs");
    let error = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.code() == Some(2) && error.contains("is not valid yet, only from 4040-01-01"), "{error}");

    process.signal(Signal::HUP);
    let line = logged(&mut log, "nothing is changed").await;
    assert!(line.contains("is not valid yet"), "{line}");
    Client::over(identity.connect(process.addr).await, "/ws").await.round_trip().await;

    let (_second, mut log) = Process::spawn_logging(&mut throng(&arguments)).await;
    let line = logged(&mut log, "is not valid before 4040-01-01").await;
    assert!(line.contains("WARN"), "{line}");
}
