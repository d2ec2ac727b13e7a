//! Every parser of foreign bytes, fed with any bytes. A parser must not panic; what it gives must keep what is promised
//! of it. Built twice: as a module of nsdbg's unit tests, which replay `corpus/`, and by the crate beside this file, for
//! libFuzzer. A new parser takes a function here and a line in [`PARSERS`], a line in Cargo.toml, a file of one line in
//! `fuzz_targets/`, and a corpus; the unit tests find what is missing.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::cmd::doctor::finding;
use crate::cmd::doctor::image::programs::Program;
use crate::cmd::file::sample::Sample;
use crate::cmd::http;
use crate::cmd::http::body::{Body, Unpacked};
use crate::cmd::http::connect::Override;
use crate::cmd::http::head::{self, Head, MAX_HEAD};
use crate::cmd::http::request::{Header, Request};
use crate::cmd::http::stream::{Conn, Stream};
use crate::cmd::http::url::Url;
use crate::cmd::loader::Cache;
use crate::cmd::net::keystore;
use crate::cmd::net::trust::Store;
use crate::cmd::net::verify::{Trusted, Verifier, is_authority};
use crate::cmd::net::{Sock, seconds};
use crate::cmd::ps::collect;
use crate::cmd::tls::certificate::Certificate;
use crate::enter::plan::Plan;
use crate::enter::report::Report;
use crate::enter::wire;
use crate::out::filter::TerminalFilter;
use crate::out::name::{Name, dollar_quoted, escape, is_unprintable, shell_quoted};
use crate::shell::{self, Directory, Expanded, Pattern, Piece, Variables};
use crate::sys::dns::query::Reply;
use crate::sys::dns::{Class, Kind, Query};
use crate::sys::elf;
use crate::sys::idmap::IdMap;
use crate::sys::mounts;
use crate::sys::netlink::{self, diag, fib, interface, route, rule};
use crate::sys::passwd::Users;
use crate::sys::permission::{self, Acl, By, EXECUTE, Object, READ, Subject, WRITE};
use crate::sys::proc::{Stat, System, fds, net, protocols};
use crate::sys::resolv::{Config, Hosts, Order};
use crate::sys::tar;
use crate::target::cgroup::{Cgroup, Ownership};
use crate::target::facts::{self, Facts};
use crate::target::runtime::Runtime;
use crate::target::state::{
    Known, containerd, docker, files, kubelet, machine, oci, podman, users as state_users,
};
use crate::target::{container, scan};

/// A parser that is fed with any bytes, and panics where it breaks a promise.
pub type Parser = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const PARSERS: &[(&str, Parser)] = &[
    ("certificate", certificate),
    ("directory", directory),
    ("dns", dns),
    ("doctor", doctor),
    ("elf", elf),
    ("file", file),
    ("http_request", http_request),
    ("http_response", http_response),
    ("line", line),
    ("netlink", netlink),
    ("network_tables", network_tables),
    ("process", process),
    ("resolver", resolver),
    ("state", state),
    ("tar", tar),
    ("terminal", terminal),
    ("users", users),
    ("wire", wire),
];

/// Whether nothing in a text steers a terminal or hides text.
fn is_tame(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | '\t' | '\u{fe0e}' | '\u{fe0f}') || !is_unprintable(c))
}

/// The line grammar: parsing, expansion, globs, the word at the cursor.
pub fn line(bytes: &[u8]) {
    match shell::parse(bytes) {
        Ok(line) => {
            for word in line.pipelines.iter().flat_map(|p| &p.1.stages).flat_map(|stage| &stage.words) {
                expanded(word);
            }
        }
        Err(error) => assert!((1..=bytes.len() + 1).contains(&error.column), "{error}"),
    }
    let text = String::from_utf8_lossy(bytes);
    for position in [0, text.len() / 2, text.len()] {
        let cursor = shell::word_at_cursor(&text, position);
        assert!(cursor.start <= position && text.is_char_boundary(cursor.start), "{cursor:?}");
    }
    if let Some(pattern) = Pattern::from_bytes(bytes) {
        // Any number but 0 is a yes, and only 1 is written.
        assert_eq!(Pattern::from_bytes(&pattern.to_bytes()), Some(pattern));
    }
}

