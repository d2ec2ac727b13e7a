//! `tls`, against servers of the tests' own in the container's network namespace; openssl as oracle.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde_json::Value;

use crate::live::{Ran, run, run_with_input};
use crate::prompt::Prompt;
use crate::shown::controls;
use crate::support::{LIMIT, Sandbox, needs_root, patient, sandbox, skip};

pub type Issuer = CertifiedIssuer<'static, KeyPair>;
pub type Chain = Vec<CertificateDer<'static>>;

pub fn params(name: &str, names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "nsdbg test");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub fn root(name: &str) -> Issuer {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

/// An authority below another.
fn below(name: &str, above: &Issuer) -> Issuer {
    CertifiedIssuer::signed_by(authority_params(name), KeyPair::generate().unwrap(), above).unwrap()
}

/// A certificate, and the key as a server takes it.
pub fn signed(params: &CertificateParams, by: &Issuer) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap().der().clone();
    (certificate, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

/// What a server of the tests' own does.
pub enum Does {
    /// TLS with this chain, these versions, and a client's certificate demanded where there is a store.
    Tls(Chain, PrivateKeyDer<'static>, &'static [&'static SupportedProtocolVersion], Option<RootCertStore>),
    /// Something else.
    Plain(fn(&mut TcpStream)),
}

pub const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

/// Serves at a port of the target's network namespace.
pub fn serve(target: &Sandbox, port: u16, does: Does) {
    let namespace = fs::File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    let listener = std::thread::spawn(move || {
        // SAFETY: no pointers. This thread alone moves.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        TcpListener::bind(("127.0.0.1", port)).unwrap()
    });
    let listener = listener.join().unwrap();
    let config = match does {
        Does::Plain(act) => {
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    std::thread::spawn(move || act(&mut stream));
                }
            });
            return;
        }
        Does::Tls(chain, key, versions, clients) => {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)
                .unwrap();
            let builder = match clients {
                Some(roots) => builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
                ),
                None => builder.with_no_client_auth(),
            };
            let mut config = builder.with_single_cert(chain, key).unwrap();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        }
    };
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut connection = rustls::ServerConnection::new(config).unwrap();
                let _ = connection.complete_io(&mut stream);
                let _ = stream.read(&mut [0; 1024]);
            });
        }
    });
}

/// A container that trusts one root, and the authorities of the test.
struct World {
    target: Sandbox,
    root: Issuer,
    middle: Issuer,
}

const GOOD: u16 = 8443;

impl World {
    fn new() -> Self {
        let root = root("test root");
        let middle = below("test intermediate", &root);
        let target = sandbox()
            .file("etc/ssl/certs/ca-certificates.crt", root.pem())
            .file("etc/hosts", "127.0.0.1 localhost web.test other.test\n")
            .start();
        let world = Self { target, root, middle };
        world.leaf(GOOD, &params("web", &["web.test", "127.0.0.1"]));
        world
    }

    /// Serves a certificate of the intermediate authority, and the latter's.
    fn leaf(&self, port: u16, params: &CertificateParams) {
        let (own, key) = signed(params, &self.middle);
        serve(&self.target, port, Does::Tls(vec![own, self.middle.der().clone()], key, BOTH, None));
    }

    fn asks(&self, args: &[&str]) -> Ran {
        let begun = Instant::now();
        let ran = self.target.run(&[&["tls"], args].concat());
        assert!(begun.elapsed() < Duration::from_secs(8), "{args:?}: {:?}", begun.elapsed());
        ran
    }

