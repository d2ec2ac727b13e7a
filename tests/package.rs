//! What scripts/package makes: the same bytes each time, a .deb that can be installed, used and removed, manual pages without
//! warnings, completions that load; and what cargo installs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

const NSDBG: &str = env!("CARGO_BIN_EXE_nsdbg");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Counted by scripts/test.
fn skip(reason: &str) {
    let line = format!("skipped: {}: {reason}", std::thread::current().name().unwrap_or("?"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("NSDBG_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// A directory that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nsdbg-test-package-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs within a limit, without a terminal or input.
fn run(limit: u32, words: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", &limit.to_string()]).args(words).current_dir(ROOT);
    // What a package says of time is nobody's locale.
    command.env("SOURCE_DATE_EPOCH", "1700000000").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Stdout of what must succeed.
fn said(limit: u32, words: &[&str]) -> String {
    let ran = run(limit, words);
    assert!(ran.status.success(), "{words:?}: {}{}", text(&ran.stdout), text(&ran.stderr));
    text(&ran.stdout)
}

fn has(tool: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .output()
        .is_ok_and(|ran| ran.status.success())
}

/// Makes the packages once, in a directory that the tests share; cargo's own target directory keeps it.
fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nsdbg-test-package");
        let _ = fs::remove_dir_all(&out);
        said(900, &["scripts/package", "--binary", NSDBG, "--out", out.to_str().unwrap()]);
        out
    })
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// The archive, unpacked.
fn unpacked(name: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(name);
    let archive = fs::read_dir(packages()).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.to_string_lossy().ends_with(".tar.gz")).unwrap();
    said(60, &["tar", "-xzf", archive.to_str().unwrap(), "-C", scratch.0.to_str().unwrap()]);
    let tree = fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
    (scratch, tree)
}

// Seen to fail with the time of the making in it.
#[test]
fn two_packages_of_one_binary_are_the_same() {
    let again = Scratch::new("again");
    let first = packages();
    let line = format!(
        "umask 077; cp {NSDBG} {0}/copy; chmod 700 {0}/copy; exec scripts/package --binary {0}/copy --out {0}/out",
        again.0.display()
    );
    said(900, &["bash", "-c", &line]);
    let (one, two) = (files(first), files(&again.0.join("out")));
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&two));
    for (one, two) in one.iter().zip(&two) {
        assert!(one.1 == two.1, "{} differs", one.0);
    }
    let sums = one.iter().find(|(name, _)| name.starts_with("SHA256SUMS")).unwrap();
    let line = format!("cd {} && sha256sum -c --strict {}", first.display(), sums.0);
    assert!(said(60, &["bash", "-c", &line]).contains(".tar.gz: OK"));
}

// Seen to fail with a setuid binary.
#[test]
fn the_deb_can_be_installed_used_and_removed() {
    if !has("dpkg-deb") || !nix::unistd::geteuid().is_root() {
        return skip("needs dpkg and root");
    }
    let root = Scratch::new("root");
    for name in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.0.join("var/lib/dpkg").join(name)).unwrap();
    }
    fs::write(root.0.join("var/lib/dpkg/status"), "").unwrap();
    let deb = files(packages()).into_iter().find(|(name, _)| name.ends_with(".deb")).unwrap().0;
    let deb = packages().join(deb).display().to_string();
    let listing = said(60, &["dpkg-deb", "-c", &deb]);
    for line in listing.lines() {
        assert!(line.contains(" root/root ") && !line.contains("rws"), "{line}");
        assert!(
            line.starts_with("drwxr-xr-x ")
                || line.starts_with("-rwxr-xr-x ")
                || line.starts_with("-rw-r--r-- "),
            "{line}"
        );
    }
    let at = root.0.display().to_string();
    said(120, &["dpkg", "--root", &at, "--force-script-chrootless", "-i", &deb]);
    let version = format!("nsdbg {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(30, &[&format!("{at}/usr/bin/nsdbg"), "--version"]), version);
    assert_eq!(said(60, &["dpkg", "--root", &at, "--verify", "nsdbg"]), "");
    let plugin = format!("{at}/usr/bin/kubectl-nsdbg");
    assert_eq!(said(30, &[&plugin, "--version"]), version.replace("nsdbg ", "kubectl-nsdbg "));
    assert!(root.0.join("usr/share/nsdbg/daemonset.yaml").exists(), "for kubectl apply");
    assert!(fs::read_to_string(root.0.join("usr/share/doc/nsdbg/copyright")).unwrap().contains("MIT"));
    said(120, &["dpkg", "--root", &at, "--force-script-chrootless", "-P", "nsdbg"]);
    let left = said(30, &["find", &at, "-name", "*nsdbg*", "-not", "-path", &at]);
    assert_eq!(left, "");
}

