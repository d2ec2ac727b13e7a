//! `ca-bundle`.

use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::cmd::net::trust::Store;

pub const CHECK: Check = Check {
    id: "ca-bundle",
    group: Group::Image,
    question: "Are there certificate authorities, so that TLS clients can trust a server?",
    is_slow: false,
    run: Run::Inside(run),
};

/// Variables by which programs are told where they are.
const VARIABLES: [&str; 5] =
    ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];

fn run(container: &Container) -> Vec<Found> {
    let store = Store::found_by(|name| container.var(name));
    let named: Vec<String> = VARIABLES
        .iter()
        .filter_map(|name| Some(format!("{name}={}", container.var(name)?.to_string_lossy())))
        .collect();
    let mut found = Vec::new();
    // The first two take the place of what is there else; a file that is not there is then as good as an empty one.
    for name in &VARIABLES[2..] {
        let Some(path) = container.var(name) else { continue };
        if let Err(error) = std::fs::metadata(path) {
            found.push(
                Found::fail(format!("{name} names a file that can't be read: its clients fail"))
                    .about(path)
                    .seen(format!(
                        "stat: {}",
                        crate::out::fault::errno_text(error.raw_os_error().unwrap_or(0))
                    ))
                    .fix(format!("correct or unset {name}, or put the file there")),
            );
        }
    }
    if store.len() == 0 {
        let places = if named.is_empty() {
            "the places that OpenSSL and Go look at".to_owned()
        } else {
            named.join(" ")
        };
        let mut none = Found::warn("there are no certificate authorities: TLS clients refuse every server")
            .seen(format!("looked at {places}"));
        for note in store.notes.iter().take(5) {
            none = none.seen(note.clone());
        }
        found.push(none.fix("put /etc/ssl/certs/ca-certificates.crt into the image (Debian's package ca-certificates, or COPY --from a builder), or mount one and set SSL_CERT_FILE"));
        return found;
    }
    if store.broken > 0 {
        found.push(
            Found::note(format!("{} certificates of the bundle can't be read", store.broken))
                .about(store.source.trim_start_matches("container "))
                .fix("certs shows what it holds; some clients stop at the first broken one"),
        );
    }
    if found.is_empty() {
        let source = store.source.trim_start_matches("container ").to_owned();
        found.push(Found::ok(format!("{} authorities", store.len())).about(source));
    }
    found
}