fn expanded(word: &shell::Word) {
    match shell::expand(word, &Anything) {
        Some(Expanded::Pattern(pattern)) => {
            assert_eq!(Pattern::from_bytes(&pattern.to_bytes()).as_ref(), Some(&pattern));
            assert!(shell::glob(&pattern, &Anything, 50).map_or(0, |paths| paths.len()) <= 50);
            assert!(is_tame(&pattern.to_string()));
        }
        Some(Expanded::Word(_)) => {}
        None => assert!(!word.quoted && word.pieces.iter().all(|p| matches!(p, Piece::Variable(_)))),
    }
}

/// Variables and files that are there whatever is asked for.
struct Anything;

impl Variables for Anything {
    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name.len() > 1).then(|| name.to_vec())
    }

    fn status(&self) -> u8 {
        7
    }
}

impl Directory for Anything {
    fn entries(&self, directory: &[u8], take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let names: [&[u8]; 6] = [b"a", b".b", b"\xff\n", "é".as_bytes(), b"aaaaaaaaaaaaaaab", b"["];
        if directory.len() > 40 {
            Err(io::ErrorKind::NotFound.into())
        } else {
            let _ = names.iter().try_for_each(|name| take(name));
            Ok(())
        }
    }

    fn exists(&self, path: &[u8]) -> bool {
        path.len() < 60
    }

    fn is_dir(&self, path: &[u8]) -> bool {
        self.exists(path)
    }
}

/// What stands between the container and the terminal: the filter, escapes, and names as the prompt reads them back.
pub fn terminal(bytes: &[u8]) {
    for colours in [false, true] {
        let filtered = |chunks: [&[u8]; 2]| {
            let mut filter = TerminalFilter::new(colours);
            let mut to = Vec::new();
            chunks.iter().for_each(|chunk| filter.push(chunk, &mut to));
            filter.finish(&mut to);
            String::from_utf8(to).expect("the filter lets UTF-8 alone out")
        };
        let at = bytes.first().map_or(0, |first| usize::from(*first).min(bytes.len()));
        let (head, tail) = bytes.split_at(at);
        let whole = filtered([bytes, b""]);
        assert_eq!(filtered([head, tail]), whole, "where a stream is cut makes no difference");
        let tame = if colours { without_colours(&whole) } else { whole };
        assert!(is_tame(&tame), "{tame:?}");
    }
    assert!(!escape(bytes).chars().any(is_unprintable));
    let quoted = shell_quoted(bytes);
    assert!(!quoted.chars().any(is_unprintable), "{quoted:?}");
    // No name of a file holds a NUL.
    if !bytes.contains(&0) {
        for spelled in [quoted, dollar_quoted(bytes)] {
            let line = shell::parse(spelled.as_bytes()).expect("a quoted name is a word");
            let words = &line.pipelines[0].1.stages[0].words;
            assert_eq!(words.len(), 1, "{spelled:?}");
            let word = shell::expand(&words[0], &Anything);
            assert_eq!(word, Some(Expanded::Word(bytes.to_vec())), "{spelled:?}");
        }
        assert!(String::from_utf8(bytes.to_vec()).is_ok() || is_tame(&Name::from(bytes).spelled()));
    }
}

/// The text without sequences of digits and semicolons that set colours, none of which conceals.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (parameters, after) = part.split_once('m').expect("a sequence that passes sets colours");
        assert!(parameters.chars().all(|c| c.is_ascii_digit() || c == ';'), "{parameters:?}");
        assert!(parameters != "8" && parameters.len() < 32, "{parameters:?}");
        rest.push_str(after);
    }
    rest
}

/// passwd and group, both of these bytes.
pub fn users(bytes: &[u8]) {
    let users = Users::parse(bytes, bytes);
    for id in [0, 1000, 65_534, u32::MAX] {
        assert_eq!(users.user(id).map_or(id, |user| user.uid), id);
        assert_eq!(users.group(id).map_or(id, |group| group.gid), id);
        let name = users.user_name(id);
        assert!(!name.is_empty());
        assert!(users.groups_of(&name).len() <= bytes.len());
        assert_eq!(users.user_named(&name).map(|user| user.name).unwrap_or(&name), name);
        let _ = users.user_named(&name).map(|user| (user.home, user.shell, user.gid));
    }
    let homes = state_users::parse_homes(&String::from_utf8_lossy(bytes));
    assert!(homes.values().all(|home| home.is_absolute()));
}

