//! What is found, for people, as JSON and as PEM.

use std::io::{self, Write};

use super::{Found, accepted};
use crate::cmd::{Context, Fault, Result};
use crate::out::Output;
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::units::rfc3339;
use crate::sys::base64::base64;

/// The most names of one certificate, and of accepted authorities, that people are shown.
const SHOWN_NAMES: usize = 20;

/// One certificate, and the facts of the connection.
#[derive(serde::Serialize)]
struct Row<'a> {
    position: usize,
    subject: &'a str,
    issuer: &'a str,
    names: &'a [String],
    not_before: Option<String>,
    not_after: Option<String>,
    days_left: Option<i64>,
    key: &'a str,
    key_bits: Option<u32>,
    signature: &'a str,
    serial: &'a str,
    sha256: &'a str,
    authority: bool,
    issuer_at: Option<&'a str>,
    error: Option<&'a str>,
    host: &'a str,
    server: String,
    sni: Option<&'a str>,
    protocol: Option<&'a str>,
    cipher: Option<&'a str>,
    group: Option<&'a str>,
    alpn: Option<&'a str>,
    client_certificate: &'static str,
    verified: bool,
    why: Option<&'static str>,
    reason: Option<&'a str>,
    judgements: &'a [super::Judgement],
    timings: Timings,
}

/// Seconds.
#[derive(serde::Serialize)]
struct Timings {
    dns: Option<f64>,
    connect: f64,
    tls: f64,
}

/// Prints what is found.
///
/// # Errors
/// Those of writing.
pub fn show(cx: &Context, found: &Found, pem: bool, out: &mut Output<NoRow>) -> Result<()> {
    let result = if pem {
        print_pem(found, out.bytes())
    } else if out.is_json() {
        rows(found, out)
    } else {
        print(cx, found, out.bytes())
    };
    result.map_err(Fault::output)
}

fn print_pem(found: &Found, to: &mut dyn Write) -> io::Result<()> {
    for der in &found.probe.chain {
        writeln!(to, "-----BEGIN CERTIFICATE-----")?;
        for line in base64(der).as_bytes().chunks(64) {
            to.write_all(line)?;
            to.write_all(b"\n")?;
        }
        writeln!(to, "-----END CERTIFICATE-----")?;
    }
    Ok(())
}

/// Whether the server wants a certificate.
fn client_certificate(found: &Found) -> &'static str {
    match (&found.probe.asked, &found.probe.failed) {
        (None, _) => "not asked",
        (Some(_), None) => "asked",
        (Some(_), Some(_)) => "demanded",
    }
}

fn rows(found: &Found, out: &mut Output<NoRow>) -> io::Result<()> {
    let first = found.judgements.first();
    for (position, one) in found.certificates.iter().enumerate() {
        let is_read = one.error.is_none();
        out.json(&Row {
            position,
            subject: &one.subject,
            issuer: &one.issuer,
            names: &one.names,
            not_before: is_read.then(|| rfc3339(one.not_before, 0)),
            not_after: is_read.then(|| rfc3339(one.not_after, 0)),
            days_left: is_read.then(|| one.days_left(found.now)),
            key: &one.key,
            key_bits: one.key_bits,
            signature: &one.signature,
            serial: &one.serial,
            sha256: &one.sha256,
            authority: one.is_authority,
            issuer_at: one.issuer_at.as_deref(),
            error: one.error.as_deref(),
            host: &found.host,
            server: found.server.to_string(),
            sni: found.sni.as_deref(),
            protocol: found.probe.protocol.as_deref(),
            cipher: found.probe.cipher.as_deref(),
            group: found.probe.group.as_deref(),
            alpn: found.probe.alpn.as_deref(),
            client_certificate: client_certificate(found),
            verified: first.is_some_and(|judgement| judgement.verified),
            why: first.and_then(|judgement| judgement.why),
            reason: first.and_then(|judgement| judgement.reason.as_deref()),
            judgements: &found.judgements,
            timings: Timings {
                dns: found.dns.map(|time| time.as_secs_f64()),
                connect: found.connect.as_secs_f64(),
                tls: found.handshake.as_secs_f64(),
            },
        })?;
    }
    Ok(())
}