    fn rows(&self, args: &[&str]) -> Vec<Value> {
        let ran = self.asks(&[args, &["--json"]].concat());
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_trusted_chain_is_shown_with_what_was_agreed_on() {
    needs_root!();
    let world = World::new();
    let shown = world.asks(&["web.test:8443", "--alpn", "h2,http/1.1"]).ok();
    for words in [
        "connection   web.test:8443 is 127.0.0.1:8443; name ",
        "agreed on    TLSv1.3, TLS13_AES_256_GCM_SHA384, X25519, ALPN http/1.1\n",
        "name sent    web.test\n",
        "\n0  subject   CN=web,O=nsdbg test\n",
        "\n   issuer    CN=test intermediate,O=nsdbg test\n",
        "\n   names     web.test, 127.0.0.1\n",
        "\n   key       ECDSA P-256, 256 bits\n",
        "\n   signature ecdsa-with-SHA256\n",
        "\n1  subject   CN=test intermediate,O=nsdbg test\n",
        "\ntrusted      by container /etc/ssl/certs/ca-certificates.crt\n",
        "\nnot trusted  by builtin: unknown authority or incomplete chain: the issuer CN=test root,O=nsdbg test is neither",
    ] {
        assert!(shown.contains(words), "no {words}: {shown}");
    }
    let on_terminal = ["--terminal", "stdout,color"];
    let coloured = world.target.run_with(&on_terminal, &["tls", "web.test:8443"]).text();
    assert!(coloured.contains("\n\x1b[32mtrusted\x1b[m      by ") && !coloured.contains("^["), "{coloured}");
    let rows = world.rows(&["127.0.0.1:8443"]);
    assert_eq!(rows.len(), 2);
    for (field, value) in [
        ("subject", Value::from("CN=web,O=nsdbg test")),
        ("names", serde_json::json!(["web.test", "127.0.0.1"])),
        ("key", "ECDSA P-256".into()),
        ("verified", true.into()),
        ("sni", Value::Null),
        ("alpn", Value::Null),
        ("protocol", "TLSv1.3".into()),
        ("client_certificate", "not asked".into()),
        ("server", "127.0.0.1:8443".into()),
        ("authority", false.into()),
    ] {
        assert_eq!(rows[0][field], value, "{field}: {}", rows[0]);
    }
    assert_eq!((&rows[1]["position"], &rows[1]["authority"]), (&1.into(), &true.into()));
    let ran = world.target.line("tls web.test:8443 | where authority eq true | select position,subject");
    assert_eq!(ran.ok(), "POSITION  SUBJECT\n       1  CN=test intermediate,O=nsdbg test\n");
    // Another name, and none.
    assert_eq!(world.rows(&["127.0.0.1:8443", "--sni", "web.test"])[0]["sni"], "web.test");
    assert_eq!(world.rows(&["web.test:8443", "--no-sni"])[0]["sni"], Value::Null);
    // Another store.
    fs::write(world.target.root.join("tmp/other.pem"), root("other root").pem()).unwrap();
    let ran = world.asks(&["web.test:8443", "--cacert", "/tmp/other.pem"]);
    ran.fails(60, "verify web.test:8443: unknown authority or incomplete chain: the issuer CN=test root");
    assert!(ran.text().contains("not trusted  by /tmp/other.pem: "), "{ran:?}");
    world.asks(&["web.test:8443", "--cacert", "/etc/passwd"]).fails(77, "no certificate in it");
    world.asks(&["web.test:8443", "--cacert", "/none"]).fails(77, "open /none: no such file");
}

// Seen to fail with a chain that is trusted whatever webpki says.
#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    needs_root!();
    let world = World::new();
    let dated = |name: &str, from: (i32, u8, u8), to: (i32, u8, u8)| {
        let mut params = params(name, &["web.test"]);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params
    };
    world.leaf(1, &dated("old", (2020, 1, 1), (2021, 2, 3)));
    world.leaf(2, &dated("new", (2090, 1, 1), (2091, 2, 3)));
    world.leaf(3, &params("other", &["other.test", "*.more.test"]));
    let (own, key) = signed(&params("alone", &["web.test"]), &world.middle);
    serve(&world.target, 4, Does::Tls(vec![own], key, BOTH, None));
    let key = KeyPair::generate().unwrap();
    let own = params("self", &["web.test"]).self_signed(&key).unwrap().der().clone();
    serve(
        &world.target,
        5,
        Does::Tls(vec![own], PrivateKeyDer::Pkcs8(key.serialize_der().into()), BOTH, None),
    );
    let stranger = root("strange root");
    let (own, key) = signed(&params("strange", &["web.test"]), &stranger);
    serve(&world.target, 6, Does::Tls(vec![own, stranger.der().clone()], key, BOTH, None));
    let mut old = authority_params("old intermediate");
    old.not_before = date_time_ymd(2020, 1, 1);
    old.not_after = date_time_ymd(2021, 2, 3);
    let old = CertifiedIssuer::signed_by(old, KeyPair::generate().unwrap(), &world.root).unwrap();
    let (own, key) = signed(&params("below old", &["web.test"]), &old);
    serve(&world.target, 7, Does::Tls(vec![own, old.der().clone()], key, BOTH, None));
    for (port, why, words) in [
        (1, "expired", "expired on 2021-02-03T00:00:00Z"),
        (2, "not_yet_valid", "not valid before 2090-01-01T00:00:00Z"),
        (3, "wrong_name", "wrong name: it is for other.test, *.more.test"),
        (
            4,
            "missing_issuer",
            "incomplete chain: the issuer CN=test intermediate,O=nsdbg test is neither trusted nor sent",
        ),
        (5, "self_signed", "self-signed, and not itself among the authorities"),
        (6, "unknown_authority", "unknown authority: CN=strange root,O=nsdbg test, which the server sent"),
        (7, "expired", "expired on 2021-02-03T00:00:00Z (certificate 1, CN=old intermediate,O=nsdbg test)"),
    ] {
        let host = format!("web.test:{port}");
        let ran = world.asks(&[&host]);
        ran.fails(60, &format!("tls: verify {host}: "));
        assert!(ran.err.contains(words) && ran.err.lines().count() == 1, "{ran:?}");
        assert!(ran.text().contains("not trusted  by container "), "{ran:?}");
        let row = &world.rows(&[&host])[0];
        assert_eq!((&row["why"], &row["verified"]), (&why.into(), &false.into()), "{row}");
        assert_eq!(row["judgements"].as_array().unwrap().len(), 4, "{row}");
    }
    let ended = world.asks(&["web.test:1"]).text();
    assert!(ended.contains("2020-01-01T00:00:00Z to 2021-02-03T00:00:00Z, ended "), "{ended}");
    assert!(world.asks(&["web.test:2"]).text().contains(", begins in "));
    // A container without authorities trusts nobody.
    fs::remove_file(world.target.root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    world.asks(&["web.test:8443"]).fails(60, "there are no certificate authorities");
}

fn silent(stream: &mut TcpStream) {
    std::thread::sleep(LIMIT);
    drop(stream.flush());
}

// Seen to fail without the wait for an alert behind the handshake.
#[test]
fn a_peer_that_does_not_shake_hands_is_told_in_a_sentence() {
    needs_root!();
    let world = World::new();
    serve(
        &world.target,
        1,
        Does::Plain(|stream| {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nX: \x1b[8m\r\n\r\n");
        }),
    );
    serve(&world.target, 2, Does::Plain(silent));
    serve(&world.target, 3, Does::Plain(|stream| drop(stream.read(&mut [0; 4096]))));
    // A fatal alert, handshake_failure.
    serve(
        &world.target,
        4,
        Does::Plain(|stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]);
            let _ = stream.read(&mut [0; 64]);
        }),
    );
    serve(&world.target, 5, Does::Plain(|stream| drop(stream.write_all(b"220 mail.test\x1b[8m ESMTP\r\n"))));
    // A server that sends a byte now and then.
    serve(
        &world.target,
        6,
        Does::Plain(|stream| {
            for byte in [22, 3, 3, 0x40, 0].into_iter().chain(std::iter::repeat_n(2, 100)) {
                std::thread::sleep(Duration::from_millis(200));
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
            }
        }),
    );
    let mut accepted = RootCertStore::empty();
    accepted.add(world.root.der().clone()).unwrap();
    for (port, versions) in [(7, BOTH), (8, &BOTH[..1])] {
        let (own, key) = signed(&params("web", &["web.test"]), &world.middle);
        let chain = vec![own, world.middle.der().clone()];
        serve(&world.target, port, Does::Tls(chain, key, versions, Some(accepted.clone())));
    }
    for (port, status, words) in [
        (
            1,
            35,
            "the server speaks no TLS: its answer begins with 'HTTP/1.1 400 Bad Request' (http get http://web.test:1/)",
        ),
        (2, 28, "the server is connected and says nothing; the time limit has passed"),
        (3, 35, "the server closed without an answer; it may speak no TLS"),
        (4, 35, "the server refused: alert handshake_failure"),
        (5, 35, "its answer begins with '220 mail.test\\x1b[8m ESMTP'"),
        (6, 28, "the time limit of --connect-timeout has passed"),
        (7, 35, "the server refused: alert certificate_required; it demands a client certificate"),
        (8, 35, "it demands a client certificate"),
        (9, 7, "connect 127.0.0.1:9 (web.test): connection refused"),
    ] {
        let ran = world.asks(&[&format!("web.test:{port}"), "--connect-timeout", "1.5"]);
        ran.fails(status, words);
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
        assert!(!ran.err.contains('\x1b'), "{ran:?}");
    }
    let shown = world.asks(&["web.test:7"]).text();
    assert!(shown.contains("certificate  demanded of the client, of CN=test root,O=nsdbg test\n"), "{shown}");
    assert!(shown.contains("trusted      by container"), "{shown}");
    assert_eq!(world.rows(&["web.test:8"])[0]["client_certificate"], "demanded");
    world.asks(&["web.test:8443", "--alpn", "h3"]).fails(35, "alert no_application_protocol; it speaks none");
    world.asks(&["nowhere.test"]).fails(6, "resolve nowhere.test");
    world.asks(&["other.test:8443"]).fails(60, "wrong name: it is for web.test, 127.0.0.1");
    world.asks(&["https://web.test/"]).fails(2, "is a URL; it is tls HOST[:PORT]");
    world.asks(&["web.test:x"]).fails(2, "the port is not a number");
    world.asks(&["web.test:8443", "--pem", "--json"]).fails(2, "--pem and --json");
}

