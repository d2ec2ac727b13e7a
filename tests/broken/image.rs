//! The image group: each fault, the container without it, and the fault gone after the fix that was given was followed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;

use super::{Report, doctor};
use crate::support::{Builder, Sandbox, needs_root, sandbox};

/// One authority, as PEM.
const AUTHORITY: &[u8] = include_bytes!("../../fuzz/corpus/certificate/authority");
/// A zone file, RFC 8536, that says no more than UTC.
const ZONE: &[u8] = b"TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\0\0\0\0\0\0UTC\0";

/// All checks, of which none but this one says fail. These containers have no name server, and dns says so.
fn all(target: &Sandbox, check: &str) -> Report {
    let report = doctor(target, &[]);
    report.nothing_else_is_broken(&[check, "dns"]);
    report
}

/// What a check says of the one thing that is wrong.
fn says(target: &Sandbox, check: &str, status: &str, subject: &str) -> Value {
    let report = all(target, check);
    assert_eq!(report.of(check).len(), 1, "{:#?}", report.of(check));
    report.says(check, status, subject).clone()
}

/// That a check says that it is well, and nothing else.
fn is_well(target: &Sandbox, check: &str) {
    says(target, check, "ok", "");
}

fn fix(row: &Value) -> &str {
    row["fix"].as_str().unwrap()
}

fn evidence(row: &Value) -> String {
    row["evidence"].to_string()
}

/// The word of a fix that begins so.
fn word<'fix>(fix: &'fix str, beginning: &str) -> &'fix str {
    let word = fix.split([' ', ',', ';']).find(|word| word.starts_with(beginning));
    word.unwrap_or_else(|| panic!("no {beginning} in {fix:?}"))
}

/// Adds a line to a file of the container.
fn add_line(target: &Sandbox, path: &str, line: &str) {
    let path = target.root.join(path);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, format!("{before}{line}\n")).unwrap();
}