/// resolv.conf, hosts, and the hosts line of nsswitch.conf.
pub fn resolver(bytes: &[u8]) {
    let config = Config::parse(bytes);
    assert!((1..=3).contains(&config.servers.len()) && config.search.len() <= 32 && config.ndots <= 15);
    assert!((1..=30).contains(&config.timeout.as_secs()) && (1..=5).contains(&config.attempts));
    for name in ["a", "a.b.c", "a."] {
        let candidates = config.candidates(name);
        assert!((1..=33).contains(&candidates.len()) && candidates.iter().all(|name| name.len() <= 253));
        assert!(Hosts::from(bytes.to_vec()).lookup(name).len() <= 64);
    }
    assert!((1..=2).contains(&Order::parse(bytes).0.len()));
}

/// Files of /proc that say something of one process, or of the system.
pub fn process(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(stat) = Stat::parse(bytes) {
        assert!(stat.comm.len() < bytes.len());
        let _ = stat.is_kernel();
    }
    let _ = (facts::parse_stat(&text), files::parse_start_time(bytes), files::status_field(bytes, "Uid"));
    let _ = (Facts::parse_status(&text), container::is_first_in(bytes), files::parse_pid(bytes));
    assert!(facts::variables(bytes).iter().all(|(name, _)| !name.is_empty()));
    assert!(!scan::arguments(bytes).is_empty());
    let _ = (System::parse(bytes, bytes, bytes), fds::socket_inode(bytes), collect::parse_status(bytes));
    assert!(mounts::visible(&mounts::parse(bytes)).len() <= bytes.len());
    let map = IdMap::parse(bytes);
    for id in [0, 1000, 100_000, u32::MAX] {
        let _ = (map.inside(id), map.mapped(id), map.outside(id));
    }
    for ownership in [Ownership::ROOT, Ownership::UNKNOWN, Ownership { named: 1, owner: Some(1000) }] {
        for cgroup in [Cgroup::parse(bytes, |_, _| ownership), Cgroup::of_path(&text, ownership)] {
            let is_id = |id: &String| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(cgroup.id.as_ref().is_none_or(is_id), "{cgroup:?}");
            assert!(ownership != Ownership::UNKNOWN || !cgroup.is_container(), "{cgroup:?}");
            assert!(cgroup.claim.is_none_or(|claim| !claim.text.is_empty()));
        }
    }
}

/// Files of /proc/PID/net.
pub fn network_tables(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for is_udp in [false, true] {
        assert!(net::parse_inet(bytes, is_udp).map_or(0, |sockets| sockets.len()) <= lines);
    }
    assert!(net::parse_unix(bytes).len() <= lines);
    assert!(net::parse_routes(bytes).map_or(0, |routes| routes.len()) <= lines);
    assert!(net::parse_routes6(bytes).len() <= lines);
    assert!(net::parse_links(bytes).map_or(0, |links| links.len()) <= lines);
    let (mut counters, mut members) = (Vec::new(), Vec::new());
    protocols::parse_pairs(bytes, &mut counters);
    protocols::parse_lines(bytes, &mut counters);
    assert!(counters.len() <= bytes.len());
    protocols::parse_igmp(bytes, &mut members);
    protocols::parse_igmp6(bytes, &mut members);
    assert!(members.len() <= 2 * lines);
}