/// openssl in the target's network namespace; nothing where it is not installed.
fn openssl(world: &World, port: u16, more: &[&str]) -> Option<String> {
    Command::new("openssl").arg("version").output().ok()?;
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", world.target.pid));
    command.args([
        "openssl",
        "s_client",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-servername",
        "web.test",
    ]);
    command.args(["-nameopt", "RFC2253", "-showcerts"]).args(more);
    Some(run(&mut command).text())
}

#[test]
fn openssl_sees_the_same() {
    needs_root!();
    let world = World::new();
    let mut old = params("old, with \"comma\"", &["web.test"]);
    old.not_before = date_time_ymd(2020, 1, 1);
    old.not_after = date_time_ymd(2021, 2, 3);
    world.leaf(1, &old);
    let (own, key) = signed(&params("twelve", &["web.test"]), &world.middle);
    let chain = vec![own, world.middle.der().clone()];
    serve(&world.target, 2, Does::Tls(chain, key, &BOTH[..1], None));
    let root = world.target.root.join("etc/ssl/certs/ca-certificates.crt");
    for (port, protocol, code) in [(GOOD, "TLSv1.3", 0), (1, "TLSv1.3", 10), (2, "TLSv1.2", 0)] {
        let Some(theirs) = openssl(&world, port, &["-CAfile", root.to_str().unwrap()]) else {
            skip!("openssl is missing: apt install openssl");
        };
        let rows = world.rows(&[&format!("web.test:{port}")]);
        assert_eq!(rows.len(), 2);
        for (at, row) in rows.iter().enumerate() {
            let line = format!(
                " {at} s:{}\n   i:{}\n",
                row["subject"].as_str().unwrap(),
                row["issuer"].as_str().unwrap()
            );
            assert!(theirs.contains(&line), "{line}: {theirs}");
        }
        assert!(theirs.contains(&format!("New, {protocol}, Cipher is ")), "{theirs}");
        assert_eq!(rows[0]["protocol"], *protocol);
        assert!(theirs.contains(&format!("Verify return code: {code} ")), "{theirs}");
        assert_eq!(rows[0]["verified"], code == 0);
        // What openssl reads in the certificates that --pem prints.
        let pem = world.asks(&[&format!("web.test:{port}"), "--pem"]).out;
        let blocks: Vec<&str> =
            std::str::from_utf8(&pem).unwrap().split_inclusive("-----END CERTIFICATE-----\n").collect();
        assert_eq!(blocks.len(), 2);
        assert!(theirs.contains(blocks[0]) && theirs.contains(blocks[1]), "{theirs}");
        for (block, row) in blocks.iter().zip(&rows) {
            let mut x509 = Command::new("openssl");
            x509.args([
                "x509",
                "-noout",
                "-serial",
                "-fingerprint",
                "-sha256",
                "-enddate",
                "-dateopt",
                "iso_8601",
            ]);
            let told = run_with_input(&mut x509, block.as_bytes()).ok();
            let serial = row["serial"].as_str().unwrap().to_uppercase();
            let read = told.lines().find_map(|line| line.strip_prefix("serial=")).unwrap();
            assert_eq!(read.trim_start_matches('0'), serial.trim_start_matches('0'));
            let fingerprint = told.lines().find_map(|line| line.strip_prefix("sha256 Fingerprint=")).unwrap();
            assert_eq!(fingerprint.replace(':', "").to_lowercase(), row["sha256"].as_str().unwrap());
            let end = row["not_after"].as_str().unwrap().replace('T', " ");
            assert!(told.contains(&format!("notAfter={end}")), "{told}");
        }
    }
}