#[test]
fn the_manual_pages_render_without_a_warning() {
    if !has("groff") || !has("man") {
        return skip("no groff or man: apt-get install groff man-db");
    }
    let (_scratch, tree) = unpacked("man");
    let pages = files(&tree.join("man"));
    assert!(pages.len() > 40, "{}", pages.len());
    for (name, _) in &pages {
        let path = tree.join("man").join(name).display().to_string();
        let ran = run(30, &["groff", "-ww", "-mandoc", "-Tutf8", "-Kutf8", &path]);
        assert!(ran.status.success() && ran.stderr.is_empty(), "{name}: {}", text(&ran.stderr));
        let plain = said(30, &["bash", "-c", &format!("groff -mandoc -Tutf8 -Kutf8 -P -cbou {path}")]);
        assert!(
            plain.contains("NAME") && plain.contains("nsdbg") && plain.contains("EXAMPLES"),
            "{name}: {plain}"
        );
    }
    let page = tree.join("man/nsdbg.1").display().to_string();
    let ran = run(30, &["man", "--warnings", "-E", "UTF-8", "-l", "-P", "cat", &page]);
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", text(&ran.stderr));
    let ls = said(
        30,
        &["bash", "-c", &format!("groff -mandoc -Tutf8 -Kutf8 -P -cbou {}/man/nsdbg-ls.1", tree.display())],
    );
    assert!(ls.contains("nsdbg-ls - List files") && ls.contains("--json"), "{ls}");
}

#[test]
fn the_completions_load_and_complete() {
    let (_scratch, tree) = unpacked("completions");
    let at = tree.join("completions").display().to_string();
    let bash = format!(
        "source {at}/nsdbg && complete -p nsdbg && COMP_LINE='nsdbg --reas' COMP_POINT=12 && _nsdbg {NSDBG} && echo \"${{COMPREPLY[@]}}\""
    );
    let shown = said(30, &["bash", "--norc", "-c", &bash]);
    assert!(shown.ends_with("--reason\n"), "{shown}");
    let zsh = format!(
        "fpath=({at} $fpath); autoload -Uz compinit && compinit -D -u && autoload +X _nsdbg && [[ $_comps[nsdbg] == _nsdbg ]] && functions _nsdbg && {NSDBG} --complete 'nsdbg --reas'"
    );
    let fish = format!("source {at}/nsdbg.fish; complete -C '{NSDBG} --reas'");
    // fish makes a directory of its own for what is at run time, else below /tmp.
    let place = format!("XDG_RUNTIME_DIR={at}");
    for (shell, words) in [
        ("zsh", &["zsh", "-f", "-c", &zsh][..]),
        ("fish", &["env", &place, "fish", "--no-config", "-c", &fish]),
    ] {
        if !has(shell) {
            skip(&format!("no {shell}: apt-get install {shell}"));
            continue;
        }
        let shown = said(60, words);
        assert!(shown.contains("--reason"), "{shell}: {shown}");
    }
}

#[test]
fn licences_of_all_that_is_linked_in_are_there() {
    let (_scratch, tree) = unpacked("licences");
    let licences = fs::read_to_string(tree.join("THIRD-PARTY-LICENSES")).unwrap();
    let linked = said(
        120,
        &[
            "cargo",
            "tree",
            "--locked",
            "--offline",
            "-e",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "-f",
            "{p}",
        ],
    );
    for line in linked.lines().skip(1) {
        let mut words = line.split(' ');
        let of = format!("  {} {}:", words.next().unwrap(), words.next().unwrap().trim_start_matches('v'));
        assert!(licences.contains(&of), "{of}");
    }
    for words in ["Permission is hereby granted", "Apache License", "CDLA-Permissive", "GNU C Library"] {
        assert!(licences.contains(words), "{words}");
    }
}

#[test]
fn cargo_installs_a_static_binary_that_works() {
    let root = Scratch::new("install");
    let at = root.0.display().to_string();
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().parent().unwrap().display().to_string();
    // Not optimized: that takes minutes, and links the same.
    said(
        900,
        &[
            "cargo",
            "install",
            "--debug",
            "--locked",
            "--offline",
            "--path",
            ".",
            "--root",
            &at,
            "--target-dir",
            &target,
        ],
    );
    let nsdbg = format!("{at}/bin/nsdbg");
    assert_eq!(said(30, &[&nsdbg, "--version"]), format!("nsdbg {}\n", env!("CARGO_PKG_VERSION")));
    let headers = said(30, &["readelf", "-lW", &nsdbg]);
    assert!(!headers.contains("INTERP"), "{headers}");
    if nix::unistd::geteuid().is_root() {
        let ran = run(30, &[&nsdbg, "--pid", &std::process::id().to_string(), "--", "echo", "hi"]);
        assert!(ran.status.success() && text(&ran.stdout) == "hi\n", "{ran:?}");
    }
}