/// State files of runtimes, and the words that they and their processes are made of.
pub fn state(bytes: &[u8]) {
    let path = Path::new("state");
    let fresh = || Known { name: Some("k8s_a_b_c_d_0".into()), ..Known::new("id", Runtime::Podman) };
    let mut all = [fresh(), fresh(), fresh(), fresh()];
    docker::parse(&mut all[0], bytes, path);
    let sandboxes =
        [containerd::parse(&mut all[1], bytes, path), podman::parse_bundle(&mut all[2], bytes, path)];
    assert!(sandboxes.iter().flatten().all(|sandbox| files::clean(sandbox.clone()).is_some()));
    let mut wrong = files::Wrong::default();
    for entry in files::parse_json::<Vec<podman::Entry>>(bytes, path).unwrap_or_default() {
        let _ = entry.id.take("id", &mut wrong).and_then(files::id);
        podman::describe(&mut all[3], entry.names, entry.metadata, &mut wrong);
    }
    let state = files::parse_json::<oci::State>(bytes, path);
    assert!(state.ok().and_then(|state| state.named(&mut wrong)).is_none_or(|(pid, _)| pid > 0));
    let _ = wrong.sentence(path);
    for known in all {
        let shown = [known.name, known.image, known.container];
        assert!(shown.into_iter().flatten().all(|text| !text.is_empty() && text.len() <= 4096));
        assert!(known.pid.is_none_or(|pid| pid > 0));
    }
    let text = String::from_utf8_lossy(bytes);
    let words = scan::arguments(bytes);
    let _ = (files::option(&words, &["-id", "--root"]), files::program(&words), machine::named(&text));
    assert!(files::toml_text(&text, "state").is_none_or(|value| !value.is_empty()));
    assert!(files::id(text.to_string()).is_none_or(|id| !id.contains('/') && id != ".."));
    if let Some(pod) = kubelet::pod(&text) {
        assert!(!pod.name.is_empty() && !pod.namespace.is_empty() && !pod.uid.is_empty());
    }
    assert!(kubelet::container(&text).is_none_or(|(id, _, _)| id.len() == 64));
}

/// What the doctor and `why` read: rows of the process inside, a script's first line, an ACL.
pub fn doctor(bytes: &[u8]) {
    let (rows, _) = finding::read(bytes);
    assert!(rows.len() <= bytes.len());
    for row in &rows {
        let again = serde_json::to_vec(row).ok();
        assert_eq!(again.as_deref().and_then(finding::parse).as_ref(), Some(row));
    }
    let program = Program { path: "/program".into(), head: bytes.to_vec(), is_main: false };
    if let Some((interpreter, word)) = program.script() {
        assert!(!program.is_elf() && !interpreter.is_empty() && word.is_none_or(|word| !word.is_empty()));
    }
    if let Some(acl) = Acl::parse(bytes) {
        let object = Object { mode: libc::S_IFREG | 0o640, uid: 5, gid: 9, acl: Some(acl) };
        let nobody = Subject { uid: 6, gid: 6, groups: vec![9], capabilities: 0 };
        let root = Subject { capabilities: u64::MAX, ..nobody.clone() };
        for want in [READ, WRITE, EXECUTE, READ | WRITE] {
            let (may, _) = permission::decide(&nobody, &object, want);
            assert!(!may || permission::decide(&root, &object, want).0);
        }
        // No bit of the mode lets it be started, and no capability helps.
        assert!(matches!(
            permission::decide(&root, &object, EXECUTE),
            (true, By::AclUser(_) | By::AclGroup(_) | By::Others) | (false, _)
        ));
    }
}

/// What a dynamic loader reads: an ELF file, or ldconfig's cache.
pub fn elf(bytes: &[u8]) {
    if let Some(object) = elf::Object::read(&bytes) {
        let paths = [&object.interpreter, &object.soname, &object.rpath, &object.runpath];
        let all = object.needed.iter().chain(paths.into_iter().flatten()).chain(&object.defined);
        let wanted: Vec<_> = object.wanted.iter().flat_map(|wanted| &wanted.versions).collect();
        assert!(object.needed.len() <= 512 && object.defined.len() <= 4096 && wanted.len() <= 4096);
        let is_whole = |text: &Vec<u8>| text.len() < bytes.len().min(4096) && !text.contains(&0);
        assert!(all.chain(wanted).all(is_whole), "{object:?}");
    }
    if let Some(cache) = Cache::parse(bytes) {
        let paths = cache.paths(b"libc.so.6");
        assert!(paths.iter().map(Vec::len).sum::<usize>() <= bytes.len() * 4);
        assert!(paths.iter().all(|path| !path.contains(&0)));
    }
}

/// What a file is by its content: ELF, archives, images, keys, text.
pub fn file(bytes: &[u8]) {
    let what = crate::cmd::file::kind_of(&Sample::of(bytes.to_vec()));
    assert!(what.description.len() < 64 << 10);
}