// Seen to fail with the dates of authorities left to webpki, which takes no heed of them.
#[test]
fn an_authority_that_has_expired_vouches_for_nobody_as_openssl_has_it() {
    needs_root!();
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let mut dated = authority_params("dated root");
    dated.not_before = date_time_ymd(2020, 1, 1);
    dated.not_after = date_time_ymd(2021, 2, 3);
    let old = dated.clone().self_signed(&key).unwrap().pem();
    dated.not_before = date_time_ymd(2090, 1, 1);
    dated.not_after = date_time_ymd(2091, 1, 1);
    let future = dated.self_signed(&key).unwrap().pem();
    // The same authority with the same key, made anew.
    let fresh = CertifiedIssuer::self_signed(authority_params("dated root"), key).unwrap();
    let (own, key) = signed(&params("web", &["web.test"]), &fresh);
    serve(&world.target, 1, Does::Tls(vec![own], key, BOTH, None));
    let bundle = world.target.root.join("etc/ssl/certs/ca-certificates.crt");
    for (pem, code, words) in [
        (old.clone(), 10, "the authority CN=dated root,O=nsdbg test expired on 2021-02-03T00:00:00Z"),
        (world.root.pem() + &old, 10, "expired on 2021-02-03"),
        (future, 9, "the authority CN=dated root,O=nsdbg test is not valid before 2090-01-01"),
        (old.clone() + &fresh.pem(), 0, ""),
        (fresh.pem() + &old, 0, ""),
    ] {
        fs::write(&bundle, pem).unwrap();
        let Some(theirs) = openssl(&world, 1, &["-CAfile", bundle.to_str().unwrap()]) else {
            skip!("openssl is missing: apt install openssl");
        };
        assert!(theirs.contains(&format!("Verify return code: {code} ")), "{code}: {theirs}");
        let ran = world.asks(&["web.test:1"]);
        let fetched = world.target.run(&["http", "get", "-m", "1", "https://web.test:1/"]);
        if code == 0 {
            ran.ok();
            // The server shakes hands, and no more.
            assert_ne!(fetched.status, 60, "{fetched:?}");
        } else {
            ran.fails(60, words);
            fetched.fails(60, words);
            let why = if code == 10 { "expired" } else { "not_yet_valid" };
            assert_eq!(world.rows(&["web.test:1"])[0]["why"], why);
        }
    }
}

