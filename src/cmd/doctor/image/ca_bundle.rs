//! `ca-bundle`.

use nix::unistd::AccessFlags;

use crate::cmd::doctor::check::{Check, Found, Group, Run, Verdict};
use crate::cmd::doctor::container::Container;
use crate::cmd::net::trust::Store;
use crate::cmd::tls::Certificate;
use crate::out::fault::errno_text;
use crate::out::name::escape;
use crate::out::units::rfc3339;
use crate::sys::permission::ask;

pub const CHECK: Check = Check {
    id: "ca-bundle",
    group: Group::Image,
    question: "Are there CA certificates, so that TLS clients can trust a server?",
    is_slow: false,
    run: Run::Inside(run),
};

/// Variables by which OpenSSL and Go are told where they are, in place of what is there else.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Variables of single clients, and what they do where they can't read what is named.
const OTHERS: [(&str, Verdict, &str); 3] = [
    ("REQUESTS_CA_BUNDLE", Verdict::Fail, "Python's requests fails"),
    ("CURL_CA_BUNDLE", Verdict::Fail, "curl and Python's requests fail"),
    ("NODE_EXTRA_CA_CERTS", Verdict::Warn, "Node goes on without it, and trusts only its own"),
];

fn run(container: &Container) -> Vec<Found> {
    let mut found: Vec<Found> = OTHERS.iter().filter_map(|other| of_client(container, other)).collect();
    let store = Store::found_by(|name| container.var(name));
    if store.len() == 0 {
        found.push(none(container, &store));
        return found;
    }
    let source = store.source.trim_start_matches("container ");
    if store.broken > 0 {
        found.push(
            Found::note(format!("{} certificates of the bundle can't be read", store.broken))
                .about(source)
                .fix("certs shows what it holds; some clients stop at the first broken one"),
        );
    }
    found.extend(of_dates(&store, source));
    for note in store.notes.iter().take(5) {
        let detail = "a bundle is not what its clients expect";
        found.push(
            Found::warn(detail)
                .seen(note.clone())
                .fix("make it a file of PEM certificates, without a byte order mark"),
        );
    }
    if found.is_empty() {
        found.push(Found::ok(format!("{} authorities", store.len())).about(source));
    }
    found
}

/// Authorities whose time is over, or has not come.
fn of_dates(store: &Store, source: &str) -> Option<Found> {
    let (stale, all) = (store.stale(), store.len());
    let found = match stale.len() {
        0 => return None,
        count if count == all => {
            Found::fail(format!("all {all} authorities are out of date: TLS clients refuse every server"))
        }
        count => {
            Found::note(format!("{count} of {all} authorities are out of date: what they signed is refused"))
        }
    };
    let some = stale.iter().take(3).map(|der| {
        let read = Certificate::read(der);
        format!("{}, until {}", escape(read.subject.as_bytes()), rfc3339(read.not_after, 0))
    });
    let fix = "update the bundle (Debian's package ca-certificates, or COPY --from a builder)";
    Some(some.fold(found.about(source), Found::seen).fix(fix))
}

/// What a variable of one client names, and that can't be read.
fn of_client(container: &Container, (name, verdict, what): &(&str, Verdict, &str)) -> Option<Found> {
    let path = container.var(name)?;
    let errno = ask(path, AccessFlags::R_OK).err()?;
    let detail = format!("{name} names what can't be read: {what}");
    let found = if *verdict == Verdict::Fail { Found::fail(detail) } else { Found::warn(detail) };
    Some(
        found
            .about(path)
            .seen(format!("access for reading: {}", errno_text(errno as i32)))
            .fix(format!("correct or unset {name}, or put the file there")),
    )
}

/// Nobody is trusted.
fn none(container: &Container, store: &Store) -> Found {
    let named: Vec<String> = VARIABLES
        .iter()
        .filter_map(|name| Some(format!("{name}={}", container.var(name)?.to_string_lossy())))
        .collect();
    let (places, fix) = if named.is_empty() {
        (
            "the places that OpenSSL and Go look at".to_owned(),
            "put /etc/ssl/certs/ca-certificates.crt into the image (Debian's package ca-certificates, or COPY --from a builder), or mount one and set SSL_CERT_FILE",
        )
    } else {
        (
            named.join(" "),
            "correct or unset the variable, or put the certificates there (Debian's package ca-certificates, or COPY --from a builder)",
        )
    };
    let mut found = Found::warn("there are no certificate authorities: TLS clients refuse every server")
        .seen(format!("looked at {places}"));
    if store.broken > 0 {
        found = found.seen("those that are there can't be read");
    }
    for note in store.notes.iter().take(5) {
        found = found.seen(note.clone());
    }
    found.fix(fix)
}