/// A tree of files as a container sends it.
pub fn tar(bytes: &[u8]) {
    let mut reader = tar::Reader::new(bytes);
    let mut members = 0;
    while let Ok(Some(member)) = reader.next() {
        members += 1;
        assert!(members * 512 <= bytes.len() && member.path.len() <= 64 << 10);
        let mut length = 0;
        let mut behind = 0;
        while let Ok((at, data)) = reader.placed() {
            if data.is_empty() {
                break;
            }
            assert!(at >= behind && at + data.len() as u64 <= member.size);
            behind = at + data.len() as u64;
            length += data.len();
            assert!(length <= bytes.len());
        }
    }
}

/// Answers of a name server.
pub fn dns(bytes: &[u8]) {
    for name in ["A", "AAAA", "ANY", "HTTPS", "NAPTR", "TLSA"] {
        let Some(kind) = Kind::parse(name) else { return };
        let Ok(mut query) = Query::new("api.example", kind, Class::In, true) else { return };
        query.id = 0x1234;
        if let Some(Reply::Message(message)) = query.reply(bytes) {
            assert!(message.records.len() * 11 <= bytes.len());
            for record in &message.records {
                let texts = [&record.name, &record.kind, &record.data];
                assert!(texts.iter().all(|text| is_tame(text) && !text.contains('\n')), "{record:?}");
            }
        }
    }
}

/// Answers of an HTTP server: heads, framing, chunks, packed bodies.
pub fn http_response(bytes: &[u8]) {
    let Ok((mut server, client)) = UnixStream::pair() else { return };
    // More than a socket's buffer takes would wait for a reader.
    let bytes = &bytes[..bytes.len().min(64 << 10)];
    if server.write_all(bytes).is_err() {
        return;
    }
    drop(server);
    let sock = Sock::new(OwnedFd::from(client), None, None, Duration::from_secs(5));
    let mut conn = Conn::new(Stream::Plain(sock));
    let mut budget = MAX_HEAD;
    let mut heads = 0;
    let head = loop {
        let Ok(head) = head::read(&mut conn, "peer", &mut budget) else { return };
        heads += head.raw.len();
        assert!(heads + budget == MAX_HEAD && heads <= bytes.len());
        if head.status >= 200 {
            break head;
        }
    };
    whole(&head);
    let Ok(framing) = head.framing("GET") else { return };
    let body = Body::new(&mut conn, framing);
    let Ok(mut body) = Unpacked::new(body, &head.coding()) else { return };
    let is_plain = matches!(body, Unpacked::Plain(_));
    let mut text = Vec::new();
    let _ = body.by_ref().take(1 << 20).read_to_end(&mut text);
    assert!(!is_plain || text.len() <= bytes.len() - heads);
}

fn whole(head: &Head) {
    assert!(head.headers.len() <= 256);
    for (name, value) in &head.headers {
        assert!(!name.is_empty() && name.is_ascii());
        assert!(!value.contains(&b'\n') || value.len() < head.raw.len());
        assert!(head.first(name).is_some() && head.all(name).count() > 0);
    }
}

/// What a request is made of: URL, Location, options.
pub fn http_request(bytes: &[u8]) {
    let base = Url { https: true, user: None, host: "api".into(), port: 443, target: "/a/b?c".into() };
    let headers: Vec<_> = Header::parse(OsStr::from_bytes(bytes)).into_iter().collect();
    for url in [Url::parse(bytes), base.join(bytes), Ok(base.clone())].into_iter().flatten() {
        assert!(url.target.starts_with('/') && url.target.bytes().all(|b| matches!(b, 0x21..=0x7e)), "{url}");
        assert!(!url.host.is_empty() && url.port > 0 && is_tame(&url.to_string()));
        let again = Url { user: None, ..url.clone() };
        assert_eq!(Url::parse(url.to_string().as_bytes()), Ok(again.clone()), "{url}");
        assert!(url.same_place(&again));
        let user = url.user.as_ref().map(|(name, password)| [name.as_slice(), password].join(&b':'));
        let head =
            Request { method: "GET", url: &url, headers: &headers, user, compressed: false, data: Some(3) }
                .head();
        let lines = head.split(|byte| *byte == b'\n').count();
        assert!((8..=12).contains(&lines) && head.ends_with(b"\r\n\r\n"), "one line a header");
        let mut room = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut room);
        assert!(request.parse(&head).is_ok_and(|status| status.is_complete()) || !headers.is_empty());
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = (Override::parse(&text), http::size(&text));
    assert!(seconds(&text).map_or(0, |time| time.as_secs()) <= 31_536_000);
}

