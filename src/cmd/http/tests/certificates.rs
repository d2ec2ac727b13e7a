//! TLS against an authority of the tests' own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: Temp,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = Temp::new(name);
    // A broken certificate in a bundle must not spoil the rest.
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file.0, format!("# a bundle\n{broken}{}", issuer.pem())).unwrap();
    Authority { issuer, file }
}

/// A TLS server with a certificate for these names; its port.
fn tls_server(authority: &Authority, names: &[&str], expired: bool) -> u16 {
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    if expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    }
    let key = KeyPair::generate().unwrap();
    serve(params.signed_by(&key, &authority.issuer).unwrap().der().clone(), &key)
}

/// A TLS server that shows this certificate; its port.
fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let seen = request(&mut tls);
            if seen.starts_with("GET /vanish") {
                continue;
            }
            let _ = write!(tls, "HTTP/1.1 200 OK\r\n\r\n{seen}");
            if !seen.starts_with("GET /cut") {
                tls.conn.send_close_notify();
            }
            let _ = tls.flush();
        }
    });
    port
}

#[test]
fn certificates_are_checked_by_authority_name_and_date() {
    let mine = authority("ca");
    let other = authority("other-ca");
    let good = tls_server(&mine, &["localhost", "127.0.0.1"], false);
    let old = tls_server(&mine, &["localhost"], true);
    let (ca, other) = (mine.file.text(), other.file.text());
    let url = format!("https://localhost:{good}/p");
    assert!(body(&[&url, "-4", "--cacert", ca]).starts_with(b"GET /p HTTP/1.1"));
    assert!(body(&[&format!("https://127.0.0.1:{good}/"), "--cacert", ca]).starts_with(b"GET / "));
    assert!(body(&[&url, "-4", "-k"]).starts_with(b"GET /p "));
    let wrong_name = format!("other.test:{good}:127.0.0.1");
    for (args, text) in [
        (
            vec![url.as_str(), "-4", "--cacert", other],
            "handshake localhost: certificate signed by an authority",
        ),
        (vec![&url, "-4", "--ca", "builtin"], "not trusted (--cacert FILE, or -k)"),
        (
            vec![&format!("https://localhost:{old}/"), "-4", "--cacert", ca],
            "certificate expired on 2021-02-03T00:00:00Z",
        ),
        (
            vec![&format!("https://other.test:{good}/"), "--resolve", &wrong_name, "--cacert", ca],
            "certificate is for another name: localhost, ",
        ),
    ] {
        let fault = fault(&args);
        assert!(fault.status == 60 && fault.to_string().contains(text), "{} {fault}", fault.status);
    }
    assert_eq!(fault(&[&url, "--cacert", "/nonexistent"]).status, 77);
}

/// As `openssl req -x509` makes it: a server's, and an authority's.
#[test]
fn a_self_signed_authority_serves_where_it_is_trusted_itself() {
    let server = |expired: bool| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 2, 3);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = Temp::new(if expired { "self-old" } else { "self" });
        std::fs::write(&file.0, certificate.pem()).unwrap();
        (serve(certificate.der().clone(), &key), file)
    };
    let (port, own) = server(false);
    let (old_port, old) = server(true);
    let url = format!("https://localhost:{port}/p");
    assert!(body(&[&url, "-4", "--cacert", own.text()]).starts_with(b"GET /p "));
    let wrong_name = format!("other.test:{port}:127.0.0.1");
    for (args, text) in [
        (vec![url.as_str(), "-4", "--cacert", old.text()], "an authority's own (CA:TRUE)"),
        (vec![&format!("https://localhost:{old_port}/"), "-4", "--cacert", old.text()], "expired on 2021"),
        (
            vec![&format!("https://other.test:{port}/"), "--resolve", &wrong_name, "--cacert", own.text()],
            "for another name",
        ),
    ] {
        let fault = fault(&args);
        assert!(fault.status == 60 && fault.to_string().contains(text), "{} {fault}", fault.status);
    }
}

#[test]
fn the_container_says_where_its_authorities_are() {
    let mine = authority("env-ca");
    let url = format!("https://127.0.0.1:{}/", tls_server(&mine, &["127.0.0.1"], false));
    let env = vec![("SSL_CERT_FILE".into(), mine.file.text().into())];
    let mut cx = Context::default();
    cx.env = env;
    cx.format = Format::Json;
    let (result, bytes) = run_in(&mut cx, &[&url]);
    assert_eq!(result, Ok(Status::OK));
    let object: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(object["tls"]["store"], format!("container {}", mine.file.text()));
    assert_eq!((&object["tls"]["verified"], &object["tls"]["version"]), (&true.into(), &"TLSv1.3".into()));
    let empty = vec![("SSL_CERT_FILE".into(), "/nonexistent".into())];
    let mut cx = Context::default();
    cx.env = empty;
    assert_eq!(run_in(&mut cx, &[&url, "--ca", "container"]).0.unwrap_err().status, 77);
    assert_eq!(run_in(&mut cx, &[&url]).0.unwrap_err().status, 60);
}

#[test]
fn a_body_without_the_closing_alert_may_be_cut() {
    let mine = authority("cut-ca");
    let url = format!("https://127.0.0.1:{}/cut", tls_server(&mine, &["127.0.0.1"], false));
    assert_eq!(fault(&[&url, "-k"]).status, 18);
    assert_eq!(fault(&[&url.replace("/cut", "/vanish"), "-k"]).status, 56);
}

#[test]
fn a_server_without_tls_is_said() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let direct = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        thread::sleep(Duration::from_millis(200));
    });
    let fault = fault(&[&direct, "-k"]);
    assert!(fault.status == 35 && fault.to_string().contains("not TLS"), "{fault}");
}