// Seen to fail with one store for all clients; openssl as oracle, with the container's /etc/ssl mounted over the node's.
#[test]
fn clients_that_look_elsewhere_have_verdicts_of_their_own() {
    needs_root!();
    let world = World::new();
    let certs = world.target.root.join("etc/ssl/certs");
    let (mine, other) = (world.root.pem(), root("other root").pem());
    let hash = run_with_input(Command::new("openssl").args(["x509", "-noout", "-hash"]), mine.as_bytes());
    if hash.status != 0 {
        skip!("openssl is missing: apt install openssl");
    }
    let link = format!("{}.0", hash.text().trim());
    for (files, container, by_openssl, by_go) in [
        (&[("ca-certificates.crt", &mine)][..], true, false, true),
        (&[("ca-certificates.crt", &other), (link.as_str(), &mine)], false, true, true),
        (&[("ca-certificates.crt", &other), ("mine.pem", &mine)], false, false, true),
    ] {
        fs::remove_dir_all(&certs).unwrap();
        fs::create_dir(&certs).unwrap();
        files.iter().for_each(|(name, pem)| fs::write(certs.join(name), pem).unwrap());
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", world.target.pid)).args(["unshare", "-m", "sh", "-c"]);
        // The node's OpenSSL may have a file of its own besides: the container has none.
        command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", "/etc/ssl/cert.pem");
        let theirs = run(command.arg(format!(
            "mount --bind {} /etc/ssl && exec openssl s_client -connect 127.0.0.1:{GOOD} -servername web.test",
            world.target.root.join("etc/ssl").display()
        )));
        assert_eq!(theirs.text().contains("Verify return code: 0 "), by_openssl, "{theirs:?}");
        let row = &world.rows(&[&format!("web.test:{GOOD}")])[0];
        for (store, verified) in [("container", container), ("OpenSSL, Python", by_openssl), ("Go", by_go)] {
            let judgements = row["judgements"].as_array().unwrap();
            let found =
                judgements.iter().find(|one| one["store"].as_str().unwrap().starts_with(store)).unwrap();
            assert_eq!(found["verified"], verified, "{store}: {row}");
        }
    }
    let shown = world.asks(&[&format!("web.test:{GOOD}")]).text();
    assert!(
        shown.contains("\nnot trusted  by OpenSSL, Python: there are no certificate authorities\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\ntrusted      by Go /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs\n"),
        "{shown}"
    );
}