fn print(cx: &Context, found: &Found, to: &mut dyn Write) -> io::Result<()> {
    let probe = &found.probe;
    let millis = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let name = found.dns.map(|time| format!("name {}, ", millis(time))).unwrap_or_default();
    writeln!(
        to,
        "connection   {} is {}; {name}connect {}, handshake {}",
        found.host,
        found.server,
        millis(found.connect),
        millis(found.handshake)
    )?;
    if let Some(protocol) = &probe.protocol {
        let alpn = probe.alpn.as_deref().map(|alpn| escape(alpn.as_bytes()));
        writeln!(
            to,
            "agreed on    {protocol}, {}, {}, {}",
            probe.cipher.as_deref().unwrap_or("-"),
            probe.group.as_deref().unwrap_or("-"),
            alpn.map_or("no ALPN".to_owned(), |alpn| format!("ALPN {alpn}"))
        )?;
    }
    writeln!(to, "name sent    {}", found.sni.as_deref().unwrap_or("-"))?;
    if let Some(asked) = &probe.asked {
        let names = accepted(probe, SHOWN_NAMES);
        let of = if names.is_empty() { String::new() } else { format!(", of {}", names.join("; ")) };
        let more = if asked.len() > names.len() { ", …" } else { "" };
        writeln!(to, "certificate  {} of the client{of}{more}", client_certificate(found))?;
    }
    for (position, one) in found.certificates.iter().enumerate() {
        writeln!(to)?;
        let mut lines: Vec<(&str, String)> = Vec::new();
        match &one.error {
            Some(error) => lines.push(("error", escape(error.as_bytes()))),
            None => {
                lines.push(("subject", escape(one.subject.as_bytes())));
                lines.push(("issuer", escape(one.issuer.as_bytes())));
                let names: Vec<String> =
                    one.names.iter().take(SHOWN_NAMES).map(|name| escape(name.as_bytes())).collect();
                let more = one.names.len() - names.len();
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                if !names.is_empty() {
                    lines.push(("names", names.join(", ") + &more));
                }
                lines.push(("valid", validity(one.not_before, one.not_after, found.now)));
                let bits = one.key_bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
                lines.push(("key", one.key.clone() + &bits));
                lines.push(("signature", one.signature.clone()));
                lines.push(("serial", one.serial.clone()));
            }
        }
        lines.push(("sha256", one.sha256.clone()));
        for (at, (what, text)) in lines.iter().enumerate() {
            let number = if at == 0 { position.to_string() } else { String::new() };
            writeln!(to, "{number:<2} {what:<9} {text}")?;
        }
    }
    if !found.judgements.is_empty() {
        writeln!(to)?;
    }
    let (green, red, plain) = if cx.color { ("\x1b[32m", "\x1b[31m", "\x1b[m") } else { ("", "", "") };
    for judgement in &found.judgements {
        let store = escape(judgement.store.as_bytes());
        match &judgement.reason {
            None => writeln!(to, "{green}trusted{plain}      by {store}")?,
            Some(reason) => writeln!(to, "{red}not trusted{plain}  by {store}: {reason}")?,
        }
    }
    Ok(())
}

/// From when to when, and how long still.
fn validity(not_before: i64, not_after: i64, now: i64) -> String {
    let day =
        |seconds: i64| format!("{} day{}", seconds / 86_400, if seconds / 86_400 == 1 { "" } else { "s" });
    let state = if now < not_before {
        format!("begins in {}", day(not_before - now))
    } else if now > not_after {
        format!("ended {} ago", day(now - not_after))
    } else {
        format!("{} left", day(not_after - now))
    };
    format!("{} to {}, {state}", rfc3339(not_before, 0), rfc3339(not_after, 0))
}
