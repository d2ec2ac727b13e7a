//! The handshake: what is agreed on, what the server shows, and what it says where it refuses. Whom to trust is judged
//! later, so that the chain is known whatever becomes of the rest.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::cmd::Result;
use crate::cmd::net::Sock;
use crate::cmd::net::fail::tls_error;
use crate::cmd::net::verify::{Verifier, client, version_name};

/// How much of a server's first words is kept, to tell what it speaks.
const FIRST_WORDS: usize = 48;
/// How long a server that asked for a certificate is listened to: with TLS 1.3 it refuses after the handshake.
const REFUSAL: Duration = Duration::from_secs(1);
/// The most names of authorities that are kept of what a server accepts.
const MAX_AUTHORITIES: usize = 100;

/// What is offered.
pub struct Offer {
    /// The name that is sent, and that the certificate is checked for.
    pub name: ServerName<'static>,
    /// Whether the name is sent.
    pub sends_name: bool,
    /// Protocols that would be spoken inside.
    pub alpn: Vec<Vec<u8>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Probe {
    /// The server's certificates as it sent them, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// `TLSv1.3`.
    pub protocol: Option<String>,
    /// Cipher suite.
    pub cipher: Option<String>,
    /// How the key was agreed on.
    pub group: Option<String>,
    /// Protocol inside.
    pub alpn: Option<String>,
    /// Whether the server asked for a certificate, and whose it accepts, in DER; empty is anybody's.
    pub asked: Option<Vec<Vec<u8>>>,
    /// The server's first bytes.
    pub first_words: Vec<u8>,
    /// Why the handshake failed, or the server refused after it.
    pub failed: Option<io::Error>,
}

/// Shakes hands.
///
/// # Errors
/// Those of a configuration, which a build does not have.
pub fn probe(sock: Sock, offer: &Offer, limit: Instant) -> Result<Probe> {
    let seen = Arc::new(Seen { verifier: Verifier::new(None), chain: Mutex::default() });
    let asks = Arc::new(Asks::default());
    let mut config = client(Arc::<Seen>::clone(&seen))?.with_client_cert_resolver(Arc::<Asks>::clone(&asks));
    config.enable_sni = offer.sends_name;
    config.alpn_protocols = offer.alpn.clone();
    config.resumption = rustls::client::Resumption::disabled();
    let mut probe = Probe::default();
    let mut heard = Heard { sock, first: Vec::new() };
    match ClientConnection::new(Arc::new(config), offer.name.clone()) {
        Ok(mut connection) => {
            let result = shake(&mut connection, &mut heard, limit);
            probe.protocol = connection.protocol_version().and_then(version_name);
            probe.cipher =
                connection.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).map(str::to_owned);
            probe.group = connection
                .negotiated_key_exchange_group()
                .and_then(|group| group.name().as_str())
                .map(str::to_owned);
            probe.alpn = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
            let asked = asks.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            probe.failed = match (result, &asked) {
                (Ok(()), Some(_)) => refusal(&mut connection, &mut heard, limit).err(),
                (result, _) => result.err(),
            };
            probe.asked = asked;
        }
        Err(error) => probe.failed = Some(io::Error::other(error)),
    }
    probe.chain = std::mem::take(&mut *seen.chain.lock().unwrap_or_else(PoisonError::into_inner));
    probe.first_words = heard.first;
    Ok(probe)
}

/// Exchanges messages until both sides are done.
fn shake(connection: &mut ClientConnection, heard: &mut Heard, limit: Instant) -> io::Result<()> {
    loop {
        while connection.wants_write() {
            if let Err(error) = connection.write_tls(heard) {
                return Err(last_words(connection, heard, limit).unwrap_or(error));
            }
        }
        if !connection.is_handshaking() {
            return Ok(());
        }
        receive(connection, heard, limit)?;
    }
}

/// What a server that has closed said before: its alert tells more than the failed write.
fn last_words(connection: &mut ClientConnection, heard: &mut Heard, limit: Instant) -> Option<io::Error> {
    loop {
        if let Err(error) = receive(connection, heard, limit) {
            return tls_error(&error).is_some().then_some(error);
        }
    }
}

/// Reads once; an error of TLS is told to the server, too.
fn receive(connection: &mut ClientConnection, heard: &mut Heard, limit: Instant) -> io::Result<()> {
    // A server that sends on and on, and never comes to an end.
    if Instant::now() >= limit {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the time limit of --connect-timeout has passed",
        ));
    }
    if connection.read_tls(heard)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if let Err(error) = connection.process_new_packets() {
        // It is the error that matters, not whether the server hears of it.
        let _ = connection.write_tls(heard);
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(())
}

/// Listens for an alert of a server that asked for a certificate and got none.
fn refusal(connection: &mut ClientConnection, heard: &mut Heard, limit: Instant) -> io::Result<()> {
    let until = limit.min(Instant::now() + REFUSAL);
    heard.sock.phase = Some(until);
    while Instant::now() < until {
        match receive(connection, heard, until) {
            Ok(()) => {}
            // One that says nothing does without.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A socket, and the first bytes that came from it.
struct Heard {
    sock: Sock,
    first: Vec<u8>,
}

impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.sock.read(buffer)?;
        let room = FIRST_WORDS.saturating_sub(self.first.len());
        self.first.extend(buffer.iter().take(count.min(room)));
        Ok(count)
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sock.write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.sock.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sock.flush()
    }
}

/// Keeps the chain, and checks that the server holds the key of its certificate.
#[derive(Debug)]
struct Seen {
    verifier: Verifier,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(certificate).chain(others).map(|one| one.clone().into_owned());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = all.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Notes that the server asks for a certificate, and has none for it.
#[derive(Debug, Default)]
struct Asks(Mutex<Option<Vec<Vec<u8>>>>);

impl ResolvesClientCert for Asks {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let names = authorities.iter().take(MAX_AUTHORITIES).map(|name| name.to_vec()).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(names);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