/// A key store as keytool(1) writes one, with one certificate; the digest of its password is left out.
fn key_store(der: &[u8]) -> Vec<u8> {
    let count = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes();
    let name = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    let (one, two) = (1_u32.to_be_bytes(), 2_u32.to_be_bytes());
    let head = [&[0xfe, 0xed, 0xfe, 0xed][..], &two, &one].concat();
    let entry = [&two[..], &name("mine"), &[0; 8], &name("X.509"), &count(der), der, &[0; 20]].concat();
    [head, entry].concat()
}

// Seen to fail without a word of either.
#[test]
fn java_and_node_have_verdicts_of_their_own() {
    needs_root!();
    let world = World::new();
    let (mine, other) = (world.root.der().to_vec(), root("other root").der().to_vec());
    let security = world.target.root.join("opt/java/openjdk/lib/security");
    let place = format!("web.test:{GOOD}");
    let verdict = |line: &str, client: &str| {
        let ran = world.target.line(line);
        let row: Value = serde_json::from_str(ran.text().lines().next().unwrap()).unwrap();
        let all = row["judgements"].as_array().unwrap();
        let found = all.iter().find(|one| one["store"].as_str().unwrap().starts_with(client));
        (found.map(|one| one["verified"] == true), ran.err)
    };
    let plain = format!("tls --json {place}");
    assert_eq!(verdict(&plain, "Java").0, None);
    assert_eq!(verdict(&plain, "Node").0, None);
    fs::create_dir_all(&security).unwrap();
    for (der, trusted) in [(&mine, true), (&other, false)] {
        fs::write(security.join("cacerts"), key_store(der)).unwrap();
        assert_eq!(verdict(&plain, "Java /opt/java/openjdk/lib/security/cacerts").0, Some(trusted));
    }
    // This one goes before it, and what options name before both.
    fs::write(security.join("jssecacerts"), key_store(&mine)).unwrap();
    assert_eq!(verdict(&plain, "Java /opt/java/openjdk/lib/security/jssecacerts").0, Some(true));
    let encrypted = include_bytes!("../../fixtures/keystores/encrypted.p12");
    fs::write(world.target.root.join("app/store"), encrypted).unwrap();
    let (found, said) = verdict(
        &format!("export JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/app/store; {plain}"),
        "Java /app/store",
    );
    assert_eq!(found, Some(false));
    assert!(said.contains("read /app/store: its certificates are encrypted"), "{said:?}");
    fs::write(world.target.root.join("app/mine.pem"), world.root.pem()).unwrap();
    assert_eq!(
        verdict(&format!("export NODE_ENV=production; {plain}"), "Node (Mozilla's list)").0,
        Some(false)
    );
    let extra = format!("export NODE_EXTRA_CA_CERTS=/app/mine.pem; {plain}");
    assert_eq!(verdict(&extra, "Node (Mozilla's list) /app/mine.pem").0, Some(true));
    let openssl = format!("export NODE_OPTIONS=--use-openssl-ca SSL_CERT_FILE=/app/mine.pem; {plain}");
    assert_eq!(verdict(&openssl, "Node (--use-openssl-ca) /app/mine.pem").0, Some(true));
}