/// Bundles of certificates, Java's key stores, and the certificate that a server shows.
pub fn certificate(bytes: &[u8]) {
    for der in keystore::certificates(bytes).unwrap_or_default() {
        assert!(der.len() <= bytes.len());
    }
    static AUTHORITY: LazyLock<Verifier> = LazyLock::new(|| {
        let mut store = Store::empty();
        store.add(include_bytes!("corpus/certificate/authority"));
        Verifier::new(Some(Trusted::new(store).expect("a store with an authority")))
    });
    let mut store = Store::empty();
    store.add(bytes);
    assert!(store.len() + store.broken <= bytes.len() / 4 + 1);
    let shown: Vec<_> = CertificateDer::pem_slice_iter(bytes).flatten().take(8).collect();
    let _ = Certificate::read(bytes);
    shown.iter().for_each(|der| drop(Certificate::read(der)));
    // As a server sends it: no PEM around.
    verify(&AUTHORITY, &CertificateDer::from(bytes), &shown);
    let Some((first, others)) = shown.split_first() else { return };
    verify(&AUTHORITY, first, others);
    let is_empty = store.len() == 0;
    match Trusted::new(store) {
        Ok(own) => verify(&Verifier::new(Some(own)), first, others),
        Err(_) => assert!(is_empty),
    }
}

fn verify(verifier: &Verifier, certificate: &CertificateDer, others: &[CertificateDer]) {
    let Ok(name) = ServerName::try_from("localhost") else { return };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    if let Err(error) = verifier.verify_server_cert(certificate, others, &name, b"", now) {
        let _ = (is_authority(&error), error.to_string());
    }
}

/// The kernel's answers about sockets, routes and interfaces.
pub fn netlink(bytes: &[u8]) {
    let sequence = bytes.get(8..12).and_then(|b| b.first_chunk()).map_or(7, |b| u32::from_ne_bytes(*b));
    let mut total = 0;
    let _ = netlink::batch(bytes, sequence, &mut |kind, body| {
        total += body.len();
        let _ = (route::route(kind, body), route::link(kind, body));
        let _ = (diag::inet(body), diag::unix(body));
        let _ = (interface::interface(kind, body), interface::address_of(kind, body));
        let _ = (fib::route(kind, body), rule::rule(kind, body));
    });
    assert!(total <= bytes.len());
    assert!(netlink::attributes(bytes).map(|(_, value)| value.len() + 4).sum::<usize>() <= bytes.len());
    let _ = (diag::inet(bytes), diag::unix(bytes), route::route(24, bytes), route::link(16, bytes));
}

/// Entries of directories, whose names a file system of the container makes.
pub fn directory(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((entry, length)) = crate::sys::dir::record(rest) {
        assert!(!entry.name.is_empty() && entry.name.to_bytes().len() < length && length <= rest.len());
        rest = &rest[length..];
    }
}

/// What processes inside say to those outside.
pub fn wire(bytes: &[u8]) {
    if let Some(report) = Report::decode(bytes) {
        assert_eq!(Report::decode(&report.encode()), Some(report));
    }
    if let Some(plan) = Plan::decode(&mut wire::Reader::new(bytes)) {
        let mut writer = wire::Writer::new();
        plan.encode(&mut writer);
        assert_eq!(Plan::decode(&mut wire::Reader::new(&writer.finish())), Some(plan.clone()));
        let _ = (plan.flags(), plan.joins("user"));
    }
    let mut reader = wire::Reader::new(bytes);
    if let Some(list) = reader.list() {
        let mut writer = wire::Writer::new();
        assert!(bytes.starts_with(&writer.list(&list).finish()));
    }
    let _ = crate::session::parse_hello(bytes);
}