fn put(target: &Sandbox, path: &str, content: &[u8]) {
    let path = target.root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn make_directory(target: &Sandbox, path: &str, mode: u32) {
    let path = target.root.join(path.trim_start_matches('/'));
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tmpfs at a path of the container, as its runtime would mount it.
fn mount_tmpfs(target: &Sandbox, path: &str) {
    let (file, path) = (format!("/proc/{}/ns/mnt", target.pid), path.to_owned());
    let thread = std::thread::spawn(move || {
        let namespace = open(file.as_str(), OFlag::O_RDONLY, Mode::empty()).unwrap();
        unshare(CloneFlags::CLONE_FS).unwrap();
        setns(namespace, CloneFlags::CLONE_NEWNS).unwrap();
        mount(Some("tmpfs"), path.as_str(), Some("tmpfs"), MsFlags::empty(), Some("mode=1777")).unwrap();
    });
    thread.join().unwrap();
}

/// A script that may be started.
fn script(root: &Path, path: &str, text: &str) {
    fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
    fs::write(root.join(path), text).unwrap();
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_script(path: &'static str, text: &str) -> Builder {
    sandbox().prepared(|root| {
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        script(root, path, text);
    })
}

// Seen to fail with a fix that names a place where nobody looks.
#[test]
fn a_container_without_authorities_is_told_and_has_them_after_the_fix() {
    needs_root!();
    let target = sandbox().start();
    let row = says(&target, "ca-bundle", "warn", "");
    assert_eq!(doctor(&target, &["ca-bundle"]).status, 1);
    put(&target, word(fix(&row), "/etc/"), AUTHORITY);
    assert_eq!(doctor(&target, &["ca-bundle"]).status, 0);
    let row = says(&target, "ca-bundle", "ok", "/etc/ssl/certs/ca-certificates.crt");
    assert_eq!(row["detail"], "1 authorities");
}

// Seen to fail with the fix for images that have none.
#[test]
fn a_variable_that_names_no_authorities_is_told_though_the_image_has_some() {
    needs_root!();
    let bundle = "etc/ssl/certs/ca-certificates.crt";
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let target = sandbox().file(bundle, AUTHORITY).variable(name, "/certs/ca").start();
        let row = says(&target, "ca-bundle", "warn", "");
        assert!(evidence(&row).contains(&format!("{name}=/certs/ca")), "{row:#}");
        // That the image has them already is no help: it is not looked there.
        assert!(fix(&row).starts_with("correct or unset the variable"), "{row:#}");
        put(&target, if name == "SSL_CERT_DIR" { "/certs/ca/one.pem" } else { "/certs/ca" }, AUTHORITY);
        is_well(&target, "ca-bundle");
    }
}

// Seen to fail with NODE_EXTRA_CA_CERTS said to stop Node, and with files that are there but can't be read left out.
#[test]
fn variables_of_single_clients_are_followed() {
    needs_root!();
    let bundle = "etc/ssl/certs/ca-certificates.crt";
    for (name, status) in
        [("REQUESTS_CA_BUNDLE", "fail"), ("CURL_CA_BUNDLE", "fail"), ("NODE_EXTRA_CA_CERTS", "warn")]
    {
        let target = sandbox().file(bundle, AUTHORITY).variable(name, "/own.pem").start();
        let row = says(&target, "ca-bundle", status, "/own.pem");
        assert!(fix(&row).contains(name) && evidence(&row).contains("no such file"), "{row:#}");
        put(&target, "/own.pem", AUTHORITY);
        is_well(&target, "ca-bundle");
        fs::set_permissions(target.root.join("own.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        let row = says(&target, "ca-bundle", status, "/own.pem");
        assert!(evidence(&row).contains("permission denied"), "{row:#}");
    }
}

// Seen to fail with broken certificates left out.
#[test]
fn certificates_that_cant_be_read_are_counted() {
    needs_root!();
    let broken = include_bytes!("../../fuzz/corpus/certificate/wrong_base64");
    let path = "/etc/ssl/certs/ca-certificates.crt";
    let target = sandbox().file(&path[1..], [AUTHORITY, b"\n", broken].concat()).start();
    let row = says(&target, "ca-bundle", "note", path);
    assert!(row["detail"].as_str().unwrap().starts_with("1 certificates"), "{row:#}");
    put(&target, path, broken);
    let row = says(&target, "ca-bundle", "warn", "");
    assert!(evidence(&row).contains("those that are there can't be read"), "{row:#}");
    put(&target, path, AUTHORITY);
    is_well(&target, "ca-bundle");
}

// Seen to fail with bundles of which only is told that there are no authorities, or not even that.
#[test]
fn a_bundle_that_is_no_pem_is_told_with_what_it_is() {
    needs_root!();
    let path = "/etc/ssl/certs/ca-certificates.crt";
    let der = CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
    let target = sandbox().file(&path[1..], "").start();
    for (bytes, words, has_none) in [
        (b"".to_vec(), "it is empty", true),
        (der.der().to_vec(), "it is DER, and clients read PEM", true),
        ([b"\xef\xbb\xbf", AUTHORITY].concat(), "it begins with a byte order mark", false),
    ] {
        put(&target, path, &bytes);
        let row = says(&target, "ca-bundle", "warn", "");
        assert!(evidence(&row).contains(words), "{row:#}");
        let none = row["detail"].as_str().unwrap().starts_with("there are no certificate authorities");
        assert_eq!(none, has_none, "{row:#}");
    }
    fs::remove_file(target.root.join(&path[1..])).unwrap();
    symlink("/usr/share/gone.pem", target.root.join(&path[1..])).unwrap();
    let row = says(&target, "ca-bundle", "warn", "");
    assert!(evidence(&row).contains("it is a link to /usr/share/gone.pem, which is not there"), "{row:#}");
    put(&target, "/usr/share/gone.pem", AUTHORITY);
    is_well(&target, "ca-bundle");
}

// Seen to fail with dates that nobody looks at.
#[test]
fn authorities_that_have_expired_are_told() {
    needs_root!();
    let made = |name: &str, year| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    };
    let path = "/etc/ssl/certs/ca-certificates.crt";
    let target = sandbox().file(&path[1..], made("old", 2021)).start();
    let row = says(&target, "ca-bundle", "fail", path);
    assert!(row["detail"].as_str().unwrap().starts_with("all 1 authorities are out of date"), "{row:#}");
    assert!(evidence(&row).contains("CN=old, until 2021-01-01"), "{row:#}");
    put(&target, path, (made("old", 2021) + &made("new", 2090)).as_bytes());
    let row = says(&target, "ca-bundle", "note", path);
    assert!(row["detail"].as_str().unwrap().starts_with("1 of 2 authorities"), "{row:#}");
    put(&target, path, made("new", 2090).as_bytes());
    is_well(&target, "ca-bundle");
}

// Seen to fail with a directory that is only asked whether it is there.
#[test]
fn a_directory_for_temporary_files_that_is_missing_or_closed_is_told() {
    needs_root!();
    is_well(&sandbox().start(), "tmp-dir");
    for (builder, path) in [
        (sandbox().prepared(|root| fs::remove_dir(root.join("tmp")).unwrap()), "/tmp"),
        (sandbox().variable("TMPDIR", "/scratch/own"), "/scratch/own"),
    ] {
        let target = builder.start();
        let row = says(&target, "tmp-dir", "warn", path);
        assert!(evidence(&row).contains("no such file or directory"), "{row:#}");
        assert!(word(fix(&row), "--chmod").ends_with("=1777") && word(fix(&row), path) == path);
        make_directory(&target, path, 0o1777);
        is_well(&target, "tmp-dir");
    }
    let target = sandbox().variable("TMPDIR", "/scratch").prepared(|root| {
        fs::create_dir(root.join("scratch")).unwrap();
    });
    let target = target.start();
    let row = says(&target, "tmp-dir", "warn", "/scratch");
    assert!(evidence(&row).contains("TMPDIR") && evidence(&row).contains("65532: permission denied"));
    assert!(fix(&row).starts_with("chmod 1777 /scratch "), "{row:#}");
    make_directory(&target, "/scratch", 0o1777);
    is_well(&target, "tmp-dir");
}

// Seen to fail without the dot that is asked for.
#[test]
fn a_tmpdir_that_is_a_file_is_none() {
    needs_root!();
    let target = sandbox().variable("TMPDIR", "/scratch").prepared(|root| script(root, "scratch", ""));
    let target = target.start();
    fs::set_permissions(target.root.join("scratch"), fs::Permissions::from_mode(0o777)).unwrap();
    let row = says(&target, "tmp-dir", "warn", "/scratch");
    assert!(fix(&row).contains("make a directory of mode 1777 at /scratch"), "{row:#}");
    fs::remove_file(target.root.join("scratch")).unwrap();
    make_directory(&target, "/scratch", 0o1777);
    is_well(&target, "tmp-dir");
}

// Seen to fail with EROFS taken for want of permission.
#[test]
fn a_read_only_directory_for_temporary_files_wants_a_mount() {
    needs_root!();
    for (builder, path) in [(sandbox(), "/tmp"), (sandbox().variable("TMPDIR", "/scratch"), "/scratch")] {
        let open = |root: &Path| {
            let _ = fs::create_dir(root.join("scratch"));
            fs::set_permissions(root.join("scratch"), fs::Permissions::from_mode(0o1777)).unwrap();
        };
        let target = builder.prepared(open).set("readonly", 1).start();
        let row = says(&target, "tmp-dir", "warn", path);
        assert_eq!(fix(&row), format!("mount a tmpfs or an emptyDir at {path}"));
        mount_tmpfs(&target, path);
        is_well(&target, "tmp-dir");
    }
}

// Seen to fail with HOME left out, and with /nonexistent taken for any other path.
#[test]
fn a_home_directory_that_is_missing_is_told() {
    needs_root!();
    // /app, of /etc/passwd, is root's.
    let row = says(&sandbox().start(), "home-dir", "note", "/app");
    assert!(evidence(&row).contains("/etc/passwd names it"), "{row:#}");
    let own = |root: &Path| chown(root.join("app"), Some(65532), Some(65532)).unwrap();
    is_well(&sandbox().prepared(own).start(), "home-dir");
    let target = sandbox().variable("HOME", "/home/web").start();
    let row = says(&target, "home-dir", "warn", "/home/web");
    assert!(evidence(&row).contains("HOME names it; stat: no such file"), "{row:#}");
    let uid: u32 = fix(&row).split(' ').find_map(|word| word.trim_end_matches(',').parse().ok()).unwrap();
    make_directory(&target, "/home/web", 0o755);
    chown(target.root.join("home/web"), Some(uid), Some(uid)).unwrap();
    is_well(&target, "home-dir");
    let target = sandbox().file("home", "").variable("HOME", "/home").start();
    says(&target, "home-dir", "warn", "/home");
    fs::remove_file(target.root.join("home")).unwrap();
    make_directory(&target, "/home", 0o755);
    chown(target.root.join("home"), Some(uid), Some(uid)).unwrap();
    is_well(&target, "home-dir");
    says(&sandbox().user(4000, 4000).start(), "home-dir", "note", "");
    says(&sandbox().variable("HOME", "/nonexistent").start(), "home-dir", "note", "/nonexistent");
}

// Seen to fail with a line whose ids are others.
#[test]
fn a_user_without_a_line_in_passwd_has_one_after_the_fix() {
    needs_root!();
    is_well(&sandbox().start(), "passwd-entry");
    let without = |root: &Path| fs::remove_file(root.join("etc/passwd")).unwrap();
    for (builder, why) in [
        (sandbox().user(4321, 65532), "has no line for uid 4321"),
        (sandbox().user(4321, 65532).prepared(without), "there is no /etc/passwd"),
    ] {
        let target = builder.start();
        let row = says(&target, "passwd-entry", "warn", "uid 4321");
        assert!(evidence(&row).contains(why), "{row:#}");
        let line = word(fix(&row), "app:x:").to_owned();
        add_line(&target, "etc/passwd", &line);
        // The home directory of that line, too.
        make_directory(&target, line.split(':').nth(5).unwrap(), 0o777);
        let report = all(&target, "passwd-entry");
        assert_eq!(report.says("passwd-entry", "ok", "")["detail"], "uid 4321 is app");
        report.says("home-dir", "ok", "/home/app");
    }
}

// Seen to fail with the user's id in place of the group's.
#[test]
fn a_group_without_a_line_has_one_after_the_fix() {
    needs_root!();
    is_well(&sandbox().start(), "group-entry");
    let target = sandbox().user(65532, 4321).start();
    let row = says(&target, "group-entry", "note", "gid 4321");
    add_line(&target, "etc/group", word(fix(&row), "app:x:"));
    is_well(&target, "group-entry");
}

// Seen to fail with each of: posix zones looked for as files, Etc/UTC looked for, directories taken for zones.
#[test]
fn a_time_zone_that_is_not_there_is_told() {
    needs_root!();
    for zone in ["CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30", "UTC", "Etc/UTC", ":UTC", "EST5EDT", ""] {
        is_well(&sandbox().variable("TZ", zone).start(), "timezone-data");
    }
    is_well(&sandbox().start(), "timezone-data");
    for zone in ["Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"] {
        let target = sandbox().variable("TZ", zone).start();
        let row = says(&target, "timezone-data", "warn", &format!("TZ={zone}"));
        assert!(evidence(&row).contains("/usr/share/zoneinfo/Europe/Berlin"), "{row:#}");
        put(&target, &format!("{}/Europe/Berlin", word(fix(&row), "/usr/")), ZONE);
        is_well(&target, "timezone-data");
    }
    let target = sandbox().file("usr/share/zoneinfo/Europe/Berlin", ZONE).variable("TZ", "Europe").start();
    says(&target, "timezone-data", "warn", "TZ=Europe");
    let target = sandbox().file("zones/Mine", ZONE).variable("TZ", "Mine").variable("TZDIR", "/zones");
    is_well(&target.start(), "timezone-data");
}

// Seen to fail with links that are not followed.
#[test]
fn a_dangling_localtime_is_told_and_mended() {
    needs_root!();
    let link =
        |root: &Path| symlink("/usr/share/zoneinfo/Europe/Berlin", root.join("etc/localtime")).unwrap();
    let target = sandbox().prepared(link).start();
    let row = says(&target, "timezone-data", "warn", "/etc/localtime");
    put(&target, &format!("{}/Europe/Berlin", word(fix(&row), "/usr/")), ZONE);
    is_well(&target, "timezone-data");
}

// Seen to fail with the carriage return taken off.
#[test]
fn a_carriage_return_behind_an_interpreter_is_told() {
    needs_root!();
    let target = with_script("usr/bin/tool", "#!/usr/bin/true\r\nx\r\n").program("usr/bin/true").start();
    let row = says(&target, "script-interpreter", "fail", "/usr/bin/tool");
    assert!(row["detail"].as_str().unwrap().contains("/usr/bin/true\r,"), "{row:#}");
    assert!(fix(&row).contains("no carriage return"), "{row:#}");
    script(&target.root, "usr/bin/tool", "#!/usr/bin/true\nx\n");
    is_well(&target, "script-interpreter");
}

// Seen to fail with env's argument left out.
#[test]
fn an_interpreter_that_env_does_not_find_is_told() {
    needs_root!();
    let target = with_script("usr/bin/tool", "#!/usr/bin/env python3\n").program("usr/bin/env").start();
    let row = says(&target, "script-interpreter", "fail", "/usr/bin/tool");
    assert!(row["detail"].as_str().unwrap().contains("python3, which is not in PATH"), "{row:#}");
    assert!(evidence(&row).contains("#!/usr/bin/env python3"), "{row:#}");
    fs::copy(target.root.join("server"), target.root.join("usr/bin/python3")).unwrap();
    is_well(&target, "script-interpreter");
    let target = with_script("usr/bin/tool", "#!/opt/ruby -w\n").start();
    says(&target, "script-interpreter", "fail", "/usr/bin/tool");
    // What may not be started, or is in no directory of PATH, is no program.
    fs::set_permissions(target.root.join("usr/bin/tool"), fs::Permissions::from_mode(0o644)).unwrap();
    is_well(&target, "script-interpreter");
    is_well(&with_script("opt/tool", "#!/opt/ruby\n").start(), "script-interpreter");
    let target = with_script("opt/tool", "#!/opt/ruby\n").variable("PATH", "/opt");
    says(&target.start(), "script-interpreter", "fail", "/opt/tool");
}

// Seen to fail with env, or sh, that is not among those which images leave out.
#[test]
fn scripts_for_a_shell_in_an_image_without_one_are_a_note() {
    needs_root!();
    let scripts = ["#!/bin/sh\n", "#!/bin/bash -e\n", "#!/usr/bin/perl\n", "#!/usr/bin/env node\n"];
    let target = sandbox().prepared(|root| {
        for (at, text) in scripts.iter().enumerate() {
            script(root, &format!("usr/bin/tool{at}"), text);
        }
    });
    let target = target.start();
    let row = says(&target, "script-interpreter", "note", "");
    assert!(row["detail"].as_str().unwrap().starts_with("4 of the scripts"), "{row:#}");
    assert!((0..4).all(|at| evidence(&row).contains(&format!("/usr/bin/tool{at}"))), "{row:#}");
}