// Seen to fail at 42 ms without TCP_NODELAY, and with a segment for each record.
#[test]
fn a_handshake_of_tls_1_2_does_not_wait_for_a_delayed_acknowledgement() {
    needs_root!();
    let world = World::new();
    let (own, key) = signed(&params("web", &["web.test"]), &world.middle);
    serve(&world.target, 1, Does::Tls(vec![own, world.middle.der().clone()], key, &BOTH[..1], None));
    let took = |_| world.rows(&["web.test:1"])[0]["timings"]["tls"].as_f64().unwrap();
    let least = (0..5).map(took).fold(f64::MAX, f64::min);
    assert!(Duration::from_secs_f64(least) < patient(Duration::from_millis(30)), "{least} s");
}

// Seen to fail with subjects and names that are shown as they came.
#[test]
fn r24_certificates_do_not_steer_the_terminal() {
    needs_root!();
    let world = World::new();
    let mut hostile = params("\u{1b}]0;title\u{7}\u{9b}8m\u{202e}txt\n\u{1b}[8m", &["web.test"]);
    let name = "evil\u{1b}[8m\u{7}.test".to_owned();
    hostile.subject_alt_names.push(rcgen::SanType::DnsName(name.try_into().unwrap()));
    world.leaf(1, &hostile);
    world.leaf(2, &params("plain", &["web.test"]));
    let session = |port: u16| {
        let mut prompt = Prompt::start(&world.target);
        prompt.sees("/$ ");
        let mut all = prompt.said().to_vec();
        for line in [
            format!("tls web.test:{port}"),
            format!("tls other.test:{port}"),
            format!("tls web.test:{port} --json"),
            format!("tls web.test:{port} | select subject,names"),
        ] {
            prompt.type_in(format!("{line}; echo e\"\"nd\r").as_bytes());
            prompt.sees("\nend\r\n");
            prompt.sees("/$ ");
            all.extend_from_slice(prompt.said());
        }
        all
    };
    let (plain, hostile) = (session(2), session(1));
    let more: Vec<String> = controls(&hostile).difference(&controls(&plain)).cloned().collect();
    assert!(more.is_empty(), "{more:?}: {}", hostile.escape_ascii());
    let text = String::from_utf8(hostile).unwrap();
    for words in [
        "subject   CN=\\1b]0\\;title\\07\\u{9b}8m\\u{202e}txt\\0a\\1b[8m,O=nsdbg test",
        "names     web.test, evil\\x1b[8m\\x07.test",
        "wrong name: it is for web.test, evil\\x1b[8m\\x07.test",
    ] {
        assert!(text.contains(words), "no {words}: {text}");
    }
}
